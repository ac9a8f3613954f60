//! The reader of a socket: what comes in, message by message. Pings are answered here.

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

/// Frames, and reads, before others get their turn: a client may send no whole message for ever.
const TURN: usize = 256;

thread_local! {
    /// Where every socket of this thread reads to.
    static SPACE: RefCell<Vec<u8>> = RefCell::new(vec![0; 16 * 1024]);
}

/// Seconds between two pongs of a client that answers our pings, at least.
const PONGS: u32 = 20;

pub(crate) struct Reader<'a> {
    assembly: FrameDecoder,
    /// How fast the client may speak; made when it first does.
    pace: Option<Box<MessageRateLimiter>>,
    /// Bytes that came since they were last weighed.
    taken: u32,
    /// When a pong last received_at, in seconds of the node.
    ponged: u32,
    /// The worst that was thought of a message's fragments.
    worst: Decision,
    stream: &'a Connection,
    socket: &'a Socket,
    node: &'a Context,
}

/// Why nothing more is read.
pub(crate) enum Stop {
    /// The socket has to be closed so.
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

    /// The next message, or the client's last word; may be dropped and called again.
    pub(crate) async fn next(&mut self) -> Result<Decoded, Stop> {
        loop {
            // One busy client must not keep the others waiting.
            tokio::task::coop::consume_budget().await;
            for _ in 0..TURN {
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

    /// What is thought of the message that was read last, as it came.
    pub(crate) fn weigh(&mut self) -> Decision {
        let frame = self.pace().map_or(Decision::Fine, MessageRateLimiter::frame);
        self.weigh_bytes().max(frame).max(std::mem::replace(&mut self.worst, Decision::Fine))
    }

    /// Whether something that cannot be answered is to be borne, and `counts` as a message would.
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

    /// The answer to our own ping counts for nothing: most sockets never say anything else.
    fn pong(&mut self) -> Result<(), Stop> {
        let now = self.node.seconds();
        if now.saturating_sub(self.ponged) < PONGS {
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
        SPACE.with_borrow_mut(|space| {
            loop {
                ready!(self.stream.poll_read_ready(context))?;
                match self.stream.read_now(space) {
                    Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                    Ok(count) => {
                        self.socket.heard(self.node.seconds());
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

    /// After our close frame: reads on until the peer's, or until it is gone.
    pub(crate) async fn finish(&mut self) {
        while !matches!(self.next().await, Ok(Decoded::Close(_)) | Err(_)) {}
    }
}
