//! The heartbeat: renews this node's lease, writes its members to Redis, and removes dead nodes.
//!
//! | key | type | value |
//! |---|---|---|
//! | `parlor:nodes` | set | names of nodes |
//! | `parlor:node:<node>` | string | the lease, for 10 s: what the node reports of itself |
//! | `parlor:node:<node>:groups` | set | groups in which the node has members |
//! | `parlor:group:<group>` | set | nodes that have members in the group |
//! | `parlor:group:<group>:<node>` | set | users who are members on the node |
//! | `parlor:present:<group>` | set | users in the group, with those in their grace |
//! | `parlor:leaving`, `parlor:counting`, `parlor:sweep` | | see `presence.lua` and `sweep.lua` |

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::{Cmd, Pipeline};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::{debug, info, warn};

use crate::layer::contract::{LEAVE_GRACE, MAX_LISTED_MEMBERS};
use crate::layer::error::LayerError;
use crate::layer::listener::LayerListener;
use crate::layer::node_info::NodeInfo;
use crate::layer::redis::commands::Commands;
use crate::layer::redis::membership::{GroupChange, LocalMembership, MembershipChanges};
use crate::layer::redis::scripts::Scripts;
use crate::telemetry::Chain;
use crate::wire::group::Group;
use crate::wire::time::millis;

/// Lifetime of a lease. A node without one is dead.
const LEASE_MILLIS: u64 = 10_000;
/// Time between two renewals, and between two searches for dead nodes.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(2);
/// Time between two sweeps, each made by one of the nodes.
const SWEEP_INTERVAL: Duration = Duration::from_millis(900);
/// Users that one script writes; Redis does nothing else meanwhile.
const MAX_SCRIPT_USERS: usize = 500;

/// Time from a publish of this node to its own subscription; `None` before the first measurement.
pub(super) type MeasuredLag = Arc<Mutex<Option<Duration>>>;

#[derive(Clone)]
pub(super) struct Heartbeat {
    /// The name of this node.
    pub(super) node: String,
    /// Time of the node's start, in Unix milliseconds.
    pub(super) since: u64,
    pub(super) lag: MeasuredLag,
    pub(super) listener: Arc<dyn LayerListener>,
    pub(super) commands: Arc<Commands>,
    pub(super) membership: Arc<LocalMembership>,
    pub(super) scripts: Arc<Scripts>,
    /// Whether the lease was renewed before it expired.
    pub(super) has_lease: watch::Sender<bool>,
}

impl Heartbeat {
    /// Keeps Redis in line with the local membership. Never returns.
    pub(super) async fn run(self) {
        self.membership.mark_unknown(); // Redis does not know this node
        let mut renewal = interval(RENEWAL_INTERVAL);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sweep = interval(SWEEP_INTERVAL);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renewed_at = Instant::now();
        loop {
            tokio::select! {
                _ = sweep.tick() => {
                    if let Err(error) = self.sweep().await {
                        debug!(error = %Chain(&error), "sweep of left users failed");
                    }
                    continue;
                }
                _ = renewal.tick() => match self.renew().await {
                    Ok(()) => {
                        renewed_at = Instant::now();
                        if !self.has_lease.send_replace(true) {
                            info!("node lease renewed after it had expired");
                        }
                    }
                    Err(error) => {
                        let has_expired = renewed_at.elapsed().as_millis() > LEASE_MILLIS.into();
                        if has_expired && self.has_lease.send_replace(false) {
                            warn!(error = %Chain(&error), "node lease expired; other nodes remove this node");
                        }
                    }
                },
                () = self.membership.members_changed.notified() => {}
            }
            if let Err(error) = self.write().await {
                debug!(error = %Chain(&error), "write of members failed");
                self.membership.mark_unknown();
                // The next renewal tries again; do not spin meanwhile.
                sleep(RENEWAL_INTERVAL / 4).await;
            }
        }
    }

