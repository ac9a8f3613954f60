//! A well-behaved WebSocket client: one person in a room, or one page that waits for push lines.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::node::Node;
use super::wait::{PATIENCE, within};

/// What the server puts before every chat message.
pub const PREFIX: &str = "[收到消息] ";

pub struct Client {
    path: String,
    socket: WebSocketStream<TcpStream>,
}

impl Client {
    /// Opens the socket at this path; a refusal is a failure of the test.
    pub async fn open(node: &Node, path: &str) -> Self {
        let stream = within(PATIENCE, "a TCP connection", TcpStream::connect(node.address()))
            .await
            .expect("a connection");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        let url = format!("ws://{}{path}", node.address());
        let what = format!("the handshake at {path}");
        let handshake = within(PATIENCE, &what, tokio_tungstenite::client_async(url, stream)).await;
        let (socket, _) = handshake.unwrap_or_else(|error| panic!("{what}: {error}"));
        Self { path: path.to_owned(), socket }
    }

    /// Joins the chat room of this name.
    pub async fn chat(node: &Node, room: &str) -> Self {
        Self::open(node, &format!("/ws/chat/{}/", encoded(room))).await
    }

    /// Waits for push lines of this room.
    pub async fn push(node: &Node, room: &str) -> Self {
        Self::open(node, &format!("/ws/push/{}", encoded(room))).await
    }

    /// Sends `{"message": text}`.
    pub async fn say(&mut self, text: &str) {
        self.send(Message::text(json!({ "message": text }).to_string())).await;
    }

    /// Sends any frame.
    pub async fn send(&mut self, message: impl Into<Message>) {
        let what = format!("{} to take a frame", self.path);
        within(PATIENCE, &what, self.socket.send(message.into()))
            .await
            .unwrap_or_else(|error| panic!("sending at {}: {error}", self.path));
    }

    /// The text of the next `{"message": text}`; any other frame or member is a failure, for there are no others.
    pub async fn hear(&mut self) -> String {
        self.hear_within(PATIENCE).await
    }

    pub async fn hear_within(&mut self, limit: Duration) -> String {
        let what = format!("a message at {}", self.path);
        match within(limit, &what, self.next()).await {
            Some(Message::Text(text)) => message_of(&text),
            other => panic!("waited for {what} and got {other:?}"),
        }
    }

    /// The text of the next frame, whatever it says.
    pub async fn text(&mut self) -> String {
        let what = format!("a text at {}", self.path);
        match within(PATIENCE, &what, self.next()).await {
            Some(Message::Text(text)) => text.to_string(),
            other => panic!("waited for {what} and got {other:?}"),
        }
    }

    /// The next chat message without its prefix.
    pub async fn hear_chat(&mut self) -> String {
        let text = self.hear().await;
        text.strip_prefix(PREFIX).unwrap_or_else(|| panic!("{text:?} begins with {PREFIX:?}")).to_owned()
    }

    /// Waits this long and fails if anything at all is heard.
    pub async fn hears_nothing_for(&mut self, time: Duration) {
        if let Ok(frame) = tokio::time::timeout(time, self.next()).await {
            panic!("{} should have heard nothing for {time:?} and got {frame:?}", self.path);
        }
    }

    /// Waits until the server closes the socket: code and reason of its Close frame.
    pub async fn closed(&mut self) -> (u16, String) {
        let what = format!("{} to be closed", self.path);
        match within(PATIENCE, &what, self.next()).await {
            Some(Message::Close(Some(close))) => (close.code.into(), close.reason.to_string()),
            other => panic!("waited for {what} and got {other:?}"),
        }
    }

    /// Hears messages until the server closes the socket: its close code.
    pub async fn hear_to_the_end(&mut self) -> u16 {
        within(PATIENCE, &format!("{} to be closed", self.path), async {
            loop {
                match self.next().await {
                    Some(Message::Text(_)) => {}
                    Some(Message::Close(Some(close))) => return close.code.into(),
                    other => panic!("{} ended with {other:?} instead of a Close frame", self.path),
                }
            }
        })
        .await
    }

    /// Says goodbye and waits until the server said it too and ended the connection.
    pub async fn leave(mut self) {
        self.socket.close(None).await.ok();
        let what = format!("{} to answer the Close frame", self.path);
        within(PATIENCE, &what, async {
            while self.socket.next().await.is_some_and(|frame| frame.is_ok()) {}
        })
        .await;
    }

    /// The next frame that is not a ping or pong; `None` when the connection is over.
    async fn next(&mut self) -> Option<Message> {
        loop {
            match self.socket.next().await?.ok()? {
                Message::Ping(_) | Message::Pong(_) => {}
                frame => return Some(frame),
            }
        }
    }
}

/// The room's name as one percent-encoded path segment.
pub fn encoded(room: &str) -> String {
    utf8_percent_encode(room, NON_ALPHANUMERIC).to_string()
}

/// The text of a frame that must be an object with the one member `message`.
fn message_of(frame: &str) -> String {
    let value: Value =
        serde_json::from_str(frame).unwrap_or_else(|error| panic!("{error} in the frame {frame:?}"));
    let text = value["message"].as_str().unwrap_or_else(|| panic!("no string `message` in {frame:?}"));
    assert_eq!(
        value.as_object().map(serde_json::Map::len),
        Some(1),
        "members other than `message` in {frame:?}"
    );
    text.to_owned()
}
