//! A search for interleavings in which a group's cursor goes wrong: a small model of Redis and of
//! the connections to it, driven by seeded random steps.
//!
//! Each message that was acknowledged after the node had found the end of the log has to be
//! delivered once and in order, or a gap before the next one that is; and no gap is reported for
//! nothing. What is read of the log meanwhile, from the cache of its tail or from Redis, has no
//! hole and no text whose removal the node knows of, and is the log once the node has found its
//! way. The log is lost, or the clock set, again only after the node has found its way: what was
//! before and after both is in no order that a node could know.

mod directed;
mod history;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::layer::redis::cursor::{CursorState, PageRequest, Sequence};
use crate::layer::redis::interleavings::history::Reading;
use crate::layer::redis::log::{From, LogPage, PageQuery};
use crate::seeds;
use crate::wire::delivery::Delivery;
use crate::wire::event::clearing::tests::clearing;
use crate::wire::event::{Event, GAP, Position};
use crate::wire::id::Id;
use crate::wire::offset::Offset;

/// The age of the log.
const AGE: u64 = 100_000;
const PAGE_EVENTS: usize = 3;
const STEPS: usize = 120;
const SEEDS: u64 = 10_000;

/// What may happen beside publishing and delivering.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fault of its own")]
struct Faults {
    /// The log loses its oldest entries.
    trims: bool,
    /// The log is lost, or falls back to an earlier state with a new connection.
    losses: bool,
    /// Redis' clock is set.
    steps: bool,
    /// All messages are removed.
    clears: bool,
    /// Nodes of the version before append, too, without offsets.
    versions: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Message {
    number: u64,
    position: Position,
}

#[derive(Clone, PartialEq, Eq)]
enum Locating {
    Done,
    Asked,
    /// The id of the newest event, the redactions, and the number of messages then.
    Found(Id, BTreeSet<Id>, u64),
}

struct Model {
    random: StdRng,
    /// For the readings of the history, and what only they notice.
    readers: StdRng,
    faults: Faults,
    clock: u64,
    log: Vec<Message>,
    /// All messages that ever were.
    all: Vec<Message>,
    redactions: BTreeSet<Id>,
    /// Redactions that Redis pushed, each with the number of the last message before it.
    pushed_redactions: VecDeque<(u64, Id)>,
    /// Removals of all messages that Redis pushed, each with the number of the last message before.
    pushed_clearings: VecDeque<(u64, Id)>,
    /// The greatest id of the log's incarnation.
    top: Id,
    /// The offset of the next message.
    next: Offset,
    published: u64,
    /// What Redis pushed and the node has not taken; `None` without a subscription.
    pushes: Option<VecDeque<Message>>,
    /// Whether the end of the log has to be found.
    locating: Locating,
    is_backfilling: bool,
    read: Option<(PageRequest, Option<LogPage>)>,
    history: Option<Reading>,
    answers: usize,
    cursor: CursorState,
    /// The number of the first message after the end that the node found first.
    first: Option<u64>,
    /// Whether the log had events then.
    knows_log: bool,
    delivered: Vec<Delivered>,
    /// How often the log was lost.
    losses: usize,
    /// Numbers of messages that reached the node: it has to report their loss.
    heard: BTreeSet<u64>,
    /// Numbers of messages that were lost with all of their log before they reached the node.
    unheard: BTreeSet<u64>,
    /// The same with the end of their log, which then goes on as if they had not been.
    unknowable: BTreeSet<u64>,
    /// Skipped messages from before the end that the node found first: in an epoch of which it has
    /// read nothing they may be of a log that was lost.
    early: usize,
    /// Whether nothing was lost or set since all had arrived.
    is_quiet: bool,
    trace: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Delivered {
    /// A message, by its number.
    Message(u64),
    /// A gap, with the number of messages that had been published: it reports the loss of no other.
    Gap(u64),
}

impl Model {
    fn new(seed: u64, faults: Faults) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            readers: StdRng::seed_from_u64(seed),
            faults,
            clock: 1_000_000_000,
            log: Vec::new(),
            all: Vec::new(),
            redactions: BTreeSet::new(),
            pushed_redactions: VecDeque::new(),
            pushed_clearings: VecDeque::new(),
            top: Id::START,
            next: Offset::first(1),
            published: 0,
            pushes: None,
            locating: Locating::Done,
            is_backfilling: false,
            read: None,
            history: None,
            answers: 0,
            cursor: CursorState::default(),
            first: None,
            knows_log: false,
            delivered: Vec::new(),
            losses: 0,
            heard: BTreeSet::new(),
            unheard: BTreeSet::new(),
            unknowable: BTreeSet::new(),
            early: 0,
            is_quiet: true,
            trace: Vec::new(),
        }
    }

