//! The stored record of a room.
//!
//! | record | what |
//! |---|---|
//! | `room:<name>` | the record of a room; a public room that is open has none |
//! | index `room_members:<name>` | ids of a private room's members and owner, by join time |

use parlor::Identity;
use serde::{Deserialize, Serialize};

/// The record of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RoomRecord {
    /// The id of the owner.
    pub(crate) owner: Option<String>,
    /// Only members may enter.
    pub(crate) private: bool,
    /// Only operators may enter.
    pub(crate) closed: bool,
}

impl RoomRecord {
    /// Returns whether this client owns the room.
    pub(crate) fn is_owned_by(&self, identity: &Identity) -> bool {
        identity.is_user() && self.owner.as_deref() == Some(identity.id())
    }

    /// Formats the record for the store.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).expect("its members have text names")
    }

    /// Returns the key of the record.
    pub(crate) fn key(name: &str) -> String {
        format!("room:{name}")
    }

    /// Returns the key of the index of members.
    pub(crate) fn members(name: &str) -> String {
        format!("room_members:{name}")
    }
}
