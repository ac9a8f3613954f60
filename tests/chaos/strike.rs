//! How each fault is done, and undone.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use tokio::time::{Instant, sleep};

use super::cast::Cast;
use super::fault::{Fault, Pace};
use super::network::Loss;
use super::orders::Voice;
use super::stage::{Stage, Store};
use crate::support::process::Signal;
use crate::support::wait::{PATIENCE, until};

/// Storms of resets, one after another.
const STORMS: usize = 3;

impl Fault {
    /// Does it, waits as long as it lasts, and ends it. Each sleep is the length of a fault.
    pub async fn strike(self, stage: &mut Stage, cast: &Cast, pace: &Pace, dice: &mut StdRng) {
        let node = dice.random_range(0..3);
        match self {
            Self::NodeKilled => {
                stage.doom(node).kill();
                sleep(pace.away).await;
                stage.revive().await;
            }
            Self::NodeFrozen => {
                stage.doom(node).signal(Signal::STOP);
                sleep(pace.node_frozen).await;
                // It ends itself when it finds out.
                stage.doom(node).signal(Signal::CONT);
            }
            Self::NodesRestarted => {
                for node in 0..3 {
                    let node = stage.doom(node);
                    node.terminate();
                    let status = node.exit(PATIENCE + Duration::from_secs(pace.drain)).await;
                    if status.code() != Some(0) {
                        stage.surprises.push(format!("a node ended with {status} after SIGTERM"));
                    }
                    stage.revive().await;
                }
            }
            Self::SubscribersKilled => {
                let _: i64 = stage.redis().query(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
            }
            Self::ClientsPaused => {
                let time = pace.clients_paused.as_millis().to_string();
                let _: String = stage.redis().query(&["CLIENT", "PAUSE", &time, "ALL"]).await;
                sleep(pace.clients_paused).await;
            }
            Self::RedisKilled => {
                stage.redis().kill();
                sleep(pace.away).await;
                stage.redis().restart().await;
            }
            Self::RedisFrozen => {
                stage.redis().signal(Signal::STOP);
                sleep(pace.redis_frozen).await;
                stage.redis().signal(Signal::CONT);
            }
            Self::RedisFlushed => {
                // Some are on their way back when it happens: they are the ones that miss something.
                stage.gate.reset(40, dice.random());
                sleep(Duration::from_millis(50)).await;
                let _: String = stage.redis().query(&["FLUSHALL"]).await;
            }
            Self::ReadersStalled => stall_readers(cast, pace, dice).await,
            Self::ConnectionsReset => {
                for _ in 0..STORMS {
                    stage.gate.reset(35, dice.random());
                    sleep(Duration::from_millis(dice.random_range(200..600))).await;
                }
            }
            Self::NetworkBad => {
                stage.gate.bad(true);
                let loss = Loss::at(&stage.node_ports());
                let how =
                    if loss.is_some() { "by nft, and late bytes" } else { "not by nft: late bytes only" };
                println!("packet loss: {how}");
                sleep(pace.network_bad).await;
                stage.gate.bad(false);
            }
            Self::FailoverKilled => kill_master(stage, dice.random()).await,
            Self::FailoverFrozen | Self::FailoverReplicated => freeze_master(stage).await,
        }
    }

    /// Waits until everybody is well after it.
    pub async fn heal(stage: &mut Stage, cast: &Cast, limit: Duration) -> Result<(), String> {
        let end = Instant::now() + limit;
        loop {
            stage.revive().await;
            match cast.at_rest(Duration::from_millis(300)).await {
                Err(missing) if Instant::now() > end => {
                    return Err(format!("{limit:?} passed, and {missing}"));
                }
                Err(_) => {}
                Ok(()) => return Ok(()),
            }
        }
    }
}

/// In one room two stop reading while the others say so much that it cannot be kept for them.
async fn stall_readers(cast: &Cast, pace: &Pace, dice: &mut StdRng) {
    if let Some(room) = cast.rooms().into_iter().choose(dice) {
        let members = cast.members_of(room);
        cast.order(members.choose_multiple(dice, 2).copied(), |orders| orders.deaf = true);
        cast.order(members, |orders| orders.voice = Voice::Loud);
    }
    sleep(pace.readers_stalled).await;
    cast.order(cast.everybody(), |orders| (orders.voice, orders.deaf) = (Voice::Plain, false));
}

/// What was acked after the replica lost its master is gone for good, and who was away just then never had
/// it.
async fn kill_master(stage: &mut Stage, seed: u64) {
    let Store::SentinelCluster(guarded) = &mut stage.store else { panic!("a failover needs Sentinels") };
    guarded.second.signal(Signal::STOP);
    let _: i64 = guarded.first.query(&["CLIENT", "KILL", "TYPE", "replica"]).await;
    sleep(Duration::from_millis(500)).await;
    stage.gate.reset(40, seed);
    sleep(Duration::from_millis(50)).await;
    guarded.first.kill();
    guarded.second.signal(Signal::CONT);
    guarded.wait_for_failover().await;
}

/// The old master comes back when it is one no more, and finds that out from the Sentinels.
async fn freeze_master(stage: &mut Stage) {
    let Store::SentinelCluster(guarded) = &mut stage.store else { panic!("a failover needs Sentinels") };
    guarded.first.signal(Signal::STOP);
    guarded.wait_for_failover().await;
    guarded.first.signal(Signal::CONT);
    until(PATIENCE * 3, "the old master to be a replica", async || {
        let info: String = guarded.first.query(&["INFO", "replication"]).await;
        if info.contains("role:slave") { Ok(()) } else { Err(info) }
    })
    .await;
}