    /// Removes this node from every set.
    pub(super) async fn end(&self) -> Result<(), LayerError> {
        self.commands.script(self.scripts.reap.arg(millis(LEAVE_GRACE)).arg(&self.node)).await
    }

    /// Reports users whose grace is over, unless another node has done it in this period.
    async fn sweep(&self) -> Result<(), LayerError> {
        let sweep = &self.scripts.sweep;
        self.commands.script(sweep.arg(&self.node).arg(millis(SWEEP_INTERVAL)).arg(MAX_LISTED_MEMBERS)).await
    }

    async fn renew(&self) -> Result<(), LayerError> {
        let mut set = Cmd::new();
        set.arg("SET")
            .arg(self.commands.keys().node(&self.node))
            .arg(self.lease())
            .arg("XX")
            .arg("PX")
            .arg(LEASE_MILLIS);
        let renewed: Option<String> = self.commands.command(&set).await?;
        if renewed.is_none() {
            self.membership.mark_unknown();
        }
        self.reap().await
    }

    /// Removes every node whose lease has expired. The script is atomic: one live node finds each
    /// dead one.
    async fn reap(&self) -> Result<(), LayerError> {
        let dead: Vec<String> = self.commands.script(&self.scripts.reap.arg(millis(LEAVE_GRACE))).await?;
        for node in dead.iter().filter(|node| **node != self.node) {
            info!(node, "dead node removed from every group");
        }
        Ok(())
    }

    async fn write(&self) -> Result<(), LayerError> {
        match self.membership.take_changes() {
            MembershipChanges::Some(changed) => self.write_users(&changed, false).await,
            MembershipChanges::All(all) => {
                self.end().await?;
                let mut register = Pipeline::new();
                register.atomic().cmd("SADD").arg(self.commands.keys().nodes()).arg(&self.node).ignore();
                let set = register.cmd("SET").arg(self.commands.keys().node(&self.node)).arg(self.lease());
                set.arg("PX").arg(LEASE_MILLIS).ignore();
                self.commands.pipeline::<()>(&register).await?;
                self.write_users(&all, true).await
            }
        }
    }

    /// Writes joins and leaves. With `is_complete`, they are the whole state of this node and are
    /// not reported one by one.
    async fn write_users(
        &self,
        changes: &HashMap<Group, GroupChange>,
        is_complete: bool,
    ) -> Result<(), LayerError> {
        let begin = || {
            let mut script = self.scripts.enter.prepare_invoke();
            script
                .arg(&self.node)
                .arg(if is_complete { "1" } else { "" })
                .arg(millis(LEAVE_GRACE))
                .arg(MAX_LISTED_MEMBERS);
            script
        };
        let (mut script, mut users) = (begin(), 0);
        for (group, change) in changes {
            // The users of a large group in parts, each with lists of its own.
            let (joined, left) = (Vec::from_iter(&change.joined), Vec::from_iter(&change.left));
            let parts = joined.len().max(left.len()).div_ceil(MAX_SCRIPT_USERS).max(1);
            for part in 0..parts {
                script.arg(group.name()).arg(if change.has_members { "1" } else { "0" });
                for list in [&joined, &left] {
                    let list = list.chunks(MAX_SCRIPT_USERS).nth(part).unwrap_or_default();
                    script.arg(list.len());
                    for user in list {
                        script.arg(&***user);
                    }
                    users += list.len() + 1;
                }
                if users >= MAX_SCRIPT_USERS {
                    self.commands.script::<()>(&script).await?;
                    (script, users) = (begin(), 0);
                }
            }
        }
        if users == 0 { Ok(()) } else { self.commands.script(&script).await }
    }

    /// Returns what the node reports of itself, as JSON.
    fn lease(&self) -> String {
        let lag = self.lag.lock().map(|lag| lag.as_secs_f64() * 1000.0);
        let info = NodeInfo::new(&self.node, self.since, lag, self.listener.figures());
        serde_json::to_string(&info).expect("texts and numbers become JSON")
    }
}
