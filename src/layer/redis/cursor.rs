//! The cursor of a group: up to which event it was delivered, and what waits. Decides only: it
//! reads nothing, sends nothing and has no clock. Times are Unix milliseconds of Redis' clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::layer::log::gap;
use crate::layer::redis::held_events::HeldEvents;
use crate::layer::redis::log::LogPage;
use crate::layer::redis::tail_cache::TailCache;
use crate::telemetry::GapReason;
use crate::wire::delivery::Delivery;
use crate::wire::event::{Event, Position};
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

/// The epoch of an event; `None` if it has none or it is not known. Ids compare within an epoch.
type Epoch = Option<u64>;

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
    /// The epoch of the event at the position, where it is known.
    epoch: Epoch,
    /// The last event that was delivered, or the end of the log when the node subscribed.
    delivered: Id,
    /// The position when the node subscribed: older events are not new to any member here.
    start: Id,
    /// What was pushed and waits until the log is read up to it.
    held: HeldEvents,
    /// Events that exist and were not delivered, with their epochs: skipped ones, and ends of the
    /// log.
    heard: BTreeMap<Id, Epoch>,
    /// Held events with smaller numbers were pushed over an earlier subscription.
    stale: u64,
    backfill: Backfill,
    /// Whether something is missing after `delivered`.
    hole: Hole,
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
    /// The log was emptied: a gap is delivered instead.
    Cleared(Id),
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

