//! The WebSocket client of all tests, beneath [`V1Client`](super::v1_client::V1Client) and
//! [`TutorialClient`](super::tutorial_client::TutorialClient).
//!
//! Tests that write or read single bytes use a [`Connection`](super::connection::Connection)
//! instead.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
pub use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::wait::{PATIENCE, within};

pub struct WebSocket {
    /// Path and query of the handshake, for the messages of failures.
    target: String,
    stream: WebSocketStream<TcpStream>,
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
        Ok(Self { target: target.to_owned(), stream })
    }

    pub fn target(&self) -> &str {
        &self.target
    }

    /// Sends one message; an error fails the test.
    pub async fn send(&mut self, message: impl Into<Message>) {
        let what = format!("{} to take a message", self.target);
        within(PATIENCE, &what, self.stream.send(message.into()))
            .await
            .unwrap_or_else(|error| panic!("sending at {}: {error}", self.target));
    }

    /// Sends one message; returns `false` when the connection has ended.
    pub async fn try_send(&mut self, message: impl Into<Message>) -> bool {
        self.stream.send(message.into()).await.is_ok()
    }

    /// The next message, also a ping or a pong; `None` at the end of the connection.
    pub async fn next_message(&mut self) -> Option<Message> {
        self.stream.next().await?.ok()
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
        self.stream.close(None).await.ok();
        let what = format!("{} to answer the Close frame", self.target);
        within(PATIENCE, &what, async { while self.next_message().await.is_some() {} }).await;
    }
}
