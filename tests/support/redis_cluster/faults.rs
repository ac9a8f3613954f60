//! Faults of the servers of a Cluster.

use super::RedisCluster;
use crate::support::process::Signal;
use crate::support::wait::{PATIENCE, holds, until};

impl RedisCluster {
    /// Makes the replica of a shard its master, as an operator does who wants to stop the master.
    pub async fn fail_over(&self, shard: usize) {
        let replica = self.replica_index(shard).await;
        let _: String = self.servers[replica].redis.query(&["CLUSTER", "FAILOVER"]).await;
        self.wait_for_master(shard, replica).await;
        self.wait_until_ok().await;
    }

    /// Makes the replica of a shard its master without asking the others.
    pub(super) async fn take_over(&self, shard: usize) {
        // Before a first view from all sides, in which it is the first server of the shard.
        let replica = self.servers.iter().position(|server| server.shard == shard).expect("a shard");
        let server = &self.servers[replica];
        until(PATIENCE, "a link to the master", async || {
            let info: String = server.ask(&["INFO", "replication"]).await?;
            holds(info.contains("master_link_status:up"), || info.clone())
        })
        .await;
        let _: String = server.redis.query(&["CLUSTER", "FAILOVER", "TAKEOVER"]).await;
        // Two servers that take over at once may do so by the same right.
        until(PATIENCE, "all servers to know the new master", async || {
            for other in self.live() {
                let owner = other.view().await?;
                let owner = owner.owner(super::SLOTS[shard].0).unwrap_or_default();
                holds(owner == server.id, || owner.to_owned())?;
            }
            Ok(())
        })
        .await;
    }

    /// Sends SIGKILL to the master of a shard.
    pub async fn kill_master(&mut self, shard: usize) {
        let master = self.master_index(shard).await;
        self.servers[master].redis.kill();
    }

    /// Freezes the master of a shard.
    pub async fn freeze_master(&mut self, shard: usize) {
        let master = self.master_index(shard).await;
        self.servers[master].redis.signal(Signal::SIGSTOP);
        self.servers[master].is_frozen = true;
    }

    /// Resumes all servers that are frozen.
    pub fn thaw(&mut self) {
        for server in self.servers.iter_mut().filter(|server| server.is_frozen) {
            server.redis.signal(Signal::SIGCONT);
            server.is_frozen = false;
        }
    }

    /// Waits until the replica of a shard whose master is dead or frozen has its place.
    pub async fn wait_for_promotion(&self, shard: usize) {
        let live = |index: &usize| {
            let server = &self.servers[*index];
            server.shard == shard && server.redis.is_started() && !server.is_frozen
        };
        let replica = (0..self.servers.len()).find(live).expect("a server of the shard that runs");
        self.wait_for_master(shard, replica).await;
        // Until all have learned of it, commands are refused.
        until(PATIENCE, "a Cluster that takes commands", async || {
            for server in self.live() {
                let state: String = server.ask(&["CLUSTER", "INFO"]).await?;
                holds(state.contains("cluster_state:ok"), || state.clone())?;
            }
            Ok(())
        })
        .await;
    }

    async fn wait_for_master(&self, shard: usize, server: usize) {
        until(PATIENCE, &format!("another master of shard {shard}"), async || {
            let own = self.servers[server].view().await?.own;
            holds(own.is_master() && own.ranges().next().is_some(), || format!("{own:?}"))
        })
        .await;
    }

    /// Sends SIGKILL to the master and the replica of a shard.
    pub fn stop_shard(&mut self, shard: usize) {
        for server in self.servers.iter_mut().filter(|server| server.shard == shard) {
            server.redis.kill();
        }
    }

    /// Starts all servers again that were killed, and waits until they take part.
    pub async fn restart(&mut self) {
        for server in self.servers.iter_mut().filter(|server| !server.redis.is_started()) {
            server.redis.restart().await;
        }
        self.wait_until_ok().await;
    }
}
