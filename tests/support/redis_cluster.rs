//! A private Redis Cluster: three masters, a replica of each, and the faults that a Cluster has.
//!
//! A shard is a master and its replica. It keeps its number when they change places.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::process::Command;
use std::thread;

use futures_util::future::join_all;

use super::redis::{Redis, free_port};
use super::wait::{PATIENCE, holds, until};

mod faults;
mod slots;
mod view;

/// A server that does not answer for this many milliseconds counts as failed.
const NODE_TIMEOUT: &str = "1500";
/// The shards at the start, with their slots.
pub const SLOTS: [(u16, u16); 3] = [(0, 5460), (5461, 10_922), (10_923, 16_383)];
/// The number of shards at the start.
pub const SHARDS: usize = SLOTS.len();

pub struct RedisCluster {
    /// The masters at the start, a replica of each in the same order, and servers that were added.
    servers: Vec<Server>,
    /// Settings beyond those of every test's Cluster.
    settings: Vec<String>,
}

struct Server {
    redis: Redis,
    /// Its name in the Cluster.
    id: String,
    bus_port: u16,
    shard: usize,
    /// A signal has stopped it.
    is_frozen: bool,
}

impl RedisCluster {
    /// Starts a Cluster; retries when another program takes a free port first.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts a Cluster of servers with these settings, as in `--appendonly yes`.
    pub async fn with(settings: &[&str]) -> Self {
        for _ in 0..10 {
            let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
            let mut cluster = Self { servers: Vec::new(), settings };
            if cluster.try_start().await {
                cluster.wait_until_ok().await;
                return cluster;
            }
        }
        panic!("a free port was lost ten times, or redis-server does not start");
    }

    /// Starts the servers with files that name the owners of all slots.
    ///
    /// A master takes no commands for two seconds after its start, but a replica that takes over
    /// does at once. Thus the masters start as replicas, and the replicas as masters.
    async fn try_start(&mut self) -> bool {
        for number in 0..2 * SHARDS {
            let server = self.reserve(number % SHARDS);
            self.servers.push(server);
        }
        self.write_nodes();
        let (masters, replicas) = self.servers.split_at_mut(SHARDS);
        // A replica asks a server that does not listen yet again after a second.
        for servers in [replicas, masters] {
            let started = join_all(servers.iter_mut().map(|server| server.redis.try_start())).await;
            if started.contains(&false) {
                return false;
            }
        }
        for shard in 0..SHARDS {
            self.take_over(shard).await;
        }
        true
    }

    /// Reserves the ports of a server.
    fn reserve(&self, shard: usize) -> Server {
        let bus_port = free_port();
        let settings = [
            ["--cluster-enabled", "yes"],
            ["--cluster-port", &bus_port.to_string()],
            ["--cluster-node-timeout", NODE_TIMEOUT],
            ["--cluster-allow-replica-migration", "no"],
            ["--repl-diskless-sync-delay", "0"],
        ];
        let settings = settings.iter().flatten().map(|&setting| setting.to_owned());
        let redis = Redis::reserve_with(settings.chain(self.settings.iter().cloned()).collect());
        let id = format!("{:08x}{:032x}", rand::random::<u32>(), rand::random::<u128>());
        Server { redis, id, bus_port, shard, is_frozen: false }
    }

    /// Writes the file of each server in which it keeps what it knows of all.
    fn write_nodes(&self) {
        let (replicas, masters) = self.servers.split_at(SHARDS);
        for own in &self.servers {
            let mut text = format!("vars currentEpoch {SHARDS} lastVoteEpoch 0\n");
            for (shard, (replica, master)) in replicas.iter().zip(masters).enumerate() {
                let (epoch, (first, last)) = (shard + 1, SLOTS[shard]);
                let name = |server: &Server| {
                    let place = format!("{} {}@{}", server.id, server.redis.address(), server.bus_port);
                    if server.id == own.id { place + " myself," } else { place + " " }
                };
                let (replica, owner) = (name(replica), name(master));
                writeln!(text, "{owner}master - 0 0 {epoch} connected {first}-{last}").expect("a line");
                writeln!(text, "{replica}slave {} 0 0 {epoch} connected", master.id).expect("a line");
            }
            fs::write(own.redis.directory().join("nodes.conf"), text).expect("a file for the Cluster");
        }
    }

    /// The URL in a node's settings, with the addresses of all servers.
    pub fn url(&self) -> String {
        let addresses: Vec<_> = self.servers.iter().map(|server| server.redis.address()).collect();
        format!("redis+cluster://{}", addresses.join(","))
    }

    /// The servers that run and answer.
    pub fn servers(&self) -> impl Iterator<Item = &Redis> {
        self.live().map(|server| &server.redis)
    }

