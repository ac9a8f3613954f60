//! The reader of a socket: what comes in, message by message. Pings are answered here.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use tungstenite::protocol::WebSocketConfig;
use tungstenite::protocol::frame::Frame as WireFrame;

use crate::assembly::{Assembly, Received};
use crate::frame::{Close, wire};
use crate::node::Node;
use crate::socket::Socket;
use crate::stream::Stream;

/// Frames, and reads, before others get their turn: a client may send no whole message for ever.
const TURN: usize = 256;

thread_local! {
    /// Where every socket of this thread reads to.
    static SPACE: RefCell<Vec<u8>> = RefCell::new(vec![0; 16 * 1024]);
}

pub(crate) struct Reader<'a> {
    assembly: Assembly,
    stream: &'a Stream,
    socket: &'a Socket,
    node: &'a Node,
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
        node: &'a Node,
        socket: &'a Socket,
        stream: &'a Stream,
        early: &[u8],
        limit: usize,
    ) -> Self {
        let mut assembly = Assembly::new(limit);
        assembly.push(early);
        Self { assembly, stream, socket, node }
    }

    /// The next message, or the client's last word; may be dropped and called again.
    pub(crate) async fn next(&mut self) -> Result<Received, Stop> {
        loop {
            // One busy client must not keep the others waiting.
            tokio::task::coop::consume_budget().await;
            for _ in 0..TURN {
                match self.assembly.next().map_err(Stop::Refused)? {
                    Some(Received::Ping(payload)) => self.socket.send(&wire(WireFrame::pong(payload))),
                    Some(Received::Pong | Received::Fragment) => {}
                    Some(received) => return Ok(received),
                    None => poll_fn(|context| self.poll_more(context)).await.map_err(|_| Stop::Gone)?,
                }
            }
            tokio::task::yield_now().await;
        }
    }

    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        SPACE.with_borrow_mut(|space| {
            loop {
                ready!(self.stream.poll_read_ready(context))?;
                match self.stream.read_now(space) {
                    Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                    Ok(count) => {
                        self.socket.heard(self.node.seconds());
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
        while !matches!(self.next().await, Ok(Received::Close(_)) | Err(_)) {}
    }
}

/// The settings for hyper-tungstenite's own socket, which is taken apart before it reads: it must
/// not allocate its default of 128 KiB.
pub(crate) fn unused() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(0)
}
