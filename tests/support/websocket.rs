//! The WebSocket client of all tests, beneath [`V1Client`](super::v1_client::V1Client) and
//! [`TutorialClient`](super::tutorial_client::TutorialClient).
//!
//! A task reads the socket and queues its messages, as a browser does: the server's pings are
//! answered while a test is busy with other clients. A slow reader pauses its client, or is a
//! [`Connection`](super::connection::Connection), which also writes and reads single bytes.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
pub use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::wait::{PATIENCE, within};

type Stream = WebSocketStream<TcpStream>;

pub struct WebSocket {
    /// Path and query of the handshake, for the messages of failures.
    target: String,
    sink: SplitSink<Stream, Message>,
    /// Messages that were read and not taken yet; closed at the end of the connection.
    messages: mpsc::UnboundedReceiver<Message>,
    is_reading: watch::Sender<bool>,
    reader: JoinHandle<()>,
}

impl WebSocket {
    /// Connects to `address` and performs the handshake with these further headers.
    pub async fn connect(
        address: SocketAddr,
        target: &str,
        headers: &[(&'static str, String)],
    ) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut request = format!("ws://{address}{target}").into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::try_from(value)?);
        }
        let (stream, _) = client_async(request, stream).await?;
        let (sink, stream) = stream.split();
        let (queue, messages) = mpsc::unbounded_channel();
        let (is_reading, reading) = watch::channel(true);
        let reader = tokio::spawn(read(stream, queue, reading));
        Ok(Self { target: target.to_owned(), sink, messages, is_reading, reader })
    }

    pub fn target(&self) -> &str {
        &self.target
    }

    /// Stops or resumes reading. A client that does not read answers no pings, and the server's
    /// bytes stay in the kernel's buffers.
    pub fn set_reading(&self, is_reading: bool) {
        self.is_reading.send_replace(is_reading);
    }

    /// Sends one message; an error fails the test. The server's Close frame is no error: it shows
    /// at the next read.
    pub async fn send(&mut self, message: impl Into<Message>) {
        let what = format!("{} to take a message", self.target);
        match within(PATIENCE, &what, self.sink.send(message.into())).await {
            Ok(())
            | Err(
                Error::ConnectionClosed
                | Error::AlreadyClosed
                | Error::Protocol(ProtocolError::SendAfterClosing),
            ) => {}
            Err(error) => panic!("sending at {}: {error}", self.target),
        }
    }

    /// Sends one message; returns `false` when the connection has ended.
    pub async fn try_send(&mut self, message: impl Into<Message>) -> bool {
        self.sink.send(message.into()).await.is_ok()
    }

    /// The next message, also a ping or a pong; `None` at the end of the connection.
    pub async fn next_message(&mut self) -> Option<Message> {
        self.messages.recv().await
    }

    /// The next message that is neither a ping nor a pong; `None` at the end of the connection.
    pub async fn next_data(&mut self) -> Option<Message> {
        loop {
            match self.next_message().await? {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return Some(message),
            }
        }
    }

    /// Waits for a Close frame: its code and reason. Passes each text before it to `on_text`.
    pub async fn closed(&mut self, limit: Duration, mut on_text: impl FnMut(&str)) -> (u16, String) {
        within(limit, &format!("{} to be closed", self.target), async {
            loop {
                match self.next_data().await {
                    Some(Message::Close(Some(close))) => {
                        return (close.code.into(), close.reason.to_string());
                    }
                    Some(Message::Text(text)) => on_text(&text),
                    other => panic!("{} ended with {other:?} instead of a Close frame", self.target),
                }
            }
        })
        .await
    }

    /// Sends a Close frame and waits until the server has answered it and ended the connection.
    pub async fn close(mut self) {
        self.sink.close().await.ok();
        let what = format!("{} to answer the Close frame", self.target);
        within(PATIENCE, &what, async { while self.next_message().await.is_some() {} }).await;
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Queues messages, and answers pings and the Close frame, until the connection ends.
async fn read(
    mut stream: SplitStream<Stream>,
    queue: mpsc::UnboundedSender<Message>,
    mut reading: watch::Receiver<bool>,
) {
    while reading.wait_for(|is_reading| *is_reading).await.is_ok() {
        tokio::select! {
            message = stream.next() => {
                let Some(Ok(message)) = message else { return };
                if queue.send(message).is_err() {
                    return;
                }
            }
            _ = reading.changed() => {}
        }
    }
}
