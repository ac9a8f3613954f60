//! The cursor of a group: up to which event it was delivered, and what waits. Decides only: it
//! reads nothing, sends nothing and has no clock. Times are Unix milliseconds of Redis' clock.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::layer::redis::held_events::HeldEvents;
use crate::layer::redis::log::LogPage;
use crate::layer::redis::tail_cache::TailCache;
use crate::telemetry::GapReason;
use crate::wire::delivery::Delivery;
use crate::wire::event::{Event, GAP, Position};
use crate::wire::id::Id;

/// Milliseconds before the last delivered event from which a rewritten log may differ from the
/// known one.
const MAX_FORK_MILLIS: u64 = 60_000;
/// Delivered events of that time that are distinguished from new ones of a rewritten log; a client
/// drops others by their ids.
const MAX_RECENT_EVENTS: usize = 4096;
/// Events of which the node knows only that they exist.
const MAX_HEARD_EVENTS: usize = 1024;
/// Milliseconds by which an event may be later than both Redis' clock and the log.
const MAX_LEAD_MILLIS: u64 = 60_000;

#[derive(Default)]
pub(super) struct GroupCursor {
    pub(super) state: Mutex<CursorState>,
    /// Held by the caller that reads from Redis; the others wait for what it finds.
    pub(super) reading: tokio::sync::Mutex<()>,
}

/// Where a group's deliveries are in its log.
#[derive(Default)]
pub(super) struct CursorState {
    /// Everything up to this id was delivered; `None` until the end of the log is found.
    position: Option<Id>,
    /// The last event that was delivered, or the end of the log when the node subscribed.
    delivered: Id,
    /// The position when the node subscribed: older events are not new to any member here.
    start: Id,
    /// What was pushed and waits until the log is read up to it.
    held: HeldEvents,
    /// Events that exist and were not delivered: skipped ones, and ends of the log.
    heard: BTreeSet<Id>,
    /// Held events with smaller numbers were pushed over an earlier subscription.
    stale: u64,
    backfill: Backfill,
    /// Held events with smaller numbers may be older than what was delivered from the log.
    overtaken: u64,
    /// Whether something is missing after `delivered`.
    hole: Hole,
    /// Whether something may be missing after what the log has.
    is_uncertain: bool,
    /// An event has the id of a delivered one and another place: the log was rewritten.
    is_rewritten: bool,
    /// Since when events may have been missed, if so. Otherwise every event since `position` was
    /// pushed and taken, whatever became of the log.
    missing_since: Option<u64>,
    /// How often something was missed: a page that was asked for before is not enough.
    misses: u64,
    is_subscribed: bool,
    /// How often the subscription was lost.
    connection: u64,
    /// The last delivered events: what pub/sub brings after the log, or a rewritten log still has,
    /// is not new.
    recent: VecDeque<Position>,
    pub(super) tail_cache: TailCache,
}

/// Whether the log is read, and how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Backfill {
    #[default]
    Idle,
    /// From the last event that was delivered.
    Reading,
    /// The log was rewritten, and the position was set back before the possible fork.
    Rewound,
    /// After that: ids of pushed and of logged events do not compare.
    Rereading,
}

/// Whether something is missing before the next event. If so, a gap is delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Hole {
    #[default]
    No,
    /// Unless the next event follows the last one.
    Possible,
    Certain,
}

/// What to do with an event that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sequence {
    /// It is the next event, or not logged: it is delivered.
    Next,
    /// It is the first event of a log that begins again: it is delivered after a gap.
    Rewritten(Id),
    /// It was or will be read from the log.
    Waits,
    /// An event before it is missing: a backfill has to begin.
    Behind,
}

/// A page of a backfill that was asked for: from where, and what was known then.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageRequest {
    pub(super) from: Id,
    arrived: u64,
    misses: u64,
    connection: u64,
}

