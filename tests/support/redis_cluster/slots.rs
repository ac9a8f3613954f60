//! Slots of a Cluster, and their moves.

use std::process::Command;

use super::RedisCluster;
use crate::support::process::Process;
use crate::support::redis::Redis;
use crate::support::wait::{PATIENCE, holds, seconds, until};

impl RedisCluster {
    /// The slot of the keys and channels of a group.
    pub async fn slot_of(&self, group: &str) -> u16 {
        let server = self.servers().next().expect("a server that runs");
        server.query(&["CLUSTER", "KEYSLOT", &format!("{{{group}}}")]).await
    }

    /// The master that owns a slot.
    pub async fn owner_of(&self, slot: u16) -> &Redis {
        &self.servers[self.owner_index(slot).await].redis
    }

    /// The shard that owns a slot.
    pub async fn shard_of(&self, slot: u16) -> usize {
        self.servers[self.owner_index(slot).await].shard
    }

    /// The number of slots of a shard.
    pub async fn slots_in(&self, shard: usize) -> usize {
        let server = &self.servers[self.master_index(shard).await];
        server.view().await.expect("an answer").own.ranges().map(Iterator::count).sum()
    }

    /// The first of the names `PREFIX-0`, `PREFIX-1`, … whose group is in this shard.
    pub async fn name_in(&self, shard: usize, prefix: &str, group: impl Fn(&str) -> String) -> String {
        for number in 0.. {
            let name = format!("{prefix}-{number}");
            if self.shard_of(self.slot_of(&group(&name)).await).await == shard {
                return name;
            }
        }
        unreachable!("names do not end")
    }

    /// Waits until no server has a subscriber of the group.
    pub async fn wait_until_unsubscribed(&self, group: &str) {
        let channel = format!("parlor:c:{{{group}}}");
        until(PATIENCE, &format!("no subscriber of {channel}"), async || {
            for server in self.servers() {
                let (_, count): (String, i64) = server.query(&["PUBSUB", "SHARDNUMSUB", &channel]).await;
                holds(count == 0, || count.to_string())?;
            }
            Ok(())
        })
        .await;
    }

    async fn owner_index(&self, slot: u16) -> usize {
        until(PATIENCE, &format!("an owner of slot {slot}"), async || {
            let server = self.live().next().ok_or("no server runs")?;
            let view = server.view().await?;
            let owner = view.owner(slot).ok_or("none")?;
            self.servers.iter().position(|server| server.id == owner).ok_or_else(|| owner.to_owned())
        })
        .await
    }

    /// Moves a slot and its keys to another shard, as `redis-cli` does; `meanwhile` runs between
    /// the move of the keys and that of the slot. Returns its output.
    pub async fn move_slot<T>(&self, slot: u16, shard: usize, meanwhile: impl Future<Output = T>) -> T {
        let (from, to) = (self.owner_index(slot).await, self.master_index(shard).await);
        let (from, to, name) = (&self.servers[from], &self.servers[to], slot.to_string());
        assert_ne!(from.id, to.id, "slot {slot} is there");
        let _: String = to.redis.query(&["CLUSTER", "SETSLOT", &name, "IMPORTING", &from.id]).await;
        let _: String = from.redis.query(&["CLUSTER", "SETSLOT", &name, "MIGRATING", &to.id]).await;
        move_keys(&from.redis, &to.redis, &name).await;
        let output = meanwhile.await;
        move_keys(&from.redis, &to.redis, &name).await;
        let mut others = Vec::new();
        for shard in 0..self.shards() {
            let master = &self.servers[self.master_index(shard).await];
            others.extend((![&from.id, &to.id].contains(&&master.id)).then_some(master));
        }
        for master in [to, from].into_iter().chain(others) {
            let _: String = master.redis.query(&["CLUSTER", "SETSLOT", &name, "NODE", &to.id]).await;
        }
        output
    }

    /// Moves this many slots from one shard to another by `redis-cli`.
    pub async fn reshard(&self, from: usize, to: usize, slots: usize) {
        let (from, to) = (self.master_index(from).await, self.master_index(to).await);
        let (from, to, slots) = (&self.servers[from].id, &self.servers[to].id, slots.to_string());
        self.manage("reshard", &["--cluster-from", from, "--cluster-to", to, "--cluster-slots", &slots])
            .await;
        self.wait_until_ok().await;
    }

    /// Adds a master without slots, and gives it this part of what each of the others has, as in
    /// `0.1`. Returns its shard.
    pub async fn add_shard(&mut self, weight: &str) -> usize {
        let shard = self.shards();
        let mut server = self.reserve(shard);
        while !server.redis.try_start().await {
            server = self.reserve(shard);
        }
        server.id = server.redis.query(&["CLUSTER", "MYID"]).await;
        let (host, port, bus) = ("127.0.0.1", server.redis.port().to_string(), server.bus_port.to_string());
        for other in self.servers() {
            let _: String = other.query(&["CLUSTER", "MEET", host, &port, &bus]).await;
        }
        self.servers.push(server);
        self.wait_until_ok().await;
        let weight = format!("{}={weight}", self.servers.last().expect("the new one").id);
        self.manage("rebalance", &["--cluster-use-empty-masters", "--cluster-weight", &weight]).await;
        self.wait_until_ok().await;
        shard
    }

    /// Runs `redis-cli --cluster ACTION`, which must succeed.
    async fn manage(&self, action: &str, words: &[&str]) {
        let server = self.servers().next().expect("a server that runs");
        let mut command = Command::new("redis-cli");
        command.args(["--cluster", action, &server.address()]).args(words).arg("--cluster-yes");
        let mut process = Process::spawn("redis-cli", &mut command);
        let status = process.exit(seconds(60)).await;
        assert!(status.success(), "redis-cli --cluster {action}: {status}, {}", process.stdout.tail(20));
    }
}

/// Moves all keys of a slot that is migrating.
async fn move_keys(from: &Redis, to: &Redis, slot: &str) {
    loop {
        let keys: Vec<Vec<u8>> = from.query(&["CLUSTER", "GETKEYSINSLOT", slot, "100"]).await;
        if keys.is_empty() {
            return;
        }
        let port = to.port().to_string();
        let mut command: Vec<&[u8]> =
            ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"].map(str::as_bytes).to_vec();
        command.extend(keys.iter().map(Vec::as_slice));
        let _: String = from.query(&command).await;
    }
}
