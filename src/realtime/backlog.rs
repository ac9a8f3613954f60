//! The backlog of a socket that does not read as fast as it is written to: what it has yet to get, bounded in bytes and
//! in messages.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};

use crate::http::connection::Connection;
use crate::telemetry::METRICS;

/// What a waiting entry costs beside its bytes.
const OVERHEAD: usize = 64;
/// Entries of one write.
const TOGETHER: usize = 64;

/// What may wait for one socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bytes: usize,
    /// Entries; an entry is what came in one turn.
    pub(crate) messages: usize,
}

#[derive(Default)]
pub(crate) struct Backlog {
    /// Frames, the first perhaps written in part. They are shared with every other socket that waits for them.
    queue: VecDeque<Bytes>,
    bytes: usize,
}

impl Backlog {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn push(&mut self, frames: Bytes) {
        self.bytes += frames.len();
        self.queue.push_back(frames);
        METRICS.outbox(self.waiting());
    }

    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let frames = self.queue.pop_front()?;
        self.bytes -= frames.len();
        Some(frames)
    }

    /// Whether so many bytes more are too many. The first entry is never too many.
    pub(crate) fn is_full(&self, more: usize, limits: Limits) -> bool {
        let full = self.waiting() + more > limits.bytes || self.queue.len() >= limits.messages;
        full && !self.queue.is_empty()
    }

    /// Drops all but the first entry, which may be half out: it must be whole for the next frame to be read as one.
    pub(crate) fn cut(&mut self) {
        self.queue.truncate(1);
        self.bytes = self.queue.front().map_or(0, Bytes::len);
    }

    /// Writes what the stream takes now.
    ///
    /// # Errors
    /// When it never will take anything again.
    pub(crate) fn write(&mut self, stream: &Connection) -> io::Result<()> {
        while let Some(first) = self.queue.front() {
            let written = if self.queue.len() == 1 {
                stream.try_write(first)
            } else {
                let slices: Vec<_> =
                    self.queue.iter().take(TOGETHER).map(|frames| IoSlice::new(frames)).collect();
                stream.try_write_vectored(&slices)
            };
            match written {
                Ok(count) => self.forget(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What it costs, in bytes.
    fn waiting(&self) -> usize {
        self.bytes + self.queue.len() * OVERHEAD
    }

    /// Drops `count` written bytes from the front.
    fn forget(&mut self, mut count: usize) {
        self.bytes -= count;
        while let Some(first) = self.queue.front_mut() {
            if count < first.len() {
                return first.advance(count);
            }
            count -= first.len();
            self.queue.pop_front();
        }
    }
}