    fn live(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().filter(|server| server.redis.is_started() && !server.is_frozen)
    }

    /// The number of shards.
    pub fn shards(&self) -> usize {
        self.servers.iter().map(|server| server.shard + 1).max().unwrap_or_default()
    }

    /// The masters of the shards in order.
    pub async fn masters(&self) -> Vec<&Redis> {
        let mut masters = Vec::new();
        for shard in 0..self.shards() {
            masters.push(self.master(shard).await);
        }
        masters
    }

    /// The master of a shard.
    pub async fn master(&self, shard: usize) -> &Redis {
        &self.servers[self.master_index(shard).await].redis
    }

    /// The replica of a shard.
    pub async fn replica(&self, shard: usize) -> &Redis {
        &self.servers[self.replica_index(shard).await].redis
    }

    async fn replica_index(&self, shard: usize) -> usize {
        let master = self.master_index(shard).await;
        let others = (0..self.servers.len()).filter(|index| *index != master);
        let mut others = others.filter(|index| self.servers[*index].shard == shard);
        others.next().expect("a shard with a replica")
    }

    /// Of two servers that both are a master, the one with the newer right.
    async fn master_index(&self, shard: usize) -> usize {
        until(PATIENCE, &format!("a master of shard {shard}"), async || {
            let mut masters = BTreeMap::new();
            for (index, server) in self.servers.iter().enumerate() {
                if server.shard == shard && server.redis.is_started() && !server.is_frozen {
                    let own = server.view().await?.own;
                    masters.extend(own.is_master().then_some((own.epoch, index)));
                }
            }
            masters.pop_last().map(|(_, index)| index).ok_or_else(|| "none".to_owned())
        })
        .await
    }

    /// Waits until all servers that run agree on all slots, and each replica has a link to its
    /// master.
    pub async fn wait_until_ok(&self) {
        until(PATIENCE * 2, "a Cluster that is ok everywhere", async || {
            let live: Vec<&str> = self.live().map(|server| server.id.as_str()).collect();
            let mut first = None;
            for server in self.live() {
                let view = server.view().await?;
                let nodes = view.settled(&live)?;
                holds(first.is_none() || first.as_ref() == Some(&nodes), || format!("{first:?}, {nodes:?}"))?;
                first = Some(nodes);
                let state: String = server.ask(&["CLUSTER", "INFO"]).await?;
                holds(state.contains("cluster_state:ok"), || state.clone())?;
                let link: String = server.ask(&["INFO", "replication"]).await?;
                let is_linked = view.own.is_master() || link.contains("master_link_status:up");
                holds(is_linked, || link.clone())?;
            }
            Ok(())
        })
        .await;
    }

    /// Empties all masters.
    pub async fn flush(&self) {
        for master in self.masters().await {
            let _: String = master.query(&["FLUSHALL"]).await;
        }
    }

    /// The number of calls of each command that have failed, as in `evalsha`.
    pub async fn failed_calls(&self) -> BTreeMap<String, u64> {
        let mut failed = BTreeMap::new();
        for server in self.servers() {
            let stats: String = server.query(&["INFO", "commandstats"]).await;
            for line in stats.lines().filter_map(|line| line.strip_prefix("cmdstat_")) {
                let (command, figures) = line.split_once(':').expect("a command and its figures");
                let count = figures.split(',').find_map(|figure| figure.strip_prefix("failed_calls="));
                let count: u64 = count.expect("a count").parse().expect("a number");
                if count > 0 {
                    *failed.entry(command.to_owned()).or_default() += count;
                }
            }
        }
        failed
    }

    /// The number of errors of each kind that all servers have answered, as in `CROSSSLOT`.
    pub async fn errors(&self) -> BTreeMap<String, u64> {
        let mut errors = BTreeMap::new();
        for server in self.servers() {
            let stats: String = server.query(&["INFO", "errorstats"]).await;
            for line in stats.lines().filter_map(|line| line.strip_prefix("errorstat_")) {
                let (kind, count) = line.split_once(":count=").expect("a kind and a count");
                *errors.entry(kind.to_owned()).or_default() += count.parse::<u64>().expect("a count");
            }
        }
        errors
    }
}

/// Whatever a test did on a Cluster, no command had keys of several slots.
impl Drop for RedisCluster {
    fn drop(&mut self) {
        for server in self.live().filter(|_| !thread::panicking()) {
            let mut command = Command::new("timeout");
            command.args(["3", "redis-cli", "-p", &server.redis.port().to_string(), "INFO", "errorstats"]);
            let stats = command.output().expect("redis-cli").stdout;
            let stats = String::from_utf8_lossy(&stats);
            assert!(!stats.contains("errorstat_CROSSSLOT"), "a command had keys of several slots: {stats}");
        }
    }
}
