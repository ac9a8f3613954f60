//! The tail: consecutive events of a log, the newest ones, in this process.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::Page;
use crate::wire::event::Event;
use crate::wire::id::Id;

/// Events without a hole between them; the last one is the log's newest that this node knows.
pub(super) struct Tail {
    events: VecDeque<Arc<Event>>,
    /// The id before the first of them.
    floor: Id,
    /// The id of the last of them, or of the log's newest if there are none.
    last: Id,
    /// Nothing older is in the log.
    pub(super) whole: bool,
    bytes: usize,
}

impl Tail {
    /// No events yet; the log's newest has this id.
    pub(super) fn new(last: Id) -> Self {
        Self { events: VecDeque::new(), floor: last, last, whole: false, bytes: 0 }
    }

    /// The newest event's id.
    pub(super) fn last(&self) -> Id {
        self.last
    }

    /// The id before the oldest event that is here.
    pub(super) fn floor(&self) -> Id {
        self.floor
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// About how many bytes the events take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A newer event.
    pub(super) fn push(&mut self, event: Arc<Event>) {
        let Some(stamp) = event.stamp() else { return };
        self.last = stamp.id;
        self.bytes += event.size();
        self.events.push_back(event);
    }

    /// Older events, the newest first, as long as they follow one another.
    pub(super) fn extend_back(&mut self, older: impl Iterator<Item = Arc<Event>>) {
        for event in older {
            match event.stamp() {
                Some(stamp) if stamp.id == self.floor => self.floor = stamp.prev,
                _ => {
                    self.whole = true; // what comes before is of another log
                    return;
                }
            }
            self.bytes += event.size();
            self.events.push_front(event);
        }
    }

    /// Drops the oldest event.
    pub(super) fn pop(&mut self) {
        let Some(oldest) = self.events.pop_front() else { return };
        self.floor = oldest.stamp().map_or(self.floor, |stamp| stamp.id);
        self.bytes -= oldest.size();
    }

    /// Takes an event's text out; whether it was still there, or `None` if there is no such event.
    pub(super) fn redact(&mut self, id: Id) -> Option<bool> {
        let at = self.events.partition_point(|event| is_until(event, id)).checked_sub(1)?;
        let event = &mut self.events[at];
        let place = event.stamp().filter(|stamp| stamp.id == id)?;
        if event.is_covered() {
            return Some(false);
        }
        self.bytes -= event.size();
        *event = Arc::new(Event::redacted(place));
        self.bytes += event.size();
        Some(true)
    }

    /// The ids of events whose text was taken out.
    pub(super) fn redacted(&self) -> BTreeSet<Id> {
        let redacted = self.events.iter().filter(|event| event.is_covered());
        redacted.filter_map(|event| event.stamp()).map(|stamp| stamp.id).collect()
    }

    /// The oldest event's id.
    pub(super) fn first(&self) -> Option<Id> {
        self.events.front()?.stamp().map(|stamp| stamp.id)
    }

    /// Up to `limit` events after this id, the oldest first.
    pub(super) fn after(&self, id: Id, limit: usize) -> Page {
        self.page(self.events.partition_point(|event| is_until(event, id)), usize::MAX, limit)
    }

    /// Events after this id, if none of them is missing here. An id after the last may be one that another node
    /// has heard of already.
    pub(super) fn after_if_whole(&self, id: Id) -> Option<Page> {
        (id <= self.last && (self.whole || id >= self.floor))
            .then(|| self.after(id, crate::layer::contract::MAX_PAGE_EVENTS))
    }

    /// The newest events, if none of them is missing here.
    pub(super) fn newest_if_whole(&self, limit: usize) -> Option<Page> {
        (self.whole || self.len() >= limit).then(|| self.before(None, limit))
    }

    /// The newest events, or those before this id: up to `limit` of them, the oldest first.
    pub(super) fn before(&self, id: Option<Id>, limit: usize) -> Page {
        let end = match id {
            Some(id) => self.events.partition_point(|event| is_until(event, id) && !is(event, id)),
            None => self.events.len(),
        };
        let start = end.saturating_sub(limit);
        Page { more: start > 0, ..self.page(start, end, limit) }
    }

    fn page(&self, start: usize, end: usize, limit: usize) -> Page {
        let end = end.min(self.events.len());
        let stop = end.min(start.saturating_add(limit));
        Page { events: self.events.range(start..stop).cloned().collect(), more: stop < end, last: self.last }
    }
}

fn is_until(event: &Event, id: Id) -> bool {
    event.stamp().is_some_and(|stamp| stamp.id <= id)
}

fn is(event: &Event, id: Id) -> bool {
    event.stamp().is_some_and(|stamp| stamp.id == id)
}
