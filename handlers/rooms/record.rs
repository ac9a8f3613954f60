//! The stored record of a room.
//!
//! | record | what |
//! |---|---|
//! | `room:{chat_<name>}` | the record of a room; a public room that is open has none |
//!
//! The record and the indexes of a room are in the slot of its chat group: one step may change
//! several.

use parlor::Identity;
use serde::{Deserialize, Serialize};

use crate::rooms::groups;

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
    /// How the keys of a room's record and indexes began, and how they begin now.
    pub(crate) const RENAMED: [(&'static str, &'static str); 3] = [
        ("record:room:", "record:room:{chat_"),
        ("index:room_members:", "index:room_members:{chat_"),
        ("index:invites:", "index:invites:{chat_"),
    ];

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
        tagged("room", name)
    }

    /// Returns the index of members.
    pub(crate) fn members(name: &str) -> String {
        tagged("room_members", name)
    }

    /// Returns the index of users who are invited by name.
    pub(crate) fn invited(name: &str) -> String {
        tagged("room_invited", name)
    }

    /// Returns the index of valid links.
    pub(crate) fn links(name: &str) -> String {
        tagged("invites", name)
    }
}

/// Returns a key in the slot of a room's chat group.
fn tagged(kind: &str, name: &str) -> String {
    format!("{kind}:{{{}}}", groups::chat_group(name))
}
