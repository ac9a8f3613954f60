//! Presence in Redis: the sets that the heartbeats of all nodes write.

use std::collections::BTreeSet;

use redis::{Cmd, Pipeline};

use crate::layer::contract::MAX_LISTED_MEMBERS;
use crate::layer::error::LayerError;
use crate::layer::presence::{Presence, PresenceSnapshot, largest};
use crate::layer::redis::RedisLayer;
use crate::wire::group::Group;

/// Groups that one script counts; Redis does nothing else meanwhile.
const MAX_COUNTED_GROUPS: usize = 100;

impl Presence for RedisLayer {
    async fn presence(&self, group: &Group) -> Result<PresenceSnapshot, LayerError> {
        let cursor = self.follower.cursor(group.name());
        let known = || cursor.as_ref().and_then(|cursor| cursor.state.lock().presence.clone());
        if let Some(presence) = known() {
            return Ok(presence);
        }
        // One caller asks Redis; the others wait for its answer.
        let _turn = match &cursor {
            Some(cursor) => Some(cursor.reading.lock().await),
            None => None,
        };
        if let Some(presence) = known() {
            return Ok(presence);
        }
        let mut script = self.scripts.present.prepare_invoke();
        let (count, members) = self.commands.script(script.arg(group.name()).arg(MAX_LISTED_MEMBERS)).await?;
        let presence = PresenceSnapshot { count, members };
        if let Some(cursor) = &cursor {
            cursor.state.lock().presence = Some(presence.clone());
        }
        Ok(presence)
    }

    async fn member_count(&self, group: &Group) -> Result<usize, LayerError> {
        let counts = self.count(&[group.name().to_owned()]).await?;
        Ok(counts.first().copied().unwrap_or_default())
    }

    async fn groups(&self) -> Result<Vec<(String, usize)>, LayerError> {
        let nodes = self.nodes_with_lease().await?;
        let mut sets = Pipeline::new();
        for node in &nodes {
            sets.cmd("SMEMBERS").arg(self.commands.keys().groups_of_node(node));
        }
        let sets: Vec<BTreeSet<String>> =
            if nodes.is_empty() { Vec::new() } else { self.commands.pipeline(&sets).await? };
        let groups: Vec<String> = sets.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().collect();
        let mut counted = Vec::with_capacity(groups.len());
        for groups in groups.chunks(MAX_COUNTED_GROUPS) {
            let counts = self.count(groups).await?;
            counted.extend(groups.iter().cloned().zip(counts));
        }
        Ok(largest(counted))
    }

    fn node_name(&self) -> &str {
        &self.heartbeat.node
    }
}

impl RedisLayer {
    /// Returns the number of users on live nodes for each of these groups.
    async fn count(&self, groups: &[String]) -> Result<Vec<usize>, LayerError> {
        let mut script = self.scripts.members.prepare_invoke();
        for group in groups {
            script.key(self.commands.keys().nodes_of_group(group));
        }
        self.commands.script(&script).await
    }

    /// Returns the names of the nodes that have a lease, or had one until a moment ago.
    pub(super) async fn nodes_with_lease(&self) -> Result<Vec<String>, LayerError> {
        self.commands.command(Cmd::new().arg("SMEMBERS").arg(self.commands.keys().nodes())).await
    }
}
