//! The faults of a Redis Cluster: slots that move, and masters that end.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use tokio::time::sleep;

use super::clients::{Clients, name_of};
use super::cluster::ChaosCluster;
use super::fault::{Fault, Pace};
use super::instructions::Traffic;
use crate::support::redis_cluster::SHARDS;

/// The slots of a new shard, where those of another are 1.
const WEIGHT: &str = "0.05";

impl Fault {
    pub(super) async fn inject_in_redis_cluster(
        self,
        chaos: &mut ChaosCluster,
        clients: &Clients,
        pace: &Pace,
        rng: &mut StdRng,
    ) {
        let shard = rng.random_range(0..SHARDS);
        let other = (shard + rng.random_range(1..SHARDS)) % SHARDS;
        let cluster = chaos.store.redis_cluster();
        match self {
            Self::SlotMoved => {
                let room = clients.public_rooms().choose(rng).expect("a public room");
                let members = clients.members_of(room);
                clients.instruct(members, |instructions| instructions.traffic = Traffic::Heavy { room });
                let slot = cluster.slot_of(&format!("chat_{}", name_of(room))).await;
                let to = (cluster.shard_of(slot).await + rng.random_range(1..SHARDS)) % SHARDS;
                cluster.move_slot(slot, to, sleep(pace.slot_moves)).await;
                sleep(Duration::from_millis(500)).await;
                clients.instruct(clients.all(), |instructions| instructions.traffic = Traffic::Normal);
            }
            Self::SlotsResharded => cluster.reshard(shard, other, pace.slots).await,
            Self::MasterReplaced => cluster.fail_over(shard).await,
            Self::MasterKilled => {
                cluster.kill_master(shard).await;
                cluster.wait_for_promotion(shard).await;
                cluster.restart().await;
            }
            Self::MasterFrozen => {
                cluster.freeze_master(shard).await;
                sleep(pace.master_frozen).await;
                cluster.thaw();
                cluster.wait_until_ok().await;
            }
            Self::ShardAdded => chaos.add_shard(WEIGHT).await,
            Self::ShardDown => {
                cluster.stop_shard(shard);
                sleep(pace.shard_down).await;
                cluster.restart().await;
            }
            Self::ClusterKilled => {
                for shard in 0..cluster.shards() {
                    cluster.stop_shard(shard);
                }
                sleep(pace.down).await;
                cluster.restart().await;
            }
            _ => panic!("{self:?} is no fault of a Redis Cluster alone"),
        }
    }
}
