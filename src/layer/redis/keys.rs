//! Keys and channels in Redis. They begin with a prefix, here as in all comments `parlor`; only the
//! channels that are shared with channels_redis do not.
//!
//! Every key and channel of a group has the group's name in braces, the hash tag of Redis Cluster,
//! so that all of them are in one slot: a script may use several. No other key has the form of
//! theirs, whatever a group is called.

use std::sync::Arc;

use crate::wire::group::Group;

/// Prefix of a group's channel, as channels_redis has it.
pub(super) const GROUP_PREFIX: &str = "asgi__group__";
/// Lifetime of a group's set of nodes, in milliseconds; a node renews it every hour.
pub(super) const GROUP_LIFETIME_MILLIS: u64 = 86_400_000;

/// Makes the keys and channels of the nodes that share a prefix and a database.
#[derive(Clone)]
pub(super) struct Keys {
    prefix: Arc<str>,
    /// Prefix of channels. Pub/sub has no databases, so that it has the number of another one
    /// than 0.
    channels: Arc<str>,
    /// The hash tag of what one script may use beside the log of decisions: records and indexes. On
    /// one server they have none.
    tag: &'static str,
}

impl Keys {
    /// Takes a prefix without braces and colons.
    pub(super) fn new(prefix: &str, database: i64, is_cluster: bool) -> Self {
        let channels = if database == 0 { prefix.to_owned() } else { format!("{prefix}:{database}") };
        let tag = if is_cluster { "{control}:" } else { "" };
        Self { prefix: prefix.into(), channels: channels.into(), tag }
    }

    fn is_cluster(&self) -> bool {
        !self.tag.is_empty()
    }

    /// Returns the channel of a group's messages. It is shared with channels_redis, which knows no
    /// Cluster.
    pub(super) fn channel(&self, group: &Group) -> String {
        if self.is_cluster() { self.own_channel(group) } else { format!("{GROUP_PREFIX}{group}") }
    }

    /// Returns all channels of a group.
    pub(super) fn channels_of(&self, group: &Group) -> Vec<String> {
        let own = self.own_channel(group);
        if self.is_cluster() { vec![own] } else { vec![self.channel(group), own] }
    }

    /// Returns the prefix.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns the string that is the version of the layout.
    pub(super) fn version(&self) -> String {
        format!("{}:version", self.prefix)
    }

    /// Returns the channel of a group for events of the nodes themselves: presence, redactions,
    /// typing, started intervals.
    pub(super) fn own_channel(&self, group: &Group) -> String {
        format!("{}:c:{{{group}}}", self.channels)
    }

    /// Returns the group whose own channel this is.
    pub(super) fn group_of<'a>(&self, channel: &'a str) -> Option<&'a str> {
        channel.strip_prefix(&*self.channels)?.strip_prefix(":c:{")?.strip_suffix('}')
    }

    /// Returns the channel of all nodes for decisions.
    pub(super) fn control_channel(&self) -> String {
        format!("{}:{{control}}:c", self.channels)
    }

    /// Returns the stream that is the log of decisions.
    pub(super) fn control_log(&self) -> String {
        format!("{}:{{control}}:log", self.prefix)
    }

    /// Returns the list of the positions of the log's entries that may be dropped.
    pub(super) fn droppable(&self) -> String {
        format!("{}:{{control}}:droppable", self.prefix)
    }

    /// Returns the set of the ids of announced changes of rights that have not ended.
    pub(super) fn announced(&self) -> String {
        format!("{}:{{control}}:announced", self.prefix)
    }

    /// Returns the channel on which a node receives messages of other nodes.
    pub(super) fn node_channel(&self, node: &str) -> String {
        format!("{}:{}node:{node}", self.channels, self.tag)
    }

    /// Returns the channel on which a node receives its own probes of a shard. It is one of plain
    /// pub/sub.
    pub(super) fn probe_channel(&self, node: &str, shard: usize) -> String {
        format!("{}:probe:{node}:{shard}", self.channels)
    }

    /// Returns the hash of the nodes' beats.
    pub(super) fn beats(&self) -> String {
        format!("{}:beats", self.prefix)
    }

    /// Returns the hash of what the nodes report of themselves.
    pub(super) fn facts(&self) -> String {
        format!("{}:facts", self.prefix)
    }

    /// Returns the string with the largest groups of a node.
    pub(super) fn top(&self, node: &str) -> String {
        format!("{}:top:{node}", self.prefix)
    }

    /// Returns the stream that is a group's log.
    pub(super) fn log(&self, group: &Group) -> String {
        format!("{}:log:{{{group}}}", self.prefix)
    }

    /// Returns the sorted set of the ids of a group's redacted events, by their milliseconds.
    pub(super) fn redactions(&self, group: &Group) -> String {
        format!("{}:x:{{{group}}}", self.prefix)
    }

    /// Returns the string that remembers an idempotency key: the id and the digest of its event.
    pub(super) fn idempotency_key(&self, group: &Group, key: &str) -> String {
        format!("{}:sent:{{{group}}}:{key}", self.prefix)
    }

    /// Returns the set of the names of the nodes that have sockets in a group.
    pub(super) fn nodes_of_group(&self, group: &Group) -> String {
        format!("{}:group:{{{group}}}", self.prefix)
    }

    /// Returns the hash of a group's users.
    pub(super) fn members(&self, group: &Group) -> String {
        format!("{}:m:{{{group}}}", self.prefix)
    }

    /// Returns the key that a node writes to learn whether a shard takes writes; the shard has the
    /// hash tag.
    pub(super) fn check(&self, node: &str, tag: &str) -> String {
        format!("{}:check:{{{tag}}}:{node}", self.prefix)
    }

    /// Returns the string that says when a group's next tick is due, or `off`.
    pub(super) fn interval(&self, group: &Group) -> String {
        format!("{}:t:{{{group}}}", self.prefix)
    }

    /// Returns the string that is a record.
    pub(super) fn record(&self, key: &str) -> String {
        format!("{}:{}record:{key}", self.prefix, self.tag)
    }

    /// Returns the sorted set that is an index.
    pub(super) fn index(&self, name: &str) -> String {
        format!("{}:{}index:{name}", self.prefix, self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of rooms and groups that look like parts of keys.
    const NAMES: [&str; 14] = [
        "lobby",
        "orders",
        "control",
        "{control}",
        "c",
        "log",
        "t",
        "m",
        "x",
        "beats",
        "version",
        "a}:b",
        "{a",
        "聊天",
    ];

    #[test]
    fn a_group_is_found_by_its_own_channel_and_by_no_other() {
        for database in [0, 3] {
            let keys = Keys::new("parlor", database, false);
            for name in NAMES {
                let channel = keys.own_channel(&Group::new(name));
                assert_eq!(keys.group_of(&channel), Some(name));
                assert_ne!(channel, keys.control_channel());
                assert_eq!(Keys::new("parlor", 1, false).group_of(&channel), None);
                assert_eq!(Keys::new("parlo", database, false).group_of(&channel), None);
            }
            assert_eq!(keys.group_of(&keys.control_channel()), None);
            assert_eq!(keys.group_of(&keys.node_channel("a")), None);
        }
    }
}
