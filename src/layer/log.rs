//! What a group's log is to those who use it, on either layer.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::wire::event::Event;
use crate::wire::id::Id;

/// What a log keeps.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// So many events, at least.
    pub messages: usize,
    /// For so long.
    pub age: Duration,
    /// How many replicas must have an event before [`Layer::append`] returns; Redis only.
    pub replicas: usize,
}

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is in the log.
    New(Id),
    /// It was there already: nothing was added.
    Duplicate(Id),
    /// The key belongs to another event.
    Conflict,
}

/// Some of a log, the oldest first.
#[derive(Clone, Debug)]
pub struct Page {
    /// Events that follow one another.
    pub events: Vec<Arc<Event>>,
    /// There is more in the direction that was asked for.
    pub more: bool,
    /// The id of the log's newest event, or [`Id::START`].
    pub last: Id,
}

/// Under what an event is appended at most once.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    pub(super) name: String,
    /// Tells two events under one name apart.
    pub(super) digest: String,
}

impl IdempotencyKey {
    /// A name for this event, within its group.
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
    fn nodes_of_all_versions_know_an_event_by_the_same_digest() {
        // The first bytes of `printf '\x81\xa4type\xa1a' | sha256sum`.
        assert_eq!(IdempotencyKey::new("mine".to_owned(), &Event::new("a")).digest, "1b2350e020ac04ff");
    }
}
