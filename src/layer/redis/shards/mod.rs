//! The shards of Redis: which of them has a key, and where its server is.
//!
//! A single server, and a master that Sentinels watch, is one shard with all keys. A Cluster has
//! several; its nodes say which slots each has. The node reads that map at the start, from time to
//! time, and whenever something contradicts it: a redirection, a subscription that the server
//! ended, a connection that ended.

mod place;
mod shard;
pub(super) mod slot_map;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rand::seq::SliceRandom;
use redis::{ConnectionInfo, ErrorKind, RedisError, RedisResult, Value};
use tokio::sync::Notify;

pub(super) use self::place::Place;
pub(super) use self::shard::{Shard, ShardId};
use crate::config::redis_address::RedisAddress;
use crate::layer::redis::connections::Connections;
use crate::layer::redis::dial;
use crate::layer::redis::shards::slot_map::{SLOTS, ShardEntry, slot_of, slot_of_group};
use crate::wire::group::Group;

/// Time in which a node of a Cluster has to return its map.
const MAP_TIMEOUT: Duration = Duration::from_millis(500);

/// Time in which a Cluster finds out that a master has failed: `cluster-node-timeout` is 15 s
/// unless it is set.
const FAILURE_DETECTION: Duration = Duration::from_secs(20);

/// All shards.
pub(super) struct Shards {
    address: Arc<RedisAddress>,
    state: RwLock<ShardState>,
    /// Notified when the map may be out of date.
    pub(super) doubted: Notify,
    /// The epoch of the map, as the Cluster numbers its changes.
    epoch: Mutex<u64>,
    /// Connections to servers of no shard, by their addresses.
    others: Mutex<HashMap<String, Arc<Connections>>>,
}

struct ShardState {
    /// All that were ever known, by their ids; the first one also while no map was read.
    shards: Vec<Arc<Shard>>,
    /// The ids of each one's nodes.
    nodes: Vec<HashSet<String>>,
    /// The shard of each slot; empty without a map: the first one has all.
    slots: Vec<ShardId>,
}

impl Shards {
    pub(super) fn new(address: RedisAddress) -> Self {
        let address = Arc::new(address);
        let first = Arc::new(Shard::new(ShardId::default(), Arc::clone(&address)));
        let state = ShardState { shards: vec![first], nodes: vec![HashSet::new()], slots: Vec::new() };
        Self {
            address,
            state: RwLock::new(state),
            doubted: Notify::new(),
            epoch: Mutex::default(),
            others: Mutex::default(),
        }
    }

    /// Returns one with a single server, which is never asked.
    #[cfg(test)]
    pub(super) fn for_test() -> Self {
        Self::new(RedisAddress::parse("redis://127.0.0.1:1").expect("an address"))
    }

    /// Returns the address of the whole.
    pub(super) fn address(&self) -> &RedisAddress {
        &self.address
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.address.is_cluster()
    }

    /// Returns the id of the shard that has the keys and channels of a group.
    pub(super) fn id_of(&self, group: &Group) -> ShardId {
        let state = self.state.read();
        if state.slots.is_empty() {
            ShardId::default()
        } else {
            state.slots[usize::from(slot_of_group(group))]
        }
    }

    /// Returns the shard that has the keys and channels of a group.
    pub(super) fn of(&self, group: &Group) -> Arc<Shard> {
        self.get(self.id_of(group))
    }

    /// Returns the shard that has a key or a channel.
    pub(super) fn of_key(&self, key: &[u8]) -> Arc<Shard> {
        let state = self.state.read();
        let id = if state.slots.is_empty() { ShardId::default() } else { state.owner(key) };
        Arc::clone(&state.shards[id.index()])
    }

    /// Returns the connections to the shard that has a key.
    pub(super) fn connections_for(&self, key: &[u8]) -> Arc<Connections> {
        Arc::clone(&self.of_key(key).connections)
    }

    /// Returns connections to the server to which the one at `from` redirects: that of a shard, or
    /// one that is about to get its first slot.
    pub(super) fn connections_at(&self, redirection: &str, from: &Place) -> Arc<Connections> {
        let place = from.redirected(redirection);
        let server = place.text();
        let of_shard = self.all().into_iter().find(|shard| shard.place().text() == server);
        match of_shard {
            Some(shard) => Arc::clone(&shard.connections),
            None => Arc::clone(
                self.others.lock().entry(server).or_insert_with(|| Arc::new(Connections::new(place))),
            ),
        }
    }

    /// Returns a shard.
    pub(super) fn get(&self, id: ShardId) -> Arc<Shard> {
        Arc::clone(&self.state.read().shards[id.index()])
    }

    /// Returns all shards that were ever known.
    pub(super) fn known(&self) -> Vec<Arc<Shard>> {
        self.state.read().shards.clone()
    }

