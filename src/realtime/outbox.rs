//! The outbox: the frames on their way to one socket.
//!
//! A frame is written at once, by the caller's task, with one `send()` and without waking another
//! task ([`Connection::send_now`]). The outbox queues frames when the stream would block or does
//! not exist yet, and replies, which leave with the message of the same turn. The socket's own task
//! empties the queue; for Server-Sent Events, hyper takes from it. The queue is bounded: a socket
//! that exceeds the bound is closed with 4408, and no other socket waits for it.

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use once_cell::sync::OnceCell;
use parking_lot::Mutex;

use crate::http::connection::Connection;
use crate::realtime::backlog::{Backlog, Limits};
use crate::realtime::renderer::Wire;
use crate::wire::close::{Close, CloseCode};

/// Why a socket is closed whose peer reads too slowly.
pub const TOO_SLOW: &str = "too slow: more was waiting than the outbox holds";

/// The frames on their way to one socket.
pub(crate) struct Outbox {
    stream: OnceCell<Connection>,
    state: Mutex<State>,
    /// Wakes the socket's task: there is a queue to empty, or the socket is closed.
    changed: AtomicWaker,
    wire: Wire,
    limits: Limits,
    /// The bytes that the stream has accepted, modulo 2^32. Written under the lock of `state`.
    written: AtomicU32,
}

#[derive(Default)]
struct State {
    /// Queued frames; few sockets have any.
    backlog: Option<Box<Backlog>>,
    /// The code of the close frame, once it is queued. No frame may follow it (RFC 6455, section
    /// 5.5.1).
    closed: Option<u16>,
    /// The stream would block.
    blocked: bool,
    /// The stream has failed; nothing can be written.
    broken: bool,
}

impl Outbox {
    /// Creates an outbox without a stream, which queues all frames.
    pub(crate) fn new(wire: Wire, limits: Limits) -> Self {
        Self {
            stream: OnceCell::new(),
            state: Mutex::default(),
            changed: AtomicWaker::new(),
            wire,
            limits,
            written: AtomicU32::new(0),
        }
    }

    /// Attaches the stream once the handshake is complete, and writes the queued frames. A response
    /// that the stream holds leaves with the next frame, or when the queue is
    /// [drained](Self::drain).
    pub(crate) fn attach(&self, stream: Connection) {
        let mut state = self.state.lock();
        let held = stream.take_held();
        assert!(self.stream.set(stream).is_ok(), "a socket has one stream");
        match held {
            Some(response) => state.backlog.get_or_insert_default().push_first(response),
            None => self.count(state.flush(self.stream.get())),
        }
    }

