//! While a Redis Cluster moves slots and replaces masters, nodes append to groups of every shard:
//! what was acknowledged is delivered once, in order, at every node.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use parlor::{Appended, Broker, Group, IdempotencyKey, Presence};
use tokio::time::sleep;

use crate::support::layer_nodes::{LayerNode, LayerNodes, assert_chain, event, texts};
use crate::support::redis_cluster::{RedisCluster, SHARDS, SLOTS};
use crate::support::wait::{PATIENCE, holds, seconds, until};

/// Time between two messages of a node in a group.
const PACE: Duration = Duration::from_millis(15);
/// The slots of a reshard.
const RESHARDED: u16 = 1000;
/// Traffic before and after the fault.
const CALM: Duration = Duration::from_millis(500);

/// What may happen to messages that Redis has not given to a replica yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    /// Everything is delivered, and no gap is reported.
    Whole,
    /// What is missing is reported as a gap.
    WholeOrReported,
}

/// Two groups of each shard, in its first slots, which are those that a reshard moves.
async fn groups(cluster: &RedisCluster) -> Vec<Group> {
    let mut groups = vec![Vec::new(); SHARDS];
    for number in 0.. {
        let name = format!("group {number}");
        let slot = cluster.slot_of(&name).await;
        for (groups, (first, _)) in groups.iter_mut().zip(SLOTS) {
            if groups.len() < 2 && (first..first + RESHARDED).contains(&slot) {
                groups.push(Group::new(&name));
            }
        }
        if groups.iter().all(|groups| groups.len() == 2) {
            break;
        }
    }
    groups.concat()
}

/// Appends to the group as long as it goes on, each message again under its key until it is taken.
/// Returns the texts and the number of refusals.
async fn append(
    node: &LayerNode,
    group: &Group,
    number: usize,
    goes_on: &Cell<bool>,
) -> (Vec<String>, usize) {
    let (mut taken, mut refusals) = (Vec::new(), 0);
    while goes_on.get() {
        let text = format!("{number}-{}", taken.len());
        let event = event(&text);
        let key = IdempotencyKey::new(text.clone(), &event);
        until(PATIENCE * 3, &format!("{text} to be taken"), async || {
            match node.layer.append(group, &event, Some(&key)).await {
                Ok(Appended::Conflict) => panic!("{text} is no conflict"),
                Ok(_) => Ok(()),
                Err(error) => {
                    refusals += 1;
                    Err(error.to_string())
                }
            }
        })
        .await;
        taken.push(text);
        sleep(PACE).await;
    }
    (taken, refusals)
}

/// Injects the fault while two nodes append to all groups, and compares what each was delivered.
async fn under_load(
    cluster_settings: &[&str],
    promise: Promise,
    fault: impl AsyncFnOnce(&mut RedisCluster, &[Group]),
) {
    let (nodes, mut cluster) = LayerNodes::with_cluster(RedisCluster::with(cluster_settings).await).await;
    let groups = groups(&cluster).await;
    for node in &nodes {
        for group in &groups {
            node.enter(group, "ann").await;
        }
    }
    let goes_on = Cell::new(true);
    let senders = groups.iter().flat_map(|group| {
        let nodes = nodes.iter().enumerate();
        nodes.map(|(number, node)| append(node, group, number, &goes_on)).collect::<Vec<_>>()
    });
    let storm = async {
        sleep(CALM).await;
        fault(&mut cluster, &groups).await;
        sleep(CALM).await;
        goes_on.set(false);
    };
    let (sent, ()) = tokio::join!(join_all(senders), storm);
    for (group, sent) in groups.iter().zip(sent.chunks(nodes.len())) {
        let sent: BTreeSet<&String> = sent.iter().flat_map(|(taken, _)| taken).collect();
        assert!(sent.len() > 2 * nodes.len(), "{group}: {} messages", sent.len());
        nodes[0].append(group, "last", None).await;
        for node in &nodes {
            compare(node, group, &sent, promise).await;
        }
    }
    let errors = cluster.errors().await;
    assert_eq!(errors.get("CROSSSLOT"), None, "{errors:?}");
}

