//! The channels that an operator may join on one connection.

use parlor::{Channel, Entrance, Protocol, Streams};

use crate::admin::access::{OperatorChatAccess, OperatorPushAccess};
use crate::chat::channel::Chat;
use crate::dm::inbox::{Inbox, InboxAccess};
use crate::push::channel::Push;

/// Any room and its push stream, and the operator's inbox.
pub(crate) struct OperatorStreams;

impl Streams for OperatorStreams {
    fn entrance<P: Protocol>(stream: &str) -> Option<Entrance> {
        match stream {
            Chat::STREAM => Some(Entrance::new::<OperatorChatAccess, Chat, P>()),
            Push::STREAM => Some(Entrance::new::<OperatorPushAccess, Push, P>()),
            Inbox::STREAM => Some(Entrance::new::<InboxAccess, Inbox, P>()),
            _ => None,
        }
    }
}
