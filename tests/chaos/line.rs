//! A client's way to its rooms: a WebSocket of `parlor.v1` with any number of rooms, an event
//! stream of one room with POST beside it, or a WebSocket of Centrifugo's protocol.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::membership::Membership;
use super::pending::{Retry, Said};
use super::record::StreamPosition;

mod centrifugo;
mod parlor;
mod stream;

use centrifugo::CentrifugoSocket;
use parlor::V1Socket;
use stream::Stream;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// `WS /ws`: the client joins each of its rooms.
    WebSocket,
    /// The WebSocket at the path of the client's first room; it joins the others.
    RoomSocket,
    EventStream,
    /// `WS /connection/websocket`, in JSON.
    Centrifugo,
}

pub enum Line {
    Socket(V1Socket),
    Stream(Box<Stream>),
    Centrifugo(CentrifugoSocket),
}

/// Where a client goes on in a room.
#[derive(Clone, Debug, Default)]
pub struct Since {
    /// The last message before which nothing is missing without a notice, as an id.
    pub id: Option<String>,
    /// The same on Centrifugo's protocol.
    pub position: Option<StreamPosition>,
}

/// What arrives on a line.
pub enum Arrival {
    Frames(Vec<Incoming>),
    /// An answer on another connection, which says nothing of this one.
    Reply(Incoming),
    /// The end, with the code of a Close frame if there was one.
    End(Option<u16>),
}

/// A frame of the server. Rooms are places among those of the client.
#[derive(Debug)]
pub enum Incoming {
    Joined {
        room: usize,
        welcome: Welcome,
    },
    /// The room could not be joined.
    NotJoined {
        room: usize,
        code: String,
    },
    Left {
        room: usize,
        code: u64,
    },
    Message(Received),
    Members {
        room: usize,
        change: MembersChange,
    },
    Gap {
        room: usize,
        reason: String,
        after: Option<String>,
    },
    Acked {
        client_id: String,
        id: Option<String>,
    },
    Rejected {
        client_id: String,
        code: String,
        retry: Retry,
    },
    Bye {
        delay: Duration,
    },
    /// A ping that the client has to answer.
    Ping,
    /// The connection is of no use.
    Refused,
    Other,
}

/// The state of a room that was joined.
#[derive(Debug)]
pub struct Welcome {
    pub node: String,
    pub user: String,
    pub recovered: bool,
    pub reason: Option<String>,
    pub last: Option<String>,
    pub position: Option<StreamPosition>,
    pub members: Option<BTreeSet<String>>,
}

#[derive(Debug)]
pub struct Received {
    pub room: usize,
    pub id: Option<String>,
    pub prev: Option<String>,
    pub position: Option<StreamPosition>,
    pub text: String,
    pub user: String,
}

#[derive(Debug)]
pub enum MembersChange {
    Are(BTreeSet<String>),
    Join(String),
    Leave(String),
}

impl Wire {
    /// Whether the client chooses the ids of its messages.
    pub fn has_message_ids(self) -> bool {
        self != Self::Centrifugo
    }

    /// Whether connecting joins the client's first room.
    pub fn joins_first_room(self) -> bool {
        matches!(self, Self::RoomSocket | Self::EventStream)
    }
}

impl Line {
    /// Opens a line, which goes on here in the client's first room if it joins that; `None` when it
    /// is refused.
    pub async fn open(
        wire: Wire,
        address: SocketAddr,
        membership: &Membership,
        since: &Since,
    ) -> Option<Self> {
        Some(match wire {
            Wire::WebSocket => Self::Socket(V1Socket::open(address, membership, None).await?),
            Wire::RoomSocket => Self::Socket(V1Socket::open(address, membership, Some(since)).await?),
            Wire::EventStream => Self::Stream(Box::new(Stream::open(address, membership, since).await?)),
            Wire::Centrifugo => Self::Centrifugo(CentrifugoSocket::open(address, membership).await?),
        })
    }

    pub async fn next(&mut self) -> Arrival {
        match self {
            Self::Socket(socket) => socket.next().await,
            Self::Stream(stream) => stream.next().await,
            Self::Centrifugo(socket) => socket.next().await,
        }
    }

    /// Asks to join a room, and to go on there; `false` when the line is dead.
    pub async fn join(&mut self, room: usize, since: &Since) -> bool {
        match self {
            Self::Socket(socket) => socket.join(room, since).await,
            Self::Stream(_) => true,
            Self::Centrifugo(socket) => socket.join(room, since).await,
        }
    }

    /// Asks to leave a room; `false` when the line is dead.
    pub async fn leave(&mut self, room: usize) -> bool {
        match self {
            Self::Socket(socket) => socket.leave(room).await,
            Self::Stream(_) => true,
            Self::Centrifugo(socket) => socket.leave(room).await,
        }
    }

    /// Sends a message; `false` when the line is dead.
    pub async fn publish(&mut self, said: &Said) -> bool {
        match self {
            Self::Socket(socket) => socket.publish(said).await,
            Self::Stream(stream) => stream.publish(said).await,
            Self::Centrifugo(socket) => socket.publish(said).await,
        }
    }

    /// Asks whether the node is alive, where the client can; `false` when the line is dead.
    pub async fn probe(&mut self) -> bool {
        match self {
            Self::Socket(socket) => socket.probe().await,
            Self::Stream(_) => true,
            Self::Centrifugo(socket) => socket.probe().await,
        }
    }

    /// Answers a ping; `false` when the line is dead.
    pub async fn pong(&mut self) -> bool {
        match self {
            Self::Socket(_) | Self::Stream(_) => true,
            Self::Centrifugo(socket) => socket.pong().await,
        }
    }

    /// Stops reading, or reads again.
    pub fn set_reading(&mut self, reading: bool) {
        match self {
            Self::Socket(socket) => socket.socket.set_reading(reading),
            Self::Stream(_) => {}
            Self::Centrifugo(socket) => socket.socket.set_reading(reading),
        }
    }

    pub async fn close(self) {
        match self {
            Self::Socket(socket) => socket.socket.close().await,
            Self::Stream(_) => {}
            Self::Centrifugo(socket) => socket.socket.close().await,
        }
    }
}
