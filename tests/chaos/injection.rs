//! Injects each fault and ends it.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use tokio::time::{Instant, sleep};

use super::clients::Clients;
use super::cluster::{ChaosCluster, Store, WHOLE_LOG};
use super::fault::{Fault, Pace};
use super::instructions::{Lifecycle, Traffic};
use super::network::Loss;
use crate::support::process::Signal;
use crate::support::redis::Redis;
use crate::support::redis_proxy::Direction;
use crate::support::wait::{PATIENCE, holds, until};

/// Reset storms in sequence.
const STORMS: usize = 3;
/// Messages that a short log keeps.
const SHORT_LOG: usize = 50;

impl Fault {
    /// Injects the fault, waits for its duration, and ends it. Each sleep is the length of a fault.
    pub async fn inject(self, cluster: &mut ChaosCluster, clients: &Clients, pace: &Pace, rng: &mut StdRng) {
        let node = rng.random_range(0..3);
        match self {
            Self::NodeKilled => {
                cluster.victim(node).kill();
                sleep(pace.down).await;
                cluster.revive().await;
            }
            Self::NodeFrozen => {
                cluster.victim(node).signal(Signal::SIGSTOP);
                sleep(pace.node_frozen).await;
                // It ends by itself when it notices.
                cluster.victim(node).signal(Signal::SIGCONT);
            }
            Self::NodesRestarted => restart_nodes(cluster, pace.drain).await,
            Self::SubscribersKilled => {
                let _: i64 = cluster.redis().query(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
            }
            Self::ClientsPaused => {
                let time = pace.clients_paused.as_millis().to_string();
                let _: String = cluster.redis().query(&["CLIENT", "PAUSE", &time, "ALL"]).await;
                sleep(pace.clients_paused).await;
            }
            Self::RedisKilled => {
                cluster.redis().kill();
                sleep(pace.down).await;
                cluster.redis().restart().await;
            }
            Self::RedisFrozen => {
                cluster.redis().signal(Signal::SIGSTOP);
                sleep(pace.redis_frozen).await;
                cluster.redis().signal(Signal::SIGCONT);
            }
            Self::RedisFlushed => flush(cluster, pace.redis_ill, rng.random()).await,
            Self::NodeCutOff => {
                cluster.link(node).cut();
                sleep(pace.node_cut_off).await;
                cluster.link(node).open();
            }
            Self::NodeDeaf | Self::NodeMute => {
                let deaf = self == Self::NodeDeaf;
                cluster.link(node).hold(if deaf { Direction::FromRedis } else { Direction::ToRedis });
                sleep(pace.node_cut_off).await;
                cluster.link(node).open();
            }
            Self::WritesRefused => {
                set(cluster, "maxmemory", "1").await;
                sleep(pace.redis_ill).await;
                set(cluster, "maxmemory", "0").await;
            }
            Self::DiskFull => {
                cluster.redis().fill_disk();
                cluster.redis().wait_for_end().await;
                sleep(pace.down).await;
                cluster.redis().restart().await;
            }
            Self::LogsTrimmed => {
                cluster.proxy.reset(40, rng.random());
                sleep(Duration::from_millis(50)).await;
                trim_logs(cluster.redis()).await;
            }
            Self::LogShort => {
                cluster.set_log_messages(node, SHORT_LOG);
                restart_node(cluster, node, pace.drain).await;
                outlast_log(cluster, clients, pace.clients_away, rng).await;
                cluster.set_log_messages(node, WHOLE_LOG);
                restart_node(cluster, node, pace.drain).await;
            }
            Self::KeysEvicted => evict_keys(cluster, pace.redis_ill).await,
            Self::RedisSwapped => {
                let older = cluster.redis().detached_copy().await;
                sleep(Duration::from_secs(1)).await;
                cluster.swap_redis(older);
            }
            Self::ClockStepped => {
                cluster.redis().step_clock(3600);
                sleep(pace.redis_ill).await;
                cluster.redis().step_clock(0);
            }
            Self::ReadersStalled => stall_readers(clients, pace, rng).await,
            Self::ConnectionsReset => {
                for _ in 0..STORMS {
                    cluster.proxy.reset(35, rng.random());
                    sleep(Duration::from_millis(rng.random_range(200..600))).await;
                }
            }
            Self::NetworkBad => {
                cluster.proxy.bad(true);
                let loss = Loss::at(&cluster.node_ports());
                let how =
                    if loss.is_some() { "by nft, and late bytes" } else { "not by nft: late bytes only" };
                println!("packet loss: {how}");
                sleep(pace.network_bad).await;
                cluster.proxy.bad(false);
            }
            Self::FailoverKilled => kill_master(cluster, rng.random()).await,
            Self::FailoverFrozen | Self::FailoverReplicated => freeze_master(cluster).await,
        }
    }

    /// Waits until all clients have recovered.
    pub async fn recover(
        cluster: &mut ChaosCluster,
        clients: &Clients,
        limit: Duration,
    ) -> Result<(), String> {
        let (start, end) = (clients.now(), Instant::now() + limit);
        loop {
            cluster.revive().await;
            match clients.wait_until_settled(&start, Duration::from_millis(300)).await {
                Err(missing) if Instant::now() > end => {
                    return Err(format!("{limit:?} passed, and {missing}"));
                }
                Err(_) => {}
                Ok(()) => return Ok(()),
            }
        }
    }
}

/// Sets a setting of the running Redis.
async fn set(cluster: &mut ChaosCluster, setting: &str, value: &str) {
    let _: String = cluster.redis().query(&["CONFIG", "SET", setting, value]).await;
}

/// Empties Redis, and restores the accounts after this time.
async fn flush(cluster: &mut ChaosCluster, time: Duration, seed: u64) {
    let accounts = Accounts::saved(cluster.redis()).await;
    // Some clients are reconnecting at this moment; they are the ones that miss messages.
    cluster.proxy.reset(40, seed);
    sleep(Duration::from_millis(50)).await;
    let _: String = cluster.redis().query(&["FLUSHALL"]).await;
    sleep(time).await;
    accounts.restore(cluster.redis()).await;
}

/// Makes Redis throw away one key of fifty, and as many as are written for this time. The accounts
/// are restored then.
async fn evict_keys(cluster: &mut ChaosCluster, time: Duration) {
    let accounts = Accounts::saved(cluster.redis()).await;
    set(cluster, "maxmemory-policy", "allkeys-random").await;
    let used: String = cluster.redis().query(&["INFO", "memory"]).await;
    let used = used.lines().find_map(|line| line.strip_prefix("used_memory:"));
    let used: u64 = used.and_then(|used| used.trim().parse().ok()).expect("the memory in use");
    set(cluster, "maxmemory", &(used - used / 50).to_string()).await;
    sleep(time).await;
    set(cluster, "maxmemory", "0").await;
    set(cluster, "maxmemory-policy", "noeviction").await;
    accounts.restore(cluster.redis()).await;
}

/// Ends one node after another, each with its drain, and starts it again.
async fn restart_nodes(cluster: &mut ChaosCluster, drain: u64) {
    for node in 0..3 {
        restart_node(cluster, node, drain).await;
    }
}

async fn restart_node(cluster: &mut ChaosCluster, index: usize, drain: u64) {
    let node = cluster.victim(index);
    node.terminate();
    let status = node.exit(PATIENCE + Duration::from_secs(drain)).await;
    if status.code() != Some(0) {
        cluster.unexpected_exits.push(format!("a node ended with {status} after SIGTERM"));
    }
    cluster.revive().await;
}

/// Holds two members of one room away until its log no longer has what they missed. The others
/// send, those by event stream on connections of which each node gets some.
async fn outlast_log(cluster: &mut ChaosCluster, clients: &Clients, time: Duration, rng: &mut StdRng) {
    let room = clients.rooms_with_streams().into_iter().choose(rng).expect("a room");
    let (sockets, streams) = clients.sockets_and_streams_of(room);
    let (away, others) = sockets.split_at(2);
    let senders = streams.iter().chain(others).copied();
    clients.instruct(senders, |instructions| instructions.traffic = Traffic::Heavy { room });
    let missed = clients.hold_away(away, room, others[0]).await;
    sleep(time).await;
    let redis = cluster.redis();
    until(PATIENCE * 3, "a log to lose its oldest messages", async || {
        holds(!has_logged(redis, &missed).await, || format!("{missed} of room {room}"))
    })
    .await;
    clients.instruct(clients.members_of(room), |instructions| {
        (instructions.traffic, instructions.lifecycle) = (Traffic::Normal, Lifecycle::Connected);
    });
}

/// Whether any log has a message with this id.
async fn has_logged(redis: &Redis, id: &str) -> bool {
    for log in redis.keys("parlor:log:*").await {
        let entries: redis::Value = redis.query(&["XRANGE", &log, id, id]).await;
        if entries != redis::Value::Array(Vec::new()) {
            return true;
        }
    }
    false
}

/// The accounts and logins, as an operator has them from a backup.
struct Accounts(Vec<(String, Vec<u8>)>);

impl Accounts {
    async fn saved(redis: &Redis) -> Self {
        let mut records = Vec::new();
        for key in redis.keys("parlor:record:*").await {
            let dump: Option<Vec<u8>> = redis.query(&["DUMP", &key]).await;
            records.extend(dump.map(|dump| (key, dump)));
        }
        Self(records)
    }

