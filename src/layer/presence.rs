//! Who is in a group, and the event that tells it.

use super::contract::MAX_LISTED_GROUPS;
use crate::wire::event::{Event, PRESENCE};

/// Who is in a group, on all nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// How many users.
    pub count: usize,
    /// Which, unless they are more than [`MAX_LISTED_MEMBERS`](super::MAX_LISTED_MEMBERS).
    pub members: Option<Vec<String>>,
}

impl Presence {
    /// The event that tells it.
    pub(super) fn event(&self, change: &str, user: Option<&str>) -> Event {
        let event = Event::new(PRESENCE).with("change", change).with("count", &self.count.to_string());
        let event = match user {
            Some(user) => event.with("user", user),
            None => event,
        };
        match &self.members {
            Some(members) if user.is_none() => event.with("members", &members.join(" ")),
            _ => event,
        }
    }
}

/// The groups that anybody is in, those with the most users first.
pub(super) fn largest(mut groups: Vec<(String, usize)>) -> Vec<(String, usize)> {
    groups.retain(|(_, users)| *users > 0);
    groups.sort_by(|(name, users), (other, theirs)| theirs.cmp(users).then_with(|| name.cmp(other)));
    groups.truncate(MAX_LISTED_GROUPS);
    groups
}
