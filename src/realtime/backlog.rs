//! The backlog of a socket: frames not yet written, bounded in bytes and entries. It grows when
//! the peer reads too slowly.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};

use crate::http::connection::Connection;
use crate::telemetry::METRICS;

/// Bytes that a queued entry costs beside its frames.
const ENTRY_OVERHEAD_BYTES: usize = 64;
/// The most entries of one vectored write.
const MAX_WRITE_ENTRIES: usize = 64;

/// The bounds of one socket's backlog.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bytes: usize,
    /// Entries. An entry holds the frames of one turn of the hub.
    pub(crate) messages: usize,
}

#[derive(Default)]
pub(crate) struct Backlog {
    /// Frames, the first of which may be partly written. Sockets share the bytes.
    queue: VecDeque<Bytes>,
    bytes: usize,
    /// The first entry is the response of the handshake, beside which another one always fits.
    has_response: bool,
}

impl Backlog {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Returns the bytes of the frames.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, frames: Bytes) {
        self.bytes += frames.len();
        self.queue.push_back(frames);
        METRICS.outbox(self.waiting());
    }

    /// Adds what is written before everything else.
    pub(crate) fn push_first(&mut self, bytes: Bytes) {
        self.bytes += bytes.len();
        self.queue.push_front(bytes);
        self.has_response = true;
    }

    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let frames = self.queue.pop_front()?;
        self.bytes -= frames.len();
        Some(frames)
    }

    /// Returns whether it has a quarter of the limits at most.
    pub(crate) fn is_low(&self, limits: Limits) -> bool {
        self.waiting() <= limits.bytes / 4 && self.queue.len() <= limits.messages / 4
    }

    /// Returns whether `more` bytes exceed the limits. The first entry always fits.
    pub(crate) fn is_full(&self, more: usize, limits: Limits) -> bool {
        let full = self.waiting() + more > limits.bytes || self.queue.len() >= limits.messages;
        full && self.queue.len() > usize::from(self.has_response)
    }

    /// Drops all but the first entry, which may be partly written and must be completed for the
    /// next frame to be parsed.
    pub(crate) fn cut(&mut self) {
        self.queue.truncate(1);
        self.bytes = self.queue.front().map_or(0, Bytes::len);
    }

    /// Writes as much as the stream accepts without blocking.
    ///
    /// # Errors
    /// Returns any I/O error except `WouldBlock`.
    pub(crate) fn write(&mut self, stream: &Connection) -> io::Result<()> {
        while let Some(first) = self.queue.front() {
            let written = if self.queue.len() == 1 {
                stream.try_write(first)
            } else {
                let slices: Vec<_> =
                    self.queue.iter().take(MAX_WRITE_ENTRIES).map(|frames| IoSlice::new(frames)).collect();
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

    /// Returns the size in bytes, with the overhead of entries.
    fn waiting(&self) -> usize {
        self.bytes + self.queue.len() * ENTRY_OVERHEAD_BYTES
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
            self.has_response = false;
        }
    }
}
