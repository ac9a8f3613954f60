//! The channels of Centrifugo's clients.

use parlor::{Channel, Context, Entrance, Identity, Protocol, Streams, Target};

use crate::centrifugo::access::{ChannelAccess, ChatChannelAccess};
use crate::chat::channel::Chat;
use crate::push::access::PushAccess;
use crate::push::channel::Push;
use crate::rooms::name;
use crate::settings::Settings;

/// Rooms and their push streams, and with `--personal-channels` a channel of each user's own.
pub(crate) struct ChannelStreams;

impl Streams for ChannelStreams {
    fn entrance<P: Protocol>(stream: &str) -> Option<Entrance> {
        match stream {
            Chat::STREAM => Some(Entrance::new::<ChatChannelAccess, Chat, P>()),
            Push::STREAM => Some(Entrance::new::<ChannelAccess<PushAccess>, Push, P>()),
            _ => None,
        }
    }

    fn joined_at_once(context: &Context, identity: &Identity) -> Vec<Target<'static>> {
        if !context.settings::<Settings>().personal_channels || !identity.is_user() {
            return Vec::new();
        }
        // Some texts are in no list of users.
        if !name::is_listable(identity.subject()) {
            return Vec::new();
        }
        let name = format!("{}{}", name::USERS, identity.subject());
        vec![Target { stream: Chat::STREAM, name: name.into() }]
    }
}