/// What follows from a page.
#[derive(Default)]
pub(super) struct Backfilled {
    /// New events in their order, with a [`GAP`] where some may be missing.
    pub(super) events: Vec<Arc<Delivery>>,
    /// The gaps: why, and after which id.
    pub(super) gaps: Vec<(GapReason, Id)>,
    /// Events that were pushed and dropped, because the log does not have them.
    pub(super) dropped: usize,
    /// Whether nothing is missing any more, and the backfill has ended.
    pub(super) is_done: bool,
}

impl CursorState {
    /// Compares the cursor with the end of the log and its redactions; returns the redactions that
    /// were missed, and whether a backfill has to begin. `age` is the retention of the log in
    /// milliseconds.
    pub(super) fn locate(&mut self, last: Id, redacted: BTreeSet<Id>, now: u64, age: u64) -> (Vec<Id>, bool) {
        let mut new_redactions = self.tail_cache.on_subscribed(redacted);
        self.is_subscribed = true;
        if self.position.is_none() {
            new_redactions.clear(); // no member here has their texts
            self.held.drop_until(last);
            self.heard.retain(|heard| *heard > last);
        }
        let position = *self.position.get_or_insert_with(|| {
            (self.start, self.delivered) = (last, last);
            last
        });
        if self.may_lack_a_log(now, age) {
            self.suspect(Hole::Possible);
        } else if position == last && self.held.is_empty() && self.heard.is_empty() {
            if self.backfill == Backfill::Idle {
                self.missing_since = None;
            }
            return (new_redactions, false);
        }
        self.misses += 1;
        self.hear(last);
        (new_redactions, self.begin())
    }

    /// The connection with the subscription was lost.
    pub(super) fn on_disconnected(&mut self, now: u64) {
        self.is_subscribed = false;
        self.stale = self.held.arrived();
        self.connection += 1;
        self.miss(now);
        self.tail_cache.on_disconnected();
    }

    /// Takes an event that Redis pushed. `age` is the retention of the log in milliseconds.
    pub(super) fn on_event(&mut self, event: &Arc<Delivery>, now: u64, age: u64) -> Sequence {
        if let Some(id) = event.redacts() {
            self.tail_cache.redact(id);
        }
        let Some(stamp) = event.position() else { return Sequence::Next };
        let Some(position) = self.position.filter(|_| self.backfill == Backfill::Idle) else {
            self.hold(event, now);
            return Sequence::Waits;
        };
        let is_later = stamp.id > position && !self.is_ahead(stamp.id, now);
        // A log without an append for its whole age has expired: nothing is missing.
        let has_expired =
            stamp.prev == Id::START && position.millis().saturating_add(age) < stamp.id.millis();
        if is_later && (stamp.prev == position || has_expired) {
            let after = self.may_lack_a_log(now, age).then_some(self.delivered);
            if after.is_some() {
                self.tail_cache.clear();
            }
            self.deliver(event, stamp);
            return after.map_or(Sequence::Next, Sequence::Rewritten);
        }
        if self.recent.contains(&stamp) {
            return Sequence::Waits;
        }
        let is_reused = self.recent.iter().any(|recent| recent.id == stamp.id);
        if self.missing_since.is_none() && (is_reused || is_later && stamp.prev == Id::START) {
            let after = self.delivered;
            self.tail_cache.clear();
            self.deliver(event, stamp);
            return Sequence::Rewritten(after);
        }
        self.is_rewritten |= is_reused;
        self.hold(event, now);
        self.begin();
        Sequence::Behind
    }

    /// Takes note of an event that was not delivered because too many wait; returns whether a
    /// backfill has to begin.
    pub(super) fn on_skipped(&mut self, event: &Event, now: u64) -> bool {
        let Some(stamp) = event.position() else { return false };
        self.hear(stamp.id);
        self.miss(now);
        self.position.is_some() && self.begin()
    }

    /// Returns which page the backfill has to read next.
    pub(super) fn next_page(&self) -> PageRequest {
        let from = self.position.unwrap_or(Id::START);
        let (misses, connection) = (self.misses, self.connection);
        PageRequest { from, arrived: self.held.arrived(), misses, connection }
    }

