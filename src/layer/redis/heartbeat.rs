//! The lease: tells Redis which members this node has, and that it is alive; cleans up after nodes
//! that are not.
//!
//! | key | what |
//! |---|---|
//! | `parlor:nodes` | set of node ids |
//! | `parlor:node:<node>` | the lease: what its node tells of itself; gone 10 s after it was last alive |
//! | `parlor:node:<node>:groups` | set of groups where the node has members |
//! | `parlor:group:<group>` | set of nodes that have members in the group |
//! | `parlor:group:<group>:<node>` | set of users who are members on the node |
//! | `parlor:present:<group>` | set of users who are in the group, with those who may come back |
//! | `parlor:leaving`, `parlor:counting`, `parlor:sweep` | see `presence.lua` and `sweep.lua` |

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::{Cmd, Pipeline, Script};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::{debug, info, warn};

use super::commands::Commands;
use super::keys::NODES;
use crate::layer::NodeInfo;
use crate::layer::contract::{LEAVE_GRACE, MAX_LISTED_MEMBERS};
use crate::layer::error::LayerError;
use crate::layer::redis::membership::{Change, Changes, LocalMembership};
use crate::telemetry::Chain;
use crate::wire::group::Group;
use crate::wire::time::millis;

/// A node is taken for dead when it has been silent for so long.
const LEASE_MS: u64 = 10_000;
/// How often a node says that it is alive, and looks after the others.
const RENEWAL: Duration = Duration::from_secs(2);
/// How often those who left for good are told, by one node.
const SWEEP: Duration = Duration::from_millis(900);
/// Users in one script, which Redis does nothing else meanwhile for.
const AT_ONCE: usize = 500;

/// The scripts that keep track of nodes and users.
pub(super) struct Scripts {
    enter: Script,
    reap: Script,
    sweep: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            enter: Script::new(concat!(
                include_str!("scripts/presence.lua"),
                include_str!("scripts/enter.lua")
            )),
            reap: Script::new(concat!(
                include_str!("scripts/presence.lua"),
                include_str!("scripts/reap.lua")
            )),
            sweep: Script::new(concat!(
                include_str!("scripts/presence.lua"),
                include_str!("scripts/sweep.lua")
            )),
        }
    }
}

/// From a publish of this node to its own subscription; `None` until it was measured.
pub(super) type Lag = Arc<Mutex<Option<Duration>>>;

#[derive(Clone)]
pub(super) struct Heartbeat {
    pub(super) node: String,
    /// When it was made, in milliseconds since 1970.
    pub(super) since: u64,
    /// How long its last publish to itself took.
    pub(super) lag: Lag,
    pub(super) commands: Arc<Commands>,
    pub(super) roster: Arc<LocalMembership>,
    pub(super) scripts: Arc<Scripts>,
    /// Whether the lease could be renewed while it lasted.
    pub(super) lives: watch::Sender<bool>,
}

impl Heartbeat {
    /// Keeps Redis in line with the roster, for ever.
    pub(super) async fn run(self) {
        self.roster.forgotten(); // it has never heard of us
        let mut renewal = interval(RENEWAL);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renewed = Instant::now();
        loop {
            tokio::select! {
                _ = sweep.tick() => {
                    if let Err(error) = self.sweep().await {
                        debug!(error = %Chain(&error), "could not tell who has left");
                    }
                    continue;
                }
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
    pub(super) async fn end(&self) -> Result<(), LayerError> {
        self.commands.script(self.scripts.reap.arg(millis(LEAVE_GRACE)).arg(&self.node)).await
    }

    async fn sweep(&self) -> Result<(), LayerError> {
        let sweep = &self.scripts.sweep;
        self.commands.script(sweep.arg(&self.node).arg(millis(SWEEP)).arg(MAX_LISTED_MEMBERS)).await
    }

    async fn renew(&self) -> Result<(), LayerError> {
        let mut set = Cmd::new();
        set.arg("SET").arg(key(&self.node)).arg(self.facts()).arg("XX").arg("PX").arg(LEASE_MS);
        let renewed: Option<String> = self.commands.command(&set).await?;
        if renewed.is_none() {
            self.roster.forgotten();
        }
        self.reap().await
    }

    /// Cleans up after every node whose lease is gone. The script is atomic: each dead node is found
    /// by exactly one of the living.
    async fn reap(&self) -> Result<(), LayerError> {
        let dead: Vec<String> = self.commands.script(&self.scripts.reap.arg(millis(LEAVE_GRACE))).await?;
        for node in dead.iter().filter(|node| **node != self.node) {
            info!(node, "took a node that was silent out of every group");
        }
        Ok(())
    }

    async fn write(&self) -> Result<(), LayerError> {
        match self.roster.changes() {
            Changes::Some(changed) => self.write_users(&changed, false).await,
            Changes::All(all) => {
                self.end().await?;
                let mut arrive = Pipeline::new();
                arrive.atomic().cmd("SADD").arg(NODES).arg(&self.node).ignore();
                arrive.cmd("SET").arg(key(&self.node)).arg(self.facts()).arg("PX").arg(LEASE_MS).ignore();
                self.commands.pipeline::<()>(&arrive).await?;
                self.write_users(&all, true).await
            }
        }
    }

    async fn write_users(&self, changed: &HashMap<Group, Change>, anew: bool) -> Result<(), LayerError> {
        let begin = || {
            let mut script = self.scripts.enter.prepare_invoke();
            script
                .arg(&self.node)
                .arg(if anew { "1" } else { "" })
                .arg(millis(LEAVE_GRACE))
                .arg(MAX_LISTED_MEMBERS);
            script
        };
        let (mut script, mut users) = (begin(), 0);
        for (group, change) in changed {
            // A big group's users in parts, each a list of its own.
            let (came, left) = (Vec::from_iter(&change.came), Vec::from_iter(&change.left));
            let parts = came.len().max(left.len()).div_ceil(AT_ONCE).max(1);
            for part in 0..parts {
                script.arg(group.name()).arg(if change.present { "1" } else { "0" });
                for list in [&came, &left] {
                    let list = list.chunks(AT_ONCE).nth(part).unwrap_or_default();
                    script.arg(list.len());
                    for user in list {
                        script.arg(&***user);
                    }
                    users += list.len() + 1;
                }
                if users >= AT_ONCE {
                    self.commands.script::<()>(&script).await?;
                    (script, users) = (begin(), 0);
                }
            }
        }
        if users == 0 { Ok(()) } else { self.commands.script(&script).await }
    }

    /// What the node tells of itself.
    fn facts(&self) -> String {
        let lag = self.lag.lock().map(|lag| lag.as_secs_f64() * 1000.0);
        let facts = NodeInfo::now(&self.node, self.since, lag);
        serde_json::to_string(&facts).expect("texts and numbers become JSON")
    }
}

/// The lease of a node, and the channel on which it hears itself.
pub(super) fn key(node: &str) -> String {
    format!("parlor:node:{node}")
}
