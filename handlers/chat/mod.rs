//! Chat: messages are logged, and each member of the room receives each message once.

pub(crate) mod access;
pub(crate) mod channel;
pub(crate) mod post;
