//! One group that this node follows: how far it was heard, and the newest part of its log.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use super::follower::is_presence;
use crate::layer::Presence;
use crate::layer::contract::MAX_LISTED_MEMBERS;
use crate::layer::redis::tail_cache::TailCache;
use crate::telemetry::METRICS;
use crate::wire::event::{Event, Position};
use crate::wire::id::Id;
use crate::wire::time;

/// How far before our last event a rewritten log may have left the one that we know, in ms.
const FORK: u64 = 60_000;
/// How many of the events of that time are told from those that a rewritten log brings anew; a client drops the
/// others by their ids.
const RECENT: usize = 4096;
/// How far Redis' clock may be ahead of ours, in ms.
const AHEAD: u64 = 60_000;

#[derive(Default)]
pub(super) struct GroupCursor {
    pub(super) state: Mutex<State>,
    /// Who reads from the log; the others wait for what it finds.
    pub(super) reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
pub(super) struct State {
    /// Everything up to this id was handed on; `None` until the log's end was found.
    position: Option<Id>,
    /// Where it was when this node came: what is older is news to nobody here.
    came: Id,
    /// The newest event that has to wait until the log is read up to it.
    wanted: Option<Position>,
    /// The log is being read because something is missing.
    repairing: bool,
    /// The log was rewritten: it is read from before the place where that may have happened.
    rewound: bool,
    /// The last events that were handed on, by their ids: what pub/sub brings after the log, or a rewritten log
    /// still has, is not new.
    recent: VecDeque<Id>,
    pub(super) kept: TailCache,
    /// Who is in the group, if anybody asked.
    pub(super) presence: Option<Presence>,
}

/// What to do with an event.
#[derive(PartialEq, Eq)]
pub(super) enum Heard {
    /// It is the next one.
    Next,
    /// It comes, or came, from the log.
    Waits,
    /// Something before it is missing: the log has to be read.
    Behind,
}

/// How what was read from the log fits to what was heard.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Follows,
    /// More was written while it was read.
    Again,
    Gap(&'static str),
}

impl State {
    /// How far the group was heard, and what waits beyond.
    pub(super) fn position(&self) -> (Id, Option<Position>) {
        (self.position.unwrap_or(Id::START), self.wanted)
    }

    /// The log ends here now, and these of its events are redacted; which of those the group's sockets have not been
    /// told, and whether something of the log was not heard.
    pub(super) fn locate(&mut self, last: Id, redacted: BTreeSet<Id>) -> (Vec<Id>, bool) {
        let mut news = self.kept.heard(redacted);
        if self.position.is_none() {
            news.clear(); // nobody here has read of them
        }
        let position = *self.position.get_or_insert_with(|| {
            self.came = last;
            last
        });
        let behind = position != last || self.wanted.is_some_and(|wanted| wanted.id > position);
        let begins = behind && !self.repairing;
        self.repairing |= behind;
        (news, begins)
    }

    /// The group is not heard any more.
    pub(super) fn deaf(&mut self) {
        self.presence = None; // the next answer is Redis' own
        self.kept.deaf();
    }

    pub(super) fn hear(&mut self, event: &Arc<Event>, age: u64) -> Heard {
        if is_presence(event) {
            self.attend(event);
        }
        if let Some(id) = event.covers() {
            self.kept.redact(id);
        }
        let Some(stamp) = event.stamp() else { return Heard::Next };
        match self.position {
            Some(position) if !self.repairing => {
                // A log that nobody wrote to for its whole age is gone, and with it nothing.
                let expired =
                    stamp.prev == Id::START && position.millis().saturating_add(age) < stamp.id.millis();
                // Whoever can publish can claim any place; the log decides about one in the future.
                let ahead = stamp.id.millis() > time::now().saturating_add(AHEAD);
                let next = stamp.prev == position && stamp.id > position;
                if !ahead && (next || expired) {
                    self.advance(event, stamp.id);
                    Heard::Next
                } else if self.recent.contains(&stamp.id) {
                    Heard::Waits
                } else {
                    self.wait(stamp);
                    self.repairing = true;
                    Heard::Behind
                }
            }
            _ => {
                self.wait(stamp);
                Heard::Waits
            }
        }
    }

