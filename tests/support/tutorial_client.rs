//! A client of the tutorial's protocol: frames `{"message": text}` in both directions.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::node::Node;
use super::wait::{PATIENCE, within};
use super::websocket::{Message, WebSocket};

/// The prefix of every chat message that the server sends.
pub const PREFIX: &str = "[收到消息] ";

pub struct TutorialClient(WebSocket);

impl TutorialClient {
    /// Opens a socket at this path; a rejected handshake fails the test.
    pub async fn open(node: &Node, path: &str) -> Self {
        let what = format!("the handshake at {path}");
        let handshake = within(PATIENCE, &what, WebSocket::connect(node.address(), path, &[])).await;
        Self(handshake.unwrap_or_else(|error| panic!("{what}: {error}")))
    }

    /// Joins the chat room of this name.
    pub async fn chat(node: &Node, room: &str) -> Self {
        Self::open(node, &chat_path(room)).await
    }

    /// Subscribes to the push stream of this room.
    pub async fn push(node: &Node, room: &str) -> Self {
        Self::open(node, &format!("/ws/push/{}", encoded(room))).await
    }

    /// Sends `{"message": text}`.
    pub async fn publish(&mut self, text: &str) {
        self.send(frame(text)).await;
    }

    /// Sends any frame.
    pub async fn send(&mut self, message: impl Into<Message>) {
        self.0.send(message).await;
    }

    /// The text of the next `{"message": text}`; any other frame or member fails the test.
    pub async fn receive(&mut self) -> String {
        self.receive_within(PATIENCE).await
    }

    pub async fn receive_within(&mut self, limit: Duration) -> String {
        let what = format!("a message at {}", self.0.target());
        match within(limit, &what, self.0.next_data()).await {
            Some(Message::Text(text)) => text_of(&text),
            other => panic!("waited for {what} and got {other:?}"),
        }
    }

    /// The next text frame as it is.
    pub async fn receive_text(&mut self) -> String {
        let what = format!("a text frame at {}", self.0.target());
        match within(PATIENCE, &what, self.0.next_data()).await {
            Some(Message::Text(text)) => text.to_string(),
            other => panic!("waited for {what} and got {other:?}"),
        }
    }

    /// The next chat message without its prefix.
    pub async fn receive_chat(&mut self) -> String {
        without_prefix(&self.receive().await)
    }

    /// Fails if any frame arrives within `time`.
    pub async fn receives_nothing_for(&mut self, time: Duration) {
        if let Ok(frame) = tokio::time::timeout(time, self.0.next_data()).await {
            panic!("{} received {frame:?}; expected no frame for {time:?}", self.0.target());
        }
    }

    /// Waits for the server's Close frame, which must be the next frame: its code and reason.
    pub async fn closed(&mut self) -> (u16, String) {
        self.0.closed(PATIENCE, |text| panic!("waited for a Close frame and got {text}")).await
    }

    /// Ignores messages until the server's Close frame: its code.
    pub async fn receive_until_closed(&mut self) -> u16 {
        self.0.closed(PATIENCE, |_| {}).await.0
    }

    /// Closes the socket and waits until the server has ended the connection.
    pub async fn close(self) {
        self.0.close().await;
    }
}

/// The path of a chat room's socket.
pub fn chat_path(room: &str) -> String {
    format!("/ws/chat/{}/", encoded(room))
}

/// The room's name as one percent-encoded path segment.
pub fn encoded(room: &str) -> String {
    utf8_percent_encode(room, NON_ALPHANUMERIC).to_string()
}

/// The frame that publishes this text.
pub fn frame(text: &str) -> Message {
    Message::text(json!({ "message": text }).to_string())
}

/// The text of a frame, which must be an object with the one member `message`.
pub fn text_of(frame: &str) -> String {
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

/// The text of a chat message without its prefix.
pub fn without_prefix(text: &str) -> String {
    text.strip_prefix(PREFIX).unwrap_or_else(|| panic!("{text:?} begins with {PREFIX:?}")).to_owned()
}
