//! The channels of Centrifugo's clients.

use std::collections::BTreeSet;

use parlor::{Channel, Context, Entrance, Identity, Protocol, Streams, Target};

use crate::centrifugo::access::{ChannelAccess, ChatChannelAccess};
use crate::chat::channel::Chat;
use crate::protocols::centrifugo::channel;
use crate::push::access::PushAccess;
use crate::push::channel::Push;
use crate::rooms::name;
use crate::settings::Settings;

/// Rooms and their push streams. The server joins those that the token names for its bearer, and
/// with `--personal-channels` a channel of each user's own.
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
        let mut channels: BTreeSet<String> = identity.channels().map(str::to_owned).collect();
        let has_own = context.settings::<Settings>().personal_channels && identity.is_user();
        // Some texts are in no list of users.
        if has_own && name::is_listable(identity.subject()) {
            channels.insert(format!("{}{}", name::USERS, identity.subject()));
        }
        let no_room = |name: &str| Target { stream: Chat::STREAM, name: name.to_owned().into() };
        channels.iter().map(|name| channel::target(name).unwrap_or_else(|| no_room(name))).collect()
    }
}
