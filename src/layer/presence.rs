//! Presence: which users are in a group, on all nodes.

use crate::layer::contract::{MAX_LISTED_GROUPS, MAX_LISTED_MEMBERS};
use crate::layer::error::LayerError;
use crate::layer::member;
use crate::wire::event::{Event, PRESENCE, VERSION};
use crate::wire::group::Group;

/// Which users are in a group, on all nodes.
///
/// Nodes write their own members with [`Broker::subscribe`](crate::layer::Broker::subscribe) and
/// after `unsubscribe` (`EVALSHA` of `seat.lua`, changes that come together in one call), and say
/// every two seconds that they live.
pub trait Presence: Send + Sync {
    /// Returns the users of a group as its members see them: including users that left less than
    /// [`LEAVE_GRACE`](crate::layer::LEAVE_GRACE) ago.
    ///
    /// # Errors
    /// Fails when Redis does not answer within a second.
    ///
    /// # Cost
    /// Nothing while the node is subscribed; else `EVALSHA` of `list.lua` (`HGET`, and `HGETALL` of
    /// a group that is listed).
    fn presence(&self, group: &Group) -> impl Future<Output = Result<PresenceSnapshot, LayerError>> + Send;

    /// Returns the number of users of [`presence`](Self::presence), as Redis has it.
    ///
    /// # Errors
    /// Fails when Redis does not answer within a second.
    ///
    /// # Cost
    /// `HGET` of one field, however many users there are.
    fn member_count(&self, group: &Group) -> impl Future<Output = Result<usize, LayerError>> + Send;

    /// Returns the groups that have members on live nodes with their numbers of users: the largest
    /// first, at most [`MAX_LISTED_GROUPS`].
    ///
    /// # Errors
    /// Fails when Redis does not answer within a second.
    ///
    /// # Cost
    /// `MGET` of the nodes' lists of their largest groups, at most [`MAX_LISTED_GROUPS`] each, and
    /// `HGET` for each group that is returned.
    fn groups(&self) -> impl Future<Output = Result<Vec<(String, usize)>, LayerError>> + Send;

    /// Returns the name by which the other nodes know this one. It is another one after each start.
    fn node_name(&self) -> &str;
}

/// Changes that are reported one by one; more of them are reported as a state.
pub(crate) const MAX_SINGLE_CHANGES: usize = 32;

/// The users of a group at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PresenceSnapshot {
    /// Number of users.
    pub count: usize,
    /// The users, each as its id, `/` and its name; `None` if they are more than
    /// [`MAX_LISTED_MEMBERS`](super::MAX_LISTED_MEMBERS).
    pub members: Option<Vec<String>>,
    /// The number of the last [`PRESENCE`] event that the node's sockets were sent. Numbers rise.
    pub version: u64,
}

impl PresenceSnapshot {
    /// Adds a member, or gives its user the member's name, if users are listed.
    pub(crate) fn insert(&mut self, member: &str) {
        let Some(members) = &mut self.members else { return };
        match member::find(members, member::id(member)) {
            Some(at) => member.clone_into(&mut members[at]),
            None => members.push(member.to_owned()),
        }
        self.count = members.len();
        if self.count > MAX_LISTED_MEMBERS {
            self.members = None;
        }
    }

    /// Returns the state without the user of a member, if users are listed.
    pub(crate) fn without(mut self, member: &str) -> Self {
        if let Some(members) = &mut self.members {
            members.retain(|listed| member::id(listed) != member::id(member));
            self.count = members.len();
        }
        self
    }

    /// Returns the events that lead from another state to this one: leaves, joins and renames, or
    /// this state if they are too many, or are not known.
    pub(crate) fn changes_since(&self, before: &Self) -> Vec<Event> {
        let Some(events) = self.each_change_since(before) else {
            let is_known = before.members.is_none() && self.members.is_none() && before.count == self.count;
            return if is_known { Vec::new() } else { vec![self.event("state", None)] };
        };
        if events.len() > MAX_SINGLE_CHANGES {
            return vec![self.event("state", None)];
        }
        events
    }

    /// Returns the leaves, joins and renames that lead from another state to this one; `None` where
    /// one of them does not list its users.
    pub(crate) fn each_change_since(&self, before: &Self) -> Option<Vec<Event>> {
        let (old, new) = (before.members.as_ref()?, self.members.as_ref()?);
        let (joined, left) = member::differences(old, new);
        let mut step = Self { count: old.len(), members: None, version: self.version };
        let mut events = Vec::with_capacity(joined.len() + left.len());
        for text in left {
            step.count -= 1;
            events.push(step.event("leave", Some(text)));
        }
        for text in joined {
            let change = if member::find(old, member::id(text)).is_some() { "rename" } else { "join" };
            step.count += usize::from(change == "join");
            events.push(step.event(change, Some(text)));
        }
        Some(events)
    }

    /// Returns the event that reports this state after a change: `join`, `leave` or `rename` of a
    /// member, or `state`.
    pub(crate) fn event(&self, change: &str, user: Option<&str>) -> Event {
        let event = Event::new(PRESENCE)
            .with("change", change)
            .with("count", &self.count.to_string())
            .with(VERSION, &self.version.to_string());
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
    groups.retain(|(name, users)| *users > 0 && !Group::is_of_connections(name));
    groups.sort_by(|(name, users), (other, theirs)| theirs.cmp(users).then_with(|| name.cmp(other)));
    groups.truncate(MAX_LISTED_GROUPS);
    groups
}
