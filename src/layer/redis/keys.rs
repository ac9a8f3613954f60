//! Keys and channels in Redis.
//!
//! Some keep the names of an earlier vocabulary: nodes of different versions share them, and stored
//! data stays valid.
//!
//! A group's log, its redactions and its idempotency keys are in one slot of Redis Cluster, that of
//! the group's channel: the channel's name is their hash tag. The ephemeral channel and the keys of
//! presence are in other slots.

use std::fmt::Display;

use crate::wire::group::Group;

/// Prefix of a group's channel, as channels_redis has it.
pub(super) const GROUP_PREFIX: &str = "asgi__group__";
/// Prefix of a group's channel for Parlor's own nodes.
pub(super) const EPHEMERAL_PREFIX: &str = "parlor:live:";
/// Channel of all nodes: the name of a group whose interval was started. Keeps its old name.
pub(super) const INTERVALS: &str = "parlor:tickers";
/// Channel of all nodes: disconnect commands. Keeps its old name.
pub(super) const DISCONNECTS: &str = "parlor:orders";
/// Set: the names of the nodes.
pub(super) const NODES: &str = "parlor:nodes";
/// Set: groups whose presence is published at the next sweep. Keeps its old name.
pub(super) const PENDING_STATES: &str = "parlor:counting";
/// Sorted set: `<user> <group>` of the users that leave, by the milliseconds when they do.
pub(super) const LEAVING: &str = "parlor:leaving";
/// String: held by the node that sweeps in this period.
pub(super) const SWEEP_LOCK: &str = "parlor:sweep";

/// Returns the channel of a group, which it shares with channels_redis.
pub(super) fn channel(group: &Group) -> String {
    format!("{GROUP_PREFIX}{group}")
}

/// Returns the channel of a group for Parlor's own nodes.
pub(super) fn ephemeral_channel(group: impl Display) -> String {
    format!("{EPHEMERAL_PREFIX}{group}")
}

/// Returns the stream that is a group's log.
pub(super) fn log(group: &Group) -> String {
    format!("parlor:log:{{{}}}", channel(group))
}

/// Returns the sorted set of the ids of a group's redacted events, by their milliseconds. Keeps its
/// old name.
pub(super) fn redactions(group: &Group) -> String {
    format!("parlor:covered:{{{}}}", channel(group))
}

/// Returns the string that remembers an idempotency key: the id and the digest of its event.
pub(super) fn idempotency_key(group: &Group, key: &str) -> String {
    format!("parlor:sent:{{{}}}:{key}", channel(group))
}

/// Returns the string that is a node's lease. The channel of this name is the node's probe.
pub(super) fn node(node: &str) -> String {
    format!("parlor:node:{node}")
}

/// Returns the set of groups in which a node has members.
pub(super) fn groups_of_node(name: &str) -> String {
    format!("{}:groups", node(name))
}

/// Returns the set of nodes that have members in a group.
pub(super) fn nodes_of_group(group: &str) -> String {
    format!("parlor:group:{group}")
}

/// Returns the set of users that are members of a group on a node.
pub(super) fn users_on_node(group: &str, node: &str) -> String {
    format!("{}:{node}", nodes_of_group(group))
}

/// Returns the set of users in a group, with those in their grace.
pub(super) fn users_of_group(group: &str) -> String {
    format!("parlor:present:{group}")
}

/// Returns the string that says when a group's next tick is due. Keeps its old name.
pub(super) fn interval(group: &Group) -> String {
    format!("parlor:ticker:{group}")
}

/// Returns the string that is a record.
pub(super) fn record(key: &str) -> String {
    format!("parlor:record:{key}")
}

/// Returns the sorted set that is an index.
pub(super) fn index(name: &str) -> String {
    format!("parlor:index:{name}")
}
