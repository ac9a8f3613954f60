//! The reader of a socket: what comes in, put together to messages.

use std::io::{self, Read, Write};

use bytes::Bytes;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use crate::node::Node;
use crate::socket::Socket;
use crate::stream::Stream;

/// The frames that come in, put together to messages.
pub(crate) struct Reader<'a> {
    context: WebSocketContext,
    wire: Wire<'a>,
}

/// What tungstenite reads from and writes to: its pongs go through the outbox like all else.
struct Wire<'a> {
    stream: &'a Stream,
    socket: &'a Socket,
    node: &'a Node,
    /// Reads that are left before others get their turn. tungstenite reads on by itself while what
    /// comes is no whole message, as endless empty fragments are not.
    reads: u8,
}

/// Reads of one turn.
const TURN: u8 = 32;

impl<'a> Reader<'a> {
    pub(crate) fn new(
        node: &'a Node,
        socket: &'a Socket,
        stream: &'a Stream,
        early: Vec<u8>,
        limit: usize,
    ) -> Self {
        let limit = Some(limit);
        // The buffer is allocated at once and kept while the socket is idle: small. Writes are only
        // control frames, and leave at once.
        let config = WebSocketConfig::default()
            .read_buffer_size(512)
            .write_buffer_size(0)
            .max_write_buffer_size(4096)
            .max_message_size(limit)
            .max_frame_size(limit);
        Self {
            context: WebSocketContext::from_partially_read(early, Role::Server, Some(config)),
            wire: Wire { stream, socket, node, reads: TURN },
        }
    }

    /// The next message; may be dropped and called again.
    pub(crate) async fn next(&mut self) -> Result<Message, Error> {
        // One busy client must not keep its worker from the others.
        tokio::task::coop::consume_budget().await;
        loop {
            self.wire.reads = TURN;
            match self.context.read(&mut self.wire) {
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.wire.reads == 0 {
                        tokio::task::yield_now().await;
                    } else {
                        self.wire.stream.readable().await?;
                    }
                }
                message => return message,
            }
        }
    }

    /// After our close frame: reads on until the peer's, or until it is gone.
    pub(crate) async fn finish(&mut self) {
        while !matches!(self.next().await, Ok(Message::Close(_)) | Err(_)) {}
    }
}

impl Read for Wire<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let Some(reads) = self.reads.checked_sub(1) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        self.reads = reads;
        let count = self.stream.try_read(bytes)?;
        self.socket.heard(self.node.seconds());
        Ok(count)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send(&Bytes::copy_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The settings for hyper-tungstenite's own socket, which is taken apart before it reads: it must
/// not allocate its default of 128 KiB.
pub(crate) fn unused() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(0)
}
