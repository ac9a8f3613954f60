//! What the test instructs a client to do, and the state that the client reports.

use std::collections::BTreeSet;

use tokio::time::Instant;

/// How often a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    None,
    /// About one message a second.
    Normal,
    /// Long messages, five times as often.
    Heavy,
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
    /// When the oldest unanswered message was sent.
    pub unanswered: Option<Instant>,
    /// The id of the newest message received.
    pub last: Option<String>,
    /// The members of the room, itself included, as far as the client knows.
    pub members: BTreeSet<String>,
}
