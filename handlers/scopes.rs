//! The scopes of API keys.

/// Publishes messages and events, and starts push streams.
pub(crate) const PUBLISH: &str = "publish";
/// Reads messages, rooms and their members.
pub(crate) const READ: &str = "read";
/// Disconnects users.
pub(crate) const DISCONNECT: &str = "disconnect";
/// Subscribes users to channels, and moves the end of their tokens.
pub(crate) const CONNECTIONS: &str = "connections";

/// Every scope, in the order in which pages list them.
pub(crate) const SCOPES: [&str; 4] = [PUBLISH, READ, DISCONNECT, CONNECTIONS];