    /// Restores those that Redis has no more.
    async fn restore(self, redis: &Redis) {
        for (key, dump) in self.0 {
            if !redis.exists(&key).await {
                let _: String = redis.query(&[b"RESTORE", key.as_bytes(), b"0", &dump]).await;
            }
        }
    }
}

/// Leaves two messages in each stream.
async fn trim_logs(redis: &Redis) {
    for key in redis.keys("*").await {
        let kind: String = redis.query(&["TYPE", &key]).await;
        if kind == "stream" {
            let _: i64 = redis.query(&["XTRIM", &key, "MAXLEN", "2"]).await;
        }
    }
}

/// Stops two readers of one room while its other members send more than their queues hold.
async fn stall_readers(clients: &Clients, pace: &Pace, rng: &mut StdRng) {
    if let Some(room) = clients.rooms().into_iter().choose(rng) {
        let members = clients.members_of(room);
        clients
            .instruct(members.choose_multiple(rng, 2).copied(), |instructions| instructions.stalled = true);
        clients.instruct(members, |instructions| instructions.traffic = Traffic::Heavy { room });
    }
    sleep(pace.readers_stalled).await;
    clients.instruct(clients.all(), |instructions| {
        (instructions.traffic, instructions.stalled) = (Traffic::Normal, false);
    });
}

/// Messages acked after the replica lost its master are gone, and clients that were away never
/// received them.
async fn kill_master(cluster: &mut ChaosCluster, seed: u64) {
    let Store::SentinelCluster(with_sentinels) = &mut cluster.store else {
        panic!("a failover needs Sentinels")
    };
    with_sentinels.second.signal(Signal::SIGSTOP);
    let _: i64 = with_sentinels.first.query(&["CLIENT", "KILL", "TYPE", "replica"]).await;
    sleep(Duration::from_millis(500)).await;
    cluster.proxy.reset(40, seed);
    sleep(Duration::from_millis(50)).await;
    with_sentinels.first.kill();
    with_sentinels.second.signal(Signal::SIGCONT);
    with_sentinels.wait_for_failover().await;
}

/// The old master returns after its replacement and learns of it from the Sentinels.
async fn freeze_master(cluster: &mut ChaosCluster) {
    let Store::SentinelCluster(with_sentinels) = &mut cluster.store else {
        panic!("a failover needs Sentinels")
    };
    with_sentinels.first.signal(Signal::SIGSTOP);
    with_sentinels.wait_for_failover().await;
    with_sentinels.first.signal(Signal::SIGCONT);
    with_sentinels.first.wait_for_role("slave", PATIENCE * 3).await;
}
