//! A search for interleavings in which a subscription that catches up goes wrong: a small model of
//! the log and of the node that follows it, driven by seeded random steps, with the subscribers and
//! the replay of the server.
//!
//! What a client has not had of the log after its position has to reach it once and in order, or a
//! gap before the next message that does; and no gap is reported for nothing. It knows every
//! version of the presence after the one that it was sent. After a gap a message may come again: a
//! client drops it by its id. It joins whether or not the node learns more of the log meanwhile.
//! The log is lost only when the node has all of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures_util::FutureExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::auth::identity::Identity;
use crate::layer::Page;
use crate::realtime::backlog::Limits;
use crate::realtime::feed::tests::feed;
use crate::realtime::renderer::Wire;
use crate::realtime::renderer::tests::Plain;
use crate::realtime::replay::{Replay, Step};
use crate::realtime::socket::Socket;
use crate::realtime::subscribers::{Behind, Cursor, Subscribers};
use crate::seeds;
use crate::wire::delivery::Delivery;
use crate::wire::event::{Event, GAP, PRESENCE, Position, VERSION};
use crate::wire::frame::Transport;
use crate::wire::id::Id;
use crate::wire::offset::Offset;

const PAGE_EVENTS: usize = 3;
const STEPS: usize = 150;
const SEEDS: u64 = 1_500;
const CLIENTS: usize = 4;

/// What may happen beside publishing and delivering.
#[derive(Clone, Copy, Debug)]
struct Faults {
    /// The log loses its oldest entries.
    trims: bool,
    /// The log is lost, or falls back to an earlier state; the clock, too.
    losses: bool,
    /// Nodes of the version before append, too, without offsets.
    versions: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Message {
    number: u64,
    position: Position,
}

/// What a client received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Received {
    Message(u64),
    /// A gap, with the number of messages that had been published: it reports the loss of no other.
    Gap(u64),
    /// A version of the presence; with `true`, all up to it.
    Presence(u64, bool),
}

/// What a client waits for.
#[derive(Debug)]
enum Waiting {
    /// What follows its position, once it is read.
    First(Option<Page>),
    /// The newest messages, once they are read: its position is not in the log.
    Newest(Option<Page>),
    /// Its next step.
    Step,
    /// A page after this id, once it is read.
    Page(Id, Option<Page>),
    /// The presence, to join with it.
    Join(Id, bool),
    /// Nothing more: it has joined.
    Joined,
}

struct Client {
    socket: Arc<Socket>,
    key: usize,
    waiting: Waiting,
    replay: Option<Replay>,
    /// The position that it comes back with.
    since: Message,
    presence: u64,
    received: Vec<Received>,
    /// Numbers of messages that were lost before it had joined: the log does not show that they
    /// were there.
    unheard: BTreeSet<u64>,
    /// The causes of gaps that were over when it came.
    over: usize,
}

struct Model {
    random: StdRng,
    /// For restarts of Redis, after which the log goes on in another epoch.
    restarts: StdRng,
    faults: Faults,
    clock: u64,
    /// The offset of the next message.
    next: Offset,
    log: Vec<Message>,
    /// All messages that ever were.
    all: Vec<Message>,
    /// The last message that the node delivered.
    delivered: Message,
    /// The last version of the presence.
    presence: u64,
    subscribers: Subscribers,
    clients: Vec<Client>,
    /// Numbers of lost messages.
    lost: BTreeSet<u64>,
    /// Gaps that the node delivered.
    gaps: usize,
    /// Epochs that began: a client that resumes from one before is informed, lost messages or not.
    epochs: usize,
    losses: usize,
    /// Losses that the node knows of.
    found: usize,
    /// Causes of gaps that were found, and reported to all.
    over: usize,
    trace: Vec<String>,
}

const NOTHING: Message =
    Message { number: 0, position: Position { id: Id::START, prev: Id::START, offset: None } };

