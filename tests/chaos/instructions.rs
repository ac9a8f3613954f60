//! What the test instructs a client to do, and the state that the client reports.

use std::collections::BTreeSet;

use tokio::time::Instant;

/// How often a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    None,
    /// About one message a second, in one of the client's rooms.
    Normal,
    /// Long messages, five times as often, in this room.
    Heavy {
        room: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    Connected,
    /// Closes the socket and does not reconnect.
    Leaves,
    /// Drops the connection without a Close frame, like a machine that loses power.
    Vanishes,
    /// Drops the connection and waits for other instructions.
    Away,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instructions {
    pub traffic: Traffic,
    /// Reads nothing and keeps the connection.
    pub stalled: bool,
    pub lifecycle: Lifecycle,
}

impl Instructions {
    pub const LISTEN: Self = Self { traffic: Traffic::None, stalled: false, lifecycle: Lifecycle::Connected };
}

/// The state of a client.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The client has a socket that is open as far as it knows.
    pub online: bool,
    /// The client is in all of its rooms.
    pub joined: bool,
    /// When it was so last. Clients leave rooms by themselves.
    pub joined_at: Option<Instant>,
    /// When the oldest unanswered message was sent.
    pub unanswered: Option<Instant>,
    /// By the client's rooms.
    pub rooms: Vec<RoomState>,
}

/// What a client knows of one of its rooms.
#[derive(Clone, Debug, Default)]
pub struct RoomState {
    /// The id of the newest message received.
    pub last: Option<String>,
    /// The members of the room, the client included; `None` where its protocol does not say it.
    pub members: Option<BTreeSet<String>>,
}

impl State {
    /// The state of a client of this many rooms before it has connected.
    pub fn of(rooms: usize) -> Self {
        Self { rooms: vec![RoomState::default(); rooms], ..Self::default() }
    }
}
