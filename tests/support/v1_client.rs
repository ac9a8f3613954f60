//! A client of `parlor.v1`: typed frames, and messages under ids that the client chooses.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::handshake::Handshake;
use super::node::Node;
use super::wait::{PATIENCE, until, within};
use super::websocket::{Message, WebSocket};

pub struct V1Client {
    socket: WebSocket,
    /// Frames that arrived while another one was awaited, the oldest first.
    unread: VecDeque<Value>,
    /// The first frame.
    pub welcome: Value,
}

impl V1Client {
    /// Joins the room as a new anonymous user, without history.
    pub async fn join(node: &Node, room: &str) -> Self {
        Handshake::to_room(room).connect(node).await
    }

    /// Waits for the `welcome` on an open socket.
    pub async fn welcomed(socket: WebSocket) -> Self {
        let what = format!("a welcome at {}", socket.target());
        let client = within(PATIENCE, &what, Self::try_welcomed(socket)).await;
        client.unwrap_or_else(|| panic!("the end of the connection instead of {what}"))
    }

    /// Waits for the `welcome` on an open socket; `None` when the connection ends first.
    pub async fn try_welcomed(socket: WebSocket) -> Option<Self> {
        let mut client = Self { socket, unread: VecDeque::new(), welcome: Value::Null };
        client.welcome = client.next_frame().await?;
        assert_eq!(client.welcome["type"], "welcome", "the first frame at {}", client.socket.target());
        Some(client)
    }

    /// The id of the client's user.
    pub fn user(&self) -> &str {
        self.welcome["user"].as_str().expect("a user's id in the welcome")
    }

    /// Sends any frame.
    pub async fn send(&mut self, message: impl Into<Message>) {
        self.socket.send(message).await;
    }

    pub async fn send_json(&mut self, value: &Value) {
        self.send(Message::text(value.to_string())).await;
    }

    /// Sends a frame; returns `false` when the connection has ended.
    pub async fn try_send_json(&mut self, value: &Value) -> bool {
        self.socket.try_send(Message::text(value.to_string())).await
    }

    /// Publishes the text under a fresh id and returns the ack.
    pub async fn publish(&mut self, text: &str) -> Value {
        self.publish_as(&fresh_id(), text).await
    }

    /// Publishes the text under this id and returns the ack.
    pub async fn publish_as(&mut self, id: &str, text: &str) -> Value {
        let reply = self.try_publish(id, text).await;
        assert_eq!(reply["type"], "ack", "the reply to {text:.40?}: {reply}");
        reply
    }

    /// Publishes the text under this id and returns the reply: `ack` or `error`.
    pub async fn try_publish(&mut self, id: &str, text: &str) -> Value {
        self.send_json(&json!({ "type": "message", "message": text, "id": id })).await;
        let reply = self.reply().await;
        assert_eq!(reply["client_id"], id, "{reply}");
        reply
    }

    /// Publishes the text under this id until it is acked, as docs/protocol.md says for an error
    /// with `retry`, and returns the ack.
    pub async fn publish_until_acked(&mut self, id: &str, text: &str, limit: Duration) -> Value {
        until(limit, &format!("an ack of {text:.40?}"), async || {
            let reply = self.try_publish(id, text).await;
            assert!(reply["type"] == "ack" || reply["retry"] == true, "{reply}");
            if reply["type"] == "ack" { Ok(reply) } else { Err(reply.to_string()) }
        })
        .await
    }

    /// The next `ack` or `error`.
    pub async fn reply(&mut self) -> Value {
        self.receive_any(&["ack", "error"], PATIENCE).await
    }

    /// The next `ack` or `error`, which must be an error with this code.
    pub async fn expect_error(&mut self, code: &str) -> Value {
        let error = self.reply().await;
        assert_eq!((error["type"].as_str(), error["code"].as_str()), (Some("error"), Some(code)), "{error}");
        error
    }

    /// The next message, also one of the history; a gap before it fails the test.
    pub async fn receive(&mut self) -> Value {
        let frame = self.receive_any(&["message", "gap"], PATIENCE).await;
        assert_eq!(frame["type"], "message", "instead of a message at {}: {frame}", self.socket.target());
        frame
    }

    /// The texts of the next messages.
    pub async fn receive_texts(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.len() < count {
            texts.push(text_of(&self.receive().await));
        }
        texts
    }