    fn expire(&mut self) {
        if self.log.last().is_some_and(|last| last.position.id.millis() + AGE + 1000 < self.clock) {
            self.log.clear();
            self.top = Id::START;
            self.next = Offset::first(self.next.epoch + 1);
            self.losses += 1;
        }
    }

    fn publish(&mut self) {
        self.expire();
        let prev = self.log.last().map_or(Id::START, |last| last.position.id);
        // As `append.lua` does it: no id is used twice, though the log is lost and the clock set.
        let next = self.top.next(self.clock).to_string();
        let (millis, number) = next.split_once('-').expect("an id has two parts");
        let number = number.parse::<u64>().unwrap() + self.random.random_range(0..65_536_u64);
        let id: Id = format!("{millis}-{number}").parse().unwrap();
        self.top = id;
        self.published += 1;
        let is_numbered = !self.faults.versions || self.random.random_bool(0.7);
        let offset = is_numbered.then_some(self.next);
        let message = Message { number: self.published, position: Position { id, prev, offset } };
        // After one without an offset, an epoch begins.
        self.next = if is_numbered { self.next.next() } else { Offset::first(self.next.epoch + 1) };
        self.trace.push(format!("publish {message:?}"));
        self.log.push(message);
        self.all.push(message);
        if let Some(pushes) = &mut self.pushes {
            pushes.push_back(message);
        }
    }

    /// Removes all messages, as `clear.lua` does it: ids go on rising.
    fn clear(&mut self) {
        let Some(last) = self.log.last().map(|last| last.position.id) else { return };
        self.trace.push(format!("clear {}", self.log.len()));
        self.losses += 1;
        let heard = &self.heard;
        self.unheard.extend((1..=self.published).filter(|number| !heard.contains(number)));
        self.log.clear();
        self.next = Offset::first(self.next.epoch + 1);
        if self.pushes.is_some() {
            self.pushed_clearings.push_back((self.published, last));
        }
    }

    fn take_push(&mut self, skips: bool) {
        let next = self.pushes.as_ref().and_then(VecDeque::front).map_or(u64::MAX, |next| next.number);
        if let Some((_, last)) = self.pushed_clearings.pop_front_if(|(after, _)| *after < next) {
            let sequence = self.cursor.on_event(&Arc::new(clearing(last).into()), self.clock, AGE);
            self.trace.push(format!("cleared: {sequence:?}"));
            match sequence {
                Sequence::Cleared(_) => self.deliver(None),
                Sequence::Behind => self.is_backfilling = true,
                _ => {}
            }
            return;
        }
        let Some(message) = self.pushes.as_mut().and_then(VecDeque::pop_front) else { return };
        let event = event(message);
        self.heard.insert(message.number);
        if skips {
            let is_early = self.first.is_some_and(|first| message.number < first);
            self.early += usize::from(is_early && self.faults.versions);
            self.is_backfilling |= self.cursor.on_skipped(&event, self.clock);
            self.trace.push(format!("skip {}", message.number));
            return;
        }
        let sequence = self.cursor.on_event(&event, self.clock, AGE);
        self.trace.push(format!("event {}: {sequence:?}", message.number));
        match sequence {
            Sequence::Next => self.deliver(Some(message.number)),
            Sequence::Rewritten(_) => {
                self.deliver(None);
                self.deliver(Some(message.number));
            }
            Sequence::Cleared(_) | Sequence::Waits => {}
            Sequence::Behind => self.is_backfilling = true,
        }
    }

    /// Takes note of a message with this number, or of a gap.
    fn deliver(&mut self, number: Option<u64>) {
        self.delivered.push(number.map_or(Delivered::Gap(self.published), Delivered::Message));
    }

    /// A backfill asks for a page, Redis answers, or the answer arrives.
    fn read_on(&mut self) {
        match self.read.take() {
            None if self.is_backfilling => self.read = Some((self.cursor.next_page(), None)),
            None => {}
            Some((asked, None)) => {
                self.expire();
                self.read = Some((asked, Some(self.page(PageQuery::after(asked.from)))));
            }
            Some((asked, Some(page))) => {
                let read = page.events.len();
                let found = self.cursor.on_page(asked, page, self.clock, AGE);
                let numbers: Vec<_> = found.events.iter().map(|event| self.number_of(event)).collect();
                self.trace
                    .push(format!("page of {read} after {}: {numbers:?} {}", asked.from, found.is_done));
                for number in numbers {
                    self.deliver(number);
                }
                self.is_backfilling = !found.is_done;
            }
        }
    }

