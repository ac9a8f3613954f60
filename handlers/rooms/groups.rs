//! The groups of rooms, under the tutorial's names.

use parlor::Group;

/// The prefix of the names of chat groups.
pub(crate) const CHAT_PREFIX: &str = "chat_";
/// What is in place of a name in the groups of private chats. No namespace has it.
const CONVERSATION_PREFIX: &str = "dm:";
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
    chat_group.strip_prefix(CHAT_PREFIX).filter(|name| !name.starts_with(CONVERSATION_PREFIX))
}

/// Returns whether the group is the chat of a private chat.
pub(crate) fn is_conversation(chat_group: &str) -> bool {
    chat_group.starts_with(CHAT_PREFIX) && room_of(chat_group).is_none()
}
