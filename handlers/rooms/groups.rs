//! The groups of rooms, under the tutorial's names.

use parlor::Group;

use crate::namespace::is_user_id;

/// The prefix of the names of chat groups.
pub(crate) const CHAT_PREFIX: &str = "chat_";
/// The type of a chat event; its `message` is the text.
pub(crate) const MESSAGE_TYPE: &str = "chat_message";

/// Returns the chat group of the room of this name.
pub(crate) fn chat_group(name: &str) -> Group {
    Group::new(&format!("{CHAT_PREFIX}{name}"))
}

/// Returns the group of the push stream of the room of this name.
pub(crate) fn push_group(name: &str) -> Group {
    Group::new(name)
}

/// Returns the room of a chat group; `None` for other groups and for private chats.
pub(crate) fn room_of(chat_group: &str) -> Option<&str> {
    chat_group.strip_prefix(CHAT_PREFIX).filter(|name| !is_pair(name))
}

/// Returns whether the group is the chat of a private chat.
pub(crate) fn is_conversation(chat_group: &str) -> bool {
    chat_group.starts_with(CHAT_PREFIX) && room_of(chat_group).is_none()
}

/// Returns whether the name is that of the ids of two users. No namespace has the form of an id.
fn is_pair(name: &str) -> bool {
    name.split_once(':').is_some_and(|(one, other)| is_user_id(one) && is_user_id(other))
}
