//! A group's log as callers see it: what it keeps, what an append returns, and pages of it.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::telemetry::GapReason;
use crate::wire::delivery::Delivery;
use crate::wire::event::{Event, GAP};
use crate::wire::id::Id;
use crate::wire::offset::Offset;

/// What a log keeps.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Number of events, at least.
    pub messages: usize,
    /// Bytes of its events, at most, but for the newest; 0 is no limit.
    pub bytes: usize,
    /// Age of the oldest event.
    pub age: Duration,
    /// Replicas that must have an event before [`Broker::append`](crate::layer::Broker::append)
    /// returns. Ignored in memory.
    pub replicas: usize,
}

/// The outcome of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The event was appended under this id and offset.
    New(Id, Option<Offset>),
    /// The event was appended before, under this id and offset; `None` if the log has the event no
    /// more, or a node of a version without offsets appended it. Nothing was appended.
    Duplicate(Id, Option<Offset>),
    /// The key belongs to another event. Nothing was appended.
    Conflict,
}

/// A range of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryRange {
    /// The oldest events after this id, up to 200, also those that are to be trimmed: the rest of
    /// what was begun to be read.
    After(Id),
    /// The same without those that are to be trimmed.
    Since(Id),
    /// The newest events before this id, or of the whole log, up to this number.
    Before(Option<Id>, usize),
}

/// A part of a log, the oldest event first. It has at most 128 KiB of events, but one at least if
/// there is one.
#[derive(Clone, Debug)]
pub struct Page {
    /// Consecutive events.
    pub events: Vec<Arc<Delivery>>,
    /// Whether the log has more in the direction of the range.
    pub more: bool,
    /// The id of the log's newest event, or [`Id::START`].
    pub last: Id,
}

/// How much a log has, and how much is appended to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogFigures {
    /// Number of events.
    pub events: usize,
    /// Events of the last minute, extrapolated from the newest ones if there are too many to count.
    pub per_minute: u64,
}

/// The newest events of which the rate is estimated.
pub(super) const RATE_SAMPLE_EVENTS: usize = 60;
const MINUTE_MILLIS: u64 = 60_000;

impl LogFigures {
    /// Returns the figures of a log of so many events, by the ids of the newest ones, the newest
    /// first.
    pub(super) fn new(events: usize, newest: &[Id], now: u64) -> Self {
        let age = |id: &Id| now.saturating_sub(id.millis());
        let recent = newest.iter().filter(|id| age(id) < MINUTE_MILLIS).count() as u64;
        let per_minute = match newest.last() {
            // The minute may have begun before the oldest of them.
            Some(oldest) if newest.len() < events && age(oldest) < MINUTE_MILLIS => {
                recent * MINUTE_MILLIS / age(oldest).max(1)
            }
            _ => recent,
        };
        Self { events, per_minute }
    }
}

/// Returns the event that reports to members that events after this one may be missing.
pub(super) fn gap(reason: GapReason, after: Id) -> Event {
    Event::new(GAP).with("reason", reason.as_str()).with("after", &after.to_string())
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
    fn a_rate_is_counted_or_estimated_from_the_newest() {
        let rate = |count: u64, every: u64, events: usize| {
            let id = |n| format!("{}-0", 1_000_000 - n * every).parse().unwrap();
            LogFigures::new(events, &(0..count).map(id).collect::<Vec<Id>>(), 1_000_000).per_minute
        };
        assert_eq!(rate(0, 1, 0), 0);
        assert_eq!(rate(5, 10_000, 5), 5);
        assert_eq!(rate(10, 10_000, 10), 6, "four of them are older");
        assert_eq!(rate(60, 100, 1000), 610, "sixty within 5.9 s");
        assert_eq!(rate(60, 2_000, 1000), 30, "sixty within two minutes");
        assert_eq!(rate(3, 100, 1000), 900, "three large ones within 0.2 s");
    }

    #[test]
    fn nodes_of_all_versions_compute_the_same_digest() {
        // The first bytes of `printf '\x81\xa4type\xa1a' | sha256sum`.
        assert_eq!(IdempotencyKey::new("mine".to_owned(), &Event::new("a")).digest, "1b2350e020ac04ff");
    }
}