    /// Returns the shards that have slots.
    pub(super) fn all(&self) -> Vec<Arc<Shard>> {
        self.state.read().shards.iter().filter(|shard| shard.has_slots()).cloned().collect()
    }

    /// Returns a hash tag whose keys the shard has.
    pub(super) fn tag_of(&self, id: ShardId) -> String {
        let state = self.state.read();
        let mut tags = (0..u32::from(SLOTS) * 16).map(|number| number.to_string());
        let found = tags.find(|tag| state.slots.is_empty() || state.owner(tag.as_bytes()) == id);
        found.unwrap_or_default()
    }

    /// Returns whether the shard of this key may be away from every node, not from this one alone:
    /// it was lost a short time ago, or the other nodes of the Cluster have given its master up.
    pub(super) fn is_away_from_all(&self, key: &[u8]) -> bool {
        let shard = self.of_key(key);
        let lost_for = shard.health().lost_for();
        self.is_cluster()
            && lost_for.is_some_and(|time| time < FAILURE_DETECTION || !shard.place().is_online())
    }

    /// The map may be out of date.
    pub(super) fn doubt(&self) {
        self.doubted.notify_one();
    }

    /// Asks the nodes of the Cluster for the map until one has it; returns whether it is another
    /// one. Otherwise than of a Cluster there is none.
    ///
    /// A node that was cut off has an old map. So the epoch counts, unless all nodes have an older
    /// one: then it is another Cluster.
    ///
    /// # Errors
    /// Fails when no node returns a map.
    pub(super) async fn read_map(&self) -> RedisResult<bool> {
        if !self.is_cluster() {
            return Ok(false);
        }
        let known = *self.epoch.lock();
        let mut best: Option<(u64, Vec<ShardEntry>)> = None;
        let mut last = RedisError::from((ErrorKind::Io, "no node of the Cluster was asked"));
        for server in self.candidates() {
            match ask_for_map(&self.address, &server).await {
                Ok((epoch, entries)) if epoch >= known => {
                    best = Some((epoch, entries));
                    break;
                }
                Ok((epoch, entries)) if best.as_ref().is_none_or(|(best, _)| epoch > *best) => {
                    best = Some((epoch, entries));
                }
                Ok(_) => {}
                Err(error) => last = error,
            }
        }
        let fault = best.is_none().then(|| last.clone());
        self.known().iter().for_each(|shard| shard.place().set_fault(fault.clone()));
        let (epoch, entries) = best.ok_or(last)?;
        *self.epoch.lock() = epoch;
        self.others.lock().clear();
        Ok(self.state.write().take(&self.address, entries))
    }

    /// Returns the servers that may be asked for the map.
    fn candidates(&self) -> Vec<ConnectionInfo> {
        let mut servers: Vec<ConnectionInfo> = self.address.seeds.clone();
        for shard in self.all() {
            servers.extend(shard.place().master_of_shard());
        }
        servers.sort_by_cached_key(|server| server.addr().to_string());
        servers.dedup_by_key(|server| server.addr().to_string());
        servers.shuffle(&mut rand::rng());
        servers
    }
}

impl ShardState {
    fn owner(&self, key: &[u8]) -> ShardId {
        self.slots[usize::from(slot_of(key))]
    }

    /// Takes a map; returns whether it is another one. A shard is the same as long as it has one of
    /// its nodes, so that its connections follow its master.
    fn take(&mut self, address: &Arc<RedisAddress>, entries: Vec<ShardEntry>) -> bool {
        let slots_before = std::mem::take(&mut self.slots);
        // Slots without a shard keep theirs, which refuses what is sent there.
        self.slots.clone_from(&slots_before);
        self.slots.resize(SLOTS.into(), ShardId::default());
        let mut is_changed = false;
        let mut seen = HashSet::new();
        for ShardEntry { nodes, master, is_online, slots } in entries {
            let index = self.index_of(&nodes, &seen).unwrap_or_else(|| {
                let id = ShardId(u16::try_from(self.shards.len()).expect("fewer shards than slots"));
                self.shards.push(Arc::new(Shard::new(id, Arc::clone(address))));
                self.nodes.push(HashSet::new());
                id.index()
            });
            seen.insert(index);
            let shard = &self.shards[index];
            self.nodes[index] = nodes.into_iter().collect();
            is_changed |= shard.place().set_master(Some(master));
            shard.place().set_online(is_online);
            shard.set_slots(true);
            for slot in slots.into_iter().flatten() {
                self.slots[usize::from(slot)] = shard.id;
            }
        }
        for (index, shard) in self.shards.iter().enumerate() {
            if !seen.contains(&index) {
                is_changed |= shard.place().set_master(None);
                shard.set_slots(false);
            }
        }
        is_changed || self.slots != slots_before
    }

