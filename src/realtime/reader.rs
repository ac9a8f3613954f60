//! Reads the messages of one socket, answers its pings, and charges its rate limits.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::task::{self, Poll, ready};

use tungstenite::protocol::frame::Frame as WireFrame;

use crate::http::connection::Connection;
use crate::http::context::Context;
use crate::limits::{Decision, MessageRateLimiter};
use crate::realtime::socket::Socket;
use crate::wire::close::{Close, CloseCode};
use crate::wire::decoder::{Decoded, FrameDecoder};
use crate::wire::frame::wire;

/// Frames and reads before the task yields. A client may never complete a message.
const MAX_TURN_FRAMES: usize = 256;

thread_local! {
    /// The read buffer of all sockets of this thread.
    static READ_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 16 * 1024]);
}

/// The least time between two pongs that answer pings of the server, in seconds.
const MIN_PONG_INTERVAL_SECONDS: u32 = 20;

pub(crate) struct Reader<'a> {
    assembly: FrameDecoder,
    /// The client's rate limiter, created at its first message.
    pace: Option<Box<MessageRateLimiter>>,
    /// Bytes read since the limiter was last charged.
    taken: u32,
    /// When the last pong arrived, in seconds of the node.
    ponged: u32,
    /// The worst decision on the fragments of the current message.
    worst: Decision,
    stream: &'a Connection,
    socket: &'a Socket,
    node: &'a Context,
}

/// Why reading stopped.
pub(crate) enum Stop {
    /// The socket has to be closed with this frame.
    Refused(Close),
    /// The connection is gone.
    Gone,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        node: &'a Context,
        socket: &'a Socket,
        stream: &'a Connection,
        early: &[u8],
        limit: usize,
    ) -> Self {
        let mut assembly = FrameDecoder::new(limit);
        assembly.push(early);
        let taken = u32::try_from(early.len()).unwrap_or(u32::MAX);
        Self { assembly, pace: None, taken, ponged: 0, worst: Decision::Fine, stream, socket, node }
    }

    /// Returns the next message or the close frame. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Decoded, Stop> {
        loop {
            // One busy client must not delay the others.
            tokio::task::coop::consume_budget().await;
            for _ in 0..MAX_TURN_FRAMES {
                match self.assembly.next().map_err(Stop::Refused)? {
                    Some(Decoded::Ping(payload)) => {
                        self.bear(true)?;
                        self.socket.send(&wire(WireFrame::pong(payload)));
                    }
                    Some(Decoded::Pong) => self.pong()?,
                    Some(Decoded::Fragment) => self.bear(false)?,
                    Some(received) => return Ok(received),
                    None => poll_fn(|context| self.poll_more(context)).await.map_err(|_| Stop::Gone)?,
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Charges the message that was read last.
    pub(crate) fn weigh(&mut self) -> Decision {
        let frame = self.pace().map_or(Decision::Fine, MessageRateLimiter::frame);
        self.weigh_bytes().max(frame).max(std::mem::replace(&mut self.worst, Decision::Fine))
    }

    /// Charges a frame that is not passed to the consumer; with `counts`, as a message.
    ///
    /// # Errors
    /// Returns [`Stop::Refused`] with 4429 above the limits.
    fn bear(&mut self, counts: bool) -> Result<(), Stop> {
        let frame = if counts {
            self.pace().map_or(Decision::Fine, MessageRateLimiter::frame)
        } else {
            Decision::Fine
        };
        self.worst = self.weigh_bytes().max(self.worst);
        if frame == Decision::Fine && self.worst < Decision::Flood {
            Ok(())
        } else {
            Err(Stop::Refused(CloseCode::RateLimited.into()))
        }
    }

    /// Accepts a pong. One that answers a ping of the server is free: most sockets send nothing
    /// else.
    fn pong(&mut self) -> Result<(), Stop> {
        let now = self.node.seconds();
        if now.saturating_sub(self.ponged) < MIN_PONG_INTERVAL_SECONDS {
            return self.bear(true);
        }
        (self.ponged, self.taken) = (now, 0);
        Ok(())
    }

    fn weigh_bytes(&mut self) -> Decision {
        let taken = std::mem::take(&mut self.taken);
        self.pace().map_or(Decision::Fine, |pace| pace.bytes(taken))
    }

    fn pace(&mut self) -> Option<&MessageRateLimiter> {
        if self.pace.is_none() {
            self.pace = self.node.limits().pace(self.assembly.limit());
        }
        self.pace.as_deref()
    }

    fn poll_more(&mut self, context: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        READ_BUFFER.with_borrow_mut(|space| {
            loop {
                ready!(self.stream.poll_read_ready(context))?;
                match self.stream.read_now(space) {
                    Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                    Ok(count) => {
                        self.socket.record_read(self.node.seconds());
                        self.taken = self.taken.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
                        self.assembly.push(&space[..count]);
                        return Poll::Ready(Ok(()));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
        })
    }

    /// Reads and discards until the peer's close frame, or until the connection ends.
    pub(crate) async fn finish(&mut self) {
        while !matches!(self.next().await, Ok(Decoded::Close(_)) | Err(_)) {}
    }
}
