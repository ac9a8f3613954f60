//! The contents of a socket's welcome.

use std::time::Duration;

use crate::layer::PresenceSnapshot;
use crate::realtime::command::StreamPosition;
use crate::telemetry::Recovery;
use crate::wire::id::Id;

/// The contents of the first frame of a socket.
pub struct Welcome {
    /// The client's number of the join; 0 without one.
    pub number: u32,
    /// The number of the last message that the client has, if it said so.
    pub since: Option<StreamPosition>,
    /// The number of the newest message.
    pub end: StreamPosition,
    /// The join has failed, as it required what cannot be recovered.
    pub is_refused: bool,
    /// The node's name.
    pub node: String,
    /// The id of the newest message.
    pub last: Id,
    /// Whether everything since the client's position follows, or why not.
    pub recovery: Recovery,
    /// Whether only some clients may enter the channel.
    pub is_private: bool,
    /// How long the client may use its token for the channel; `None` for ever.
    pub expires_in: Option<Duration>,
    /// The members of the group, including the client.
    pub presence: PresenceSnapshot,
}
