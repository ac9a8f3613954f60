//! Injects each fault and ends it.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use tokio::time::{Instant, sleep};

use super::clients::Clients;
use super::cluster::{ChaosCluster, WHOLE_LOG};
use super::fault::{Fault, Pace};
use super::instructions::{Lifecycle, Traffic};
use super::network::Loss;
use super::store::Accounts;
use crate::support::process::Signal;
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
            Self::SubscribersKilled => cluster.store.kill_subscribers().await,
            Self::ClientsPaused => {
                cluster.store.pause(pace.clients_paused).await;
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
                cluster.store.set("maxmemory", "1").await;
                sleep(pace.redis_ill).await;
                cluster.store.set("maxmemory", "0").await;
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
                cluster.store.trim_logs().await;
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
            Self::NetworkBad => lose_packets(cluster, pace.network_bad).await,
            Self::FailoverKilled => kill_master(cluster, rng.random()).await,
            Self::FailoverFrozen | Self::FailoverReplicated => freeze_master(cluster).await,
            Self::SlotMoved
            | Self::SlotsResharded
            | Self::MasterReplaced
            | Self::MasterKilled
            | Self::MasterFrozen
            | Self::ShardAdded
            | Self::ShardDown
            | Self::ClusterKilled => self.inject_in_redis_cluster(cluster, clients, pace, rng).await,
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

/// Empties Redis, and restores the accounts after this time.
async fn flush(cluster: &mut ChaosCluster, time: Duration, seed: u64) {
    let accounts = Accounts::saved(&cluster.store).await;
    // Some clients are reconnecting at this moment; they are the ones that miss messages.
    cluster.proxy.reset(40, seed);
    sleep(Duration::from_millis(50)).await;
    cluster.store.flush().await;
    sleep(time).await;
    accounts.restore(&cluster.store).await;
}

/// Lets Redis throw away keys for this time. The accounts are restored then.
async fn evict_keys(cluster: &mut ChaosCluster, time: Duration) {
    let accounts = Accounts::saved(&cluster.store).await;
    cluster.store.evict().await;
    sleep(time).await;
    cluster.store.keep_all().await;
    accounts.restore(&cluster.store).await;
}

/// Delays and drops packets between clients, nginx and the nodes for this time.
async fn lose_packets(cluster: &mut ChaosCluster, time: Duration) {
    cluster.proxy.bad(true);
    let loss = Loss::at(&cluster.node_ports());
    let how = if loss.is_some() { "by nft, and late bytes" } else { "not by nft: late bytes only" };
    println!("packet loss: {how}");
    sleep(time).await;
    cluster.proxy.bad(false);
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
    until(PATIENCE * 3, "a log to lose its oldest messages", async || {
        holds(!cluster.store.has_logged(&missed).await, || format!("{missed} of room {room}"))
    })
    .await;
    clients.instruct(clients.members_of(room), |instructions| {
        (instructions.traffic, instructions.lifecycle) = (Traffic::Normal, Lifecycle::Connected);
    });
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
    let with_sentinels = cluster.store.with_sentinels();
    with_sentinels.second.signal(Signal::SIGSTOP);
    let _: i64 = with_sentinels.first.query(&["CLIENT", "KILL", "TYPE", "replica"]).await;
    sleep(Duration::from_millis(500)).await;
    cluster.proxy.reset(40, seed);
    sleep(Duration::from_millis(50)).await;
    let with_sentinels = cluster.store.with_sentinels();
    with_sentinels.first.kill();
    with_sentinels.second.signal(Signal::SIGCONT);
    with_sentinels.wait_for_failover().await;
}

/// The old master returns after its replacement and learns of it from the Sentinels.
async fn freeze_master(cluster: &mut ChaosCluster) {
    let with_sentinels = cluster.store.with_sentinels();
    with_sentinels.first.signal(Signal::SIGSTOP);
    with_sentinels.wait_for_failover().await;
    with_sentinels.first.signal(Signal::SIGCONT);
    with_sentinels.first.wait_for_role("slave", PATIENCE * 3).await;
}
