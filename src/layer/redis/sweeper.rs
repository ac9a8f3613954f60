//! The sweeper: publishes the leaves of users whose grace is over, and pending states.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::Pipeline;

use crate::layer::contract::MAX_LISTED_MEMBERS;
use crate::layer::error::LayerError;
use crate::layer::redis::commands::Commands;
use crate::layer::redis::scripts::Scripts;
use crate::wire::time::millis;

/// Time between two sweeps, each made by one of the nodes.
pub(super) const SWEEP_INTERVAL: Duration = Duration::from_millis(900);
/// Leaves, and pending states, of one sweep; the rest is for the next one.
const MAX_SWEEP_ENTRIES: usize = 1000;

pub(super) struct Sweeper<'a> {
    pub(super) node: &'a str,
    pub(super) commands: &'a Commands,
    pub(super) scripts: &'a Scripts,
}

impl Sweeper<'_> {
    /// Sweeps, unless another node has done it in this period.
    pub(super) async fn sweep(&self) -> Result<(), LayerError> {
        let mut due = self.scripts.sweep.key(self.commands.keys().sweep_lock());
        due.key(self.commands.keys().leaving()).key(self.commands.keys().pending_states());
        due.arg(self.node).arg(millis(SWEEP_INTERVAL)).arg(MAX_SWEEP_ENTRIES);
        let (leaving, pending): (Vec<String>, Vec<String>) = self.commands.script(&due).await?;
        self.publish_leaves(&leaving).await?;
        for group in &pending {
            let mut script = self.scripts.state.key(self.commands.keys().pending_states());
            script.key(self.commands.keys().users_of_group(group));
            script.arg(group).arg(self.commands.keys().ephemeral_channel(group)).arg(MAX_LISTED_MEMBERS);
            self.commands.script::<()>(&script).await?;
        }
        Ok(())
    }

    /// Removes users, each as `<user> <group>`, from groups in which they are on no node.
    async fn publish_leaves(&self, leaving: &[String]) -> Result<(), LayerError> {
        let mut users_of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (user, group) in leaving.iter().filter_map(|entry| entry.split_once(' ')) {
            users_of.entry(group).or_default().push(user);
        }
        if users_of.is_empty() {
            return Ok(());
        }
        let mut sets = Pipeline::new();
        for group in users_of.keys() {
            sets.cmd("SMEMBERS").arg(self.commands.keys().nodes_of_group(group));
        }
        let nodes_of: Vec<Vec<String>> = self.commands.pipeline(&sets).await?;
        for ((group, users), nodes) in users_of.iter().zip(nodes_of) {
            let mut script = self.scripts.leave.key(self.commands.keys().leaving());
            script.key(self.commands.keys().pending_states()).key(self.commands.keys().users_of_group(group));
            for node in &nodes {
                script.key(self.commands.keys().users_on_node(group, node));
            }
            script
                .arg(group)
                .arg(self.commands.keys().ephemeral_channel(group))
                .arg(MAX_LISTED_MEMBERS)
                .arg(users);
            self.commands.script::<()>(&script).await?;
        }
        Ok(())
    }
}
