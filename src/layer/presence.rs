//! Presence: which users are in a group, on all nodes.

use crate::layer::contract::MAX_LISTED_GROUPS;
use crate::layer::error::LayerError;
use crate::wire::event::{Event, PRESENCE};
use crate::wire::group::Group;

/// Which users are in a group, on all nodes.
///
/// Nodes write their own members about every [`Broker::subscribe`](crate::layer::Broker::subscribe)
/// and `unsubscribe` (`EVALSHA` of `enter.lua`, changes that come together in one call), and renew
/// a lease every two seconds.
pub trait Presence: Send + Sync {
    /// Returns the users of a group as its members see them: including users that left less than
    /// [`LEAVE_GRACE`](crate::layer::LEAVE_GRACE) ago.
    ///
    /// # Errors
    /// Fails when Redis does not answer within a second.
    ///
    /// # Cost
    /// Nothing while the node is subscribed and has the answer; else `EVALSHA` of `present.lua`
    /// (`SCARD`, `SMEMBERS`).
    fn presence(&self, group: &Group) -> impl Future<Output = Result<PresenceSnapshot, LayerError>> + Send;

    /// Returns the number of users in a group who have a member on a live node.
    ///
    /// # Errors
    /// Fails when Redis does not answer within a second.
    ///
    /// # Cost
    /// `EVALSHA` of `members.lua`: `EXISTS` for each node of the group, `SCARD` or `SUNION` of
    /// their sets.
    fn member_count(&self, group: &Group) -> impl Future<Output = Result<usize, LayerError>> + Send;

    /// Returns the groups that have members on live nodes with their numbers of users: the largest
    /// first, at most [`MAX_LISTED_GROUPS`].
    ///
    /// # Errors
    /// Fails when Redis does not answer within a second.
    ///
    /// # Cost
    /// `SMEMBERS` for each node, and `members.lua` for each hundred groups: linear in all groups.
    /// For operators.
    fn groups(&self) -> impl Future<Output = Result<Vec<(String, usize)>, LayerError>> + Send;

    /// Returns the name by which the other nodes know this one. It is another one after each start.
    fn node_name(&self) -> &str;
}

/// The users of a group at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceSnapshot {
    /// Number of users.
    pub count: usize,
    /// The users; `None` if they are more than [`MAX_LISTED_MEMBERS`](super::MAX_LISTED_MEMBERS).
    pub members: Option<Vec<String>>,
}

impl PresenceSnapshot {
    /// Returns the event that reports this state after a change: `join` or `leave` of a user, or
    /// `state`.
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

/// Returns the groups that have users, the largest first, at most [`MAX_LISTED_GROUPS`].
pub(super) fn largest(mut groups: Vec<(String, usize)>) -> Vec<(String, usize)> {
    groups.retain(|(_, users)| *users > 0);
    groups.sort_by(|(name, users), (other, theirs)| theirs.cmp(users).then_with(|| name.cmp(other)));
    groups.truncate(MAX_LISTED_GROUPS);
    groups
}