impl Model {
    fn new(seed: u64, faults: Faults) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            restarts: StdRng::seed_from_u64(seed),
            faults,
            clock: 100_000,
            next: Offset::first(1),
            log: Vec::new(),
            all: Vec::new(),
            delivered: NOTHING,
            presence: 0,
            subscribers: Subscribers::default(),
            clients: Vec::new(),
            lost: BTreeSet::new(),
            gaps: 0,
            epochs: 0,
            losses: 0,
            found: 0,
            over: 0,
            trace: Vec::new(),
        }
    }

    fn last(&self) -> Message {
        self.log.last().copied().unwrap_or(NOTHING)
    }

    fn published(&self) -> u64 {
        self.all.len() as u64
    }

    fn publish(&mut self) {
        let prev = self.last().position.id;
        let number = self.published() + 1;
        // No id is used twice, though the log is lost and the clock set.
        let id: Id = format!("{}-{number}", prev.millis().max(self.clock)).parse().unwrap();
        let is_numbered = !self.faults.versions || self.restarts.random_bool(0.7);
        let message =
            Message { number, position: Position { id, prev, offset: is_numbered.then_some(self.next) } };
        // After one without an offset, the same server begins an epoch, which is no cause of a gap.
        self.next = if is_numbered { self.next.next() } else { Offset::first(self.next.epoch + 1) };
        self.trace.push(format!("publish {message:?}"));
        self.log.push(message);
        self.all.push(message);
    }

    /// The node takes the next message of the log, after a gap if others are missing before it.
    fn follow(&mut self) {
        let at = self.delivered.number;
        let Some(next) = self.log.iter().copied().find(|message| message.number > at) else { return };
        if next.position.prev != self.delivered.position.id {
            self.report_gap();
        }
        self.trace.push(format!("the node delivers {}", next.number));
        self.delivered = next;
        self.subscribers.enqueue(&[event(next)]);
    }

    /// The node finds out that the log was lost, also where nothing follows.
    fn locate(&mut self) {
        if self.found < self.losses && !self.log.contains(&self.delivered) {
            self.report_gap();
            let number = self.delivered.number;
            let last = self.log.iter().rfind(|message| message.number <= number);
            self.delivered = last.copied().unwrap_or(NOTHING);
        }
    }

    fn report_gap(&mut self) {
        self.trace.push(format!("the node reports a gap after {}", self.delivered.number));
        self.gaps += 1;
        self.found = self.losses;
        self.subscribers.enqueue(&[Arc::new(Event::new(GAP).with("text", "gap").into())]);
    }

    fn change_presence(&mut self) {
        self.presence += 1;
        let version = self.presence.to_string();
        let event = Event::new(PRESENCE).with(VERSION, &version).with("text", &format!("p{version}"));
        self.subscribers.enqueue(&[Arc::new(event.into())]);
    }

    fn flush(&mut self) {
        let mut left = self.random.random_range(1..4);
        self.subscribers.flush(&mut left, &AtomicU64::default());
        self.take_frames();
        if !self.subscribers.is_busy() {
            self.over = self.gaps + 2 * self.found;
        }
    }

    /// Takes what live sockets were sent.
    fn take_frames(&mut self) {
        let published = self.published();
        for client in &mut self.clients {
            while let Some(Some(frames)) = client.socket.outbox().take().now_or_never() {
                let mut rest = &frames[..];
                while let [0x81, length, more @ ..] = rest {
                    let (text, after) = more.split_at(usize::from(*length));
                    client.received.push(parse(std::str::from_utf8(text).unwrap(), published));
                    rest = after;
                }
                assert!(rest.is_empty(), "short texts: {frames:?}");
            }
        }
    }

    /// A client comes, with any message that it may have had.
    fn connect(&mut self) {
        if self.clients.len() == CLIENTS {
            return;
        }
        let limits = Limits { bytes: usize::MAX / 2, messages: usize::MAX };
        let wire = Wire::new::<Plain>(Transport::WebSocket);
        let socket = Arc::new(Socket::new(wire, Arc::new(Identity::anonymous()), limits, 0));
        let key =
            self.subscribers.insert(&socket, &feed(), Id::NEVER, false).expect("a group that has not left");
        let known = if self.random.random_bool(0.7) { &self.log } else { &self.all };
        let place = self.random.random_range(0..=known.len());
        let since = place.checked_sub(1).map_or(NOTHING, |place| known[place]);
        self.trace.push(format!("client {} comes with {}", self.clients.len(), since.number));
        self.clients.push(Client {
            socket,
            key,
            waiting: Waiting::First(None),
            replay: None,
            since,
            presence: 0,
            received: Vec::new(),
            unheard: self.lost.clone(),
            // The welcome reports the loss of its position.
            over: self.over.saturating_sub(usize::from(self.lost.contains(&since.number))),
        });
    }

    /// Reads a page of the log, or of what this node has of it; without an id its newest messages.
    fn page(&mut self, after: Option<Id>) -> Page {
        let is_cached = self.random.random_bool(0.3)
            && self.log.contains(&self.delivered)
            && after.is_none_or(|after| after <= self.delivered.position.id);
        let most = if is_cached { self.delivered.number } else { u64::MAX };
        let known: Vec<_> = self.log.iter().filter(|message| message.number <= most).collect();
        let newest = known.len().saturating_sub(PAGE_EVENTS);
        let first = after
            .map_or(newest, |after| known.iter().take_while(|message| message.position.id <= after).count());
        let events = &known[first..known.len().min(first + PAGE_EVENTS)];
        Page {
            events: events.iter().map(|message| event(**message)).collect(),
            more: first + events.len() < known.len(),
            last: known.last().map_or(Id::START, |last| last.position.id),
        }
    }

    /// A client that catches up does what is next, as `CatchUp::next`.
    fn catch_up(&mut self, index: usize) {
        let waiting = std::mem::replace(&mut self.clients[index].waiting, Waiting::Step);
        let since = self.clients[index].since.position.id;
        let read = match &waiting {
            Waiting::First(None) => Some(self.page(Some(since))),
            Waiting::Newest(None) => Some(self.page(None)),
            Waiting::Page(after, None) => Some(self.page(Some(*after))),
            _ => None,
        };
        let published = self.published();
        let client = &mut self.clients[index];
        let had = client.received.len();
        client.waiting = match waiting {
            Waiting::First(None) => Waiting::First(read),
            Waiting::Newest(None) => Waiting::Newest(read),
            Waiting::Page(after, None) => Waiting::Page(after, read),
            Waiting::First(Some(page)) => {
                let first = page.events.first().and_then(|event| event.position());
                if first.map_or(page.last == since, |first| first.prev == since) {
                    let is_numbered = client.since.position.offset.is_some();
                    client.begin(Some(since), is_numbered, page, self.presence);
                    Waiting::Step
                } else {
                    Waiting::Newest(None)
                }
            }
            Waiting::Newest(Some(page)) => {
                client.received.push(Received::Gap(published)); // the welcome says so
                client.begin(None, true, page, self.presence);
                Waiting::Step
            }
            Waiting::Page(_, Some(page)) => {
                client.replay.as_mut().unwrap().on_page(page);
                Waiting::Step
            }
            Waiting::Step => match client.replay.as_mut().unwrap().next() {
                Step::Event(event) => {
                    client.received.push(parse(event.text("text").unwrap(), published));
                    Waiting::Step
                }
                Step::Gap(..) => {
                    client.received.push(Received::Gap(published));
                    Waiting::Step
                }
                Step::Read(after) => Waiting::Page(after, None),
                Step::Join(..) if client.presence != self.presence => {
                    client.send_presence(self.presence);
                    Waiting::Step
                }
                Step::Join(id, is_forced) => Waiting::Join(id, is_forced),
            },
            Waiting::Join(id, is_forced) => {
                let epoch = client.replay.as_ref().unwrap().epoch();
                let cursor = Cursor { id, epoch, presence: client.presence };
                match self.subscribers.join(&feed(), client.key, cursor, is_forced) {
                    Ok(()) => Waiting::Joined,
                    Err(Behind::Presence) => Waiting::Step,
                    Err(Behind::Gap) => {
                        client.replay.as_mut().unwrap().on_gap();
                        Waiting::Step
                    }
                    Err(Behind::Log) => {
                        client.replay.as_mut().unwrap().on_behind();
                        Waiting::Step
                    }
                }
            }
            other => other,
        };
        if had < client.received.len() || !matches!(client.waiting, Waiting::Joined) {
            let received = &client.received[had..];
            self.trace.push(format!("client {index}: {:?}, received {received:?}", client.waiting));
        }
    }

    fn lose(&mut self) {
        if self.log.is_empty() {
            return;
        }
        while self.delivered != self.last() {
            self.follow();
        }
        let kept = self.random.random_range(0..self.log.len());
        self.trace.push(format!("the log falls back to {kept} of {}", self.log.len()));
        self.losses += 1;
        // A log that begins again does not show that it had been trimmed.
        let from = kept.checked_sub(1).map_or(1, |last| self.log[last].number + 1);
        self.log.truncate(kept);
        self.begin_epoch();
        let lost: Vec<u64> = (from..=self.published()).collect();
        for client in self.clients.iter_mut().filter(|client| !matches!(client.waiting, Waiting::Joined)) {
            client.unheard.extend(&lost);
        }
        self.lost.extend(lost);
        self.clock = self.clock.saturating_sub(self.random.random_range(0..200)).max(1);
    }

    /// Another server, or this one after a restart, goes on with the log.
    fn begin_epoch(&mut self) {
        self.next = Offset::first(self.next.epoch + 1);
        self.epochs += 1;
    }

    fn step(&mut self) {
        if self.faults.losses && self.restarts.random_bool(0.02) {
            self.begin_epoch();
        }
        self.clock += self.random.random_range(0..3_u64);
        match self.random.random_range(0..100) {
            0..20 => self.publish(),
            20..38 => self.follow(),
            38..44 => self.change_presence(),
            44..62 => self.flush(),
            62..64 => self.connect(),
            64..93 if !self.clients.is_empty() => {
                let index = self.random.random_range(0..self.clients.len());
                self.catch_up(index);
            }
            93..95 if self.faults.trims && !self.log.is_empty() => {
                let gone = self.random.random_range(0..self.log.len());
                self.log.drain(..gone);
                self.trace.push(format!("trim {gone}"));
            }
            95..97 if self.faults.losses && self.found == self.losses => self.lose(),
            _ => self.locate(),
        }
    }

    /// Returns whether the node is where the log is.
    fn is_followed(&self) -> bool {
        self.delivered == self.last() && !self.subscribers.is_busy()
    }

    /// Lets everything arrive.
    fn settle(&mut self) {
        self.connect();
        if self.random.random_bool(0.5) {
            self.settle_until("a client never joins", Self::flush, Self::all_joined);
        }
        // A log that was lost is found to be by its next message.
        self.publish();
        let follow = |model: &mut Self| {
            model.follow();
            model.flush();
        };
        self.settle_until("it never ends", follow, |model| model.all_joined() && model.is_followed());
    }

    fn settle_until(&mut self, wrong: &str, step: impl Fn(&mut Self), is_done: impl Fn(&Self) -> bool) {
        for _ in 0..200 {
            if is_done(self) {
                return;
            }
            step(self);
            for index in 0..self.clients.len() {
                self.catch_up(index);
            }
        }
        panic!("{wrong}\n{}", self.trace.join("\n"));
    }

    fn all_joined(&self) -> bool {
        self.clients.iter().all(|client| matches!(client.waiting, Waiting::Joined))
    }

    /// Returns what is wrong with what a client received.
    fn verdict(&self, client: &Client) -> Result<(), String> {
        let (mut expected, mut presence) = (client.since.number + 1, 0);
        // The last message that a gap reports.
        let mut reported = None;
        let (mut has_gap, mut needless) = (false, 0);
        for received in client.received.iter().copied().chain([Received::Message(self.published() + 1)]) {
            match received {
                Received::Gap(published) => (reported, has_gap) = (Some(published), true),
                Received::Presence(version, is_all) => {
                    if !is_all && version != presence + 1 {
                        return Err(format!("presence {version} after {presence}"));
                    }
                    presence = version;
                }
                Received::Message(number) if number < expected => {
                    let is_repeated = client.received.contains(&Received::Message(number));
                    if !has_gap || !is_repeated {
                        return Err(format!("{number} is received after {}", expected - 1));
                    }
                }
                Received::Message(number) => {
                    let mut missing =
                        (expected..number).rev().filter(|missing| !client.unheard.contains(missing));
                    match missing.next() {
                        None => needless += usize::from(reported.is_some()),
                        last if last > reported => {
                            return Err(format!("{last:?} is missing, a gap reports {reported:?}"));
                        }
                        _ => {}
                    }
                    (expected, reported) = (number + 1, None);
                }
            }
        }
        if presence != self.presence {
            return Err(format!("presence {presence} in the end, not {}", self.presence));
        }
        let causes = self.gaps + 2 * self.losses + self.epochs - client.over;
        if needless > causes {
            return Err(format!("{needless} gaps for nothing, {causes} causes"));
        }
        Ok(())
    }
}

