//! A WebSocket of Centrifugo's protocol in JSON.

use std::collections::HashMap;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Arrival, Incoming, Received, Since, Welcome};
use crate::chaos::membership::Membership;
use crate::chaos::pending::{BAD_ID, Retry, Said};
use crate::chaos::record::StreamPosition;
use crate::support::websocket::{Message, WebSocket};

/// The bit of `flag` in a subscribe request: an error unless everything since the position follows.
const REJECT_UNRECOVERED: u64 = 2;
/// The server failed; the command may have been carried out or not.
const INTERNAL: u64 = 100;
const TOO_MANY_REQUESTS: u64 = 111;

pub struct CentrifugoSocket {
    pub socket: WebSocket,
    membership: Membership,
    /// The number of the last command.
    number: u64,
    /// Commands without a reply.
    commands: HashMap<u64, Command>,
}

enum Command {
    Connect,
    Subscribe(usize),
    Unsubscribe(usize),
    /// With the id of the client's message.
    Publish(String),
    Ping,
}

impl CentrifugoSocket {
    pub async fn open(address: SocketAddr, membership: &Membership) -> Option<Self> {
        let headers = [("cookie", membership.cookies.clone()), ("origin", format!("http://{address}"))];
        let socket = WebSocket::connect(address, "/connection/websocket", &headers).await.ok()?;
        let commands = HashMap::new();
        let mut socket = Self { socket, membership: membership.clone(), number: 0, commands };
        socket.call(Command::Connect, "connect", &json!({})).await.then_some(socket)
    }

    pub async fn next(&mut self) -> Arrival {
        match self.socket.next_message().await {
            Some(Message::Text(text)) => {
                let replies: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
                let replies = replies.unwrap_or_else(|error| panic!("{text}: {error}"));
                Arrival::Frames(replies.iter().map(|reply| self.read(reply)).collect())
            }
            Some(Message::Close(close)) => Arrival::End(close.map(|close| close.code.into())),
            Some(_) => Arrival::Frames(vec![Incoming::Other]),
            None => Arrival::End(None),
        }
    }

    /// Subscribes to the channel of a room. Every second client wants an error if what it missed is
    /// lost.
    pub async fn join(&mut self, room: usize, since: &Since) -> bool {
        let channel = &self.membership.rooms[room];
        let mut request = json!({ "channel": channel });
        if let Some(position) = &since.position {
            request["recover"] = json!(true);
            request["epoch"] = json!(position.epoch);
            request["offset"] = json!(position.offset);
            if self.membership.is_strict {
                request["flag"] = json!(REJECT_UNRECOVERED);
            }
        }
        self.call(Command::Subscribe(room), "subscribe", &request).await
    }

    pub async fn leave(&mut self, room: usize) -> bool {
        let request = json!({ "channel": self.membership.rooms[room] });
        self.call(Command::Unsubscribe(room), "unsubscribe", &request).await
    }

    /// Publishes a message; the invalid ones without a channel.
    pub async fn publish(&mut self, said: &Said) -> bool {
        let channel = if said.client_id == BAD_ID { "" } else { &self.membership.rooms[said.room] };
        let request = json!({ "channel": channel, "data": { "text": said.text } });
        self.call(Command::Publish(said.client_id.clone()), "publish", &request).await
    }

    /// Sends a command that is answered by an error.
    pub async fn probe(&mut self) -> bool {
        self.call(Command::Ping, "ping", &json!({})).await
    }

    pub async fn pong(&mut self) -> bool {
        self.socket.try_send(Message::text("{}")).await
    }

    async fn call(&mut self, command: Command, method: &str, request: &Value) -> bool {
        self.number += 1;
        self.commands.insert(self.number, command);
        let command = json!({ "id": self.number, method: request });
        self.socket.try_send(Message::text(command.to_string())).await
    }

    fn read(&mut self, reply: &Value) -> Incoming {
        if let Some(push) = reply.get("push") {
            return self.read_push(push);
        }
        let Some(number) = reply["id"].as_u64() else {
            assert_eq!(reply, &json!({}), "a ping");
            return Incoming::Ping;
        };
        let command = self.commands.remove(&number);
        let command = command.unwrap_or_else(|| panic!("a reply to no command: {reply}"));
        let error = reply["error"]["code"].as_u64();
        match (command, error) {
            (Command::Connect, Some(_)) => Incoming::Refused,
            (Command::Subscribe(room), None) => self.subscribed(room, &reply["subscribe"]),
            (Command::Subscribe(room), Some(code)) => Incoming::NotJoined { room, code: code.to_string() },
            (Command::Unsubscribe(room), None) => Incoming::Left { room, code: 0 },
            (Command::Publish(client_id), None) => Incoming::Acked { client_id, id: None },
            (Command::Publish(client_id), Some(code)) => {
                let retry = match code {
                    INTERNAL => Retry::Unknown,
                    TOO_MANY_REQUESTS => Retry::Later,
                    _ => Retry::Never,
                };
                Incoming::Rejected { client_id, code: code.to_string(), retry }
            }
            (Command::Connect | Command::Ping | Command::Unsubscribe(_), _) => Incoming::Other,
        }
    }

    fn subscribed(&self, room: usize, result: &Value) -> Incoming {
        let position = StreamPosition {
            epoch: result["epoch"].as_str().expect("an epoch").to_owned(),
            offset: result["offset"].as_u64().unwrap_or_default(),
        };
        Incoming::Joined {
            room,
            welcome: Welcome {
                node: String::new(),
                user: self.membership.user.clone(),
                recovered: result["recovered"] == true,
                reason: None,
                last: None,
                position: Some(position),
                members: None,
            },
        }
    }

    fn read_push(&self, push: &Value) -> Incoming {
        let channel = push["channel"].as_str().unwrap_or_default();
        let room = self.membership.rooms.iter().position(|room| room == channel);
        let room = room.unwrap_or_else(|| panic!("a push of another channel: {push}"));
        if let Some(code) = push["unsubscribe"]["code"].as_u64() {
            return Incoming::Left { room, code };
        }
        let publication = &push["pub"];
        let Some(text) = publication["data"]["text"].as_str() else { return Incoming::Other };
        let position = publication["offset"].as_u64().map(|offset| StreamPosition {
            epoch: publication["epoch"].as_str().expect("an epoch").to_owned(),
            offset,
        });
        let user = publication["info"]["user"].as_str().unwrap_or_default();
        Incoming::Message(Received {
            room,
            id: publication["tags"]["id"].as_str().map(str::to_owned),
            prev: None,
            position,
            text: text.to_owned(),
            user: self.membership.id_of(user).to_owned(),
        })
    }
}
