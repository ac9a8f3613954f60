//! The outbox: the only writer of a socket's stream.
//!
//! A frame is written at once, by whoever brings it, with one `send()` and without waking any task.
//! Only when the stream takes no more (or is not there yet, during the handshake) does the outbox
//! make a queue, which the socket's own task empties. The queue is bounded in bytes: a socket that
//! goes over the bound is closed with 4408, and nobody else waits for it.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use once_cell::sync::OnceCell;
use parking_lot::Mutex;

use crate::http::connection::Connection;
use crate::realtime::backlog::{Backlog, Limits};
use crate::wire::close::{Close, CloseCode};
use crate::wire::frame::Transport;

/// The frames on their way to one socket.
pub(crate) struct Outbox {
    stream: OnceCell<Connection>,
    state: Mutex<State>,
    /// There is something to do for the socket's task: a queue to empty, or an end.
    changed: AtomicWaker,
    wire: Transport,
    limits: Limits,
}

#[derive(Default)]
struct State {
    /// Frames that wait; few sockets have any.
    backlog: Option<Box<Backlog>>,
    /// The code of the close frame, once it is in: no frame may follow it (RFC 6455, section 5.5.1).
    closed: Option<u16>,
    /// The stream takes no more of them now.
    blocked: bool,
    /// The stream is broken; nothing can be written any more.
    broken: bool,
}

impl Outbox {
    /// An outbox without a stream: all frames wait.
    pub(crate) fn new(wire: Transport, limits: Limits) -> Self {
        Self { stream: OnceCell::new(), state: Mutex::default(), changed: AtomicWaker::new(), wire, limits }
    }

    /// The handshake is through: frames go to this stream from now on.
    pub(crate) fn attach(&self, stream: Connection) {
        let mut state = self.state.lock();
        assert!(self.stream.set(stream).is_ok(), "a socket has one stream");
        state.flush(self.stream.get());
    }

    /// Sends whole frames; after a close frame they are dropped.
    pub(crate) fn send(&self, frames: &Bytes) {
        let mut state = self.state.lock();
        if state.ended() {
            return;
        }
        match self.stream.get() {
            Some(stream) if state.backlog.is_none() => match stream.send_now(frames) {
                Ok(count) if count == frames.len() => return,
                Ok(count) => state.push(frames.slice(count..)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => state.push(frames.clone()),
                Err(_) => state.broken = true,
            },
            stream => {
                let told = state.add(frames.clone(), self.wire, self.limits);
                // The task knows of a backlog that the stream does not take; another one goes along.
                if told && state.blocked {
                    return;
                }
                state.flush(stream);
            }
        }
        self.changed.wake();
    }

    /// Sends whole frames together with what comes for the socket in this turn, or else at the turn's end.
    pub(crate) fn send_along(&self, frames: Bytes) {
        let mut state = self.state.lock();
        if !state.ended() {
            state.add(frames, self.wire, self.limits);
            self.changed.wake();
        }
    }

    /// Sends a close frame, after which nothing follows. The first one counts.
    pub(crate) fn close(&self, close: &Close) {
        let mut state = self.state.lock();
        if state.closed.is_none() {
            state.close(self.wire, close);
            state.flush(self.stream.get());
        }
        self.changed.wake();
    }

    /// The code with which the socket was closed, if it was.
    pub(crate) fn closed(&self) -> Option<u16> {
        self.state.lock().closed
    }

    /// Empties the queue whenever there is one; returns when the socket was closed or the stream is
    /// broken. The socket's task runs it beside its reading; it may be dropped and called again.
    pub(crate) async fn drain(&self, stream: &Connection) {
        poll_fn(|context| {
            self.changed.register(context.waker());
            loop {
                let waits = self.flush(stream);
                if self.state.lock().ended() {
                    return Poll::Ready(());
                }
                if !waits || self.poll_writable(stream, context).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await;
    }

    /// Takes the first entry, for whoever writes it; `None` at the end.
    pub(crate) async fn take(&self) -> Option<Bytes> {
        poll_fn(|context| {
            self.changed.register(context.waker());
            let mut state = self.state.lock();
            match state.pop() {
                None if !state.ended() => Poll::Pending,
                frames => Poll::Ready(frames),
            }
        })
        .await
    }

    /// Writes what is left, up to the close frame.
    pub(crate) async fn finish(&self, stream: &Connection) {
        while self.flush(stream) {
            self.writable(stream).await;
        }
    }

    /// Writes what the stream takes now; whether more waits.
    fn flush(&self, stream: &Connection) -> bool {
        let mut state = self.state.lock();
        state.flush(Some(stream));
        state.backlog.is_some() && !state.broken
    }

    async fn writable(&self, stream: &Connection) {
        poll_fn(|context| self.poll_writable(stream, context)).await;
    }

    fn poll_writable(&self, stream: &Connection, context: &mut Context<'_>) -> Poll<()> {
        stream.poll_write_ready(context).map(|ready| self.state.lock().broken |= ready.is_err())
    }
}

impl State {
    fn ended(&self) -> bool {
        self.closed.is_some() || self.broken
    }

    /// Puts frames behind what waits; `false` if that is too much.
    fn add(&mut self, frames: Bytes, wire: Transport, limits: Limits) -> bool {
        let full = self.backlog.as_ref().is_some_and(|backlog| backlog.is_full(frames.len(), limits));
        if full {
            self.overflow(wire);
        } else {
            self.backlog.get_or_insert_default().push(frames);
        }
        !full
    }

    /// What the stream did not take.
    fn push(&mut self, frames: Bytes) {
        self.backlog.get_or_insert_default().push(frames);
        self.blocked = true;
    }

    fn pop(&mut self) -> Option<Bytes> {
        let frames = self.backlog.as_mut()?.pop();
        self.settle();
        frames
    }

    fn close(&mut self, wire: Transport, close: &Close) {
        self.backlog.get_or_insert_default().push(wire.close(close));
        self.closed = Some(close.code());
    }

    /// Too slow: what waits would only be late.
    fn overflow(&mut self, wire: Transport) {
        self.backlog.get_or_insert_default().cut();
        self.close(
            wire,
            &Close::new(CloseCode::Unresponsive, "too slow: more was waiting than the outbox holds"),
        );
    }

    /// Writes what the stream takes now.
    fn flush(&mut self, stream: Option<&Connection>) {
        if let (Some(stream), Some(backlog), false) = (stream, &mut self.backlog, self.broken) {
            self.broken = backlog.write(stream).is_err();
            self.settle();
            self.blocked = self.backlog.is_some();
        }
    }

    /// Most sockets never need a backlog again.
    fn settle(&mut self) {
        if self.backlog.as_ref().is_some_and(|backlog| backlog.is_empty()) {
            self.backlog = None;
        }
    }
}
