//! Who is in a group, and the event that tells it.

use crate::event::{Event, PRESENCE};

/// Who is in a group, on all nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// How many users.
    pub count: usize,
    /// Which, unless they are more than [`LISTED`](super::LISTED).
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
