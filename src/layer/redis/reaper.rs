//! The reaper: removes nodes from the sets of Redis.

use redis::Cmd;
use tracing::info;

use crate::layer::contract::LEAVE_GRACE;
use crate::layer::error::LayerError;
use crate::layer::redis::commands::Commands;
use crate::layer::redis::scripts::Scripts;
use crate::wire::time::millis;

/// Groups and users that one script removes; Redis does nothing else meanwhile.
const MAX_SCRIPT_GROUPS: usize = 100;
const MAX_SCRIPT_USERS: usize = 500;

pub(super) struct Reaper<'a> {
    pub(super) commands: &'a Commands,
    pub(super) scripts: &'a Scripts,
}

impl Reaper<'_> {
    /// Removes every other node whose lease has expired. Its users leave at the next sweep, unless
    /// they are on another node.
    pub(super) async fn remove_dead_nodes(&self, caller: &str) -> Result<(), LayerError> {
        for (node, has_lease) in self.commands.nodes().await? {
            if !has_lease && node != caller && self.remove(&node, false).await? {
                info!(node, "dead node removed from every group");
            }
        }
        Ok(())
    }

    /// Removes the caller's own node. Its users have the grace to join another one.
    pub(super) async fn remove_self(&self, node: &str) -> Result<(), LayerError> {
        self.remove(node, true).await.map(drop)
    }

    /// Removes a node from its groups, some at a time. Several nodes may do it together. Returns
    /// whether nothing of the node is left; it is removed no further once it has a new lease.
    async fn remove(&self, node: &str, is_caller: bool) -> Result<bool, LayerError> {
        loop {
            let mut some = Cmd::new();
            some.arg("SRANDMEMBER").arg(self.commands.keys().groups_of_node(node)).arg(MAX_SCRIPT_GROUPS);
            let groups: Vec<String> = self.commands.command(&some).await?;
            let mut script = self.scripts.remove_node.key(self.commands.keys().node(node));
            script
                .key(self.commands.keys().nodes())
                .key(self.commands.keys().groups_of_node(node))
                .key(self.commands.keys().leaving());
            let grace = if is_caller { millis(LEAVE_GRACE) } else { 0 };
            script.arg(node).arg(if is_caller { "1" } else { "" }).arg(grace).arg(MAX_SCRIPT_USERS);
            for group in &groups {
                script
                    .key(self.commands.keys().nodes_of_group(group))
                    .key(self.commands.keys().users_on_node(group, node))
                    .arg(group);
            }
            let outcome: String = self.commands.script(&script).await?;
            if outcome != "more" {
                return Ok(outcome == "removed");
            }
        }
    }
}
