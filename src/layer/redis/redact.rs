//! Covering: takes an event's text out of what is read of a log, on every node.

use std::collections::BTreeSet;

use redis::Script;

use super::keys::live;
use super::{RedisLayer, log};
use crate::wire::clock::millis;
use crate::wire::error::Unavailable;
use crate::wire::event::Event;
use crate::wire::group::Group;
use crate::wire::id::Id;

/// The script.
pub(super) fn script() -> Script {
    Script::new(include_str!("scripts/cover.lua"))
}

impl RedisLayer {
    pub(in crate::layer) async fn cover(&self, group: &Group, id: Id) -> Result<bool, Unavailable> {
        let keep = self.follower.keep;
        let mut script = self.cover.key(log::key(group));
        script.key(log::covered(group));
        script.arg(id.to_string()).arg(id.millis()).arg(millis(keep.age));
        script.arg(live(group)).arg(Event::covering(id).encode());
        // As with what is appended: what a failover can lose is not done yet.
        let covered = match keep.replicas {
            0 => self.commands.script(&script).await?,
            replicas => self.commands.replicated(&script, replicas).await?,
        };
        if covered && let Some(followed) = self.follower.followed(group.name()) {
            // The other nodes hear of it in a moment; whoever asked for it finds it done here.
            followed.state.lock().kept.cover_text(id);
        }
        Ok(covered)
    }

    /// The covered events of which this node has heard: all of them, as long as it hears the group.
    pub(in crate::layer) fn covered(&self, group: &Group) -> BTreeSet<Id> {
        let followed = self.follower.followed(group.name());
        followed.map(|followed| followed.state.lock().kept.covered().clone()).unwrap_or_default()
    }
}
