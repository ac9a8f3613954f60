//! A circle: what the memory layer knows of one group, which is its log and its users.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;

use crate::layer::contract::{IDEMPOTENCY_WINDOW, LEAVE_GRACE, MAX_LISTED_MEMBERS};
use crate::layer::tail::Tail;
use crate::layer::{Appended, IdempotencyKey, Presence, Retention};
use crate::wire::event::{Event, Position};
use crate::wire::id::Id;
use crate::wire::time::{millis, now};

/// The log and the users of one group.
pub(super) struct MemoryGroup {
    log: Tail,
    /// The keys of events that were appended lately.
    sent: HashMap<String, Sent>,
    users: HashMap<String, User>,
    /// The count will be told in a moment.
    pub(super) counting: bool,
}

struct User {
    /// How many members the user is; none while it may still come back.
    members: usize,
    /// When the last of them left.
    left: Instant,
}

struct Sent {
    id: Id,
    digest: String,
    at: Instant,
}

impl Default for MemoryGroup {
    fn default() -> Self {
        let mut log = Tail::new(Id::START);
        log.whole = true;
        Self { log, sent: HashMap::new(), users: HashMap::new(), counting: false }
    }
}

impl MemoryGroup {
    /// One more member; whether the user was not here before.
    pub(super) fn enter(&mut self, user: &str) -> bool {
        let new = !self.users.contains_key(user);
        let fresh = || User { members: 0, left: Instant::now() };
        self.users.entry(user.to_owned()).or_insert_with(fresh).members += 1;
        new
    }

    /// One member less; whether it was the user's last.
    pub(super) fn leave(&mut self, name: &str) -> bool {
        let Some(user) = self.users.get_mut(name).filter(|user| user.members > 0) else { return false };
        user.members -= 1;
        user.left = Instant::now();
        user.members == 0
    }

    /// The user's time to come back may be over; whether it has left now.
    pub(super) fn gone(&mut self, name: &str) -> bool {
        let gone =
            self.users.get(name).is_some_and(|user| user.members == 0 && user.left.elapsed() >= LEAVE_GRACE);
        if gone {
            self.users.remove(name);
        }
        gone
    }

    /// How many users have members here.
    pub(super) fn users(&self) -> usize {
        self.users.values().filter(|user| user.members > 0).count()
    }

    pub(super) fn presence(&self) -> Presence {
        let members = (self.users.len() <= MAX_LISTED_MEMBERS).then(|| self.users.keys().cloned().collect());
        Presence { count: self.users.len(), members }
    }

    /// Whether somebody is here, or there are events that were written after this time.
    pub(super) fn is_used(&self, oldest: u64) -> bool {
        !self.users.is_empty() || self.log.last().millis() >= oldest
    }

    /// Takes an event's text out of the log; whether it was still there, or `None` if there is no such event.
    pub(super) fn redact(&mut self, id: Id, keep: Retention) -> Option<bool> {
        self.log(keep);
        self.log.redact(id)
    }

    /// The log as it is now: what is too old has gone.
    pub(super) fn log(&mut self, keep: Retention) -> &Tail {
        let oldest = now().saturating_sub(millis(keep.age));
        while self.log.len() > keep.messages || self.log.first().is_some_and(|id| id.millis() < oldest) {
            self.log.pop();
        }
        &self.log
    }

    /// What became of the event with this key, if there was one.
    pub(super) fn known(&self, key: &IdempotencyKey) -> Option<Appended> {
        let sent = self.sent.get(&key.name).filter(|sent| sent.at.elapsed() < IDEMPOTENCY_WINDOW)?;
        Some(if sent.digest == key.digest { Appended::Duplicate(sent.id) } else { Appended::Conflict })
    }

    pub(super) fn remember(&mut self, key: &IdempotencyKey, id: Id) {
        if self.sent.len() == self.sent.capacity() {
            self.sent.retain(|_, sent| sent.at.elapsed() < IDEMPOTENCY_WINDOW);
        }
        let sent = Sent { id, digest: key.digest.clone(), at: Instant::now() };
        self.sent.insert(key.name.clone(), sent);
    }

    /// Writes an event to the log.
    pub(super) fn append(&mut self, event: Event, keep: Retention) -> Arc<Event> {
        let prev = self.log.last();
        let event = Arc::new(event.stamped(Position { id: prev.next(now()), prev }));
        self.log.push(Arc::clone(&event));
        self.log(keep);
        event
    }
}
