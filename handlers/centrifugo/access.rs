//! Access to rooms under the names of channels.

use std::marker::PhantomData;

use parlor::{Access, Context, Denied, Grant, Identity, PresumedGrant, Reason};

use crate::chat::access::ChatAccess;
use crate::protocols::centrifugo::channel;
use crate::rooms::name;
use crate::rooms::room::Room;

/// Admits clients as `A` does, to the room that a channel means, under the channel's name.
pub(crate) struct ChannelAccess<A>(PhantomData<A>);

impl<A: Access> Access for ChannelAccess<A> {
    async fn grant(context: &Context, identity: &Identity, name: &str) -> Result<Grant, Denied> {
        let room = channel::room(name);
        under_channel(A::grant(context, identity, &room).await?, &room, name)
    }

    fn presume(context: &Context, identity: &Identity, name: &str) -> Option<PresumedGrant> {
        let room = channel::room(name);
        let PresumedGrant { grant, unless } = A::presume(context, identity, &room)?;
        Some(PresumedGrant { grant: under_channel(grant, &room, name).ok()?, unless })
    }
}

/// Puts a grant under the name of a channel, in which a room has this name. A room has a few such
/// names and not any number: each message is rendered once for each of them, and kept so.
///
/// # Errors
/// Returns [`Denied::BadName`] for another spelling of the room's name.
fn under_channel(grant: Grant, room: &str, channel: &str) -> Result<Grant, Denied> {
    if grant.name() == room {
        Ok(grant.under_name(channel))
    } else {
        Err(Denied::BadName(Reason::new("`channel`: expected the name of a room in its own spelling")))
    }
}

/// As [`ChannelAccess`] of the chat; also to channels that clients enter with a token, which the
/// runtime checks.
pub(crate) struct ChatChannelAccess;

impl Access for ChatChannelAccess {
    async fn grant(context: &Context, identity: &Identity, name: &str) -> Result<Grant, Denied> {
        if name::is_by_token(name) {
            let room = Room::for_token_bearers(context, identity, name).await?;
            return Ok(under_channel(room.grant(context, room.chat_group()), name, name)?.by_token());
        }
        ChannelAccess::<ChatAccess>::grant(context, identity, name).await
    }

    fn presume(context: &Context, identity: &Identity, name: &str) -> Option<PresumedGrant> {
        // The room of a channel for the bearers of tokens is limited.
        ChannelAccess::<ChatAccess>::presume(context, identity, name)
    }
}
