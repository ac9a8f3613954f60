//! The cursor of a group: up to which event it was delivered, and the cached tail of its log.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::layer::contract::MAX_LISTED_MEMBERS;
use crate::layer::presence::PresenceSnapshot;
use crate::layer::redis::tail_cache::TailCache;
use crate::telemetry::{DropReason, GapReason, METRICS};
use crate::wire::delivery::Delivery;
use crate::wire::event::{Event, PRESENCE, Position};
use crate::wire::id::Id;
use crate::wire::time;

/// Milliseconds before the last delivered event from which a rewritten log may differ from the
/// known one.
const MAX_FORK_MILLIS: u64 = 60_000;
/// Delivered events of that time that are distinguished from new ones of a rewritten log; a client
/// drops others by their ids.
const MAX_RECENT_EVENTS: usize = 4096;
/// Milliseconds by which Redis' clock may be ahead of this node's.
const MAX_CLOCK_LEAD_MILLIS: u64 = 60_000;

#[derive(Default)]
pub(super) struct GroupCursor {
    pub(super) state: Mutex<CursorState>,
    /// Held by the caller that reads from Redis; the others wait for what it finds.
    pub(super) reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
pub(super) struct CursorState {
    /// Everything up to this id was delivered; `None` until the end of the log is found.
    position: Option<Id>,
    /// The position when the node subscribed: older events are not new to any member here.
    start: Id,
    /// The newest event that waits until the log is read up to it.
    wanted: Option<Position>,
    /// Whether a backfill runs.
    is_backfilling: bool,
    /// Whether the log was rewritten, and the position was set back before the possible fork.
    is_rewound: bool,
    /// Ids of the last delivered events: what pub/sub brings after the log, or a rewritten log
    /// still has, is not new.
    recent: VecDeque<Id>,
    pub(super) tail_cache: TailCache,
    /// The users of the group, once they were asked for.
    pub(super) presence: Option<PresenceSnapshot>,
}

/// Where an event stands in the sequence of the log.
#[derive(PartialEq, Eq)]
pub(super) enum Sequence {
    /// It is the next event, or not logged: it is delivered.
    Next,
    /// It was or will be read from the log.
    Waits,
    /// An event before it is missing: a backfill has to begin.
    Behind,
}

/// How a page of a backfill continues what was delivered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BackfillOutcome {
    /// Without a hole.
    Follows,
    /// It is empty, but an event was appended while it was read.
    Again,
    /// Events may be missing, for this reason.
    Gap(GapReason),
}

impl CursorState {
    /// Returns the id up to which everything was delivered, and what waits beyond it.
    pub(super) fn position(&self) -> (Id, Option<Position>) {
        (self.position.unwrap_or(Id::START), self.wanted)
    }

    /// Compares the cursor with the end of the log and its redactions; returns the redactions that
    /// were missed, and whether a backfill has to begin.
    pub(super) fn locate(&mut self, last: Id, redacted: BTreeSet<Id>) -> (Vec<Id>, bool) {
        let mut new_redactions = self.tail_cache.on_subscribed(redacted);
        if self.position.is_none() {
            new_redactions.clear(); // no member here has their texts
        }
        let position = *self.position.get_or_insert_with(|| {
            self.start = last;
            last
        });
        let is_behind = position != last || self.wanted.is_some_and(|wanted| wanted.id > position);
        let begins = is_behind && !self.is_backfilling;
        self.is_backfilling |= is_behind;
        (new_redactions, begins)
    }

    /// The connection with the subscription was lost.
    pub(super) fn on_disconnected(&mut self) {
        self.presence = None; // the next answer is Redis' own
        self.tail_cache.on_disconnected();
    }

    /// Takes an event that Redis pushed. `age` is the retention of the log in milliseconds.
    pub(super) fn on_event(&mut self, event: &Arc<Delivery>, age: u64) -> Sequence {
        if is_presence(event) {
            self.update_presence(event);
        }
        if let Some(id) = event.redacts() {
            self.tail_cache.redact(id);
        }
        let Some(stamp) = event.position() else { return Sequence::Next };
        match self.position {
            Some(position) if !self.is_backfilling => {
                // A log without an append for its whole age has expired: nothing is missing.
                let has_expired =
                    stamp.prev == Id::START && position.millis().saturating_add(age) < stamp.id.millis();
                // Any program that publishes can claim any position; the log decides about one in
                // the future.
                let is_ahead = stamp.id.millis() > time::now().saturating_add(MAX_CLOCK_LEAD_MILLIS);
                let is_next = stamp.prev == position && stamp.id > position;
                if !is_ahead && (is_next || has_expired) {
                    self.advance(event, stamp.id);
                    Sequence::Next
                } else if self.recent.contains(&stamp.id) {
                    Sequence::Waits
                } else {
                    self.wait_for(stamp);
                    self.is_backfilling = true;
                    Sequence::Behind
                }
            }
            _ => {
                self.wait_for(stamp);
                Sequence::Waits
            }
        }
    }