    /// Takes a page of a backfill.
    pub(super) fn on_page(&mut self, asked: PageRequest, page: LogPage, now: u64, age: u64) -> Backfilled {
        let mut result = Backfilled::default();
        if asked.connection != self.connection {
            return result; // another server may answer now
        }
        let (from, last) = (asked.from, page.last);
        let first = page.events.first().and_then(|event| event.position());
        let has_expired = from.millis().saturating_add(age) < now;
        let is_rewritten = std::mem::take(&mut self.is_rewritten)
            || match first {
                Some(first) => first.prev < from,
                None => last != from && !has_expired,
            };
        let is_rewound = self.backfill == Backfill::Rewound;
        if is_rewritten && !is_rewound {
            // Some events of the log before the fork may be new.
            self.tail_cache.clear();
            let fork = from.min(last).back(MAX_FORK_MILLIS);
            self.position = Some(if self.start <= last { fork.max(self.start) } else { fork });
            self.backfill = Backfill::Rewound;
            self.suspect(Hole::Possible);
            return result;
        }
        if page.events.is_empty() {
            // What expired was delivered, unless the node missed more time than an event lives.
            let is_idle = self.missing_since.is_none_or(|since| since.saturating_add(age) > now);
            if last != from && !is_rewound && !is_idle {
                self.suspect(Hole::Possible);
            }
            self.position = Some(last);
            self.tail_cache.clear();
        }
        let (mut at, mut is_pushed) = ((!is_rewound).then_some(from), false);
        for found in self.with_held(page.events, page.more, last, asked, now) {
            match found {
                Found::Logged(event) => {
                    // What follows a pushed event in the log is of another one than it was.
                    if is_pushed && !self.is_new(&event) {
                        self.suspect(Hole::Certain);
                    }
                    at = self.walk(at, &event, true, &mut result);
                }
                Found::Pushed(event, is_stale) => {
                    is_pushed = true;
                    at = self.walk(at, &event, false, &mut result);
                    if is_stale {
                        self.suspect(Hole::Possible); // what came after it was not pushed
                    }
                }
                Found::Dropped => {
                    result.dropped += 1;
                    self.suspect(Hole::Certain);
                }
                Found::Foreign => result.dropped += 1,
            }
        }
        if is_rewound {
            self.backfill = Backfill::Rereading;
        }
        let is_end = !page.more && asked.misses == self.misses;
        if is_end {
            let is_unheard = !std::mem::take(&mut self.heard).is_empty();
            let has_hole = std::mem::take(&mut self.hole) != Hole::No;
            if is_unheard | has_hole | std::mem::take(&mut self.is_uncertain) {
                let is_trimmed = !is_rewound && has_expired && last == Id::START;
                result.gap(is_trimmed, self.delivered);
            }
        }
        result.is_done = is_end && self.held.is_empty();
        if result.is_done {
            self.backfill = Backfill::Idle;
            if self.is_subscribed {
                self.missing_since = None;
            }
        }
        result
    }

    /// Delivers the next event of a page if it is new, after a gap if others are missing before it.
    /// `at` is the event before it, if that is known. Returns the id of the event.
    fn walk(
        &mut self,
        at: Option<Id>,
        event: &Arc<Delivery>,
        is_logged: bool,
        result: &mut Backfilled,
    ) -> Option<Id> {
        let Some(stamp) = event.position() else { return at };
        if !self.is_new(event) {
            self.position = Some(stamp.id);
            self.heard.remove(&stamp.id);
            self.tail_cache.clear(); // it must have no holes
            return Some(stamp.id);
        }
        self.heard.remove(&stamp.id);
        let later = self.heard.split_off(&stamp.id);
        if !std::mem::replace(&mut self.heard, later).is_empty() {
            self.suspect(Hole::Certain);
        }
        let follows = stamp.prev == self.delivered && self.hole != Hole::Certain;
        let is_missing = self.hole != Hole::No || at.is_some_and(|at| at != stamp.prev);
        if !follows && is_missing {
            result.gap(stamp.prev > self.delivered, self.delivered);
            self.tail_cache.clear();
            self.hole = Hole::No;
        }
        if is_logged {
            self.hole = Hole::No;
        }
        self.deliver(event, stamp);
        result.events.push(Arc::clone(event));
        Some(stamp.id)
    }