    /// This event was too much to take; whether the log has to be read for it.
    pub(super) fn miss(&mut self, event: &Event) -> bool {
        if is_presence(event) {
            self.presence = None; // the next answer is Redis' own
        }
        let Some(stamp) = event.stamp() else { return false };
        self.wait(stamp);
        let begins = self.position.is_some() && !self.repairing;
        self.repairing |= begins;
        begins
    }

    /// The log is to be read up to here, at least.
    fn wait(&mut self, stamp: Position) {
        if self.wanted.is_none_or(|wanted| wanted.id < stamp.id) {
            self.wanted = Some(stamp);
        }
    }

    /// How what the log holds after `from` fits to what was heard, and what of it is to be handed on. `newest` is its
    /// last id.
    pub(super) fn repaired(
        &mut self,
        from: Id,
        mut events: Vec<Arc<Event>>,
        newest: Id,
        age: u64,
    ) -> (Outcome, Vec<Arc<Event>>) {
        self.kept.hide(&mut events);
        let first = events.first().and_then(|event| event.stamp());
        let outcome = match first {
            _ if std::mem::take(&mut self.rewound) => Outcome::Follows,
            Some(stamp) if stamp.prev == from => Outcome::Follows,
            None if newest == from => Outcome::Follows,
            None if newest > from => return (Outcome::Again, events),
            // What was there has gone by its age or its number.
            Some(stamp) if stamp.prev > from => Outcome::Gap("trimmed"),
            _ if from.millis().saturating_add(age) < time::now() => Outcome::Gap("trimmed"),
            // Another log than ours: of what it has from before its fork, some may be new to us.
            _ => {
                self.kept.let_go();
                self.rewound = true;
                let fork = from.min(newest).back(FORK);
                self.position = Some(if self.came <= newest { fork.max(self.came) } else { fork });
                return (Outcome::Gap("rewritten"), Vec::new());
            }
        };
        if outcome != Outcome::Follows {
            self.kept.let_go();
        }
        for event in &events {
            if let Some(stamp) = event.stamp() {
                self.position = Some(stamp.id);
            }
        }
        let read = events.len();
        events.retain(|event| event.stamp().is_none_or(|stamp| !self.recent.contains(&stamp.id)));
        if events.len() < read {
            self.kept.let_go(); // it must have no holes
        }
        for event in &events {
            self.remember(event);
        }
        (outcome, events)
    }

    /// Whether nothing is missing. `exhausted`: the log held no more than was read; `asked` is what waited
    /// before that.
    pub(super) fn is_settled(&mut self, exhausted: bool, asked: Option<Position>) -> bool {
        let (position, wanted) = self.position();
        if wanted.is_some_and(|wanted| wanted.id > position) {
            if !exhausted || wanted != asked {
                return false;
            }
            METRICS.dropped("not_logged"); // it was published, but the log does not know it
        }
        if exhausted {
            self.wanted = None;
            self.repairing = false;
        }
        exhausted
    }

    fn advance(&mut self, event: &Arc<Event>, id: Id) {
        self.position = Some(id);
        self.remember(event);
    }

    /// The event is handed on.
    fn remember(&mut self, event: &Arc<Event>) {
        self.kept.push(event);
        let Some(stamp) = event.stamp() else { return };
        while self.recent.len() == RECENT
            || self.recent.front().is_some_and(|id| id.millis().saturating_add(FORK) < stamp.id.millis())
        {
            self.recent.pop_front();
        }
        self.recent.push_back(stamp.id);
    }

    /// See [`TailCache::wants`].
    pub(super) fn tail_wants(&mut self) -> Option<(Id, usize)> {
        self.kept.wants(self.position?)
    }

    /// Follows who is in the group.
    fn attend(&mut self, event: &Event) {
        let Some(count) = event.text("count").and_then(|count| count.parse().ok()) else { return };
        let change = event.text("change");
        if change == Some("state") {
            let names =
                |text: &str| text.split(' ').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            self.presence = Some(Presence { count, members: event.text("members").map(names) });
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
