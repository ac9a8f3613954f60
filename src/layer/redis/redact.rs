//! Covering: takes an event's text out of what is read of a log, on every node.

use std::collections::BTreeSet;

use redis::Script;

use super::keys::live;
use super::{RedisLayer, log};
use crate::layer::error::LayerError;
use crate::wire::event::Event;
use crate::wire::group::Group;
use crate::wire::id::Id;
use crate::wire::time::millis;

/// The script.
pub(super) fn script() -> Script {
    Script::new(include_str!("scripts/redact.lua"))
}

impl RedisLayer {
    pub(in crate::layer) async fn redact(&self, group: &Group, id: Id) -> Result<bool, LayerError> {
        let keep = self.follower.keep;
        let mut script = self.redact.key(log::key(group));
        script.key(log::redacted(group));
        script.arg(id.to_string()).arg(id.millis()).arg(millis(keep.age));
        script.arg(live(group)).arg(Event::redaction(id).encode());
        // As with what is appended: what a failover can lose is not done yet.
        let redacted = match keep.replicas {
            0 => self.commands.script(&script).await?,
            replicas => self.commands.replicated(&script, replicas).await?,
        };
        if redacted && let Some(followed) = self.follower.followed(group.name()) {
            // The other nodes hear of it in a moment; whoever asked for it finds it done here.
            followed.state.lock().kept.cover_text(id);
        }
        Ok(redacted)
    }

    /// The redacted events of which this node has heard: all of them, as long as it hears the group.
    pub(in crate::layer) fn redacted(&self, group: &Group) -> BTreeSet<Id> {
        let followed = self.follower.followed(group.name());
        followed.map(|followed| followed.state.lock().kept.redacted().clone()).unwrap_or_default()
    }
}
