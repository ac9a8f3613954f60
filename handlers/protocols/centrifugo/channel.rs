//! Names of channels: which room and which of its streams they mean.
//!
//! | channel | stream |
//! |---|---|
//! | `lobby`, `chat:lobby` | the chat of the room |
//! | `push:lobby` | its push stream |
//! | `@alice`, `dm:alice` | the private chat with this user |
//! | `news:today` | the chat of a room in a namespace |
//! | `#42`, `team#42,43` | the chat that only these users may enter |
//! | `$deals` | the chat that clients enter with a token for it |
//!
//! A subscription keeps the spelling that its client chose.

use std::borrow::Cow;

use parlor::Target;

use crate::protocols::streams::{CHAT, PUSH};

/// The longest name, in bytes.
const MAX_CHANNEL_BYTES: usize = 255;

const CHAT_SPELLING: &str = "chat:";
const PUSH_SPELLING: &str = "push:";
const DIRECT_SPELLING: &str = "dm:";

/// Returns the stream that a channel means; `None` if it is too long to be one.
pub(crate) fn target(channel: &str) -> Option<Target<'static>> {
    let stream = if channel.starts_with(PUSH_SPELLING) { PUSH } else { CHAT };
    let is_one = !channel.is_empty() && channel.len() <= MAX_CHANNEL_BYTES;
    is_one.then(|| Target { stream, name: Cow::Owned(channel.to_owned()) })
}

/// Returns the name of the room that a channel means.
pub(crate) fn room(channel: &str) -> Cow<'_, str> {
    if let Some(user) = channel.strip_prefix(DIRECT_SPELLING) {
        return Cow::Owned(format!("@{user}"));
    }
    let room = channel.strip_prefix(CHAT_SPELLING).or_else(|| channel.strip_prefix(PUSH_SPELLING));
    Cow::Borrowed(room.unwrap_or(channel))
}