    /// Returns the shard with these nodes: that of the master first.
    fn index_of(&self, nodes: &[String], seen: &HashSet<usize>) -> Option<usize> {
        let is_free = |index: &usize| !seen.contains(index);
        let has =
            |node: &String| (0..self.nodes.len()).filter(is_free).find(|at| self.nodes[*at].contains(node));
        let unused = || (0..self.nodes.len()).filter(is_free).find(|at| self.nodes[*at].is_empty());
        nodes.iter().find_map(has).or_else(unused)
    }
}

/// Returns whether a Cluster refuses a command because of its slot: it was not carried out.
pub(super) fn is_redirection(refusal: &str) -> bool {
    let code = refusal.split(' ').next().unwrap_or_default();
    matches!(code, "MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN")
}

/// Asks a node for the map and its epoch.
async fn ask_for_map(address: &RedisAddress, server: &ConnectionInfo) -> RedisResult<(u64, Vec<ShardEntry>)> {
    let mut connection = dial::connect_within(MAP_TIMEOUT, address, server).await?;
    let mut question = redis::pipe();
    question.cmd("CLUSTER").arg("INFO").cmd("CLUSTER").arg("SHARDS");
    let (info, shards): (String, Value) = question.query_async(&mut connection).await?;
    let epoch = info.lines().find_map(|line| line.strip_prefix("cluster_current_epoch:"));
    let (host, is_tls) = match server.addr() {
        redis::ConnectionAddr::Tcp(host, _) => (host.as_str(), false),
        redis::ConnectionAddr::TcpTls { host, .. } => (host.as_str(), true),
        _ => ("", false),
    };
    let entries = slot_map::parse(shards, host, is_tls)?;
    if entries.is_empty() {
        return Err((ErrorKind::Io, "the node knows no shard with slots").into());
    }
    Ok((epoch.and_then(|epoch| epoch.trim().parse().ok()).unwrap_or(0), entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(nodes: &[&str], port: u16, slots: std::ops::RangeInclusive<u16>) -> ShardEntry {
        ShardEntry {
            nodes: nodes.iter().map(|&node| node.to_owned()).collect(),
            master: ("10.0.0.1".to_owned(), port),
            is_online: true,
            slots: vec![slots],
        }
    }

    fn cluster() -> Shards {
        Shards::new(RedisAddress::parse("redis+cluster://10.0.0.1:1").expect("an address"))
    }

    fn take(shards: &Shards, entries: Vec<ShardEntry>) -> bool {
        let address = Arc::clone(&shards.address);
        shards.state.write().take(&address, entries)
    }

    fn owner(shards: &Shards, slot: u16) -> usize {
        shards.state.read().slots[usize::from(slot)].index()
    }

    #[test]
    fn a_shard_stays_the_same_when_its_replica_becomes_the_master() {
        let shards = cluster();
        let map =
            |first: &[&str], port| vec![entry(first, port, 0..=99), entry(&["c", "d"], 3, 100..=16_383)];
        assert!(take(&shards, map(&["a", "b"], 1)));
        assert!(!take(&shards, map(&["a", "b"], 1)));
        assert!(take(&shards, map(&["b", "a"], 2)));
        assert_eq!((shards.known().len(), owner(&shards, 0), owner(&shards, 100)), (2, 0, 1));
        assert_eq!(shards.get(ShardId(0)).place().text(), "10.0.0.1:2");
    }

    #[test]
    fn slots_move_between_shards_and_a_shard_without_slots_has_nothing() {
        let shards = cluster();
        take(&shards, vec![entry(&["a"], 1, 0..=99), entry(&["c"], 3, 100..=16_383)]);
        assert!(take(&shards, vec![entry(&["c"], 3, 0..=16_000), entry(&["e"], 5, 16_001..=16_383)]));
        assert_eq!((owner(&shards, 0), owner(&shards, 16_383), shards.all().len()), (1, 2, 2));
        assert!(!shards.get(ShardId(0)).has_slots());
        take(&shards, vec![entry(&["a"], 1, 0..=99), entry(&["c"], 3, 100..=16_383)]);
        assert!(owner(&shards, 0) != 1 && shards.known().len() == 3, "an unused shard is taken first");
    }

    #[test]
    fn a_tag_leads_to_its_shard_and_a_group_to_that_of_its_keys() {
        let shards = cluster();
        take(&shards, vec![entry(&["a"], 1, 0..=99), entry(&["c"], 3, 100..=16_383)]);
        for id in [ShardId(0), ShardId(1)] {
            assert_eq!(shards.of_key(format!("p:{{{}}}", shards.tag_of(id)).as_bytes()).id, id);
        }
        for name in ["chat_lobby", "a}b", "{x"] {
            let key = format!("parlor:log:{{{name}}}");
            assert_eq!(shards.id_of(&Group::new(name)), shards.of_key(key.as_bytes()).id, "{name}");
        }
    }
}