impl Client {
    /// It is sent the welcome.
    fn begin(&mut self, after: Option<Id>, is_numbered: bool, page: Page, presence: u64) {
        self.send_presence(presence);
        self.replay = Some(Replay::new(after, is_numbered, page));
    }

    /// It is sent all of the presence.
    fn send_presence(&mut self, version: u64) {
        self.presence = version;
        self.received.push(Received::Presence(version, true));
    }
}

fn event(message: Message) -> Arc<Delivery> {
    let event = Event::new("a").with("text", &format!("m{}", message.number));
    Arc::new(event.at_position(message.position).into())
}

fn parse(text: &str, published: u64) -> Received {
    let number = |text: &str| text.parse().unwrap();
    match text.split_at(1) {
        ("m", rest) => Received::Message(number(rest)),
        ("p", rest) => Received::Presence(number(rest), false),
        _ => Received::Gap(published),
    }
}

fn search(faults: Faults) {
    seeds::search(SEEDS, 20, |seed| {
        let mut model = Model::new(seed, faults);
        for _ in 0..STEPS {
            model.step();
        }
        model.settle();
        for (index, client) in model.clients.iter().enumerate() {
            if let Err(wrong) = model.verdict(client) {
                let trace = model.trace.join("\n");
                panic!("seed {seed} of {faults:?}, client {index}: {wrong}\n{trace}\n{:?}", client.received);
            }
        }
        model.clients.iter().map(|client| client.received.len()).sum()
    });
}

