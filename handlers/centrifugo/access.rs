//! Access to rooms under the names of channels.

use std::marker::PhantomData;

use parlor::{Access, Context, Denied, Grant, Identity};

use crate::chat::access::ChatAccess;
use crate::protocols::centrifugo::channel;
use crate::rooms::name;
use crate::rooms::room::Room;

/// Admits clients as `A` does, to the room that a channel means, under the channel's name.
pub(crate) struct ChannelAccess<A>(PhantomData<A>);

impl<A: Access> Access for ChannelAccess<A> {
    async fn grant(context: &Context, identity: &Identity, name: &str) -> Result<Grant, Denied> {
        let room = channel::room(name);
        let grant = A::grant(context, identity, &room).await?;
        Ok(grant.under_name(name))
    }
}

/// As [`ChannelAccess`] of the chat; also to channels that clients enter with a token, which the
/// runtime checks.
pub(crate) struct ChatChannelAccess;

impl Access for ChatChannelAccess {
    async fn grant(context: &Context, identity: &Identity, name: &str) -> Result<Grant, Denied> {
        if name::is_by_token(name) {
            let room = Room::for_token_bearers(context, identity, name).await?;
            return Ok(room.grant(context, room.chat_group()).under_name(name).by_token());
        }
        ChannelAccess::<ChatAccess>::grant(context, identity, name).await
    }
}
