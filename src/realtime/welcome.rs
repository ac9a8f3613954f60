//! The contents of a socket's welcome.

use crate::layer::PresenceSnapshot;
use crate::telemetry::Recovery;
use crate::wire::id::Id;

/// The contents of the first frame of a socket.
pub struct Welcome {
    /// The node's name.
    pub node: String,
    /// The id of the newest message.
    pub last: Id,
    /// Whether everything since the client's position follows, or why not.
    pub recovery: Recovery,
    /// Whether only some clients may enter the channel.
    pub is_private: bool,
    /// The members of the group, including the client.
    pub presence: PresenceSnapshot,
}
