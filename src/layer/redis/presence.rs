//! Presence in Redis: what this node knows of its groups, and what Redis has of others.

use std::collections::HashMap;

use redis::Cmd;

use crate::layer::error::LayerError;
use crate::layer::presence::{Presence, PresenceSnapshot, largest};
use crate::layer::redis::RedisLayer;
use crate::layer::redis::commands::{command, read_all, read_next};
use crate::layer::redis::job::Job;
use crate::layer::redis::seat_batch::{group_state, seat_ids};
use crate::layer::redis::seat_id::SeatId;
use crate::wire::group::Group;

impl Presence for RedisLayer {
    async fn presence(&self, group: &Group) -> Result<PresenceSnapshot, LayerError> {
        if let Some(known) = self.membership.snapshot(group) {
            return Ok(known);
        }
        let (count, members, ids) = self.heartbeat.list(group).await?;
        self.see(group, &ids);
        Ok(self.membership.foreign_snapshot(count, members))
    }

    async fn member_count(&self, group: &Group) -> Result<usize, LayerError> {
        let mut read = Cmd::new();
        read.arg("HGET").arg(self.commands.keys().members(group)).arg(" m");
        let state: Option<Vec<u8>> = self.commands.command(&read).await?;
        self.see(group, seat_ids(state.as_deref().unwrap_or_default()));
        Ok(count(state))
    }

    async fn groups(&self) -> Result<Vec<(String, usize)>, LayerError> {
        let keys = self.commands.keys();
        let (nodes, _) = self.beats_and_facts().await?;
        let tops: Vec<Cmd> = nodes.iter().map(|node| command([b"GET", keys.top(node).as_bytes()])).collect();
        let tops: Vec<Option<Vec<u8>>> = read_all(self.commands.all(&tops).await?)?;
        let mut local: HashMap<String, usize> = HashMap::new();
        for top in tops.into_iter().flatten() {
            // A list of another version may have another shape.
            for (group, users) in serde_json::from_slice::<Vec<(String, usize)>>(&top).unwrap_or_default() {
                *local.entry(group).or_default() += users;
            }
        }
        let groups = largest(local.into_iter().collect());
        let state = |group: &str| command([b"HGET", keys.members(&Group::new(group)).as_bytes(), b" m"]);
        let states: Vec<Cmd> = groups.iter().map(|(group, _)| state(group)).collect();
        let states: Vec<Option<Vec<u8>>> = read_all(self.commands.all(&states).await?)?;
        Ok(largest(groups.into_iter().map(|(group, _)| group).zip(states.into_iter().map(count)).collect()))
    }

    fn node_name(&self) -> &str {
        &self.heartbeat.node
    }
}

impl RedisLayer {
    /// These ids have users of a group, who leave if their nodes are dead or are found dead.
    fn see(&self, group: &Group, ids: &[u8]) {
        let ids: Vec<SeatId> = SeatId::parse_all(ids).collect();
        if !ids.is_empty() {
            self.membership.add_job(Job::See(group.clone(), ids));
        }
    }

    /// Returns the names of the live nodes, and what they report of themselves (JSON).
    pub(super) async fn beats_and_facts(
        &self,
    ) -> Result<(Vec<String>, HashMap<String, Vec<u8>>), LayerError> {
        let keys = self.commands.keys();
        let both = [keys.beats(), keys.facts()].map(|key| command([b"HGETALL", key.as_bytes()]));
        let mut replies = self.commands.all(&both).await?.into_iter();
        let beats: HashMap<String, String> = read_next(&mut replies)?;
        let facts: HashMap<String, Vec<u8>> = read_next(&mut replies)?;
        let alive = |node: &&String| self.heartbeat.is_alive(node, beats.get(*node));
        Ok((beats.keys().filter(alive).cloned().collect(), facts))
    }
}

fn count(state: Option<Vec<u8>>) -> usize {
    group_state(&state.unwrap_or_default()).map_or(0, |state| state.count)
}
