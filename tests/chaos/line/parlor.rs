//! A WebSocket of `parlor.v1`, and its frames.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Arrival, Incoming, MembersChange, Received, Since, Welcome};
use crate::chaos::membership::Membership;
use crate::chaos::pending::{BAD_ID, Retry, Said};
use crate::support::handshake::Handshake;
use crate::support::websocket::{Message, WebSocket};

pub struct V1Socket {
    pub socket: WebSocket,
    /// The client's rooms.
    rooms: Vec<String>,
}

impl V1Socket {
    /// Connects to `/ws`, or to the path of the first room, where the client goes on here.
    pub async fn open(address: SocketAddr, membership: &Membership, since: Option<&Since>) -> Option<Self> {
        let rooms = membership.rooms.clone();
        let mut handshake = match since {
            None => Handshake::at("/ws"),
            Some(_) => Handshake::to_room(&rooms[0]),
        };
        if let Some(id) = since.and_then(|since| since.id.as_deref()) {
            handshake = handshake.since(id);
        }
        let handshake = handshake.with_cookies(&membership.cookies);
        Some(Self { socket: handshake.try_connect(address).await.ok()?, rooms })
    }

    pub async fn next(&mut self) -> Arrival {
        match self.socket.next_message().await {
            Some(Message::Text(text)) => {
                let frame = serde_json::from_str(&text).expect("a frame in JSON");
                Arrival::Frames(vec![read(&frame, &self.rooms)])
            }
            Some(Message::Close(close)) => Arrival::End(close.map(|close| close.code.into())),
            Some(_) => Arrival::Frames(vec![Incoming::Other]),
            None => Arrival::End(None),
        }
    }

    pub async fn join(&mut self, room: usize, since: &Since) -> bool {
        let mut frame = json!({ "type": "join", "room": self.rooms[room] });
        if let Some(id) = &since.id {
            frame["since"] = json!(id);
        }
        self.send(&frame).await
    }

    pub async fn leave(&mut self, room: usize) -> bool {
        let frame = json!({ "type": "leave", "room": self.rooms[room] });
        self.send(&frame).await
    }

    pub async fn publish(&mut self, said: &Said) -> bool {
        let mut frame = publish_frame(said);
        frame["room"] = json!(self.rooms[said.room]);
        self.send(&frame).await
    }

    pub async fn probe(&mut self) -> bool {
        let frame = json!({ "type": "history", "room": self.rooms[0], "limit": 1 });
        self.send(&frame).await
    }

    async fn send(&mut self, frame: &Value) -> bool {
        self.socket.try_send(Message::text(frame.to_string())).await
    }
}

/// The frame that publishes a message in the room of the path.
pub fn publish_frame(said: &Said) -> Value {
    json!({ "type": "message", "text": said.text, "id": said.client_id })
}

/// Reads a frame for a client of these rooms; unknown types are ignored.
pub fn read(frame: &Value, rooms: &[String]) -> Incoming {
    let text = |member: &str| frame[member].as_str().map(str::to_owned);
    let room = rooms.iter().position(|room| frame["room"] == room.as_str());
    let code = || text("code").unwrap_or_default();
    match (frame["type"].as_str().expect("a type in each frame"), room) {
        ("welcome", Some(room)) => Incoming::Joined {
            room,
            welcome: Welcome {
                node: text("node").unwrap_or_default(),
                user: text("user").expect("a user in a welcome"),
                recovered: frame["recovered"] == true,
                reason: text("reason"),
                // In an empty room every message is behind the start of the log.
                last: text("last"),
                position: None,
                members: Some(members_in(frame)),
            },
        },
        ("message", Some(room)) => Incoming::Message(Received {
            room,
            id: text("id"),
            prev: text("prev"),
            position: None,
            text: text("text").expect("a text in a message"),
            user: text("user").unwrap_or_default(),
        }),
        ("presence", Some(room)) => {
            let user = || text("user").expect("a user who joined or left");
            let change = match frame["change"].as_str() {
                Some("join") => MembersChange::Join(user()),
                Some("leave") => MembersChange::Leave(user()),
                Some("state") => MembersChange::Are(members_in(frame)),
                _ => return Incoming::Other,
            };
            Incoming::Members { room, change }
        }
        ("gap", Some(room)) => {
            Incoming::Gap { room, reason: text("reason").unwrap_or_default(), after: text("after") }
        }
        ("left", Some(room)) => Incoming::Left { room, code: frame["code"].as_u64().unwrap_or_default() },
        ("ack", _) => match text("client_id") {
            Some(client_id) => Incoming::Acked { client_id, id: text("id") },
            None => Incoming::Other,
        },
        ("error", room) => {
            let retry = if frame["retry"] == true { Retry::Later } else { Retry::Never };
            // A malformed id may come back as null.
            let bad_id = (code() == "bad_id").then(|| BAD_ID.to_owned());
            match (text("client_id").or(bad_id), room) {
                (Some(client_id), _) => Incoming::Rejected { client_id, code: code(), retry },
                (None, Some(room)) => Incoming::NotJoined { room, code: code() },
                (None, None) => Incoming::Other,
            }
        }
        ("bye", _) => {
            let delay = Duration::from_millis(frame["reconnect_ms"].as_u64().unwrap_or_default());
            Incoming::Bye { delay }
        }
        ("welcome" | "message" | "presence" | "gap" | "left", None) => {
            panic!("a frame of another room than {rooms:?}: {frame}")
        }
        _ => Incoming::Other,
    }
}

fn members_in(frame: &Value) -> std::collections::BTreeSet<String> {
    let listed = frame["members"].as_array().expect("a list in a room of few members");
    listed.iter().filter_map(|user| Some(user.as_str()?.to_owned())).collect()
}
