//! The outbox: the only writer of a socket's stream.
//!
//! A frame is written at once, by whoever brings it, with one `send()` and without waking any task.
//! Only when the stream takes no more (or is not there yet, during the handshake) does the outbox
//! make a queue, which the socket's own task empties. The queue is bounded in bytes: a socket that
//! goes over the bound is closed with 4408, and nobody else waits for it.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::Bytes;
use once_cell::sync::OnceCell;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::frame::{Close, Wire};
use crate::stream::Stream;
use crate::telemetry::METRICS;

/// What a waiting entry costs beside its bytes.
const OVERHEAD: usize = 64;

/// The frames on their way to one socket.
pub(crate) struct Outbox {
    stream: OnceCell<Stream>,
    state: Mutex<State>,
    /// There is something to do for the socket's task: a queue to empty, or an end.
    changed: Notify,
    wire: Wire,
    limits: Limits,
}

/// What may wait for one socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bytes: usize,
    /// Entries of the queue; an entry is what came in one turn.
    pub(crate) messages: usize,
}

#[derive(Default)]
struct State {
    /// Frames that wait, the first perhaps written in part.
    queue: VecDeque<Bytes>,
    /// Bytes in the queue.
    bytes: usize,
    /// The code of the close frame, once it is in: no frame may follow it (RFC 6455, section 5.5.1).
    closed: Option<u16>,
    /// The stream is broken; nothing can be written any more.
    broken: bool,
}

impl Outbox {
    /// An outbox without a stream: all frames wait.
    pub(crate) fn new(wire: Wire, limits: Limits) -> Self {
        Self { stream: OnceCell::new(), state: Mutex::default(), changed: Notify::new(), wire, limits }
    }

    /// The handshake is through: frames go to this stream from now on.
    pub(crate) fn attach(&self, stream: Stream) {
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
            Some(stream) if state.queue.is_empty() => match stream.send_now(frames) {
                Ok(count) if count == frames.len() => return,
                Ok(count) => state.push(frames.slice(count..)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => state.push(frames.clone()),
                Err(_) => state.broken = true,
            },
            _ if state.is_full(frames.len(), self.limits) => state.overflow(self.wire),
            Some(_) => {
                state.push(frames.clone());
                return; // the task knows of the queue
            }
            None => state.push(frames.clone()),
        }
        self.changed.notify_one();
    }

    /// Sends a close frame, after which nothing follows. The first one counts.
    pub(crate) fn close(&self, close: &Close) {
        let mut state = self.state.lock();
        if state.closed.is_none() {
            state.close(self.wire, close);
            state.flush(self.stream.get());
        }
        self.changed.notify_one();
    }

    /// The code with which the socket was closed, if it was.
    pub(crate) fn closed(&self) -> Option<u16> {
        self.state.lock().closed
    }

    /// Empties the queue whenever there is one; returns when the socket was closed or the stream is
    /// broken. The socket's task runs it beside its reading; it may be dropped and called again.
    pub(crate) async fn drain(&self, stream: &Stream) {
        loop {
            let waits = self.flush(stream);
            if self.state.lock().ended() {
                return;
            }
            tokio::select! {
                () = self.writable(stream), if waits => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Takes the first entry, for whoever writes it; `None` at the end.
    pub(crate) async fn take(&self) -> Option<Bytes> {
        loop {
            {
                let mut state = self.state.lock();
                if let Some(frames) = state.queue.pop_front() {
                    state.bytes -= frames.len();
                    return Some(frames);
                }
                if state.ended() {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Writes what is left, up to the close frame.
    pub(crate) async fn finish(&self, stream: &Stream) {
        while self.flush(stream) {
            self.writable(stream).await;
        }
    }

    /// Writes what the stream takes now; whether more waits.
    fn flush(&self, stream: &Stream) -> bool {
        let mut state = self.state.lock();
        state.flush(Some(stream));
        !state.queue.is_empty() && !state.broken
    }

    async fn writable(&self, stream: &Stream) {
        if stream.writable().await.is_err() {
            self.state.lock().broken = true;
        }
    }
}

impl State {
    fn ended(&self) -> bool {
        self.closed.is_some() || self.broken
    }

    fn push(&mut self, frames: Bytes) {
        self.bytes += frames.len();
        self.queue.push_back(frames);
        METRICS.outbox(self.waiting());
    }

    /// Whether so many bytes more are too many. The first entry is never too many.
    fn is_full(&self, more: usize, limits: Limits) -> bool {
        let full = self.waiting() + more > limits.bytes || self.queue.len() >= limits.messages;
        full && !self.queue.is_empty()
    }

    /// What the queue costs, in bytes.
    fn waiting(&self) -> usize {
        self.bytes + self.queue.len() * OVERHEAD
    }

    fn close(&mut self, wire: Wire, close: &Close) {
        self.push(wire.close(close));
        self.closed = Some(close.code);
    }

    /// Too slow: what waits would only be late. The first entry may be half out, and must be completed
    /// for the close frame to be read as one.
    fn overflow(&mut self, wire: Wire) {
        self.queue.truncate(1);
        self.bytes = self.queue.front().map_or(0, Bytes::len);
        self.close(wire, &Close::new(4408, "too slow: more was waiting than the outbox holds"));
    }

    /// Writes what the stream takes now.
    fn flush(&mut self, stream: Option<&Stream>) {
        let Some(stream) = stream else { return };
        while !self.queue.is_empty() && !self.broken {
            let written = if self.queue.len() == 1 {
                stream.try_write(&self.queue[0])
            } else {
                let slices: Vec<_> = self.queue.iter().take(64).map(|frames| IoSlice::new(frames)).collect();
                stream.try_write_vectored(&slices)
            };
            match written {
                Ok(count) => self.forget(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.broken = true,
            }
        }
        if self.queue.is_empty() {
            self.queue = VecDeque::new(); // most sockets never need one again
        }
    }

    /// Drops `count` written bytes from the front of the queue.
    fn forget(&mut self, mut count: usize) {
        self.bytes -= count;
        while let Some(first) = self.queue.front_mut() {
            if count < first.len() {
                bytes::Buf::advance(first, count);
                return;
            }
            count -= first.len();
            self.queue.pop_front();
        }
    }
}
