//! Keys and channels in Redis.

use crate::wire::group::Group;

/// channels_redis' channel of a group is this and the group's name.
pub(super) const GROUP_PREFIX: &str = "asgi__group__";
/// What only our own nodes hear of a group: this and the group's name.
pub(super) const LIVE_PREFIX: &str = "parlor:live:";
/// The channel on which every node hears which ticker was started.
pub(super) const TICKERS: &str = "parlor:tickers";
/// The channel on which every node hears what it has to do at once.
pub(super) const ORDERS: &str = "parlor:orders";
/// The set of nodes.
pub(super) const NODES: &str = "parlor:nodes";

/// The channel of channels_redis.
pub(super) fn channel(group: &Group) -> String {
    format!("{GROUP_PREFIX}{group}")
}

/// The channel of our own nodes.
pub(super) fn live(group: &Group) -> String {
    format!("{LIVE_PREFIX}{group}")
}
