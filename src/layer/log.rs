//! A group's log as callers see it: what it keeps, what an append returns, and pages of it.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::wire::delivery::Delivery;
use crate::wire::event::Event;
use crate::wire::id::Id;

/// What a log keeps.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Number of events, at least.
    pub messages: usize,
    /// Age of the oldest event.
    pub age: Duration,
    /// Replicas that must have an event before [`Broker::append`](crate::layer::Broker::append)
    /// returns. Ignored in memory.
    pub replicas: usize,
}

/// The outcome of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The event was appended under this id.
    New(Id),
    /// The event is in the log already, under this id. Nothing was appended.
    Duplicate(Id),
    /// The key belongs to another event. Nothing was appended.
    Conflict,
}

/// A range of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryRange {
    /// The oldest events after this id, up to 200.
    After(Id),
    /// The newest events before this id, or of the whole log, up to this number.
    Before(Option<Id>, usize),
}

/// A part of a log, the oldest event first.
#[derive(Clone, Debug)]
pub struct Page {
    /// Consecutive events.
    pub events: Vec<Arc<Delivery>>,
    /// Whether the log has more in the direction of the range.
    pub more: bool,
    /// The id of the log's newest event, or [`Id::START`].
    pub last: Id,
}

/// The key under which an event is appended at most once.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    pub(super) name: String,
    /// Distinguishes two events under one name.
    pub(super) digest: String,
}

impl IdempotencyKey {
    /// Returns the key of this event under a name, which belongs to the group.
    pub fn new(name: String, event: &Event) -> Self {
        let digest = Sha256::digest(event.encode());
        let digest = digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
        Self { name, digest: format!("{digest:016x}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_all_versions_compute_the_same_digest() {
        // The first bytes of `printf '\x81\xa4type\xa1a' | sha256sum`.
        assert_eq!(IdempotencyKey::new("mine".to_owned(), &Event::new("a")).digest, "1b2350e020ac04ff");
    }
}