    /// Returns a page of the log, as `page.lua` reads it.
    fn page(&self, query: PageQuery) -> LogPage {
        let id = |message: &&Message| message.position.id;
        let log = self.log.iter();
        let mut found: Vec<&Message> = match query.from {
            From::After(from) => log.filter(|message| id(message) > from).collect(),
            From::Until(until) => log.rev().filter(|message| id(message) <= until).collect(),
            From::Before(before) => log.rev().filter(|message| id(message) < before).collect(),
            From::End => log.rev().collect(),
        };
        let most = query.most.min(PAGE_EVENTS);
        let more = found.len() > most;
        found.truncate(most);
        let last = self.log.last().map_or(Id::START, |last| last.position.id);
        let read = |message: &Message| {
            let position = message.position;
            let is_redacted = self.redactions.contains(&position.id);
            if is_redacted { Arc::new(Event::redacted(position).into()) } else { event(*message) }
        };
        LogPage { events: found.into_iter().map(read).collect(), more, last }
    }

    /// The end of the log is asked for after a subscription, or is known.
    fn locate(&mut self) {
        match self.locating.clone() {
            Locating::Done => {}
            Locating::Asked => {
                self.expire();
                let last = self.log.last().map_or(Id::START, |last| last.position.id);
                self.locating = Locating::Found(last, self.redactions.clone(), self.published);
            }
            Locating::Found(last, redacted, published) => {
                self.locating = Locating::Done;
                if self.first.is_none() {
                    self.first = Some(published + 1);
                    self.knows_log = last != Id::START && !self.faults.steps;
                }
                self.heard.extend(0..=published);
                let begins = self.cursor.locate(last, redacted, self.clock, AGE).1;
                self.is_backfilling |= begins;
                self.trace.push(format!("the log ends at {last}: {begins}"));
            }
        }
    }

    fn cut(&mut self) {
        if self.pushes.take().is_some() {
            self.trace.push("cut".to_owned());
            self.locating = Locating::Done;
            self.pushed_redactions.clear();
            self.pushed_clearings.clear();
            self.cursor.on_disconnected(self.clock);
        }
    }

    fn subscribe(&mut self) {
        if self.pushes.is_none() {
            self.trace.push("subscribe".to_owned());
            self.pushes = Some(VecDeque::new());
            self.locating = Locating::Asked;
        }
    }

    fn lose(&mut self) {
        // A server with an earlier log and an earlier clock may go on between ids that were.
        let is_whole = self.faults.steps || self.random.random_bool(0.5);
        let kept = if is_whole { 0 } else { self.random.random_range(0..=self.log.len()) };
        self.trace.push(format!("the log falls back to {kept} of {}", self.log.len()));
        self.losses += 1;
        if kept > 0 || self.random.random_bool(0.3) {
            self.cut();
        }
        let heard = &self.heard;
        let is_unheard = |number: &u64| !heard.contains(number);
        let lost = self.log.drain(kept..).map(|message| message.number);
        if kept == 0 {
            drop(lost);
            self.unheard.extend((1..=self.published).filter(is_unheard)); // what was trimmed, too
        } else {
            self.unknowable.extend(lost.filter(is_unheard));
        }
        self.top = self.log.last().map_or(Id::START, |last| last.position.id);
        self.next = Offset::first(self.next.epoch + 1);
    }

    fn step(&mut self) {
        self.clock += self.random.random_range(0..3_u64);
        self.is_quiet |= self.is_idle() && self.pushes.is_some();
        match self.random.random_range(0..100) {
            0..20 => self.publish(),
            20..45 => self.take_push(false),
            45..48 => self.take_push(true),
            48..68 => self.read_on(),
            68..80 => self.locate(),
            80..83 => self.cut(),
            83..92 => self.subscribe(),
            92..94 if self.faults.trims && !self.log.is_empty() => {
                let gone = self.random.random_range(0..self.log.len());
                self.log.drain(..gone);
                self.trace.push(format!("trim {gone}"));
            }
            94..96 if self.faults.losses && self.is_quiet => {
                self.is_quiet = false;
                self.lose();
            }
            96 if self.faults.steps && self.is_quiet => {
                self.is_quiet = false;
                let ahead = self.random.random_range(0..2 * AGE);
                self.clock = (self.clock + ahead).saturating_sub(AGE);
                self.trace.push(format!("the clock is set to {}", self.clock));
            }
            98..100 if self.faults.clears => self.clear(),
            97 => self.read = self.read.take().filter(|_| self.random.random_bool(0.5)),
            _ => {}
        }
        self.step_of_readers();
    }