/// Waits for the last message and compares what came before it with what was sent.
async fn compare(node: &LayerNode, group: &Group, sent: &BTreeSet<&String>, promise: Promise) {
    let mut received = until(PATIENCE, &format!("the last message of {group}"), async || {
        let texts = texts(&node.events(group));
        holds(texts.last().is_some_and(|text| text == "last"), || format!("{texts:?}")).map(|()| texts)
    })
    .await;
    received.pop();
    let gaps = node.gaps(group);
    let once: BTreeSet<&String> = received.iter().collect();
    let missing: Vec<_> = sent.difference(&once).collect();
    if promise == Promise::Whole || gaps.is_empty() {
        assert!(missing.is_empty(), "{group} at {}: {missing:?} are missing", node.layer.node_name());
        assert_eq!(received.len(), once.len(), "each once: {received:?}");
        assert_chain(&node.events(group));
    }
    if promise == Promise::Whole {
        assert!(gaps.is_empty(), "{group} at {}: {gaps:?}", node.layer.node_name());
    }
    assert!(once.is_subset(sent), "{:?} were not sent", once.difference(sent));
    for number in 0..2 {
        let prefix = format!("{number}-");
        let own = received.iter().filter_map(|text| text.strip_prefix(&prefix)?.parse::<usize>().ok());
        assert!(own.is_sorted(), "node {number} in {group}: {received:?}");
    }
}

#[tokio::test]
async fn a_busy_slot_moved_by_hand_loses_nothing() {
    under_load(&[], Promise::Whole, async |cluster, groups| {
        let slot = cluster.slot_of(groups[0].name()).await;
        cluster.move_slot(slot, 1, sleep(seconds(2))).await;
        assert_eq!(cluster.shard_of(slot).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_reshard_of_a_thousand_slots_loses_nothing() {
    under_load(&[], Promise::Whole, async |cluster, groups| {
        cluster.reshard(0, 1, RESHARDED.into()).await;
        for group in &groups[..2] {
            assert_eq!(cluster.shard_of(cluster.slot_of(group.name()).await).await, 1);
        }
    })
    .await;
}

#[tokio::test]
async fn a_failover_that_an_operator_asks_for_loses_nothing() {
    under_load(&[], Promise::Whole, async |cluster, _| cluster.fail_over(1).await).await;
}

#[tokio::test]
async fn a_killed_master_loses_nothing_unreported() {
    under_load(&[], Promise::WholeOrReported, async |cluster, _| {
        cluster.kill_master(2).await;
        cluster.wait_for_promotion(2).await;
        cluster.restart().await;
    })
    .await;
}

#[tokio::test]
async fn a_master_frozen_for_five_seconds_loses_nothing_unreported() {
    under_load(&[], Promise::WholeOrReported, async |cluster, _| {
        cluster.freeze_master(0).await;
        sleep(seconds(5)).await;
        cluster.thaw();
        cluster.wait_until_ok().await;
    })
    .await;
}

#[tokio::test]
async fn an_empty_shard_that_is_added_and_rebalanced_loses_nothing() {
    under_load(&[], Promise::Whole, async |cluster, _| {
        let shard = cluster.add_shard("0.1").await;
        assert!(cluster.slots_in(shard).await > 100);
    })
    .await;
}

#[tokio::test]
async fn groups_of_other_shards_go_on_while_one_is_down() {
    let settings =
        ["--cluster-require-full-coverage", "no", "--appendonly", "yes", "--appendfsync", "always"];
    under_load(&settings, Promise::WholeOrReported, async |cluster, _| {
        cluster.stop_shard(1);
        sleep(seconds(4)).await;
        cluster.restart().await;
    })
    .await;
}
