//! Injects one fault after another while a hundred clients send, each in five rooms on one
//! connection or in one private chat, and accounts for every message: `make chaos`. A third of them
//! speak Centrifugo's protocol.
//!
//! `CHAOS_SEED` in the environment sets the seed for nodes, clients and order; `CHAOS_SECONDS` sets
//! the minimum duration; `CHAOS_FAULT` is a part of the name of the only faults to inject.
//! A failure names its seed.

use std::time::Duration;

use cluster::ChaosCluster;
use fault::{Fault, Pace};
use scenario::{Scenario, chosen, min_duration, seed_or};

mod checker;
mod client;
mod clients;
mod cluster;
mod fault;
mod injection;
mod instructions;
mod line;
mod link;
mod listener;
mod membership;
mod network;
mod pending;
mod proxy;
mod record;
mod report;
mod resharding;
mod scenario;
mod self_test;
mod store;
mod subscription;
mod tampering;

/// A run of all chosen faults, for a machine at rest.
fn full_scenario(name: &'static str, faults: &[Fault]) -> Scenario {
    Scenario {
        name,
        seed: seed_or(rand::random()),
        clients: 100,
        rooms: 25,
        faults: chosen(faults),
        pace: Pace::FULL,
        min_duration: min_duration(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_run_loses_nothing() {
    let (faults, pace) = (Fault::SHORT.to_vec(), Pace::SHORT);
    let scenario = Scenario {
        name: "short",
        seed: seed_or(1),
        clients: 40,
        rooms: 20,
        faults,
        pace,
        min_duration: Duration::ZERO,
    };
    scenario.run(ChaosCluster::alone(pace.drain).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_run_on_a_redis_cluster_loses_nothing() {
    let (faults, pace) = (Fault::SHORT_REDIS_CLUSTER.to_vec(), Pace::SHORT);
    let scenario = Scenario {
        name: "short-redis-cluster",
        seed: seed_or(1),
        clients: 40,
        rooms: 20,
        faults,
        pace,
        min_duration: Duration::ZERO,
    };
    scenario.run(ChaosCluster::on_redis_cluster(pace.drain, 0).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: `make chaos`"]
async fn a_full_run_on_a_redis_cluster_loses_nothing() {
    let scenario = full_scenario("full-redis-cluster", &Fault::REDIS_CLUSTER);
    scenario.run(ChaosCluster::on_redis_cluster(Pace::FULL.drain, 0).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: `make chaos`"]
async fn a_full_run_loses_nothing() {
    let scenario = full_scenario("full", &Fault::ALONE);
    scenario.run(ChaosCluster::with_own_clock(Pace::FULL.drain).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes half a minute: `make chaos`"]
async fn losses_with_a_dead_master_are_reported() {
    fail_over("dead-master", Fault::FailoverKilled, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes half a minute: `make chaos`"]
async fn losses_with_a_frozen_master_are_reported() {
    fail_over("frozen-master", Fault::FailoverFrozen, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes half a minute: `make chaos`"]
async fn replicated_acks_lose_nothing_with_a_frozen_master() {
    fail_over("frozen-master-replicated", Fault::FailoverReplicated, 1).await;
}

/// Runs one failover.
async fn fail_over(name: &'static str, fault: Fault, replicas: u8) {
    let (faults, pace, seed) = (vec![fault], Pace::FULL, seed_or(rand::random()));
    let scenario =
        Scenario { name, seed, clients: 100, rooms: 25, faults, pace, min_duration: Duration::ZERO };
    scenario.run(ChaosCluster::with_sentinels(replicas).await).await;
}
