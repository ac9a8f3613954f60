//! What a node caches of a group's log: its tail and the page that was read last, for a while after
//! they were read, and its redactions.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::layer::log::{HistoryRange, Page};
use crate::layer::tail::Tail;
use crate::wire::delivery::Delivery;
use crate::wire::event::Event;
use crate::wire::id::Id;

/// Time for which a tail or a page is cached after it was read.
const CACHE_TTL: Duration = Duration::from_secs(3);
/// Bytes of a cached tail; the oldest events are dropped.
const MAX_CACHED_BYTES: usize = 4 * 1024 * 1024;
/// Events of a cached tail.
const MAX_CACHED_EVENTS: usize = 4096;
/// Redactions that are known, the newest ones; Redis has all of them.
pub(super) const MAX_KNOWN_REDACTIONS: usize = 4096;
/// Events of the first reading of a log.
const FIRST_READ_EVENTS: usize = 128;
/// Events of each further reading.
const NEXT_READ_EVENTS: usize = 1000;

#[derive(Default)]
pub(super) struct TailCache {
    tail: Option<Tail>,
    /// What the log is trimmed to, in steps: it may have some messages more.
    most: Option<usize>,
    /// The page that was read last of what is older than the tail, and after which id: readers that
    /// are equally far behind share it.
    page: Option<(Id, Page)>,
    read_at: Option<Instant>,
    /// The redactions that this node received. A page that was read before one and arrives after it
    /// still has the text.
    redactions: BTreeSet<Id>,
    /// Whether the node is subscribed to the group, and so receives its redactions.
    is_subscribed: bool,
    /// How often the log was emptied. A page that was read before and arrives after it is not kept.
    clearings: u64,
}

impl TailCache {
    /// Returns an empty cache of a log that is trimmed to so many messages.
    pub(super) fn new(messages: usize) -> Self {
        Self { most: Some(messages), ..Self::default() }
    }

    /// Returns the range of the log if it is cached.
    pub(super) fn answer(&mut self, range: HistoryRange, now: Instant) -> Option<Page> {
        self.read_at = Some(now);
        let (tail, most) = (self.tail.as_ref(), self.most.unwrap_or(usize::MAX));
        match range {
            HistoryRange::After(id) | HistoryRange::Since(id) => {
                let kept = if let HistoryRange::Since(_) = range { most } else { usize::MAX };
                tail.and_then(|tail| tail.after_if_whole(id, kept)).or_else(|| {
                    let (_, page) = self.page.as_ref().filter(|(after, _)| *after == id)?;
                    let last = tail.map_or(page.last, |tail| tail.last().max(page.last));
                    Some(Page { last, ..page.clone() })
                })
            }
            HistoryRange::Before(id, limit) => tail?.before_if_whole(id, limit, most),
        }
    }

    /// Returns from which id down the log, which the node received up to `position`, has to be
    /// read, and how many events; `None` if all of it is cached, or it must not be cached.
    pub(super) fn missing(&mut self, position: Id) -> Option<(Id, usize)> {
        if !self.is_subscribed {
            return None;
        }
        let tail = self.tail.get_or_insert_with(|| Tail::new(position));
        if tail.whole || is_full(tail) {
            return None;
        }
        Some((tail.floor(), if tail.len() == 0 { FIRST_READ_EVENTS } else { NEXT_READ_EVENTS }))
    }

    /// Returns how often the log was emptied.
    pub(super) fn clearings(&self) -> u64 {
        self.clearings
    }

    /// Keeps a page that was read after this id, if the log has more: then it stays the same.
    pub(super) fn keep_page(&mut self, after: Id, page: &Page) {
        if self.is_subscribed && page.more {
            self.page = Some((after, page.clone()));
        }
    }

