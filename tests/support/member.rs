//! Somebody in a room who speaks `parlor.v1`: typed frames in, messages with ids of one's own out.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::join::Ticket;
use super::node::Node;
use super::wait::{PATIENCE, within};

pub struct Member {
    path: String,
    socket: WebSocketStream<TcpStream>,
    /// What came while something else was waited for, the oldest first.
    inbox: VecDeque<Value>,
    /// The frame that came first.
    pub welcome: Value,
}

impl Member {
    /// Joins the room as somebody new who wants nothing of the past.
    pub async fn join(node: &Node, room: &str) -> Self {
        Ticket::to(room).enter(node).await
    }

    /// The member at the other end of an open socket, once it is welcomed.
    pub async fn at(path: &str, socket: WebSocketStream<TcpStream>) -> Self {
        let member = within(PATIENCE, &format!("a welcome at {path}"), Self::try_at(path, socket)).await;
        member.unwrap_or_else(|| panic!("the end of the connection instead of a welcome at {path}"))
    }

    /// The same, unless the connection ends first.
    pub async fn try_at(path: &str, socket: WebSocketStream<TcpStream>) -> Option<Self> {
        let (path, inbox) = (path.to_owned(), VecDeque::new());
        let mut member = Self { path, socket, inbox, welcome: Value::Null };
        member.welcome = member.frame_or_end().await?;
        assert_eq!(member.welcome["type"], "welcome", "the first frame at {}", member.path);
        Some(member)
    }

    /// The member's own id.
    pub fn user(&self) -> &str {
        self.welcome["user"].as_str().expect("a user's id in the welcome")
    }

    /// Sends any frame.
    pub async fn send(&mut self, message: impl Into<Message>) {
        let what = format!("{} to take a frame", self.path);
        within(PATIENCE, &what, self.socket.send(message.into()))
            .await
            .unwrap_or_else(|error| panic!("sending at {}: {error}", self.path));
    }

    pub async fn send_json(&mut self, value: &Value) {
        self.send(Message::text(value.to_string())).await;
    }

    /// Says this under an id that nobody used before, and gives the ack.
    pub async fn say(&mut self, text: &str) -> Value {
        self.say_as(&fresh_id(), text).await
    }

    /// Says this under this id, and gives the ack.
    pub async fn say_as(&mut self, id: &str, text: &str) -> Value {
        let answer = self.try_say(id, text).await;
        assert_eq!(answer["type"], "ack", "the answer to {text:.40?}: {answer}");
        answer
    }

    /// Says this under this id, and gives the answer: `ack` or `error`.
    pub async fn try_say(&mut self, id: &str, text: &str) -> Value {
        self.send_json(&json!({ "type": "message", "message": text, "id": id })).await;
        let answer = self.answer().await;
        assert_eq!(answer["client_id"], id, "{answer}");
        answer
    }

    /// The next frame that answers something the member sent.
    pub async fn answer(&mut self) -> Value {
        self.next_of(&["ack", "error"], PATIENCE).await
    }

    /// The next error, of which this must be the code.
    pub async fn error(&mut self, code: &str) -> Value {
        let error = self.next_of(&["ack", "error"], PATIENCE).await;
        assert_eq!((error["type"].as_str(), error["code"].as_str()), (Some("error"), Some(code)), "{error}");
        error
    }

    /// The next message, also of the past; a gap on the way is a failure.
    pub async fn hear(&mut self) -> Value {
        let frame = self.next_of(&["message", "gap"], PATIENCE).await;
        assert_eq!(frame["type"], "message", "instead of a message at {}: {frame}", self.path);
        frame
    }

    /// The texts of the next messages.
    pub async fn hear_texts(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.len() < count {
            texts.push(text_of(&self.hear().await));
        }
        texts
    }

