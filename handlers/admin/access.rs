//! Access of operators to any room, including private and closed ones, but not to direct
//! conversations. Operators are members there like other users: no operator watches unseen.

use parlor::{Access, Context, Denied, Grant, Identity};

use crate::rooms::room::Room;

/// Admits operators to the chat of a room, at `/ws/admin/{room}/`.
pub(crate) struct OperatorChatAccess;

impl Access for OperatorChatAccess {
    async fn grant(context: &Context, identity: &Identity, name: &str) -> Result<Grant, Denied> {
        let (room, _) = Room::find_for_operator(context, identity, name).await?;
        Ok(room.grant(context, room.chat_group()))
    }
}

/// Admits operators to the push stream of a room, at `/ws/admin/{room}/push`.
pub(crate) struct OperatorPushAccess;

impl Access for OperatorPushAccess {
    async fn grant(context: &Context, identity: &Identity, name: &str) -> Result<Grant, Denied> {
        let (room, _) = Room::find_for_operator(context, identity, name).await?;
        Ok(room.grant(context, room.push_group()))
    }
}
