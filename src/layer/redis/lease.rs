//! The lease: tells Redis which members this node has, and that it is alive; cleans up after nodes
//! that are not.
//!
//! | key | what |
//! |---|---|
//! | `parlor:nodes` | set of node ids |
//! | `parlor:node:<node>` | the lease: gone 10 s after its node was last alive |
//! | `parlor:node:<node>:groups` | set of groups where the node has members |
//! | `parlor:group:<group>` | set of nodes that have members in the group |
//! | `parlor:group:<group>:<node>` | set of the node's members in the group |

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Pipeline, Script};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::{debug, info, warn};

use super::commands::Commands;
use super::roster::{Change, Changes, Roster};
use crate::error::Unavailable;
use crate::group::Group;
use crate::telemetry::Chain;

/// A node is taken for dead when it has been silent for so long.
const LEASE_MS: u64 = 10_000;
/// How often a node says that it is alive, and looks after the others.
const RENEWAL: Duration = Duration::from_secs(2);
/// Commands in one pipeline.
const AT_ONCE: usize = 500;

#[derive(Clone)]
pub(super) struct Lease {
    pub(super) node: String,
    pub(super) commands: Arc<Commands>,
    pub(super) roster: Arc<Roster>,
    pub(super) reap: Arc<Script>,
    /// Whether the lease could be renewed while it lasted.
    pub(super) lives: watch::Sender<bool>,
}

impl Lease {
    /// Keeps Redis in line with the roster, for ever.
    pub(super) async fn run(self) {
        self.roster.forgotten(); // it has never heard of us
        let mut renewal = interval(RENEWAL);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renewed = Instant::now();
        loop {
            tokio::select! {
                _ = renewal.tick() => match self.renew().await {
                    Ok(()) => {
                        renewed = Instant::now();
                        if !self.lives.send_replace(true) {
                            info!("Redis takes writes again: this node has its lease back");
                        }
                    }
                    Err(error) => {
                        let lost = renewed.elapsed().as_millis() > LEASE_MS.into();
                        if lost && self.lives.send_replace(false) {
                            warn!(error = %Chain(&error), "this node has lost its lease; the others take it for dead");
                        }
                    }
                },
                () = self.roster.members_changed.notified() => {}
            }
            if let Err(error) = self.write().await {
                debug!(error = %Chain(&error), "could not write the members");
                self.roster.forgotten();
                // The next renewal tries again; do not spin meanwhile.
                sleep(RENEWAL / 4).await;
            }
        }
    }

    /// Takes the node out of every set.
    pub(super) async fn end(&self) -> Result<(), Unavailable> {
        self.commands.script(&self.reap.arg(&self.node)).await
    }

    async fn renew(&self) -> Result<(), Unavailable> {
        let mut set = Cmd::new();
        set.arg("SET").arg(self.key()).arg("alive").arg("XX").arg("PX").arg(LEASE_MS);
        let renewed: Option<String> = self.commands.command(&set).await?;
        if renewed.is_none() {
            self.roster.forgotten();
        }
        self.reap().await
    }

    /// Cleans up after every node whose lease is gone. The script is atomic: each dead node is found
    /// by exactly one of the living.
    async fn reap(&self) -> Result<(), Unavailable> {
        let dead: Vec<String> = self.commands.script(&self.reap.prepare_invoke()).await?;
        for node in dead.iter().filter(|node| **node != self.node) {
            info!(node, "took a node that was silent out of every group");
        }
        Ok(())
    }

    async fn write(&self) -> Result<(), Unavailable> {
        let changed = match self.roster.changes() {
            Changes::Some(changed) => changed,
            Changes::All(all) => {
                self.end().await?;
                let mut arrive = Pipeline::new();
                arrive.atomic().cmd("SADD").arg("parlor:nodes").arg(&self.node).ignore();
                arrive.cmd("SET").arg(self.key()).arg("alive").arg("PX").arg(LEASE_MS).ignore();
                self.commands.pipeline(&arrive).await?;
                all
            }
        };
        self.write_members(&changed).await
    }

    async fn write_members(&self, changed: &HashMap<Group, Change>) -> Result<(), Unavailable> {
        let mut pipeline = Pipeline::new();
        for (group, change) in changed {
            let members = format!("parlor:group:{group}:{}", self.node);
            let index = format!("{}:groups", self.key());
            // The index is written first and cleared last: what it does not name, nobody cleans up.
            if change.present {
                pipeline.cmd("SADD").arg(&index).arg(group.name()).ignore();
                pipeline.cmd("SADD").arg(format!("parlor:group:{group}")).arg(&self.node).ignore();
            }
            for (verb, ids) in [("SADD", &change.came), ("SREM", &change.left)] {
                if !ids.is_empty() {
                    pipeline.cmd(verb).arg(&members).arg(ids).ignore();
                }
            }
            if !change.present {
                pipeline.cmd("SREM").arg(format!("parlor:group:{group}")).arg(&self.node).ignore();
                pipeline.cmd("SREM").arg(&index).arg(group.name()).ignore();
            }
            if pipeline.len() >= AT_ONCE {
                self.commands.pipeline(&pipeline).await?;
                pipeline.clear();
            }
        }
        if pipeline.is_empty() { Ok(()) } else { self.commands.pipeline(&pipeline).await }
    }

    fn key(&self) -> String {
        format!("parlor:node:{}", self.node)
    }
}