    /// Adds what was read from this id down, the oldest last. `whole`: the log has nothing older.
    pub(super) fn extend(&mut self, floor: Id, mut events: Vec<Arc<Delivery>>, whole: bool) {
        self.redact_texts(&mut events);
        let Some(tail) = self.tail.as_mut().filter(|tail| tail.floor() == floor) else { return };
        tail.extend_back(events.into_iter());
        tail.whole |= whole;
    }

    /// Adds a newer event.
    pub(super) fn push(&mut self, event: &Arc<Delivery>) {
        if let (Some((_, page)), Some(position)) = (&mut self.page, event.position()) {
            page.last = position.id;
        }
        let Some(tail) = &mut self.tail else { return };
        if event.position().is_some_and(|position| position.prev != tail.last()) {
            return self.clear(); // it must have no holes
        }
        let mut newest = [Arc::clone(event)];
        // Pushed before its redaction, which the node knows already.
        redact_texts(&self.redactions, &mut newest);
        let [newest] = newest;
        tail.push(newest);
        while is_full(tail) && tail.len() > 1 {
            tail.pop();
            tail.whole = false;
        }
    }

    /// Drops everything but the redactions: the log was trimmed or rewritten.
    pub(super) fn clear(&mut self) {
        self.tail = None;
        self.page = None;
    }

    /// Drops everything but the redactions: the log was emptied.
    pub(super) fn on_cleared(&mut self) {
        self.clear();
        self.clearings += 1;
    }

    /// Drops what was not read lately.
    pub(super) fn sweep(&mut self, now: Instant) {
        if self.read_at.is_some_and(|read_at| now.duration_since(read_at) > CACHE_TTL) {
            self.read_at = None;
            self.clear();
        }
    }

    /// Drops what is cached: the node does not receive redactions any more.
    pub(super) fn on_disconnected(&mut self) {
        self.is_subscribed = false;
        self.clear();
    }

    /// The node is subscribed, and Redis has these redactions; returns those that are new.
    pub(super) fn on_subscribed(&mut self, redacted: BTreeSet<Id>) -> Vec<Id> {
        self.is_subscribed = true;
        let newest = redacted.into_iter().rev().take(MAX_KNOWN_REDACTIONS);
        let new: Vec<Id> = newest.filter(|id| !self.redactions.contains(id)).collect();
        for id in &new {
            self.redact(*id);
        }
        new
    }

    /// Adds a redaction that the node received.
    pub(super) fn redact(&mut self, id: Id) {
        self.redact_text(id);
        self.redactions.insert(id);
        if self.redactions.len() > MAX_KNOWN_REDACTIONS {
            self.redactions.pop_first();
        }
    }

    /// Removes the text of an event from the tail, before its redaction is received.
    pub(super) fn redact_text(&mut self, id: Id) {
        if let Some(tail) = &mut self.tail {
            tail.redact(id);
        }
        if let Some((_, page)) = &mut self.page {
            for event in &mut page.events {
                if let Some(position) = event.position()
                    && position.id == id
                {
                    *event = Arc::new(Event::redacted(position).into());
                }
            }
        }
    }

    /// Removes the texts of redacted events from what was read before the redaction was received.
    pub(super) fn redact_texts(&self, events: &mut [Arc<Delivery>]) {
        redact_texts(&self.redactions, events);
    }

    /// Returns the redactions that the node received.
    pub(super) fn redactions(&self) -> &BTreeSet<Id> {
        &self.redactions
    }
}

/// Removes the texts of those events that are redacted.
fn redact_texts(redactions: &BTreeSet<Id>, events: &mut [Arc<Delivery>]) {
    if redactions.is_empty() {
        return;
    }
    for event in events {
        if let Some(place) = event.position()
            && redactions.contains(&place.id)
        {
            *event = Arc::new(Event::redacted(place).into());
        }
    }
}

fn is_full(tail: &Tail) -> bool {
    tail.bytes() > MAX_CACHED_BYTES || tail.len() > MAX_CACHED_EVENTS
}
