//! Who is in a group, and the event that tells it.

use super::{GROUPS, Layer};
use crate::wire::error::Unavailable;
use crate::wire::event::{Event, PRESENCE};
use crate::wire::group::Group;

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

/// The groups that anybody is in, those with the most users first.
pub(super) fn largest(mut groups: Vec<(String, usize)>) -> Vec<(String, usize)> {
    groups.retain(|(_, users)| *users > 0);
    groups.sort_by(|(name, users), (other, theirs)| theirs.cmp(users).then_with(|| name.cmp(other)));
    groups.truncate(GROUPS);
    groups
}

impl Layer {
    /// Who is in the group, as its members are told: with those who may come back.
    ///
    /// # Errors
    /// [`Unavailable`] when Redis does not answer.
    pub async fn presence(&self, group: &Group) -> Result<Presence, Unavailable> {
        match self {
            Self::Memory(layer) => Ok(layer.presence(group)),
            Self::Redis(layer) => layer.presence(group).await,
        }
    }

    /// How many users the group has, on all live nodes.
    ///
    /// # Errors
    /// [`Unavailable`] when Redis does not answer.
    pub async fn members(&self, group: &Group) -> Result<usize, Unavailable> {
        match self {
            Self::Memory(layer) => Ok(layer.members(group)),
            Self::Redis(layer) => layer.members(group).await,
        }
    }

    /// The groups that have members on live nodes, and how many users each has: those with the most users first,
    /// [`GROUPS`] of them at most.
    ///
    /// # Errors
    /// [`Unavailable`] when Redis does not answer.
    pub async fn groups(&self) -> Result<Vec<(String, usize)>, Unavailable> {
        match self {
            Self::Memory(layer) => Ok(layer.groups()),
            Self::Redis(layer) => layer.groups().await,
        }
    }
}