    /// The messages up to the one with this text, that one included.
    pub async fn hear_until(&mut self, last: &str) -> Vec<Value> {
        let mut messages = Vec::new();
        loop {
            messages.push(self.hear().await);
            if messages.last().is_some_and(|message| message["text"] == last) {
                return messages;
            }
        }
    }

    /// What the room had said when the member was welcomed: the messages up to `last`.
    pub async fn past(&mut self) -> Vec<Value> {
        let last = self.welcome["last"].clone();
        let mut messages: Vec<Value> = Vec::new();
        while messages.last().is_none_or(|message| message["id"] != last) {
            messages.push(self.hear().await);
        }
        messages
    }

    /// The first frame of this kind.
    pub async fn frame_of(&mut self, kind: &str) -> Value {
        self.next_of(&[kind], PATIENCE).await
    }

    /// The first frame of one of these kinds; others are kept for whoever asks for them.
    pub async fn next_of(&mut self, kinds: &[&str], limit: Duration) -> Value {
        let wanted = |frame: &Value| kinds.contains(&frame["type"].as_str().unwrap_or_default());
        if let Some(place) = self.inbox.iter().position(wanted) {
            return self.inbox.remove(place).expect("a frame at its place");
        }
        let what = format!("{kinds:?} at {}", self.path);
        within(limit, &what, async {
            loop {
                let frame = self.frame(limit).await;
                if wanted(&frame) {
                    return frame;
                }
                self.inbox.push_back(frame);
            }
        })
        .await
    }

    /// Fails if a frame of one of these kinds comes within this time.
    pub async fn nothing_of(&mut self, kinds: &[&str], time: Duration) {
        let next = tokio::time::timeout(time, self.next_of(kinds, Duration::MAX)).await;
        if let Ok(frame) = next {
            panic!("{} should have had none of {kinds:?} for {time:?} and got {frame}", self.path);
        }
    }

    /// Every frame that came and was not asked for yet.
    pub fn kept(&mut self) -> Vec<Value> {
        self.inbox.drain(..).collect()
    }

    /// Waits until the server closes the socket: code and reason of its Close frame.
    pub async fn closed(&mut self, limit: Duration) -> (u16, String) {
        within(limit, &format!("{} to be closed", self.path), async {
            loop {
                match self.next().await {
                    Some(Message::Close(Some(close))) => {
                        return (close.code.into(), close.reason.to_string());
                    }
                    Some(Message::Text(text)) => self.inbox.push_back(json_of(&text)),
                    other => panic!("{} ended with {other:?} instead of a Close frame", self.path),
                }
            }
        })
        .await
    }

    /// The next frame, or `None` at the end of the connection, however it comes.
    pub async fn frame_or_end(&mut self) -> Option<Value> {
        match self.inbox.pop_front() {
            Some(frame) => Some(frame),
            None => match self.next().await? {
                Message::Text(text) => Some(json_of(&text)),
                _ => None,
            },
        }
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

    /// The next frame from the socket.
    async fn frame(&mut self, limit: Duration) -> Value {
        match within(limit, &format!("a frame at {}", self.path), self.next()).await {
            Some(Message::Text(text)) => json_of(&text),
            other => {
                panic!("waited for a frame at {} and got {other:?}; before it: {:?}", self.path, self.inbox)
            }
        }
    }

    async fn next(&mut self) -> Option<Message> {
        loop {
            match self.socket.next().await?.ok()? {
                Message::Ping(_) | Message::Pong(_) => {}
                frame => return Some(frame),
            }
        }
    }
}

/// A client's id for a message that no other message has.
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

/// Fails unless each message names the one before it as its `prev`: nothing is missing, doubled or out of order.
pub fn assert_chain(messages: &[Value]) {
    for pair in messages.windows(2) {
        assert_eq!(pair[1]["prev"], pair[0]["id"], "{} comes after {}", pair[1], pair[0]);
    }
}

fn json_of(text: &str) -> Value {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text:?}"));
    assert!(value["type"].is_string(), "a frame without `type`: {text}");
    value
}
