//! The kinds of channels that one connection may join, several at a time.

use crate::auth::identity::Identity;
use crate::http::context::Context;
use crate::realtime::command::Target;
use crate::realtime::entrance::Entrance;
use crate::realtime::protocol::Protocol;

/// Decides which channels the connections of a route may join.
///
/// # Examples
/// ```
/// use parlor::{Entrance, Protocol, Streams};
///
/// /// Connections that stay in the channel of their path.
/// struct Alone;
///
/// impl Streams for Alone {
///     const MAY_JOIN: bool = false;
///
///     fn entrance<P: Protocol>(_: &str) -> Option<Entrance> {
///         None
///     }
/// }
/// ```
pub trait Streams: Send + Sync + 'static {
    /// Whether there are any.
    const MAY_JOIN: bool = true;

    /// Returns the entrance to the channels of this [`STREAM`](crate::Channel::STREAM).
    fn entrance<P: Protocol>(stream: &str) -> Option<Entrance>;

    /// Returns the channels that a client is in once it has
    /// [connected](crate::Protocol::CONNECTS).
    fn joined_at_once(_context: &Context, _identity: &Identity) -> Vec<Target<'static>> {
        Vec::new()
    }
}

/// No channels: a connection stays in that of its path.
pub struct NoStreams;

impl Streams for NoStreams {
    const MAY_JOIN: bool = false;

    fn entrance<P: Protocol>(_: &str) -> Option<Entrance> {
        None
    }
}
