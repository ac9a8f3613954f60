//! The life of one socket: read, act, and end well, in one task.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tracing::{debug, trace};
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use crate::consumer::{Action, Consumer, Session};
use crate::frame::{Close, Frame, PING};
use crate::node::Node;
use crate::outbox::Outbox;
use crate::stream::Stream;
use crate::telemetry::{Chain, METRICS};

/// How long a peer may take to answer a close frame.
const CLOSING: Duration = Duration::from_secs(2);

/// How often a peer is pinged, and how long it may be silent, in seconds.
const PING_EVERY: u32 = 25;
const SILENCE: u32 = 60;

/// One socket, as everybody but its own task sees it.
pub(crate) struct Socket {
    outbox: Outbox,
    /// When the peer was last heard, in seconds of [`Node::seconds`].
    heard: AtomicU32,
    /// When it is pinged next.
    ping_at: AtomicU32,
}

/// How reading ended.
enum End {
    /// The peer's close frame came: all is said.
    Closed,
    /// The connection is gone.
    Gone,
    /// We closed because of what came; more of it is not read.
    Refused,
    /// We closed, and the peer may still answer properly.
    Closing,
}

impl Socket {
    pub(crate) fn new(node: &Node) -> Self {
        let now = node.seconds();
        Self {
            outbox: Outbox::new(node.config().max_outbox_bytes),
            heard: AtomicU32::new(now),
            ping_at: AtomicU32::new(now + PING_EVERY),
        }
    }

    /// Sends whole frames.
    pub(crate) fn send(&self, frames: &Bytes) {
        self.outbox.send(frames);
    }

    /// Closes the socket; its task does the rest.
    pub(crate) fn close(&self, close: &Close) {
        self.outbox.close(close);
    }

    /// Once a second: asks the peer for a sign of life every [`PING_EVERY`] seconds, and closes the
    /// socket when there was none for [`SILENCE`]. Nobody was silent while the node was frozen.
    pub(crate) fn pulse(&self, now: u32, frozen: bool) {
        if frozen {
            self.heard.store(now, Ordering::Relaxed);
        }
        if now.saturating_sub(self.heard.load(Ordering::Relaxed)) >= SILENCE {
            self.close(&Close::new(4408, "silent for too long"));
        } else if now >= self.ping_at.load(Ordering::Relaxed) {
            self.ping_at.store(now + PING_EVERY, Ordering::Relaxed);
            self.send(&PING);
        }
    }
}

/// Reads and acts until the socket ends, then closes it properly.
pub(crate) async fn run<C: Consumer>(
    node: &Node,
    session: &Session,
    socket: &Socket,
    stream: Stream,
    early: Vec<u8>,
) {
    socket.outbox.attach(stream.clone());
    let mut reader = Reader::new(node, socket, &stream, early);
    let end = tokio::select! {
        end = read::<C>(node, session, &mut reader) => end,
        () = socket.outbox.drain(&stream) => End::Closing,
    };
    C::disconnect(session).await;
    let goodbye = async {
        socket.outbox.finish(&stream).await;
        match end {
            End::Closed | End::Gone => {}
            End::Refused => {
                stream.half_close();
                stream.discard().await;
            }
            End::Closing => reader.finish().await,
        }
    };
    if !matches!(end, End::Gone) && tokio::time::timeout(CLOSING, goodbye).await.is_err() {
        stream.cut();
    }
    let code = socket.outbox.closed().unwrap_or(Close::ABNORMAL);
    METRICS.closed(code, matches!(end, End::Closed));
    trace!(code, "socket closed");
}

/// Takes the client's messages, one after another.
async fn read<C: Consumer>(node: &Node, session: &Session, reader: &mut Reader<'_>) -> End {
    loop {
        let action = match reader.next().await {
            Ok(Message::Text(text)) => C::receive(session, Frame::Text(Cow::Borrowed(&text))).await,
            Ok(Message::Binary(bytes)) => C::receive(session, Frame::Binary(Cow::Borrowed(&bytes))).await,
            Ok(Message::Close(frame)) => {
                // RFC 6455, section 5.5.1: the answer echoes the code.
                let code = frame.map_or(Close::NO_STATUS, |frame| frame.code.into());
                reader.end.socket.close(&Close::new(code, ""));
                return End::Closed;
            }
            Ok(_) => continue,
            Err(error) => match refusal(&error) {
                Some(close) => {
                    debug!(code = close.code, %error, "refused what a client sent");
                    reader.end.socket.close(&close);
                    return End::Refused;
                }
                None => return End::Gone,
            },
        };
        match action {
            Action::Nothing => {}
            Action::Send(frame) => reader.end.socket.send(&frame.encode()),
            Action::Publish(event) => {
                let Some(group) = session.group() else { continue };
                // Boxed: a command to Redis is 7 KB of future, too much for every idle socket's task.
                if let Err(error) = Box::pin(node.publish(group, &event)).await {
                    debug!(error = %Chain(&error), "could not publish what a client sent");
                    reader.end.socket.close(&Close::new(1013, "could not be sent: try again later"));
                    return End::Closing;
                }
            }
            Action::Close(close) => {
                debug!(code = close.code, reason = %close.reason, "refused what a client sent");
                reader.end.socket.close(&close);
                return End::Closing;
            }
        }
    }
}

/// The close frame for what came in, or `None` if the connection is gone.
fn refusal(error: &Error) -> Option<Close> {
    match error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(error) => Some(Close::new(1002, error.to_string())),
        Error::Utf8(_) => Some(Close::new(1007, "text is not UTF-8")),
        Error::Capacity(CapacityError::MessageTooLong { max_size, .. }) => {
            Some(Close::new(1009, format!("message is longer than {max_size} bytes")))
        }
        Error::Capacity(_) => Some(Close::new(1009, "message is too long")),
        _ => None,
    }
}

/// The frames that come in, put together to messages.
struct Reader<'a> {
    context: WebSocketContext,
    end: Wire<'a>,
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
    fn new(node: &'a Node, socket: &'a Socket, stream: &'a Stream, early: Vec<u8>) -> Self {
        let limit = Some(node.config().max_message_bytes);
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
            end: Wire { stream, socket, node, reads: TURN },
        }
    }

    /// The next message; may be dropped and called again.
    async fn next(&mut self) -> Result<Message, Error> {
        // One busy client must not keep its worker from the others.
        tokio::task::coop::consume_budget().await;
        loop {
            self.end.reads = TURN;
            match self.context.read(&mut self.end) {
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.end.reads == 0 {
                        tokio::task::yield_now().await;
                    } else {
                        self.end.stream.readable().await?;
                    }
                }
                message => return message,
            }
        }
    }

    /// After our close frame: reads on until the peer's, or until it is gone.
    async fn finish(&mut self) {
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
        self.socket.heard.store(self.node.seconds(), Ordering::Relaxed);
        Ok(count)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.outbox.send(&Bytes::copy_from_slice(bytes));
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
