//! Access to the chat of rooms.

use parlor::{Access, Context, Denied, Grant, Identity};

use crate::rooms::room::Room;

/// Admits clients to the chat of a room that they may enter.
pub(crate) struct ChatAccess;

impl Access for ChatAccess {
    async fn grant(context: &Context, identity: &Identity, name: &str) -> Result<Grant, Denied> {
        let room = Room::find_to_join(context, identity, name).await?;
        Ok(room.grant(context, room.chat_group()))
    }
}
