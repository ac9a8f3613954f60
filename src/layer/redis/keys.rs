//! Keys and channels in Redis. They begin with a prefix, here as in all comments `parlor`; only the
//! channels that are shared with channels_redis have one of their own.
//!
//! Every key and channel of a group has the group's name in braces, the hash tag of Redis Cluster,
//! so that all of them are in one slot: a script may use several. No other key has the form of
//! theirs, whatever a group is called.

use std::sync::Arc;

use crate::wire::group::Group;

/// Lifetime of a group's set of nodes, in milliseconds; a node renews it every hour.
pub(super) const GROUP_LIFETIME_MILLIS: u64 = 86_400_000;

/// Makes the keys and channels of the nodes that share a prefix and a database.
#[derive(Clone)]
pub(super) struct Keys {
    prefix: Arc<str>,
    /// Prefix of channels. Pub/sub has no databases, so that it has the number of another one
    /// than 0.
    channels: Arc<str>,
    /// Prefix of the groups' channels that are shared with channels_redis, `asgi__group__`; `None`
    /// if none are.
    shared: Option<Arc<str>>,
    /// The hash tag of what one script may use beside the log of decisions: records and indexes. On
    /// one server they have none.
    tag: &'static str,
}

impl Keys {
    /// Takes prefixes without braces and colons, the second one that of channels_redis: `None` if
    /// no channel is shared with it.
    pub(super) fn new(prefix: &str, database: i64, shared: Option<&str>, is_cluster: bool) -> Self {
        let channels = if database == 0 { prefix.to_owned() } else { format!("{prefix}:{database}") };
        let shared = shared.map(|shared| format!("{shared}__group__").into());
        let tag = if is_cluster { "{control}:" } else { "" };
        Self { prefix: prefix.into(), channels: channels.into(), shared, tag }
    }

    /// Returns the prefix.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns the string that is the version of the layout.
    pub(super) fn version(&self) -> String {
        format!("{}:version", self.prefix)
    }

    /// Returns whether messages are exchanged with channels_redis.
    pub(super) fn has_exchange(&self) -> bool {
        self.shared.is_some()
    }

    /// Returns the channel of a group's messages: the one that is shared with channels_redis, or
    /// the nodes' own one.
    pub(super) fn channel(&self, group: &Group) -> String {
        self.shared.as_ref().map_or_else(|| self.own_channel(group), |shared| format!("{shared}{group}"))
    }

    /// Returns each channel of a group once.
    pub(super) fn channels_of(&self, group: &Group) -> Vec<String> {
        let shared = self.shared.as_ref().map(|_| self.channel(group));
        shared.into_iter().chain([self.own_channel(group)]).collect()
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

    /// Returns the group whose channel this is, among those that are shared with channels_redis.
    pub(super) fn group_of_shared<'a>(&self, channel: &'a str) -> Option<&'a str> {
        channel.strip_prefix(&**self.shared.as_ref()?)
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

    /// Returns what the keys begin with that a node writes to learn whether a shard takes writes;
    /// the shard has the hash tag.
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
        for (database, shared) in [(0, Some("asgi")), (3, None)] {
            let keys = Keys::new("parlor", database, shared, false);
            for name in NAMES {
                let channel = keys.own_channel(&Group::new(name));
                assert_eq!(keys.group_of(&channel), Some(name));
                assert_ne!(channel, keys.control_channel());
                assert_eq!(Keys::new("parlor", 1, shared, false).group_of(&channel), None);
                assert_eq!(Keys::new("parlo", database, shared, false).group_of(&channel), None);
                assert_eq!(keys.group_of_shared(&channel), None);
            }
            assert_eq!(keys.group_of(&keys.control_channel()), None);
            assert_eq!(keys.group_of(&keys.node_channel("a")), None);
        }
    }

    #[test]
    fn messages_travel_on_the_shared_channel_or_on_the_own_one() {
        for name in NAMES {
            let group = Group::new(name);
            let keys = Keys::new("parlor", 0, Some("site"), false);
            assert_eq!(keys.channel(&group), format!("site__group__{name}"));
            assert_eq!(keys.channels_of(&group), [keys.channel(&group), keys.own_channel(&group)]);
            assert_eq!(keys.group_of_shared(&keys.channel(&group)), Some(name));
            assert_eq!(keys.group_of(&keys.channel(&group)), None);
            let alone = Keys::new("parlor", 0, None, false);
            assert_eq!(alone.channels_of(&group), [alone.own_channel(&group)]);
            assert_eq!(alone.channel(&group), alone.own_channel(&group));
            assert_eq!(alone.group_of_shared(&keys.channel(&group)), None);
        }
    }
}
