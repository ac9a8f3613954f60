//! A client's way to its room: a WebSocket of `parlor.v1`, or an event stream with POST beside it.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::Value;

use super::membership::Membership;
use crate::support::connection::Connection;
use crate::support::event_stream::{EventStream, messages, stream_of};
use crate::support::http::Request;
use crate::support::tutorial_client::encoded;
use crate::support::websocket::{Message, WebSocket};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    WebSocket,
    EventStream,
}

pub enum Line {
    Socket(WebSocket),
    Stream(Box<Stream>),
}

pub struct Stream {
    events: EventStream,
    address: SocketAddr,
    membership: Membership,
    /// Replies to what was posted.
    replies: VecDeque<Value>,
}

/// What arrives on a line.
pub enum Arrival {
    Frame(Value),
    /// An answer on another connection, which says nothing of this one.
    Reply(Value),
    /// A sign of life.
    Ping,
    /// The end, with the code of a Close frame if there was one.
    End(Option<u16>),
}

impl Line {
    /// Opens a line; `None` when it is refused.
    pub async fn open(
        wire: Wire,
        address: SocketAddr,
        membership: &Membership,
        since: Option<&str>,
    ) -> Option<Self> {
        if wire == Wire::WebSocket {
            let mut handshake = membership.handshake();
            if let Some(since) = since {
                handshake = handshake.since(since);
            }
            return Some(Self::Socket(handshake.try_connect(address).await.ok()?));
        }
        let since = since.map(|since| format!("?since={}", encoded(since))).unwrap_or_default();
        let request = Request::get(&(stream_of(&membership.room) + &since));
        let events = EventStream::try_open(address, membership.with_credentials(request)).await?;
        let (membership, replies) = (membership.clone(), VecDeque::new());
        Some(Self::Stream(Box::new(Stream { events, address, membership, replies })))
    }

    pub async fn next(&mut self) -> Arrival {
        match self {
            Self::Socket(socket) => match socket.next_message().await {
                Some(Message::Text(text)) => {
                    Arrival::Frame(serde_json::from_str(&text).expect("a frame in JSON"))
                }
                Some(Message::Close(close)) => Arrival::End(close.map(|close| close.code.into())),
                Some(_) => Arrival::Ping,
                None => Arrival::End(None),
            },
            Self::Stream(stream) => {
                if let Some(reply) = stream.replies.pop_front() {
                    return Arrival::Reply(reply);
                }
                match stream.events.try_next_part().await {
                    Some(part) if part.frame.is_null() => Arrival::Ping,
                    Some(part) => Arrival::Frame(part.frame),
                    None => Arrival::End(None),
                }
            }
        }
    }

    /// Sends a message; `false` when the line is dead.
    pub async fn send(&mut self, frame: &Value) -> bool {
        match self {
            Self::Socket(socket) => socket.try_send(Message::text(frame.to_string())).await,
            Self::Stream(stream) => stream.post(frame).await,
        }
    }

    /// Stops reading, or reads again.
    pub fn set_reading(&mut self, reading: bool) {
        if let Self::Socket(socket) = self {
            socket.set_reading(reading);
        }
    }

    /// Whether the client can ask here whether the node is alive.
    pub fn takes_questions(&self) -> bool {
        matches!(self, Self::Socket(_))
    }

    pub async fn close(self) {
        if let Self::Socket(socket) = self {
            socket.close().await;
        }
    }
}

impl Stream {
    /// Posts a message on a connection of its own; no reply is like one that was lost.
    async fn post(&mut self, frame: &Value) -> bool {
        let Ok(mut connection) = Connection::try_connect(self.address).await else { return true };
        let request = self
            .membership
            .with_credentials(messages(&self.membership.room))
            .header("Origin", &format!("http://{}", self.address))
            .body(frame.to_string());
        if connection.try_send(&request.bytes(self.address)).await.is_err() {
            return true;
        }
        if let Some(response) = connection.try_response().await
            && let Ok(reply) = serde_json::from_str::<Value>(&response.body)
            && reply["type"].is_string()
        {
            self.replies.push_back(reply);
        }
        true
    }
}
