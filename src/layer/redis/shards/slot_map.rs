//! The map of a Cluster: which shard has which slots, and where its master is
//! (redis.io/docs/reference/cluster-spec, `CLUSTER SHARDS`).

use std::collections::HashMap;
use std::ops::RangeInclusive;

use crc::{CRC_16_XMODEM, Crc};
use memchr::memchr;
use redis::{RedisResult, Value, from_redis_value};

use crate::wire::group::Group;

/// Slots of a Cluster.
pub(super) const SLOTS: u16 = 16_384;

const CHECKSUM: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

/// A shard that has slots, as a node of the Cluster describes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ShardEntry {
    /// The ids of its nodes, the master's first.
    pub(super) nodes: Vec<String>,
    /// The host and the port of its master.
    pub(super) master: (String, u16),
    /// Whether the Cluster has not given its master up.
    pub(super) is_online: bool,
    pub(super) slots: Vec<RangeInclusive<u16>>,
}

/// Returns the slot of a key or of a channel of sharded pub/sub.
pub(super) fn slot_of(key: &[u8]) -> u16 {
    CHECKSUM.checksum(hash_tag(key).unwrap_or(key)) % SLOTS
}

/// Returns the slot of a group's keys and channels, which have its name in braces.
pub(super) fn slot_of_group(group: &Group) -> u16 {
    let name = group.name().as_bytes();
    CHECKSUM.checksum(&name[..memchr(b'}', name).unwrap_or(name.len())]) % SLOTS
}

/// Returns what is in the first pair of braces, unless that is nothing.
fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let rest = &key[memchr(b'{', key)? + 1..];
    rest.get(..memchr(b'}', rest)?).filter(|tag| !tag.is_empty())
}

/// Parses the reply of `CLUSTER SHARDS` of the node at this host; leaves out shards without slots
/// and those without a master.
///
/// # Errors
/// Fails for a reply of another shape.
pub(super) fn parse(reply: Value, host: &str, is_tls: bool) -> RedisResult<Vec<ShardEntry>> {
    let shards: Vec<HashMap<String, Value>> = from_redis_value(reply)?;
    let mut entries = Vec::new();
    for mut shard in shards {
        let bounds: Vec<u16> = shard.remove("slots").map(from_redis_value).transpose()?.unwrap_or_default();
        let nodes: Vec<HashMap<String, Value>> =
            shard.remove("nodes").map(from_redis_value).transpose()?.unwrap_or_default();
        let mut nodes: Vec<NodeEntry> =
            nodes.iter().map(|node| NodeEntry::parse(node, host, is_tls)).collect::<RedisResult<_>>()?;
        // A master that failed may still be called one beside its successor.
        nodes.sort_by_key(|node| (!node.is_master, !node.is_online));
        let slots: Vec<_> = bounds.chunks_exact(2).map(|ends| ends[0]..=ends[1].min(SLOTS - 1)).collect();
        if let Some(master) = nodes.first().filter(|node| node.is_master && !slots.is_empty()) {
            let (master, is_online) = (master.address.clone(), master.is_online);
            let nodes = nodes.into_iter().map(|node| node.id).collect();
            entries.push(ShardEntry { nodes, master, is_online, slots });
        }
    }
    Ok(entries)
}

struct NodeEntry {
    id: String,
    address: (String, u16),
    is_master: bool,
    is_online: bool,
}

impl NodeEntry {
    fn parse(node: &HashMap<String, Value>, host: &str, is_tls: bool) -> RedisResult<Self> {
        let text = |name: &str| -> RedisResult<String> {
            // Without a known endpoint it is null: the host that was asked.
            let value: Option<String> = node.get(name).cloned().map_or(Ok(None), from_redis_value)?;
            Ok(value.unwrap_or_default())
        };
        let endpoint = text("endpoint")?;
        let is_known = !endpoint.is_empty() && endpoint != "?";
        let port = node.get(if is_tls { "tls-port" } else { "port" }).cloned().unwrap_or(Value::Int(0));
        Ok(Self {
            id: text("id")?,
            address: (if is_known { endpoint } else { host.to_owned() }, from_redis_value(port)?),
            is_master: text("role")? == "master",
            is_online: text("health")? == "online",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn node(id: &str, port: i64, role: &str, health: &str) -> Value {
        let fields = [("id", id), ("endpoint", "10.0.0.1"), ("role", role), ("health", health)];
        let mut pairs: Vec<_> = fields.iter().map(|(name, value)| (text(name), text(value))).collect();
        pairs.push((text("port"), Value::Int(port)));
        Value::Map(pairs)
    }

    fn shard(slots: &[i64], nodes: Vec<Value>) -> Value {
        let slots = slots.iter().copied().map(Value::Int).collect();
        Value::Map(vec![(text("slots"), Value::Array(slots)), (text("nodes"), Value::Array(nodes))])
    }

    #[test]
    fn a_slot_is_that_of_the_hash_tag() {
        // As `CLUSTER KEYSLOT` of Redis 7.0 has them.
        for (key, slot) in [
            ("foo", 12_182),
            ("{foo}:a", 12_182),
            ("parlor:log:{foo}", 12_182),
            ("{}foo", slot_of(b"{}foo")),
            ("123456789", 12_739),
        ] {
            assert_eq!(slot_of(key.as_bytes()), slot, "{key}");
        }
        assert_ne!(slot_of(b"{}foo"), slot_of(b"{}bar"));
        assert_eq!(slot_of(b"a{b}c}"), slot_of(b"b"));
        assert_eq!(slot_of(b"a{{b}c}"), slot_of(b"{b"));
    }

    #[test]
    fn a_shard_is_at_its_master_that_is_online() {
        let failed = vec![node("a", 1, "master", "fail"), node("b", 2, "master", "online")];
        let reply = Value::Array(vec![
            shard(&[0, 5, 9, 9], failed),
            shard(&[6, 8], vec![node("c", 3, "replica", "online"), node("d", 4, "master", "online")]),
            shard(&[], vec![node("e", 5, "master", "online")]),
            shard(&[10, 10], vec![node("f", 6, "replica", "online")]),
        ]);
        let entries = parse(reply, "asked", false).expect("a map");
        let entry = |nodes: [&str; 2], port, slots: &[RangeInclusive<u16>]| ShardEntry {
            nodes: nodes.map(str::to_owned).to_vec(),
            master: ("10.0.0.1".to_owned(), port),
            is_online: true,
            slots: slots.to_vec(),
        };
        assert_eq!(entries, [entry(["b", "a"], 2, &[0..=5, 9..=9]), entry(["d", "c"], 4, &[6..=8])]);
    }

    #[test]
    fn a_node_without_an_endpoint_is_at_the_host_that_was_asked() {
        let fields = [("id", text("a")), ("role", text("master")), ("endpoint", Value::Nil)];
        let mut pairs: Vec<_> = fields.into_iter().map(|(name, value)| (text(name), value)).collect();
        pairs.push((text("tls-port"), Value::Int(7)));
        let reply = Value::Array(vec![shard(&[0, 1], vec![Value::Map(pairs)])]);
        let entries = parse(reply, "asked", true).expect("a map");
        assert_eq!(entries[0].master, ("asked".to_owned(), 7));
        assert!(parse(Value::Int(1), "asked", false).is_err());
    }
}
