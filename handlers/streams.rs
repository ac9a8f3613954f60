//! The channels that a client may join on one connection.

use parlor::{Channel, Entrance, Protocol, Streams};

use crate::chat::access::ChatAccess;
use crate::chat::channel::Chat;
use crate::dm::inbox::{Inbox, InboxAccess};
use crate::push::access::PushAccess;
use crate::push::channel::Push;

/// Rooms, their push streams, and the client's inbox.
pub(crate) struct RoomStreams;

impl Streams for RoomStreams {
    fn entrance<P: Protocol>(stream: &str) -> Option<Entrance> {
        match stream {
            Chat::STREAM => Some(Entrance::new::<ChatAccess, Chat, P>()),
            Push::STREAM => Some(Entrance::new::<PushAccess, Push, P>()),
            Inbox::STREAM => Some(Entrance::new::<InboxAccess, Inbox, P>()),
            _ => None,
        }
    }
}
