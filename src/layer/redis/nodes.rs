//! The nodes and the groups as Redis knows them: the values of the leases, and the sets beside them.

use std::collections::BTreeSet;

use redis::{Cmd, Pipeline};

use super::RedisLayer;
use super::keys::NODES;
use crate::layer::error::LayerError;
use crate::layer::redis::heartbeat::key;
use crate::layer::{NodeInfo, presence};
use crate::wire::group::Group;

/// Groups that are counted by one script, which Redis does nothing else meanwhile for.
const AT_ONCE: usize = 100;

impl RedisLayer {
    pub(in crate::layer) async fn nodes(&self) -> Result<Vec<NodeInfo>, LayerError> {
        let names = self.node_names().await?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut leases = Cmd::new();
        leases.arg("MGET").arg(names.iter().map(|name| key(name)).collect::<Vec<_>>());
        let leases: Vec<Option<Vec<u8>>> = self.commands.command(&leases).await?;
        // A node of another version may tell something else: nothing is known of it.
        let facts = leases.iter().flatten().filter_map(|lease| serde_json::from_slice(lease).ok());
        let mut facts: Vec<NodeInfo> = facts.collect();
        facts.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(facts)
    }

    pub(in crate::layer) async fn groups(&self) -> Result<Vec<(String, usize)>, LayerError> {
        let names = self.node_names().await?;
        let mut sets = Pipeline::new();
        for name in &names {
            sets.cmd("SMEMBERS").arg(format!("{}:groups", key(name)));
        }
        let sets: Vec<BTreeSet<String>> =
            if names.is_empty() { Vec::new() } else { self.commands.pipeline(&sets).await? };
        let groups: Vec<String> = sets.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().collect();
        let mut counted = Vec::with_capacity(groups.len());
        for groups in groups.chunks(AT_ONCE) {
            let counts = self.count(groups).await?;
            counted.extend(groups.iter().cloned().zip(counts));
        }
        Ok(presence::largest(counted))
    }

    pub(in crate::layer) async fn members(&self, group: &Group) -> Result<usize, LayerError> {
        let counts = self.count(&[group.name().to_owned()]).await?;
        Ok(counts.first().copied().unwrap_or_default())
    }

    /// How many users each of these groups has, on live nodes.
    async fn count(&self, groups: &[String]) -> Result<Vec<usize>, LayerError> {
        let mut script = self.members.prepare_invoke();
        for group in groups {
            script.key(format!("parlor:group:{group}"));
        }
        self.commands.script(&script).await
    }

    /// The nodes that have a lease, or had one until a moment ago.
    async fn node_names(&self) -> Result<Vec<String>, LayerError> {
        self.commands.command(Cmd::new().arg("SMEMBERS").arg(NODES)).await
    }
}
