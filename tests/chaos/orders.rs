//! What the test wants a client to do, and what it knows of how the client is.

use tokio::time::Instant;

/// How fast a client talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    Silent,
    /// One message in about a second.
    Plain,
    /// Long messages, and five times as many.
    Loud,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    Here,
    /// Says goodbye and does not come back.
    Leaves,
    /// Is gone without a word, as a machine whose battery is empty.
    Vanishes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orders {
    pub voice: Voice,
    /// Reads nothing, and keeps the connection.
    pub deaf: bool,
    pub stay: Stay,
}

impl Orders {
    pub const LISTEN: Self = Self { voice: Voice::Silent, deaf: false, stay: Stay::Here };
}

/// How a client is, for who waits until all is well again.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Welcomed on a socket that is open as far as the client knows.
    pub online: bool,
    /// When the oldest message that is not answered was said.
    pub unanswered: Option<Instant>,
    /// The last message that was heard, of those that were new.
    pub last: Option<String>,
}
