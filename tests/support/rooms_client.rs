//! A `parlor.v1` client with any number of rooms on one connection.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use super::handshake::Handshake;
use super::node::Node;
use super::v1_client::fresh_id;
use super::wait::{PATIENCE, within};
use super::websocket::{Message, WebSocket};

pub struct RoomsClient {
    socket: WebSocket,
    /// Frames that arrived while another one was awaited, the oldest first.
    unread: VecDeque<Value>,
}

impl RoomsClient {
    /// Connects to `/ws` as a new anonymous user.
    pub async fn connect(node: &Node) -> Self {
        Self::by(&Handshake::at("/ws"), node).await
    }

    /// Connects by this handshake.
    pub async fn by(handshake: &Handshake, node: &Node) -> Self {
        let socket = within(PATIENCE, "a handshake", handshake.try_connect(node.address())).await;
        Self { socket: socket.unwrap_or_else(|error| panic!("{error}")), unread: VecDeque::new() }
    }

    pub async fn send(&mut self, frame: &Value) {
        self.socket.send(Message::text(frame.to_string())).await;
    }

    /// Joins a room and returns the welcome.
    pub async fn join(&mut self, room: &str) -> Value {
        self.join_with(&json!({ "type": "join", "room": room })).await
    }

    /// Sends a `join` frame and returns the welcome.
    pub async fn join_with(&mut self, join: &Value) -> Value {
        self.send(join).await;
        let answer = self.next(|frame| ["welcome", "error"].map(Value::from).contains(&frame["type"])).await;
        assert_eq!((&answer["type"], &answer["room"]), (&json!("welcome"), &join["room"]), "{answer}");
        answer
    }

    /// Sends a frame that must be answered by an error, and returns its room and code.
    pub async fn refused(&mut self, frame: &Value) -> (Option<String>, String) {
        self.send(frame).await;
        let error = self.next_of("error").await;
        let text = |name: &str| error[name].as_str().map(str::to_owned);
        (text("room"), text("code").expect("a code"))
    }

    /// Publishes in a room and returns the ack.
    pub async fn publish(&mut self, room: &str, text: &str) -> Value {
        let id = fresh_id();
        self.send(&json!({ "room": room, "text": text, "id": id })).await;
        let reply = self.next(|frame| frame["client_id"] == id.as_str()).await;
        assert_eq!((&reply["type"], &reply["room"]), (&json!("ack"), &json!(room)), "{reply}");
        reply
    }

    /// The texts of the next messages in a room; a gap there fails the test.
    pub async fn texts(&mut self, room: &str, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.len() < count {
            let is_next = |frame: &Value| {
                frame["room"] == room && ["message", "gap"].map(Value::from).contains(&frame["type"])
            };
            let frame = self.next(is_next).await;
            assert_eq!(frame["type"], "message", "{frame}");
            texts.push(frame["text"].as_str().expect("a text").to_owned());
        }
        texts
    }

    /// The next `left` frame: its room, code and reason, and whether to join again.
    pub async fn left(&mut self) -> (String, u64, String, bool) {
        let frame = self.next_of("left").await;
        let text = |name: &str| frame[name].as_str().unwrap_or_default().to_owned();
        (
            text("room"),
            frame["code"].as_u64().expect("a code"),
            text("reason"),
            frame["retry"].as_bool().expect("a flag"),
        )
    }

    /// The first frame of this type; others stay unread.
    pub async fn next_of(&mut self, kind: &str) -> Value {
        self.next(|frame| frame["type"] == kind).await
    }

    /// The first frame like this; others stay unread.
    pub async fn next(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(index) = self.unread.iter().position(&is_wanted) {
            return self.unread.remove(index).expect("a frame at its index");
        }
        loop {
            let frame = match within(PATIENCE, "a frame", self.socket.next_data()).await {
                Some(Message::Text(text)) => serde_json::from_str(&text).expect("JSON"),
                other => panic!("got {other:?}; before it: {:?}", self.unread),
            };
            if is_wanted(&frame) {
                return frame;
            }
            self.unread.push_back(frame);
        }
    }

    /// Takes the frames that arrived while others were awaited.
    pub fn take_unread(&mut self) -> Vec<Value> {
        self.unread.drain(..).collect()
    }

    /// Waits for the server's Close frame: its code and reason.
    pub async fn closed(&mut self, limit: Duration) -> (u16, String) {
        let unread = &mut self.unread;
        let keep = |text: &str| unread.push_back(serde_json::from_str(text).expect("JSON"));
        self.socket.closed(limit, keep).await
    }
}