    /// Returns the events of a page with those among them that were pushed before the page was
    /// asked for and that the log does not have: it was lost.
    fn with_held(
        &mut self,
        events: Vec<Arc<Delivery>>,
        more: bool,
        last: Id,
        asked: PageRequest,
        now: u64,
    ) -> Vec<Found> {
        let mut all = Vec::with_capacity(events.len());
        let mut rest: VecDeque<Arc<Delivery>> = events.into();
        self.tail_cache.redact_texts(rest.make_contiguous());
        let read: BTreeSet<Id> = ids(&rest).collect();
        let is_reread = matches!(self.backfill, Backfill::Rewound | Backfill::Rereading);
        let first = rest.front().and_then(|event| event.position());
        let is_trimmed = first.is_some_and(|first| first.prev != asked.from);
        let has_news = rest.iter().any(|event| self.is_new(event));
        let mut waiting = self.held.take();
        // What was pushed before an event that was delivered is older than that.
        let overtaking =
            waiting.iter().rev().find(|(_, held)| !self.is_new(held)).map(|(arrival, _)| *arrival);
        // So is what has an id beyond those from before the clock was set back.
        let top = self.recent.iter().map(|recent| recent.id).max().filter(|top| *top > self.delivered);
        // The last event before the next one, and the number of the last push among them.
        let (mut at, mut passed) = (self.delivered, 0);
        while let Some((arrival, mut held)) = waiting.pop_front() {
            let Some(stamp) = held.position() else { continue };
            if let Some(end) = rest.iter().position(|event| event.position() == Some(stamp)) {
                all.extend(rest.drain(..=end).map(Found::Logged));
                (at, passed) = (stamp.id, arrival);
                continue;
            }
            if read.contains(&stamp.id) || !self.is_new(&held) {
                continue;
            }
            let before = ids(&rest).position(|id| id == stamp.prev).map(|before| before + 1);
            let follows = before.or((stamp.prev == at).then_some(0));
            let is_overtaken = overtaking.is_some_and(|overtaking| arrival < overtaking);
            // The log has another one in its place.
            let is_later = arrival >= asked.arrived;
            let is_replaced = !is_later && follows.is_some_and(|place| place < rest.len());
            let is_beyond = more && read.last().is_none_or(|last| stamp.id > *last);
            if (is_later || is_beyond) && !is_replaced && !is_overtaken {
                self.held.keep((arrival, held));
                continue;
            }
            if self.position.is_some_and(|position| stamp.id <= position) || self.is_ahead(stamp.id, now) {
                all.push(Found::Foreign);
                continue;
            }
            if is_overtaken || follows.is_none() && top.is_some_and(|top| stamp.id > top) {
                all.push(Found::Dropped);
                continue;
            }
            // Before what was pushed after it, and after what has a smaller id.
            let pushed: BTreeSet<Id> =
                waiting.iter().filter_map(|(_, later)| later.position()).map(|later| later.id).collect();
            let next = ids(&rest).position(|id| pushed.contains(&id)).unwrap_or(rest.len());
            let later = ids(&rest).position(|id| id > stamp.id).unwrap_or(rest.len());
            let is_comparable = arrival >= self.stale && !is_reread;
            let is_alone = !has_news && arrival >= self.overtaken && stamp.id > self.delivered;
            all.extend(rest.drain(..follows.unwrap_or(next.min(later))).map(Found::Logged));
            if follows.is_some() || is_comparable || is_alone {
                self.tail_cache.redact_texts(std::slice::from_mut(&mut held));
                (at, passed) = (stamp.id, arrival);
                all.push(Found::Pushed(held, arrival < self.stale));
            } else {
                // The ids are of another log, or of before a connection was lost.
                all.push(Found::Dropped);
                // Unless the log has lost its beginning, it was before or after what the log has.
                if is_reread || stamp.id > last || !is_trimmed {
                    self.is_uncertain = true;
                    all.insert(0, Found::Dropped);
                }
            }
        }
        all.extend(rest.into_iter().map(Found::Logged));
        self.held.drop_before(passed);
        if has_news {
            self.overtaken = asked.arrived;
        }
        all
    }