#[test]
fn a_client_that_joins_misses_nothing_and_receives_nothing_twice() {
    search(Faults { trims: false, losses: false, versions: false });
}

#[test]
fn a_trimmed_log_is_a_gap_for_clients_that_catch_up() {
    search(Faults { trims: true, losses: false, versions: false });
}

#[test]
fn a_log_of_two_versions_is_no_gap_for_clients_that_catch_up() {
    search(Faults { trims: false, losses: false, versions: true });
}

#[test]
fn a_lost_log_is_a_gap_for_clients_that_catch_up() {
    search(Faults { trims: true, losses: true, versions: false });
}

#[test]
fn a_client_ahead_of_its_node_receives_nothing_of_a_lost_log() {
    for has_gap in [true, false] {
        let mut model = Model::new(0, Faults { trims: false, losses: true, versions: false });
        model.connect();
        let id = |millis| Id::START.next(millis);
        let message = |epoch, millis, prev: Id, number: u64| {
            let offset = Some(Offset { epoch, n: number.try_into().unwrap() });
            event(Message { number, position: Position { id: id(millis), prev, offset } })
        };
        // The node has not learned yet that this one is lost. The client has read 2.
        model.subscribers.enqueue(&[message(1, 20, Id::START, 1)]);
        let cursor = Cursor { id: id(10), epoch: Some(2), presence: 0 };
        model.subscribers.join(&feed(), model.clients[0].key, cursor, false).unwrap();
        if has_gap {
            model.report_gap();
            model.subscribers.enqueue(&[message(2, 10, Id::START, 2)]);
        }
        model.subscribers.enqueue(&[message(2, 11, id(10), 3)]);
        while model.subscribers.is_busy() {
            model.flush();
        }
        let received = &model.clients[0].received;
        let expected = [Received::Message(3)];
        assert!(received.ends_with(&expected) && !received.contains(&Received::Message(1)), "{received:?}");
    }
}