    /// The messages up to and including the one with this text.
    pub async fn receive_until(&mut self, last: &str) -> Vec<Value> {
        let mut messages = Vec::new();
        loop {
            messages.push(self.receive().await);
            if messages.last().is_some_and(|message| message["text"] == last) {
                return messages;
            }
        }
    }

    /// The messages up to the one that `welcome` names as `last`.
    pub async fn receive_history(&mut self) -> Vec<Value> {
        let last = self.welcome["last"].clone();
        let mut messages: Vec<Value> = Vec::new();
        while messages.last().is_none_or(|message| message["id"] != last) {
            messages.push(self.receive().await);
        }
        messages
    }

    /// The first frame of this type.
    pub async fn receive_frame(&mut self, kind: &str) -> Value {
        self.receive_any(&[kind], PATIENCE).await
    }

    /// The first frame of one of these types; others stay unread.
    pub async fn receive_any(&mut self, kinds: &[&str], limit: Duration) -> Value {
        let wanted = |frame: &Value| kinds.contains(&frame["type"].as_str().unwrap_or_default());
        if let Some(index) = self.unread.iter().position(wanted) {
            return self.unread.remove(index).expect("a frame at its index");
        }
        let what = format!("{kinds:?} at {}", self.socket.target());
        within(limit, &what, async {
            loop {
                let frame = self.read_frame(limit).await;
                if wanted(&frame) {
                    return frame;
                }
                self.unread.push_back(frame);
            }
        })
        .await
    }

    /// Fails if a frame of one of these types arrives within `time`.
    pub async fn receives_none_of(&mut self, kinds: &[&str], time: Duration) {
        let next = tokio::time::timeout(time, self.receive_any(kinds, Duration::MAX)).await;
        if let Ok(frame) = next {
            let target = self.socket.target();
            panic!("{target} received {frame}; expected none of {kinds:?} for {time:?}");
        }
    }

    /// Takes every frame that has arrived and was not returned yet.
    pub fn take_unread(&mut self) -> Vec<Value> {
        self.unread.drain(..).collect()
    }

    /// Waits for the server's Close frame: its code and reason. Frames before it stay unread.
    pub async fn closed(&mut self, limit: Duration) -> (u16, String) {
        let unread = &mut self.unread;
        self.socket.closed(limit, |text| unread.push_back(frame_of(text))).await
    }

    /// The next frame, or `None` at the end of the connection, with or without a Close frame.
    pub async fn next_frame(&mut self) -> Option<Value> {
        match self.unread.pop_front() {
            Some(frame) => Some(frame),
            None => match self.socket.next_data().await? {
                Message::Text(text) => Some(frame_of(&text)),
                _ => None,
            },
        }
    }

    /// Closes the socket and waits until the server has ended the connection.
    pub async fn close(self) {
        self.socket.close().await;
    }

    /// The next frame from the socket.
    async fn read_frame(&mut self, limit: Duration) -> Value {
        let what = format!("a frame at {}", self.socket.target());
        match within(limit, &what, self.socket.next_data()).await {
            Some(Message::Text(text)) => frame_of(&text),
            other => panic!("waited for {what} and got {other:?}; before it: {:?}", self.unread),
        }
    }
}

/// An id for a message that no other message of this process has.
pub fn fresh_id() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(1);
    format!("test-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

pub fn text_of(message: &Value) -> String {
    message["text"].as_str().unwrap_or_else(|| panic!("no `text` in {message}")).to_owned()
}

pub fn id_of(message: &Value) -> String {
    message["id"].as_str().unwrap_or_else(|| panic!("no `id` in {message}")).to_owned()
}

/// The texts of messages.
pub fn texts_of(messages: &[Value]) -> Vec<String> {
    messages.iter().map(text_of).collect()
}

/// Fails unless each message names the one before it as its `prev`: none is missing, duplicated or
/// out of order.
pub fn assert_chain(messages: &[Value]) {
    for pair in messages.windows(2) {
        assert_eq!(pair[1]["prev"], pair[0]["id"], "{} comes after {}", pair[1], pair[0]);
    }
}

fn frame_of(text: &str) -> Value {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text:?}"));
    assert!(value["type"].is_string(), "a frame without `type`: {text}");
    value
}