    /// Returns whether logs may have been written and lost since the connection was lost. The one
    /// before was: one empty log looks like another, and one that begins may not be the first.
    fn may_lack_a_log(&self, now: u64, age: u64) -> bool {
        let is_young = self.delivered != Id::START && self.delivered.millis().saturating_add(age) > now;
        self.position == Some(Id::START) && is_young && self.missing_since.is_some()
    }

    /// Returns whether an event was not delivered yet.
    fn is_new(&self, event: &Event) -> bool {
        event.position().is_none_or(|stamp| !self.recent.contains(&stamp))
    }

    /// Begins a backfill; returns whether none runs.
    fn begin(&mut self) -> bool {
        let is_idle = self.backfill == Backfill::Idle;
        if is_idle {
            self.backfill = Backfill::Reading;
        }
        is_idle
    }

    fn suspect(&mut self, hole: Hole) {
        self.hole = self.hole.max(hole);
    }

    /// Takes note of an event that exists.
    fn hear(&mut self, id: Id) {
        if self.position.is_none_or(|position| id > position) && self.heard.len() < MAX_HEARD_EVENTS {
            self.heard.insert(id);
        }
    }

    fn hold(&mut self, event: &Arc<Delivery>, now: u64) {
        if !self.held.push(event) {
            self.miss(now);
        }
    }

    fn miss(&mut self, now: u64) {
        self.missing_since.get_or_insert(now);
        self.misses += 1;
    }

    /// Returns whether an id is of a time that has not come. Any program that publishes can claim
    /// any position; the log decides about one in the future.
    fn is_ahead(&self, id: Id, now: u64) -> bool {
        let latest = self.position.map_or(now, |position| position.millis().max(now));
        id.millis() > latest.saturating_add(MAX_LEAD_MILLIS)
    }

    /// Takes note of an event that is delivered.
    fn deliver(&mut self, event: &Arc<Delivery>, stamp: Position) {
        self.position = Some(stamp.id);
        self.delivered = stamp.id;
        self.tail_cache.push(event);
        let is_old =
            |recent: &Position| recent.id.millis().saturating_add(MAX_FORK_MILLIS) < stamp.id.millis();
        while self.recent.len() == MAX_RECENT_EVENTS || self.recent.front().is_some_and(is_old) {
            self.recent.pop_front();
        }
        self.recent.push_back(stamp);
    }

    /// See [`TailCache::missing`].
    pub(super) fn missing_tail(&mut self) -> Option<(Id, usize)> {
        self.tail_cache.missing(self.position?)
    }
}

/// An event that a backfill found.
enum Found {
    Logged(Arc<Delivery>),
    /// It was pushed, and the log does not have it; whether that was over an earlier subscription.
    Pushed(Arc<Delivery>, bool),
    /// Such an event without a place in the order: it is lost.
    Dropped,
    /// Such an event that does not continue the log: a foreign program invented or repeats it.
    Foreign,
}

impl Backfilled {
    fn gap(&mut self, is_trimmed: bool, after: Id) {
        let reason = if is_trimmed { GapReason::Trimmed } else { GapReason::Rewritten };
        self.gaps.push((reason, after));
        self.events.push(Arc::new(gap(reason, after).into()));
    }
}

fn ids(events: &VecDeque<Arc<Delivery>>) -> impl Iterator<Item = Id> {
    events.iter().filter_map(|event| event.position()).map(|stamp| stamp.id)
}

/// Returns the event that reports missing events to members.
pub(super) fn gap(reason: GapReason, after: Id) -> Event {
    Event::new(GAP).with("reason", reason.as_str()).with("after", &after.to_string())
}
