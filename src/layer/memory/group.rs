//! A group in memory: its log and its users.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::layer::contract::{IDEMPOTENCY_WINDOW, MAX_LISTED_MEMBERS};
use crate::layer::log::{Appended, IdempotencyKey, Retention};
use crate::layer::member::Member;
use crate::layer::presence::PresenceSnapshot;
use crate::layer::tail::Tail;
use crate::wire::delivery::Delivery;
use crate::wire::event::{Event, Position};
use crate::wire::group::Group;
use crate::wire::id::Id;
use crate::wire::offset::Offset;
use crate::wire::time::{millis, now};

/// All groups of a process.
pub(super) type Groups = Mutex<HashMap<Group, Arc<Mutex<MemoryGroup>>>>;

/// The log and the users of one group.
pub(super) struct MemoryGroup {
    log: Tail,
    /// The id of the newest event that the log has had.
    newest: Id,
    /// The offset of the next event.
    next: Offset,
    /// The keys of recently appended events.
    keys: HashMap<String, RememberedKey>,
    /// Users with their numbers of members; 0 during the grace.
    users: BTreeMap<Member, u32>,
    /// When the last members of users left that are in their grace.
    left_at: BTreeMap<Member, Instant>,
    /// Sockets, with those that are no members.
    pub(super) sockets: usize,
    /// The number of the last presence event.
    pub(super) version: u64,
    /// Whether the number of users is about to be delivered.
    pub(super) count_pending: bool,
}

struct RememberedKey {
    id: Id,
    offset: Option<Offset>,
    digest: String,
    at: Instant,
}

impl Default for MemoryGroup {
    fn default() -> Self {
        Self {
            log: Tail::whole(),
            newest: Id::START,
            next: Offset::first(rand::random()),
            keys: HashMap::new(),
            users: BTreeMap::new(),
            left_at: BTreeMap::new(),
            sockets: 0,
            version: 0,
            count_pending: false,
        }
    }
}

impl MemoryGroup {
    /// Adds a member; returns what changed: `join` of its user, or `rename`.
    pub(super) fn enter(&mut self, member: &Member) -> Option<&'static str> {
        self.left_at.remove(member);
        let Some((known, members)) = self.users.remove_entry(member) else {
            self.users.insert(member.clone(), 1);
            return Some("join");
        };
        let is_renamed = known.name() != member.name();
        self.users.insert(if is_renamed { member.clone() } else { known }, members + 1);
        is_renamed.then_some("rename")
    }

    /// Removes a member; returns whether it was the user's last.
    pub(super) fn leave(&mut self, member: &Member) -> bool {
        let Some(members) = self.users.get_mut(member).filter(|members| **members > 0) else { return false };
        *members -= 1;
        let is_last = *members == 0;
        if is_last {
            self.left_at.insert(member.clone(), Instant::now());
        }
        is_last
    }

    /// Removes a user whose grace is over; returns the member if it was removed.
    pub(super) fn remove_if_gone(&mut self, member: &Member, grace: Duration) -> Option<Member> {
        self.left_at.get(member).filter(|left_at| left_at.elapsed() >= grace)?;
        self.left_at.remove(member);
        self.users.remove_entry(member).map(|(member, _)| member)
    }

    /// Returns the offset of the next event.
    pub(super) fn next_offset(&self) -> Offset {
        self.next
    }

    /// Returns the number of users.
    pub(super) fn user_count(&self) -> usize {
        self.users.len()
    }

    /// Returns the number of events in the log, with those that are too old but still there.
    pub(super) fn event_count(&self) -> usize {
        self.log.len()
    }

    pub(super) fn presence(&self) -> PresenceSnapshot {
        let members = || self.users.keys().map(|member| member.text().to_owned()).collect();
        let members = (self.users.len() <= MAX_LISTED_MEMBERS).then(members);
        PresenceSnapshot { count: self.users.len(), members, version: self.version }
    }

    /// Returns whether the group has users, or events that were written after this time.
    pub(super) fn is_used(&self, oldest: u64) -> bool {
        self.sockets > 0 || !self.users.is_empty() || self.newest.millis() >= oldest
    }

    /// Removes the text of an event from the log; returns whether it was still there, or `None` if
    /// there is no such event.
    pub(super) fn redact(&mut self, id: Id, retention: Retention) -> Option<bool> {
        self.log(retention);
        self.log.redact(id)
    }

    /// Empties the log, which begins an epoch; returns the id of its newest event if it had any.
    pub(super) fn clear_log(&mut self, retention: Retention) -> Option<Id> {
        self.log(retention).first()?;
        self.next = Offset::first(rand::random());
        Some(std::mem::replace(&mut self.log, Tail::whole()).last())
    }

    /// Returns the log without what is too old.
    pub(super) fn log(&mut self, retention: Retention) -> &Tail {
        let oldest = now().saturating_sub(millis(retention.age));
        let is_large = |log: &Tail| retention.bytes > 0 && log.bytes() > retention.bytes && log.len() > 1;
        while self.log.len() > retention.messages
            || is_large(&self.log)
            || self.log.first().is_some_and(|id| id.millis() < oldest)
        {
            self.log.pop();
        }
        &self.log
    }

    /// Returns the outcome of a further append under this key, if there was one already.
    pub(super) fn appended_under(&self, key: &IdempotencyKey) -> Option<Appended> {
        let known = self.keys.get(&key.name).filter(|known| known.at.elapsed() < IDEMPOTENCY_WINDOW)?;
        if known.digest != key.digest {
            return Some(Appended::Conflict);
        }
        Some(Appended::Duplicate(known.id, known.offset))
    }

    pub(super) fn remember(&mut self, key: &IdempotencyKey, id: Id, offset: Option<Offset>) {
        if self.keys.len() == self.keys.capacity() {
            self.keys.retain(|_, known| known.at.elapsed() < IDEMPOTENCY_WINDOW);
        }
        let known = RememberedKey { id, offset, digest: key.digest.clone(), at: Instant::now() };
        self.keys.insert(key.name.clone(), known);
    }

    /// Appends an event to the log.
    pub(super) fn append(&mut self, event: Event, retention: Retention) -> Arc<Delivery> {
        let prev = self.log.last();
        let position = Position { id: self.newest.next(now()), prev, offset: Some(self.next) };
        self.newest = position.id;
        self.next = self.next.next();
        let event = Arc::new(Delivery::from(event.at_position(position)));
        self.log.push(Arc::clone(&event));
        self.log(retention);
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_takes_at_most_48_bytes_of_a_group() {
        const MEMBERS: i64 = 1000;
        let members: Vec<_> =
            (0..MEMBERS).map(|n| Member::new(&format!("user{n}/a name of some length").into())).collect();
        let mut group = MemoryGroup::default();
        let taken = allocation_counter::measure(|| {
            for member in &members {
                group.enter(member);
            }
        });
        let each = taken.bytes_current / MEMBERS;
        assert!(each <= 48, "{each} bytes for each");
    }
}