    /// Takes note of an event that was not delivered because too many wait; returns whether a
    /// backfill has to begin.
    pub(super) fn on_skipped(&mut self, event: &Event) -> bool {
        if is_presence(event) {
            self.presence = None; // the next answer is Redis' own
        }
        let Some(stamp) = event.position() else { return false };
        self.wait_for(stamp);
        let begins = self.position.is_some() && !self.is_backfilling;
        self.is_backfilling |= begins;
        begins
    }

    /// Makes the backfill read at least up to this event.
    fn wait_for(&mut self, stamp: Position) {
        if self.wanted.is_none_or(|wanted| wanted.id < stamp.id) {
            self.wanted = Some(stamp);
        }
    }

    /// Takes a page of the log after `from`; returns how it continues what was delivered, and its
    /// new events. `newest` is the id of the log's last event.
    pub(super) fn on_backfill(
        &mut self,
        from: Id,
        mut events: Vec<Arc<Delivery>>,
        newest: Id,
        age: u64,
    ) -> (BackfillOutcome, Vec<Arc<Delivery>>) {
        self.tail_cache.redact_texts(&mut events);
        let first = events.first().and_then(|event| event.position());
        let outcome = match first {
            _ if std::mem::take(&mut self.is_rewound) => BackfillOutcome::Follows,
            Some(stamp) if stamp.prev == from => BackfillOutcome::Follows,
            None if newest == from => BackfillOutcome::Follows,
            None if newest > from => return (BackfillOutcome::Again, events),
            // The missing events were trimmed by age or number.
            Some(stamp) if stamp.prev > from => BackfillOutcome::Gap(GapReason::Trimmed),
            _ if from.millis().saturating_add(age) < time::now() => BackfillOutcome::Gap(GapReason::Trimmed),
            // Another log than the known one: some of its events before the fork may be new.
            _ => {
                self.tail_cache.clear();
                self.is_rewound = true;
                let fork = from.min(newest).back(MAX_FORK_MILLIS);
                self.position = Some(if self.start <= newest { fork.max(self.start) } else { fork });
                return (BackfillOutcome::Gap(GapReason::Rewritten), Vec::new());
            }
        };
        if outcome != BackfillOutcome::Follows {
            self.tail_cache.clear();
        }
        for event in &events {
            if let Some(stamp) = event.position() {
                self.position = Some(stamp.id);
            }
        }
        let read = events.len();
        events.retain(|event| event.position().is_none_or(|stamp| !self.recent.contains(&stamp.id)));
        if events.len() < read {
            self.tail_cache.clear(); // it must have no holes
        }
        for event in &events {
            self.remember(event);
        }
        (outcome, events)
    }

    /// Returns whether nothing is missing, and ends the backfill then. `is_end`: the log has no
    /// more than was read. `wanted_before` is what waited before the reading.
    pub(super) fn settle(&mut self, is_end: bool, wanted_before: Option<Position>) -> bool {
        let (position, wanted) = self.position();
        if wanted.is_some_and(|wanted| wanted.id > position) {
            if !is_end || wanted != wanted_before {
                return false;
            }
            // It was published with a position, but the log does not have it.
            METRICS.dropped(DropReason::NotLogged);
        }
        if is_end {
            self.wanted = None;
            self.is_backfilling = false;
        }
        is_end
    }

    fn advance(&mut self, event: &Arc<Delivery>, id: Id) {
        self.position = Some(id);
        self.remember(event);
    }

    /// Takes note of an event that is delivered.
    fn remember(&mut self, event: &Arc<Delivery>) {
        self.tail_cache.push(event);
        let Some(stamp) = event.position() else { return };
        while self.recent.len() == MAX_RECENT_EVENTS
            || self
                .recent
                .front()
                .is_some_and(|id| id.millis().saturating_add(MAX_FORK_MILLIS) < stamp.id.millis())
        {
            self.recent.pop_front();
        }
        self.recent.push_back(stamp.id);
    }

    /// See [`TailCache::missing`].
    pub(super) fn missing_tail(&mut self) -> Option<(Id, usize)> {
        self.tail_cache.missing(self.position?)
    }

    /// Applies a presence event to the known users.
    fn update_presence(&mut self, event: &Event) {
        let Some(count) = event.text("count").and_then(|count| count.parse().ok()) else { return };
        let change = event.text("change");
        if change == Some("state") {
            let names =
                |text: &str| text.split(' ').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            self.presence = Some(PresenceSnapshot { count, members: event.text("members").map(names) });
            return;
        }
        let (Some(presence), Some(user)) = (&mut self.presence, event.text("user")) else { return };
        presence.count = count;
        if let Some(members) = &mut presence.members {
            members.retain(|member| member != user);
            if change == Some("join") {
                members.push(user.to_owned());
            }
            presence.count = members.len();
        }
        if presence.count > MAX_LISTED_MEMBERS {
            presence.members = None;
        }
    }
}

/// Returns whether an event is one of the layer's about the users of a group.
fn is_presence(event: &Event) -> bool {
    event.is_own() && event.kind() == PRESENCE
}
