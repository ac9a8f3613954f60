//! What a node keeps of a group's log: its newest part, for a while after somebody asked for it, and which of its events
//! are redacted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::layer::tail::Tail;
use crate::wire::event::Event;
use crate::wire::id::Id;

/// For how long the newest part of a log is kept after somebody asked for it.
const KEPT: Duration = Duration::from_secs(3);
/// Most of it that is kept; whoever asks for more gets it from Redis.
const MOST_BYTES: usize = 8 * 1024 * 1024;
const MOST_EVENTS: usize = 4096;
/// Most ids of redacted events that are known, the newest ones; Redis knows them all.
const MOST_COVERED: usize = 4096;
/// How much of a log is read first, and then at a time.
const FIRST: usize = 128;
const NEXT: usize = 1000;

#[derive(Default)]
pub(super) struct TailCache {
    tail: Option<Tail>,
    asked: Option<Instant>,
    /// The events of which this node has heard that they are redacted. What was read before that, and comes after it,
    /// still has their texts.
    redacted: BTreeSet<Id>,
    /// The node hears the group: what it keeps is redacted when it has to be.
    heard: bool,
}

impl TailCache {
    /// The newest part of the log, if it is here.
    pub(super) fn tail(&mut self) -> Option<&Tail> {
        self.asked = Some(Instant::now());
        self.tail.as_ref()
    }

    /// From which id down the log, which the node has heard up to `position`, has to be read, and how much of it; `None`
    /// if all of it is here, or must not be kept.
    pub(super) fn wants(&mut self, position: Id) -> Option<(Id, usize)> {
        if !self.heard {
            return None;
        }
        let tail = self.tail.get_or_insert_with(|| Tail::new(position));
        if tail.whole || tail.bytes() > MOST_BYTES || tail.len() > MOST_EVENTS {
            return None;
        }
        Some((tail.floor(), if tail.len() == 0 { FIRST } else { NEXT }))
    }

    /// What was read from this id down, the oldest last.
    pub(super) fn extend(&mut self, floor: Id, mut events: Vec<Arc<Event>>, wanted: usize) {
        self.hide(&mut events);
        let Some(tail) = self.tail.as_mut().filter(|tail| tail.floor() == floor) else { return };
        let whole = events.len() < wanted;
        tail.extend_back(events.into_iter());
        tail.whole |= whole;
    }

    /// A newer event.
    pub(super) fn push(&mut self, event: &Arc<Event>) {
        if let Some(tail) = &mut self.tail {
            tail.push(Arc::clone(event));
        }
    }

    /// The log is not as it was.
    pub(super) fn let_go(&mut self) {
        self.tail = None;
    }

    /// Lets go of what nobody asked for lately, or is too much.
    pub(super) fn sweep(&mut self) {
        if self.asked.is_some_and(|asked| asked.elapsed() > KEPT) {
            self.asked = None;
            self.tail = None;
        }
        if let Some(tail) = &self.tail
            && (tail.bytes() > MOST_BYTES || tail.len() > MOST_EVENTS)
        {
            self.tail = None;
        }
    }

    /// The node does not hear the group any more: what will be redacted is not known here, so nothing is kept.
    pub(super) fn deaf(&mut self) {
        self.heard = false;
        self.tail = None;
    }

    /// The node hears the group; these are redacted. Those that are news are returned.
    pub(super) fn heard(&mut self, redacted: BTreeSet<Id>) -> Vec<Id> {
        self.heard = true;
        let newest = redacted.into_iter().rev().take(MOST_COVERED);
        let news: Vec<Id> = newest.filter(|id| !self.redacted.contains(id)).collect();
        for id in &news {
            self.redact(*id);
        }
        news
    }

    /// The node has heard that this event is redacted.
    pub(super) fn redact(&mut self, id: Id) {
        self.cover_text(id);
        self.redacted.insert(id);
        if self.redacted.len() > MOST_COVERED {
            self.redacted.pop_first();
        }
    }

    /// Covers an event in what is here, before the node has heard that it is redacted.
    pub(super) fn cover_text(&mut self, id: Id) {
        if let Some(tail) = &mut self.tail {
            tail.redact(id);
        }
    }

    /// Covers what was read before it was heard that it is redacted.
    pub(super) fn hide(&self, events: &mut [Arc<Event>]) {
        if self.redacted.is_empty() {
            return;
        }
        for event in events {
            if let Some(place) = event.stamp()
                && self.redacted.contains(&place.id)
            {
                *event = Arc::new(Event::redacted(place));
            }
        }
    }

    /// The redacted events of which the node has heard.
    pub(super) fn redacted(&self) -> &BTreeSet<Id> {
        &self.redacted
    }
}
