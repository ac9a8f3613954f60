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
    /// When it was so last, unless the server or the network has put it out of a room since.
    /// Clients leave rooms by themselves.
    pub joined_at: Option<Instant>,
    /// The number of its newest message.
    pub composed: usize,
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
    /// The number and the sender of that message.
    pub heard: Option<(usize, usize)>,
    /// The members of the room, the client included; `None` where its protocol does not say it.
    pub members: Option<BTreeSet<String>>,
}

impl State {
    /// The client is in all of its rooms, or not.
    pub fn show(&mut self, joined: bool) {
        self.joined = joined;
        if joined {
            self.joined_at = Some(Instant::now());
        }
    }

    /// The client has lost its socket, and so all of its rooms.
    pub fn end(&mut self) {
        self.online = false;
        self.put_out();
    }

    /// The server or the network has put the client out of a room.
    pub fn put_out(&mut self) {
        (self.joined, self.joined_at) = (false, None);
    }

    /// The state of a client of this many rooms before it has connected.
    pub fn of(rooms: usize) -> Self {
        Self { rooms: vec![RoomState::default(); rooms], ..Self::default() }
    }
}

/// A moment of the run.
pub struct Moment {
    pub at: Instant,
    /// The number of each client's newest message.
    pub composed: Vec<usize>,
}

impl Moment {
    /// Whether the message with this number and sender was composed later.
    pub fn is_before(&self, (number, who): (usize, usize)) -> bool {
        self.composed[who] < number
    }
}