impl GroupCursor {
    /// Returns the cursor of a log that is trimmed to so many messages.
    pub(super) fn new(messages: usize) -> Self {
        let state = CursorState { tail_cache: TailCache::new(messages), ..CursorState::default() };
        Self { state: Mutex::new(state), reading: tokio::sync::Mutex::default() }
    }
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
            self.heard.retain(|heard, _| *heard > last);
        }
        let position = *self.position.get_or_insert_with(|| {
            (self.start, self.delivered) = (last, last);
            last
        });
        let may_lack_a_log = self.may_lack_a_log(now, age);
        if !may_lack_a_log && position == last && self.held.is_empty() && self.heard.is_empty() {
            self.missing_since = None;
            return (new_redactions, false);
        }
        self.misses += 1;
        self.hear(last, None);
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
        if let Some(last) = event.clears() {
            return self.on_cleared(last);
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
        self.hold(event, now);
        self.begin();
        Sequence::Behind
    }

    /// All events of the log were removed, of which this was the last. Unless it is the one that
    /// was delivered last, a backfill finds out where the log goes on, or has done so.
    fn on_cleared(&mut self, last: Id) -> Sequence {
        self.tail_cache.on_cleared();
        let is_idle = self.backfill == Backfill::Idle;
        if self.position.is_none() || !is_idle || self.position != Some(last) {
            self.misses += 1;
            if last > self.start && self.recent.iter().all(|recent| recent.id != last) {
                self.suspect(Hole::Certain);
            }
            let begins = self.position.is_some() && self.begin();
            return if begins { Sequence::Behind } else { Sequence::Waits };
        }
        self.position = Some(Id::START);
        self.epoch = None;
        Sequence::Cleared(self.delivered)
    }

    /// Takes note of an event that was not delivered because too many wait; returns whether a
    /// backfill has to begin.
    pub(super) fn on_skipped(&mut self, event: &Event, now: u64) -> bool {
        let Some(stamp) = event.position() else { return false };
        if !self.recent.contains(&stamp) {
            self.hear(stamp.id, epoch_of(stamp));
        }
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
    pub(super) fn on_page(
        &mut self,
        asked: PageRequest,
        mut page: LogPage,
        now: u64,
        age: u64,
    ) -> Backfilled {
        let mut result = Backfilled::default();
        if asked.connection != self.connection {
            return result; // another server may answer now
        }
        let last = page.last;
        let first = page.events.first().and_then(|event| event.position());
        // What expired was delivered, unless the node missed more time than an event lives.
        let is_idle = self.missing_since.is_none_or(|since| since.saturating_add(age) > now);
        let has_expired_by = |time| asked.from.millis().saturating_add(age) < time;
        let has_expired = has_expired_by(now);
        // An earlier page of the log would have been empty.
        let has_begun_again =
            first.is_some_and(|first| first.prev == Id::START && has_expired_by(first.id.millis()));
        let from = if has_begun_again && is_idle { Id::START } else { asked.from };
        let is_rewritten = match first {
            Some(first) => first.prev < from,
            None => last != from && !has_expired,
        };
        let is_rewound = self.backfill == Backfill::Rewound;
        let may_lack_a_log = self.may_lack_a_log(now, age);
        if is_rewritten && !is_rewound {
            // Some events of the log before the fork may be new.
            self.tail_cache.clear();
            let fork = from.min(last).back(MAX_FORK_MILLIS);
            self.position = Some(if self.start <= last { fork.max(self.start) } else { fork });
            self.epoch = None;
            self.backfill = Backfill::Rewound;
            self.suspect(Hole::Possible);
            return result;
        }
        if page.events.is_empty() {
            if last != from && !is_rewound && !is_idle {
                self.suspect(Hole::Possible);
            }
            self.position = Some(last);
            self.epoch = None;
            self.tail_cache.clear();
        }
        if may_lack_a_log {
            self.suspect(Hole::Possible);
        }
        let mut unlogged = self.take_unlogged(&page, asked, now, &mut result);
        self.tail_cache.redact_texts(&mut page.events);
        let mut at = from;
        for event in &page.events {
            if self.is_new(event) {
                at = self.deliver_unlogged(at, &mut unlogged, &mut result);
            }
            at = self.walk(at, event, &mut result);
        }
        self.deliver_unlogged(at, &mut unlogged, &mut result);
        result.dropped += unlogged.len();
        self.backfill = Backfill::Reading;
        let is_end = !page.more && asked.misses == self.misses;
        if is_end {
            let is_unheard = !std::mem::take(&mut self.heard).is_empty();
            let has_hole = std::mem::take(&mut self.hole) != Hole::No;
            if is_unheard | has_hole {
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

    /// Delivers the next event if it is new, after a gap if others are missing before it. `at` is
    /// the event before it. Returns the id of the event.
    fn walk(&mut self, at: Id, event: &Arc<Delivery>, result: &mut Backfilled) -> Id {
        let Some(stamp) = event.position() else { return at };
        self.heard.remove(&stamp.id);
        self.end_epoch(epoch_of(stamp));
        if !self.is_new(event) {
            self.position = Some(stamp.id);
            self.tail_cache.clear(); // it must have no holes
            return stamp.id;
        }
        // Of whichever epoch: what follows in this log has greater ids.
        let later = self.heard.split_off(&stamp.id);
        if !std::mem::replace(&mut self.heard, later).is_empty() {
            self.suspect(Hole::Certain);
        }
        let hole = std::mem::take(&mut self.hole);
        let follows = self.is_next(stamp) && hole != Hole::Certain;
        if !follows && (hole != Hole::No || at != stamp.prev) {
            result.gap(stamp.prev > self.delivered, self.delivered);
            self.tail_cache.clear();
        }
        self.deliver(event, stamp);
        result.events.push(Arc::clone(event));
        stamp.id
    }

    /// Takes out what was pushed before a page was asked for and is not in the log: it was lost.
    fn take_unlogged(
        &mut self,
        page: &LogPage,
        asked: PageRequest,
        now: u64,
        result: &mut Backfilled,
    ) -> Vec<Arc<Delivery>> {
        let logged: BTreeSet<Id> =
            page.events.iter().filter_map(|event| event.position()).map(|stamp| stamp.id).collect();
        let epochs: Vec<u64> = std::iter::once(self.epoch)
            .chain(page.events.iter().map(|event| event.position().and_then(epoch_of)))
            .flatten()
            .collect();
        let mut unlogged = Vec::new();
        for (arrival, held) in self.held.take() {
            let Some(stamp) = held.position() else { continue };
            if logged.contains(&stamp.id) || !self.is_new(&held) {
                continue;
            }
            // With another epoch behind its own, the log goes on without it.
            let epoch = epoch_of(stamp);
            let is_in_last = compare(epoch, epochs.last().copied());
            let has_ended = !is_in_last && epoch.is_some_and(|epoch| epochs.contains(&epoch));
            let is_after = logged.last().is_none_or(|last| stamp.id > *last);
            let is_beyond = page.more && is_after && !has_ended;
            if arrival >= asked.arrived || is_beyond {
                self.held.keep((arrival, held));
                continue;
            }
            if stamp.id <= self.start {
                continue; // it was pushed before the end of the log was found
            }
            let is_earlier = stamp.id <= asked.from && compare(epoch, self.epoch);
            if is_earlier || self.is_ahead(stamp.id, now) {
                result.dropped += 1; // a foreign program invented it
                continue;
            }
            // It was lost with all of its log; of an earlier connection, perhaps with its end.
            if arrival < self.stale || has_ended {
                self.hear(stamp.id, epoch_of(stamp));
            }
            self.suspect(Hole::Possible);
            unlogged.push(held);
        }
        self.tail_cache.redact_texts(&mut unlogged);
        unlogged
    }

    /// Delivers those of the lost events that follow the last one that was delivered, at once or
    /// after each other. No other place of a lost event is proven: ids and arrivals of two logs do
    /// not compare. `at` is as for [`walk`](Self::walk).
    fn deliver_unlogged(
        &mut self,
        mut at: Id,
        unlogged: &mut Vec<Arc<Delivery>>,
        result: &mut Backfilled,
    ) -> Id {
        let is_next =
            |state: &Self, held: &Delivery| held.position().is_some_and(|stamp| state.is_next(stamp));
        while let Some(next) = unlogged.iter().position(|held| is_next(self, held)) {
            at = self.walk(at, &unlogged.remove(next), result);
            self.suspect(Hole::Possible); // its log was lost
        }
        at
    }

    /// Returns whether logs may have been written and lost since the connection was lost. The one
    /// before was: one empty log looks like another, and one that begins may not be the first.
    fn may_lack_a_log(&self, now: u64, age: u64) -> bool {
        let is_young = self.delivered != Id::START && self.delivered.millis().saturating_add(age) > now;
        self.position == Some(Id::START) && is_young && self.missing_since.is_some()
    }

    /// Returns whether an event follows the last one that was delivered. The first one of a log
    /// follows none: it may be of any log.
    fn is_next(&self, stamp: Position) -> bool {
        stamp.prev == self.delivered && stamp.prev != Id::START
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
    fn hear(&mut self, id: Id, epoch: Epoch) {
        let is_new = self.position.is_none_or(|position| id > position || !compare(epoch, self.epoch));
        if is_new && self.heard.len() < MAX_HEARD_EVENTS {
            self.heard.insert(id, epoch);
        }
    }

    /// The log goes on in this epoch: it has no more of the one before, of which events that exist
    /// are missing.
    fn end_epoch(&mut self, next: Epoch) {
        let ended = std::mem::replace(&mut self.epoch, next);
        if ended.is_none() || next.is_none() || ended == next {
            return;
        }
        let heard = self.heard.len();
        self.heard.retain(|_, epoch| *epoch != ended);
        if self.heard.len() < heard {
            self.suspect(Hole::Certain);
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
        self.epoch = epoch_of(stamp);
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

impl Backfilled {
    fn gap(&mut self, is_trimmed: bool, after: Id) {
        let reason = if is_trimmed { GapReason::Trimmed } else { GapReason::Rewritten };
        self.gaps.push((reason, after));
        self.events.push(Arc::new(gap(reason, after).into()));
    }
}

fn epoch_of(stamp: Position) -> Epoch {
    stamp.offset.map(|offset| offset.epoch)
}

/// Returns whether ids of these two epochs compare: those without one are of nodes of the version
/// before, which compare all.
fn compare(one: Epoch, other: Epoch) -> bool {
    one.is_none() || other.is_none() || one == other
}
