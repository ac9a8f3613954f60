//! Access to the chat of rooms.

use parlor::{Access, Context, Denied, Grant, Identity, PresumedGrant};

use crate::rooms::room::Room;

/// Admits clients to the chat of a room that they may enter.
pub(crate) struct ChatAccess;

impl Access for ChatAccess {
    async fn grant(context: &Context, identity: &Identity, name: &str) -> Result<Grant, Denied> {
        let room = Room::find_to_join(context, identity, name).await?;
        Ok(room.grant(context, room.chat_group()))
    }

    fn presume(context: &Context, identity: &Identity, name: &str) -> Option<PresumedGrant> {
        let (room, unless) = Room::presume(context, identity, name)?;
        Some(PresumedGrant { grant: room.grant(context, room.chat_group()), unless })
    }
}
