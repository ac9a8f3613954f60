//! The kinds of channels that one connection distinguishes.

/// The chat of a room.
pub(crate) const CHAT: &str = "chat";
/// The push stream of a room.
pub(crate) const PUSH: &str = "push";
/// The inbox of an account. It is its only name, too.
pub(crate) const INBOX: &str = "inbox";