    /// Returns whether everything has arrived.
    fn is_idle(&self) -> bool {
        let has_pushes = self.pushes.as_ref().is_some_and(|pushes| !pushes.is_empty());
        let has_pushes = has_pushes || !self.pushed_clearings.is_empty();
        !has_pushes && self.locating == Locating::Done && !self.is_backfilling
    }

    /// Lets everything arrive.
    fn settle(&mut self) {
        self.subscribe();
        for _ in 0..10_000 {
            if self.is_idle() {
                return;
            }
            self.locate();
            self.take_push(false);
            self.read_on();
        }
        panic!("it never ends");
    }

    /// Returns the number of a message; `None` for a gap.
    fn number_of(&self, event: &Event) -> Option<u64> {
        if event.kind() == GAP {
            return None;
        }
        let known = self.all.iter().find(|message| Some(message.position) == event.position());
        Some(known.expect("a message that was published").number)
    }

    /// Returns what is wrong with what was delivered.
    fn verdict(&self) -> Result<(), String> {
        let Some(first) = self.first else { return Ok(()) };
        let mut expected = first;
        // The last message that a gap reports.
        let mut reported = None;
        let (mut needless, mut knows_log) = (0, self.knows_log);
        for delivered in self.delivered.iter().copied().chain([Delivered::Message(self.published + 1)]) {
            let number = match delivered {
                Delivered::Message(number) => number,
                Delivered::Gap(published) => {
                    reported = Some(published);
                    continue;
                }
            };
            if number < first {
                continue; // from before the node subscribed
            }
            if number < expected {
                return Err(format!("{number} is delivered after {}", expected - 1));
            }
            // A node that knows an empty log cannot learn that there was another one meanwhile.
            let is_unknown = |missing: u64| {
                self.unknowable.contains(&missing) || !knows_log && self.unheard.contains(&missing)
            };
            let is_reported = |missing: u64| reported.is_some_and(|reported| missing <= reported);
            if (expected..number).any(|missing| !is_unknown(missing) && !is_reported(missing)) {
                return Err(format!("{expected} to {} are missing, a gap reports {reported:?}", number - 1));
            }
            if reported.is_some() && number == expected {
                needless += 1;
            }
            (expected, reported, knows_log) = (number + 1, None, !self.faults.steps);
        }
        // A lost log is reported, also to clients that have all of it: before and after what
        // follows it, and where what arrives late of it has no place.
        if needless > 3 * self.losses + self.early {
            return Err(format!("{needless} gaps for nothing, and {} losses", self.losses));
        }
        Ok(())
    }
}

fn event(message: Message) -> Arc<Delivery> {
    let event = Event::new("a").with("number", &message.number.to_string());
    Arc::new(event.at_position(message.position).into())
}

fn search(faults: Faults) {
    seeds::search(SEEDS, 2, |seed| {
        let mut model = Model::new(seed, faults);
        for _ in 0..STEPS {
            model.step();
        }
        model.settle();
        if let Err(wrong) = model.verdict() {
            let trace = model.trace.join("\n");
            panic!("seed {seed} of {faults:?}: {wrong}\n{trace}\n{:?}", model.delivered);
        }
        if seed % 5 > 0 {
            return model.answers;
        }
        // A log that was lost is found to be by its next message.
        model.publish();
        model.settle();
        while !model.pushed_redactions.is_empty() {
            model.take_redaction();
        }
        model.check_history();
        model.answers
    });
}

#[test]
fn cuts_and_delays_lose_nothing_and_report_no_gap() {
    search(Faults { trims: false, losses: false, steps: false, clears: false, versions: false });
}

#[test]
fn a_trimmed_log_is_a_gap_where_messages_are_missing() {
    search(Faults { trims: true, losses: false, steps: false, clears: false, versions: false });
}

#[test]
fn a_lost_log_is_a_gap_and_nothing_acknowledged_is_lost_untold() {
    search(Faults { trims: false, losses: true, steps: false, clears: false, versions: false });
}

#[test]
fn a_clock_that_is_set_loses_nothing_untold() {
    search(Faults { trims: true, losses: true, steps: true, clears: false, versions: false });
}

#[test]
fn a_removed_log_is_a_gap_and_nothing_after_it_is_lost() {
    search(Faults { trims: false, losses: false, steps: false, clears: true, versions: false });
}

#[test]
fn a_log_of_two_versions_loses_nothing_and_reports_no_gap() {
    search(Faults { trims: false, losses: false, steps: false, clears: false, versions: true });
}
