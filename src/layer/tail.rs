//! The newest events of a log, in this process.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::layer::contract::{MAX_PAGE_BYTES, MAX_PAGE_EVENTS};
use crate::layer::log::Page;
use crate::wire::delivery::Delivery;
use crate::wire::event::{Event, Position};
use crate::wire::id::Id;
use crate::wire::offset::Offset;

/// Consecutive events; the last one is the newest that this node knows of the log.
pub(super) struct Tail {
    events: VecDeque<Arc<Delivery>>,
    /// The id before the first event.
    floor: Id,
    /// The id of the last event, or of the log's newest if there are none.
    last: Id,
    /// Whether the log has nothing older.
    pub(super) whole: bool,
    bytes: usize,
}

impl Tail {
    /// Returns an empty tail of a log whose newest event has this id.
    pub(super) fn new(last: Id) -> Self {
        Self { events: VecDeque::new(), floor: last, last, whole: false, bytes: 0 }
    }

    /// Returns a log that has no events yet.
    pub(super) fn whole() -> Self {
        Self { whole: true, ..Self::new(Id::START) }
    }

    /// Returns the id of the newest event.
    pub(super) fn last(&self) -> Id {
        self.last
    }

    /// Returns the id before the oldest event.
    pub(super) fn floor(&self) -> Id {
        self.floor
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Returns the approximate size of the events in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a newer event.
    pub(super) fn push(&mut self, event: Arc<Delivery>) {
        let Some(stamp) = event.position() else { return };
        self.last = stamp.id;
        self.bytes += event.size();
        self.events.push_back(event);
    }

    /// Adds older events, the newest first, up to the first that is not consecutive.
    pub(super) fn extend_back(&mut self, older: impl Iterator<Item = Arc<Delivery>>) {
        for event in older {
            match event.position() {
                Some(stamp) if stamp.id == self.floor => self.floor = stamp.prev,
                _ => {
                    self.whole = true; // what is older is of another log
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
        self.floor = oldest.position().map_or(self.floor, |stamp| stamp.id);
        self.bytes -= oldest.size();
    }

    /// Removes the text of an event; returns whether it was still there, or `None` if there is no
    /// such event.
    pub(super) fn redact(&mut self, id: Id) -> Option<bool> {
        let at = self.events.partition_point(|event| is_until(event, id)).checked_sub(1)?;
        let event = &mut self.events[at];
        let place = event.position().filter(|stamp| stamp.id == id)?;
        if event.is_redacted() {
            return Some(false);
        }
        self.bytes -= event.size();
        *event = Arc::new(Event::redacted(place).into());
        self.bytes += event.size();
        Some(true)
    }

    /// Returns the ids of the redacted events.
    pub(super) fn redacted(&self) -> BTreeSet<Id> {
        let redacted = self.events.iter().filter(|event| event.is_redacted());
        redacted.filter_map(|event| event.position()).map(|stamp| stamp.id).collect()
    }

    /// Removes the texts of those events that are redacted here.
    pub(super) fn redact_texts(&self, events: &mut [Arc<Delivery>]) {
        for event in events.iter_mut().filter(|event| !event.is_redacted()) {
            let Some(id) = event.position().map(|position| position.id) else { continue };
            let at = self.events.partition_point(|event| is_until(event, id)).checked_sub(1);
            if let Some(own) = at.map(|at| &self.events[at]).filter(|own| is(own, id) && own.is_redacted()) {
                *event = Arc::clone(own);
            }
        }
    }

    /// Returns the ids of up to so many events, the newest first.
    pub(super) fn newest_ids(&self, most: usize) -> Vec<Id> {
        let newest = self.events.iter().rev().take(most);
        newest.filter_map(|event| event.position()).map(|position| position.id).collect()
    }

    /// Returns the id of the oldest event.
    pub(super) fn first(&self) -> Option<Id> {
        self.events.front()?.position().map(|stamp| stamp.id)
    }

    /// Returns the position of the first event with this number or a greater one in this epoch. All
    /// events are of one epoch.
    pub(super) fn find(&self, offset: Offset) -> Option<Position> {
        let number = |event: &Delivery| event.position().and_then(|position| position.offset);
        let at = self.events.partition_point(|event| number(event).is_some_and(|own| own.n < offset.n));
        let found = self.events.get(at)?.position()?;
        found.offset.filter(|own| own.epoch == offset.epoch).map(|_| found)
    }

    /// Returns up to `limit` events after this id, the oldest first, of the newest `kept`.
    pub(super) fn after(&self, id: Id, limit: usize, kept: usize) -> Page {
        let start = self.events.partition_point(|event| is_until(event, id));
        let start = start.max(self.len().saturating_sub(kept));
        let end = self.events.len().min(start.saturating_add(limit));
        let end = start + fitting(self.events.range(start..end));
        Page {
            events: self.events.range(start..end).cloned().collect(),
            more: end < self.len(),
            last: self.last,
        }
    }

    /// Returns the events after this id, of the newest `kept`, if none is missing here. An id
    /// beyond the last is answered by the log itself, which may have more.
    pub(super) fn after_if_whole(&self, id: Id, kept: usize) -> Option<Page> {
        let is_whole = self.whole || id >= self.floor || self.len() >= kept;
        (id <= self.last && is_whole).then(|| self.after(id, MAX_PAGE_EVENTS, kept))
    }

    /// Returns up to `limit` of the newest events, or of those before this id, the oldest first, of
    /// the newest `kept`.
    pub(super) fn before(&self, id: Option<Id>, limit: usize, kept: usize) -> Page {
        let end = match id {
            Some(id) => self.events.partition_point(|event| is_until(event, id) && !is(event, id)),
            None => self.events.len(),
        };
        let first = self.len().saturating_sub(kept).min(end);
        let start = end.saturating_sub(limit).max(first);
        let start = end - fitting(self.events.range(start..end).rev());
        Page {
            events: self.events.range(start..end).cloned().collect(),
            more: start > first,
            last: self.last,
        }
    }

    /// Returns the newest events, or those before this id, of the newest `kept`, if none is missing
    /// here. The log may have more before an id beyond the last.
    pub(super) fn before_if_whole(&self, id: Option<Id>, limit: usize, kept: usize) -> Option<Page> {
        let page = self.before(id, limit, kept);
        let is_whole = self.whole || self.len() >= kept;
        // With more here, the page is as full as one of the log.
        let is_full = page.more || page.events.len() == limit;
        let is_known = id.is_none_or(|id| id <= self.last);
        (is_known && (is_whole || is_full && id.is_none_or(|id| id > self.floor)))
            .then_some(Page { more: page.more || !is_whole, ..page })
    }
}

/// Returns how many of these events fit into one page, at least one.
fn fitting<'a>(events: impl Iterator<Item = &'a Arc<Delivery>>) -> usize {
    let mut bytes = 0;
    let mut fits = |event: &Delivery| {
        bytes += event.bytes();
        bytes <= MAX_PAGE_BYTES
    };
    events.enumerate().take_while(|(at, event)| fits(event) || *at == 0).count()
}

fn is_until(event: &Event, id: Id) -> bool {
    event.position().is_some_and(|stamp| stamp.id <= id)
}

fn is(event: &Event, id: Id) -> bool {
    event.position().is_some_and(|stamp| stamp.id == id)
}