    /// Sends whole frames. Drops them after a close frame.
    pub(crate) fn send(&self, frames: &Bytes) {
        let mut state = self.state.lock();
        if state.has_ended() {
            return;
        }
        match self.stream.get() {
            Some(stream) if state.backlog.is_none() => match stream.send_now(frames) {
                Ok(count) => {
                    self.count(count);
                    if count == frames.len() {
                        return;
                    }
                    state.push(frames.slice(count..));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => state.push(frames.clone()),
                Err(_) => state.broken = true,
            },
            stream => {
                let queued = state.add(frames.clone(), self.wire, self.limits);
                // The task already waits for the stream to become writable.
                if queued && state.blocked {
                    return;
                }
                self.count(state.flush(stream));
            }
        }
        self.changed.wake();
    }

    /// Queues whole frames. They are sent with the next event of this turn, or at its end.
    pub(crate) fn send_along(&self, frames: Bytes) {
        let mut state = self.state.lock();
        if !state.has_ended() {
            state.add(frames, self.wire, self.limits);
            self.changed.wake();
        }
    }

    /// Sends a close frame, after which nothing follows. Only the first call has an effect.
    pub(crate) fn close(&self, close: &Close) {
        let mut state = self.state.lock();
        if state.closed.is_none() {
            state.close(self.wire, close);
            self.count(state.flush(self.stream.get()));
        }
        self.changed.wake();
    }

    /// Returns how frames are written that concern no channel.
    pub(crate) fn wire(&self) -> Wire {
        self.wire
    }

    /// Wakes the socket's task, for which there is something to do.
    pub(crate) fn wake(&self) {
        self.changed.wake();
    }

    /// Returns the code with which the socket was closed, if it was.
    pub(crate) fn closed(&self) -> Option<u16> {
        self.state.lock().closed
    }

    /// Empties the queue whenever there is one. Returns when the socket is closed or the stream has
    /// failed. Runs in the socket's task beside the reader. Cancel-safe.
    pub(crate) async fn drain(&self, stream: &Connection) {
        poll_fn(|context| {
            self.changed.register(context.waker());
            loop {
                let has_more = self.flush(stream);
                if self.state.lock().has_ended() {
                    return Poll::Ready(());
                }
                if !has_more || self.poll_writable(stream, context).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await;
    }

    /// Returns the first entry, which the caller writes; `None` at the end.
    pub(crate) async fn take(&self) -> Option<Bytes> {
        poll_fn(|context| {
            self.changed.register(context.waker());
            let mut state = self.state.lock();
            match state.pop() {
                None if !state.has_ended() => Poll::Pending,
                frames => Poll::Ready(frames),
            }
        })
        .await
    }

    /// Returns once [`take`](Self::take) has taken all frames, by the same task.
    pub(crate) async fn emptied(&self) {
        poll_fn(|_| {
            let state = self.state.lock();
            if state.backlog.is_none() || state.has_ended() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Returns once a quarter of the bound is queued at most. The same task empties the queue.
    pub(crate) async fn until_low(&self) {
        poll_fn(|_| {
            let state = self.state.lock();
            let is_low = |backlog: &Backlog| backlog.is_low(self.limits);
            if state.backlog.as_deref().is_none_or(is_low) || state.has_ended() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Writes the remaining frames, up to the close frame.
    pub(crate) async fn finish(&self, stream: &Connection) {
        while self.flush(stream) {
            self.writable(stream).await;
        }
    }

    /// Writes as much as the stream accepts. Returns whether frames remain.
    fn flush(&self, stream: &Connection) -> bool {
        let mut state = self.state.lock();
        self.count(state.flush(Some(stream)));
        state.backlog.is_some() && !state.broken
    }

    /// Returns how many bytes the stream has accepted, modulo 2^32.
    pub(crate) fn written(&self) -> u32 {
        self.written.load(Ordering::Relaxed)
    }

    /// Counts bytes that the stream has accepted. The caller holds the lock of `state`, so no other
    /// writer is between load and store.
    fn count(&self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.written.store(self.written().wrapping_add(bytes), Ordering::Relaxed);
    }

    async fn writable(&self, stream: &Connection) {
        poll_fn(|context| self.poll_writable(stream, context)).await;
    }

    fn poll_writable(&self, stream: &Connection, context: &mut Context<'_>) -> Poll<()> {
        stream.poll_write_ready(context).map(|ready| self.state.lock().broken |= ready.is_err())
    }
}

impl State {
    fn has_ended(&self) -> bool {
        self.closed.is_some() || self.broken
    }

    /// Appends frames to the queue. Returns `false` if they exceed the bound.
    fn add(&mut self, frames: Bytes, wire: Wire, limits: Limits) -> bool {
        let full = self.backlog.as_ref().is_some_and(|backlog| backlog.is_full(frames.len(), limits));
        if full {
            self.overflow(wire);
        } else {
            self.backlog.get_or_insert_default().push(frames);
        }
        !full
    }

    /// Queues frames that the stream did not accept.
    fn push(&mut self, frames: Bytes) {
        self.backlog.get_or_insert_default().push(frames);
        self.blocked = true;
    }

    fn pop(&mut self) -> Option<Bytes> {
        let frames = self.backlog.as_mut()?.pop();
        self.drop_empty_backlog();
        frames
    }

    fn close(&mut self, wire: Wire, close: &Close) {
        self.backlog.get_or_insert_default().push(wire.close(close));
        self.closed = Some(close.code());
    }

    /// Drops the backlog and closes the socket, whose peer reads too slowly.
    fn overflow(&mut self, wire: Wire) {
        self.backlog.get_or_insert_default().cut();
        self.close(wire, &Close::new(CloseCode::Unresponsive, TOO_SLOW));
    }

    /// Writes as much as the stream accepts, and returns how many bytes it did.
    fn flush(&mut self, stream: Option<&Connection>) -> usize {
        let (Some(stream), Some(backlog), false) = (stream, &mut self.backlog, self.broken) else { return 0 };
        let before = backlog.bytes();
        self.broken = backlog.write(stream).is_err();
        let written = before - backlog.bytes();
        self.drop_empty_backlog();
        self.blocked = self.backlog.is_some();
        written
    }

    /// Frees an empty backlog: most sockets do not need another one.
    fn drop_empty_backlog(&mut self) {
        if self.backlog.as_ref().is_some_and(|backlog| backlog.is_empty()) {
            self.backlog = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::limits::ConnectionSlot;
    use crate::realtime::renderer::tests::Plain;
    use crate::wire::frame::Transport;

    #[tokio::test]
    async fn a_response_that_is_held_leaves_with_the_first_frame() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (near, far) = tokio::join!(listener.accept(), TcpStream::connect(address));
        let (near, mut far) = (near.expect("a peer").0, far.expect("a peer").into_std().expect("a stream"));
        near.set_nodelay(true).expect("an option");
        let mut stream = Connection::new(near, ConnectionSlot::for_test());
        stream.hold_response();
        stream.write_all(b"101, ").await.expect("an open stream");
        let limits = Limits { bytes: 1024, messages: 16 };
        let outbox = Outbox::new(Wire::new::<Plain>(Transport::WebSocket), limits);
        outbox.attach(stream);
        let early = far.read(&mut [0; 64]).map_err(|error| error.kind());
        assert_eq!(early, Err(io::ErrorKind::WouldBlock), "without the frame");
        outbox.send(&Bytes::from_static(b"welcome"));
        far.set_nonblocking(false).expect("an option");
        let mut both = [0; 12];
        far.read_exact(&mut both).expect("both");
        assert_eq!(&both, b"101, welcome");
        assert_eq!(outbox.written(), 12);
    }
}
