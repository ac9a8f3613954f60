//! Reads the messages of one socket, answers its pings, and charges its rate limits.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{self, Poll, ready};

use tokio::task::{coop, yield_now};
use tungstenite::protocol::frame::Frame as WireFrame;

use crate::http::connection::Connection;
use crate::http::context::Context;
use crate::limits::{Admitted, MessageRateLimiter, RateDecision};
use crate::realtime::joined::Joined;
use crate::realtime::socket::Socket;
use crate::wire::close::{Close, CloseCode};
use crate::wire::decoder::{Decoded, FrameDecoder};
use crate::wire::frame::wire;

/// Frames and reads before the task yields. A client may never complete a message.
const MAX_TURN_FRAMES: usize = 256;
/// A smaller fragment counts as a message: its bytes alone would make it nearly free.
const MIN_FRAGMENT_BYTES: usize = 512;
/// The least time between two pongs that answer pings of the server, in seconds.
const MIN_PONG_INTERVAL_SECONDS: u32 = 20;

thread_local! {
    /// The read buffer of all sockets of this thread.
    static READ_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 16 * 1024]);
}

/// The reading half of one socket.
pub(crate) struct Reader<'a> {
    decoder: FrameDecoder,
    /// The client's rate limiter, created at its first message.
    limiter: Option<Box<MessageRateLimiter>>,
    /// Bytes read since the limiter was last charged.
    uncharged_bytes: u32,
    /// When the last free pong arrived, in seconds of the node.
    pong_at: u32,
    /// The bytes of an incomplete message that are counted for the address.
    held: u32,
    /// When the first byte of an incomplete message arrived, in seconds of the node.
    incomplete_since: Option<u32>,
    /// The worst decision on the fragments of the current message.
    worst: RateDecision,
    stream: &'a Connection,
    socket: &'a Socket,
    context: &'a Context,
    admitted: &'a Admitted,
}

/// Why reading stopped.
pub(crate) enum Stop {
    /// The socket has to be closed with this frame.
    Refused(Close),
    /// The connection is gone.
    Gone,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(joined: &'a Joined, stream: &'a Connection, early: &[u8], limit: usize) -> Self {
        let (context, socket) = (joined.context(), joined.socket());
        let mut decoder = FrameDecoder::new(limit);
        decoder.push(early);
        Self {
            decoder,
            limiter: None,
            uncharged_bytes: u32::try_from(early.len()).unwrap_or(u32::MAX),
            pong_at: 0,
            held: 0,
            incomplete_since: None,
            worst: RateDecision::Fine,
            stream,
            socket,
            context,
            admitted: joined.admitted(),
        }
    }

    /// Returns the next message or the close frame. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Decoded, Stop> {
        poll_fn(|task| self.poll_next(task)).await
    }

    /// As [`next`](Self::next). A poll, because a socket that waits then keeps nothing of what was
    /// decoded.
    pub(crate) fn poll_next(&mut self, task: &mut task::Context<'_>) -> Poll<Result<Decoded, Stop>> {
        // One busy client must not delay the others.
        ready!(coop::poll_proceed(task)).made_progress();
        for _ in 0..MAX_TURN_FRAMES {
            match self.decoder.next().map_err(Stop::Refused)? {
                Some(Decoded::Ping(payload)) => {
                    self.charge_unhandled(true)?;
                    self.socket.send(&wire(WireFrame::pong(payload)));
                }
                Some(Decoded::Pong) => self.pong()?,
                Some(Decoded::Fragment(bytes)) => self.charge_unhandled(bytes < MIN_FRAGMENT_BYTES)?,
                Some(received) => {
                    self.incomplete_since = None;
                    return Poll::Ready(Ok(received));
                }
                None => {
                    self.record_incomplete()?;
                    ready!(self.poll_read(task)).map_err(|_| Stop::Gone)?;
                }
            }
        }
        // A wake-up would come before the runtime has polled the other sockets.
        let _ = pin!(yield_now()).poll(task);
        Poll::Pending
    }

    /// Charges the message that was read last.
    pub(crate) fn charge(&mut self) -> RateDecision {
        let frame = self.limiter().map_or(RateDecision::Fine, MessageRateLimiter::frame);
        let count = std::mem::take(&mut self.uncharged_bytes);
        self.charge_bytes(count, self.admitted.message(count))
            .max(frame)
            .max(std::mem::replace(&mut self.worst, RateDecision::Fine))
    }

    /// Charges a further request of the message that was read last.
    pub(crate) fn charge_request(&mut self) -> RateDecision {
        let frame = self.limiter().map_or(RateDecision::Fine, MessageRateLimiter::frame);
        self.charge_bytes(0, self.admitted.message(0)).max(frame)
    }

    /// Charges a frame that is not handled as a message; with `counts`, as a message.
    ///
    /// # Errors
    /// Returns [`Stop::Refused`] with 4429 above the limits.
    fn charge_unhandled(&mut self, counts: bool) -> Result<(), Stop> {
        let frame = if counts {
            self.limiter().map_or(RateDecision::Fine, MessageRateLimiter::frame)
        } else {
            RateDecision::Fine
        };
        let count = std::mem::take(&mut self.uncharged_bytes);
        self.worst = self.charge_bytes(count, self.admitted.bytes(count)).max(self.worst);
        if frame == RateDecision::Fine && self.worst < RateDecision::Flood {
            Ok(())
        } else {
            Err(Stop::Refused(CloseCode::RateLimited.into()))
        }
    }

    /// Accepts a pong. One that answers a ping of the server is free: most sockets send nothing
    /// else.
    fn pong(&mut self) -> Result<(), Stop> {
        let now = self.context.seconds();
        if now.saturating_sub(self.pong_at) < MIN_PONG_INTERVAL_SECONDS {
            return self.charge_unhandled(true);
        }
        (self.pong_at, self.uncharged_bytes) = (now, 0);
        Ok(())
    }

    /// Records what is held of an incomplete message, and since when.
    ///
    /// # Errors
    /// Returns [`Stop::Refused`] with 4429 if the sockets of the address hold too much.
    fn record_incomplete(&mut self) -> Result<(), Stop> {
        let held = self.decoder.held();
        if held == 0 {
            self.incomplete_since = None;
        } else {
            self.incomplete_since.get_or_insert(self.context.seconds());
        }
        self.socket.record_incomplete(held, self.incomplete_since);
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        let allowed = self.admitted.hold(std::mem::replace(&mut self.held, held), held);
        allowed.map_err(|_| Stop::Refused(CloseCode::RateLimited.into()))
    }

    fn charge_bytes(&mut self, count: u32, is_allowed: bool) -> RateDecision {
        let decision = self.limiter().map_or(RateDecision::Fine, |limiter| limiter.bytes(count));
        // An address over its limit may be many clients: none is taken for a flood.
        if is_allowed { decision } else { decision.max(RateDecision::TooFast) }
    }

    fn limiter(&mut self) -> Option<&MessageRateLimiter> {
        if self.limiter.is_none() {
            self.limiter = self.context.limits().message_limiter(self.decoder.limit());
        }
        self.limiter.as_deref()
    }

    fn poll_read(&mut self, task: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        READ_BUFFER.with_borrow_mut(|buffer| {
            loop {
                ready!(self.stream.poll_read_ready(task))?;
                match self.stream.read_now(buffer) {
                    Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                    Ok(count) => {
                        self.socket.record_read(self.context.seconds());
                        self.uncharged_bytes =
                            self.uncharged_bytes.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
                        self.decoder.push(&buffer[..count]);
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

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        // What is held goes with it.
        self.admitted.hold(self.held, 0).ok();
    }
}
