//! Keys and channels in Redis. They begin with the application's name, here as in all comments
//! `parlor`; only the channels that are shared with channels_redis do not.
//!
//! Some keep the names of an earlier vocabulary: nodes of different versions share them, and stored
//! data stays valid.
//!
//! A group's log, its redactions and its idempotency keys are in one slot of Redis Cluster, that of
//! the group's channel: the channel's name is their hash tag. The ephemeral channel and the keys of
//! presence are in other slots.

use crate::wire::group::Group;

/// Prefix of a group's channel, as channels_redis has it.
pub(super) const GROUP_PREFIX: &str = "asgi__group__";

/// Returns the channel of a group, which it shares with channels_redis.
pub(super) fn channel(group: &Group) -> String {
    format!("{GROUP_PREFIX}{group}")
}

/// Makes keys and channels that begin with an application's name.
#[derive(Clone, Copy)]
pub(super) struct Keys(&'static str);

/// The channels of a node that are no group's.
pub(super) struct NodeChannels {
    /// See [`Keys::intervals`].
    pub(super) intervals: String,
    /// See [`Keys::disconnects`].
    pub(super) disconnects: String,
    /// On which the node receives its own probes.
    pub(super) probe: String,
    /// Prefix of [`Keys::ephemeral_channel`].
    pub(super) ephemeral_prefix: String,
}

impl Keys {
    pub(super) fn new(application: &'static str) -> Self {
        Self(application)
    }

    /// Returns the channel of a group for the application's own nodes.
    pub(super) fn ephemeral_channel(self, group: &Group) -> String {
        format!("{}:live:{group}", self.0)
    }

    /// Returns the channel of all nodes for the name of a group whose interval was started. Keeps
    /// its old name.
    pub(super) fn intervals(self) -> String {
        format!("{}:tickers", self.0)
    }

    /// Returns the channel of all nodes for disconnect commands. Keeps its old name.
    pub(super) fn disconnects(self) -> String {
        format!("{}:orders", self.0)
    }

    /// Returns the channels of this node.
    pub(super) fn channels(self, node: &str) -> NodeChannels {
        NodeChannels {
            intervals: self.intervals(),
            disconnects: self.disconnects(),
            probe: self.node(node),
            ephemeral_prefix: format!("{}:live:", self.0),
        }
    }

    /// Returns the set of the names of the nodes.
    pub(super) fn nodes(self) -> String {
        format!("{}:nodes", self.0)
    }

    /// Returns the set of groups whose presence is published at the next sweep. Keeps its old name;
    /// `presence.lua` has it too.
    pub(super) fn pending_states(self) -> String {
        format!("{}:counting", self.0)
    }

    /// Returns the stream that is a group's log.
    pub(super) fn log(self, group: &Group) -> String {
        format!("{}:log:{{{}}}", self.0, channel(group))
    }

    /// Returns the sorted set of the ids of a group's redacted events, by their milliseconds. Keeps
    /// its old name.
    pub(super) fn redactions(self, group: &Group) -> String {
        format!("{}:covered:{{{}}}", self.0, channel(group))
    }

    /// Returns the string that remembers an idempotency key: the id and the digest of its event.
    pub(super) fn idempotency_key(self, group: &Group, key: &str) -> String {
        format!("{}:sent:{{{}}}:{key}", self.0, channel(group))
    }

    /// Returns the string that is a node's lease. The channel of this name is the node's probe.
    pub(super) fn node(self, node: &str) -> String {
        format!("{}:node:{node}", self.0)
    }

    /// Returns the set of groups in which a node has members.
    pub(super) fn groups_of_node(self, name: &str) -> String {
        format!("{}:groups", self.node(name))
    }

    /// Returns the set of nodes that have members in a group.
    pub(super) fn nodes_of_group(self, group: &str) -> String {
        format!("{}:group:{group}", self.0)
    }

    /// Returns the string that says when a group's next tick is due. Keeps its old name.
    pub(super) fn interval(self, group: &Group) -> String {
        format!("{}:ticker:{group}", self.0)
    }

    /// Returns the string that is a record.
    pub(super) fn record(self, key: &str) -> String {
        format!("{}:record:{key}", self.0)
    }

    /// Returns the sorted set that is an index.
    pub(super) fn index(self, name: &str) -> String {
        format!("{}:index:{name}", self.0)
    }
}
