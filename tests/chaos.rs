//! One fault after another while a hundred clients talk, and what became of every message: `make chaos`.
//!
//! The environment may set `CHAOS_SEED` (which node, which clients, which order) and `CHAOS_SECONDS` (how
//! long at least). A failure names its seed.

use std::time::Duration;

use fault::{Fault, Pace};
use run::{Script, least, seed_or};
use stage::Stage;

mod cast;
mod checker;
mod fault;
mod gate;
mod mischief;
mod network;
mod orders;
mod pending;
mod record;
mod resident;
mod run;
mod sabotage;
mod stage;
mod strike;
mod table;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_run_loses_nothing() {
    let (faults, pace) = (Fault::SHORT.to_vec(), Pace::SHORT);
    let script = Script {
        name: "short",
        seed: seed_or(1),
        clients: 40,
        rooms: 4,
        faults,
        pace,
        least: Duration::ZERO,
    };
    script.play(Stage::alone(pace.drain).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: `make chaos`"]
async fn a_full_run_loses_nothing() {
    let (faults, pace) = (Fault::ALONE.to_vec(), Pace::FULL);
    let script = Script {
        name: "full",
        seed: seed_or(rand::random()),
        clients: 100,
        rooms: 5,
        faults,
        pace,
        least: least(),
    };
    script.play(Stage::alone(pace.drain).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes half a minute: `make chaos`"]
async fn losses_with_a_dead_master_are_announced() {
    fail_over("dead-master", Fault::FailoverKilled, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes half a minute: `make chaos`"]
async fn losses_with_a_frozen_master_are_announced() {
    fail_over("frozen-master", Fault::FailoverFrozen, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes half a minute: `make chaos`"]
async fn replicated_acks_lose_nothing_with_a_frozen_master() {
    fail_over("frozen-master-replicated", Fault::FailoverReplicated, 1).await;
}

/// The run around one failover.
async fn fail_over(name: &'static str, fault: Fault, replicas: u8) {
    let (faults, pace, seed) = (vec![fault], Pace::FULL, seed_or(rand::random()));
    let script = Script { name, seed, clients: 100, rooms: 5, faults, pace, least: Duration::ZERO };
    script.play(Stage::guarded(replicas).await).await;
}
