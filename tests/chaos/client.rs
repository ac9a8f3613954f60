//! A client that follows docs/protocol.md or Centrifugo's protocol in each of its rooms, and
//! records what it does and sees.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::instructions::{Instructions, Lifecycle, State, Traffic};
use super::line::{Arrival, Incoming, Line, MembersChange, Received, Wire};
use super::membership::Membership;
use super::pending::{Pending, number_and_sender};
use super::record::{Action, Recorder};
use super::subscription::{Stage, Subscription};

/// From the first byte to the 101; a frozen node accepts connections and sends nothing.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence after which the client asks whether the node is alive. The protocol says 40 s; a room
/// under constant load allows less.
const MAX_SILENCE: Duration = Duration::from_secs(4);
/// Time for the reply to that, after which the socket is dead.
const REPLY_TIMEOUT: Duration = Duration::from_secs(4);
/// Silence after which an event stream in a room at rest is dead: it takes no questions, and has a
/// comment every 25 s.
const MAX_STREAM_SILENCE: Duration = Duration::from_secs(40);
/// After how many milliseconds a client leaves one of its rooms, to return at once.
const STAY: std::ops::Range<u64> = 8_000..25_000;
/// The error of Centrifugo's protocol for a position that cannot be recovered.
const UNRECOVERABLE: &str = "112";
/// Errors for a room that the client of this connection may not enter: its login may not have been
/// there when it connected.
const NO_ACCESS: [&str; 4] = ["103", "login_required", "no_access", "not_found"];

/// What a client is.
pub struct Profile {
    /// Its number, which its messages name.
    pub number: usize,
    pub wire: Wire,
    pub membership: Membership,
    /// The numbers of its rooms, in the order of `membership`.
    pub rooms: Vec<usize>,
    /// The index of its first room in the record; those of the others follow.
    pub index: usize,
}

pub struct Client {
    number: usize,
    wire: Wire,
    membership: Membership,
    subscriptions: Vec<Subscription>,
    address: SocketAddr,
    recorder: Recorder,
    rng: StdRng,
    instructions: watch::Receiver<Instructions>,
    state: Arc<Mutex<State>>,
    pending: Pending,
    next_send_at: Instant,
    next_leave_at: Instant,
    last_frame_at: Instant,
    probed: bool,
    owes_pong: bool,
}

impl Client {
    pub fn new(
        profile: Profile,
        address: SocketAddr,
        recorder: Recorder,
        seed: u64,
        instructions: watch::Receiver<Instructions>,
        state: Arc<Mutex<State>>,
    ) -> Self {
        let Profile { number, wire, membership, rooms, index } = profile;
        let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(1009).wrapping_add(number as u64));
        let now = Instant::now();
        let subscriptions =
            rooms.into_iter().zip(index..).map(|(room, index)| Subscription::new(index, room));
        Self {
            number,
            wire,
            membership,
            subscriptions: subscriptions.collect(),
            address,
            recorder,
            instructions,
            state,
            pending: Pending::new(wire.has_message_ids()),
            next_send_at: now,
            next_leave_at: now + Duration::from_millis(rng.random_range(STAY)),
            last_frame_at: now,
            probed: false,
            owes_pong: false,
            rng,
        }
    }

    /// Runs until the test stops it.
    pub async fn run(mut self) {
        let mut failures = 0;
        while self.is_wanted().await {
            failures += 1;
            let first = &self.subscriptions[0];
            self.write(0, Action::HandshakeStarted { since: first.resumes() });
            let line = Line::open(self.wire, self.address, &self.membership, &first.since);
            if let Ok(Some(line)) = timeout(HANDSHAKE_TIMEOUT, line).await {
                let joins_first = self.wire.joins_first_room();
                for (place, subscription) in self.subscriptions.iter_mut().enumerate() {
                    let is_joined = place == 0 && joins_first;
                    let join_at = Instant::now();
                    subscription.stage = if is_joined { Stage::Joining } else { Stage::Outside { join_at } };
                }
                self.state.lock().unwrap().online = true;
                let (code, has_joined) = self.use_line(line).await;
                self.state.lock().unwrap().end();
                self.write(0, Action::Ended { code });
                if has_joined {
                    failures = 0;
                }
            }
            // The first attempt follows almost at once; jitter spreads the clients.
            let most = 100_u64 << failures.min(5);
            let pause = self.rng.random_range(0..most);
            sleep(Duration::from_millis(pause)).await;
        }
        self.write_of_all(&Action::Left);
    }

    /// Waits as long as the client is held away; `false` when it does not return.
    async fn is_wanted(&mut self) -> bool {
        let decided =
            self.instructions.wait_for(|instructions| instructions.lifecycle != Lifecycle::Away).await;
        decided.is_ok_and(|instructions| instructions.lifecycle == Lifecycle::Connected)
    }

    /// Records an action in the room at this place.
    fn write(&self, place: usize, action: Action) {
        self.recorder.write(self.subscriptions[place].index, action);
    }

    fn write_of_all(&self, action: &Action) {
        for place in 0..self.subscriptions.len() {
            self.write(place, action.clone());
        }
    }

    /// Uses the line until it ends, and returns its close code and whether any room was joined.
    async fn use_line(&mut self, mut line: Line) -> (Option<u16>, bool) {
        for (place, action) in self.pending.again() {
            self.write(place, action);
        }
        (self.last_frame_at, self.probed, self.owes_pong) = (Instant::now(), false, false);
        let (mut stalled, mut has_joined) = (false, false);
        loop {
            has_joined |= self.subscriptions.iter().any(Subscription::is_inside);
            self.show();
            let instructions = *self.instructions.borrow_and_update();
            match instructions.lifecycle {
                Lifecycle::Connected => {}
                Lifecycle::Vanishes => return (None, has_joined),
                Lifecycle::Away => {
                    self.write_of_all(&Action::Stalled);
                    return (None, has_joined);
                }
                Lifecycle::Leaves => {
                    timeout(REPLY_TIMEOUT, line.close()).await.ok();
                    return (Some(1000), has_joined);
                }
            }
            if stalled != instructions.stalled {
                stalled = instructions.stalled;
                line.set_reading(!stalled);
                self.write_of_all(if stalled { &Action::Stalled } else { &Action::Resumed });
                (self.last_frame_at, self.probed) = (Instant::now(), false);
            }
            if !stalled && timeout(REPLY_TIMEOUT, self.act(&mut line, instructions.traffic)).await != Ok(true)
            {
                return (None, has_joined);
            }
            tokio::select! {
                arrival = line.next(), if !stalled => match arrival {
                    Arrival::Frames(frames) => {
                        (self.last_frame_at, self.probed) = (Instant::now(), false);
                        for frame in frames {
                            if !self.take(frame) {
                                return (None, has_joined);
                            }
                        }
                    }
                    Arrival::Reply(reply) => drop(self.take(reply)),
                    Arrival::End(code) => return (code, has_joined),
                },
                () = sleep_until(self.next_act(instructions.traffic)), if !stalled => {}
                changed = self.instructions.changed() => if changed.is_err() { return (None, has_joined) },
            }
        }
    }

    /// Shows in the state whether the client is in all rooms.
    fn show(&self) {
        self.state.lock().unwrap().show(self.is_in_all_rooms());
    }

    fn is_in_all_rooms(&self) -> bool {
        self.subscriptions.iter().all(Subscription::is_inside)
    }

    /// The silence after which the socket is dead.
    fn max_silence(&self, traffic: Traffic) -> Duration {
        let is_silent_stream = self.wire == Wire::EventStream && traffic == Traffic::None;
        if is_silent_stream && self.is_in_all_rooms() {
            MAX_STREAM_SILENCE
        } else {
            MAX_SILENCE + REPLY_TIMEOUT
        }
    }

    /// When the next action is due, whatever is received.
    fn next_act(&self, traffic: Traffic) -> Instant {
        let liveness = self.last_frame_at + if self.probed { self.max_silence(traffic) } else { MAX_SILENCE };
        let can_send = self.pending.has_room() && self.places_to_send(traffic).next().is_some();
        let next_send_at = can_send.then_some(self.next_send_at);
        let next_leave_at = self.places_to_leave(traffic).next().map(|_| self.next_leave_at);
        let times = [next_send_at, next_leave_at, self.pending.due(|place| self.is_inside(place))];
        let joins = self.subscriptions.iter().filter_map(Subscription::join_at);
        times.into_iter().flatten().chain(joins).fold(liveness, Instant::min)
    }

    fn is_inside(&self, place: usize) -> bool {
        self.subscriptions[place].is_inside()
    }

    /// The places of the rooms in which the client may send now.
    fn places_to_send(&self, traffic: Traffic) -> impl Iterator<Item = usize> {
        let is_wanted = move |room: usize| match traffic {
            Traffic::None => false,
            Traffic::Normal => true,
            Traffic::Heavy { room: wanted } => room == wanted,
        };
        let subscriptions = self.subscriptions.iter().enumerate();
        subscriptions.filter(move |(_, one)| one.is_inside() && is_wanted(one.room)).map(|(place, _)| place)
    }

    /// The places of the rooms that the client may leave now.
    fn places_to_leave(&self, traffic: Traffic) -> impl Iterator<Item = usize> {
        let first = usize::from(self.wire.joins_first_room());
        let may_leave = traffic == Traffic::Normal && self.is_in_all_rooms();
        let places = first..if may_leave { self.subscriptions.len() } else { first };
        places.filter(|_| self.membership.rooms.len() > 1)
    }

    /// Queues a message if one is due, and shows it in the state before its first byte: a test that
    /// has instructed the client to send nothing sees all that it ever sent.
    fn compose(&mut self, now: Instant) {
        let state = Arc::clone(&self.state);
        let mut state = state.lock().unwrap();
        let traffic = self.instructions.borrow().traffic;
        let mut rng = self.rng.clone();
        if now >= self.next_send_at
            && self.pending.has_room()
            && let Some(place) = self.places_to_send(traffic).choose(&mut rng)
        {
            let is_heavy = matches!(traffic, Traffic::Heavy { .. });
            self.pending.compose(self.number, place, is_heavy, &mut rng);
            let pause = rng.random_range(500..1500) / if is_heavy { 5 } else { 1 };
            self.next_send_at = now + Duration::from_millis(pause);
            self.rng = rng;
        }
        state.unanswered = self.pending.oldest();
        state.composed = self.pending.count;
    }

    /// Does what is due; `false` when the socket is dead.
    async fn act(&mut self, line: &mut Line, traffic: Traffic) -> bool {
        let now = Instant::now();
        if now >= self.last_frame_at + self.max_silence(traffic) {
            return false;
        }
        if std::mem::take(&mut self.owes_pong) && !line.pong().await {
            return false;
        }
        for (place, subscription) in self.subscriptions.iter_mut().enumerate() {
            if subscription.join_at().is_some_and(|join_at| join_at <= now) {
                subscription.stage = Stage::Joining;
                if !line.join(place, &subscription.since).await {
                    return false;
                }
            }
        }
        self.compose(now);
        // A stream waits for each reply: the client takes it before the next message.
        let most = if self.wire == Wire::EventStream { 1 } else { usize::MAX };
        let due = self.pending.take_due(most, |place| self.subscriptions[place].is_inside());
        for said in due {
            let (text, client_id) = (said.text.clone(), said.client_id.clone());
            self.write(said.room, Action::Sent { text, client_id });
            if !line.publish(&said).await {
                return false;
            }
        }
        if now >= self.next_leave_at && !self.leave(line, now, traffic).await {
            return false;
        }
        if now >= self.last_frame_at + MAX_SILENCE && !self.probed {
            self.probed = true;
            return line.probe().await;
        }
        true
    }

    /// Leaves one of the rooms that the client may leave; `false` when the socket is dead.
    async fn leave(&mut self, line: &mut Line, now: Instant, traffic: Traffic) -> bool {
        let mut rng = self.rng.clone();
        let Some(place) = self.places_to_leave(traffic).choose(&mut rng) else { return true };
        self.next_leave_at = now + Duration::from_millis(rng.random_range(STAY));
        self.rng = rng;
        self.subscriptions[place].stage = Stage::Leaving;
        line.leave(place).await
    }

    /// Handles a frame of the server; `false` when the line is of no use.
    fn take(&mut self, frame: Incoming) -> bool {
        match frame {
            Incoming::Message(received) => self.receive(received),
            Incoming::Joined { room, welcome } => {
                let action = self.subscriptions[room].join(&welcome);
                self.write(room, action);
                self.state.lock().unwrap().rooms[room].members = welcome.members;
            }
            Incoming::NotJoined { room, code } => {
                // Such an error may also answer a question about a room.
                if self.subscriptions[room].stage == Stage::Joining {
                    if NO_ACCESS.contains(&&*code) {
                        return false;
                    }
                    if code == UNRECOVERABLE {
                        self.subscriptions[room].forget_position();
                    }
                    self.join_later(room, 300..1000);
                }
            }
            Incoming::Left { room, code } => {
                if self.subscriptions[room].stage != Stage::Leaving {
                    self.state.lock().unwrap().put_out();
                }
                self.write(room, Action::Unsubscribed { code });
                self.join_later(room, 0..100);
            }
            Incoming::Members { room, change } => self.learn_members(room, change),
            Incoming::Gap { room, reason, after } => self.write(room, Action::Gap { reason, after }),
            Incoming::Acked { client_id, id } => {
                let answered = self.pending.acked(&client_id, id);
                let _ = answered.map(|(place, action)| self.write(place, action));
            }
            Incoming::Rejected { client_id, code, retry } => {
                let answered = self.pending.rejected(&client_id, code, retry, &mut self.rng);
                let _ = answered.map(|(place, action)| self.write(place, action));
            }
            Incoming::Bye { delay } => self.write(0, Action::Bye { delay }),
            Incoming::Ping => self.owes_pong = true,
            Incoming::Refused => return false,
            Incoming::Other => {}
        }
        true
    }

    /// Joins a room again after a time in this range, in milliseconds.
    fn join_later(&mut self, place: usize, pause: std::ops::Range<u64>) {
        let join_at = Instant::now() + Duration::from_millis(self.rng.random_range(pause));
        self.subscriptions[place].stage = Stage::Outside { join_at };
    }

    fn learn_members(&self, place: usize, change: MembersChange) {
        let mut state = self.state.lock().unwrap();
        let members = state.rooms[place].members.get_or_insert_default();
        match change {
            MembersChange::Are(users) => *members = users,
            MembersChange::Join(user) => drop(members.insert(user)),
            MembersChange::Leave(user) => drop(members.remove(&user)),
        }
    }

    fn receive(&mut self, received: Received) {
        let place = received.room;
        let new = self.subscriptions[place].receive(&received);
        let Received { id, prev, position, text, user, .. } = received;
        let heard = number_and_sender(&text);
        self.write(place, Action::Received { id, prev, position, text, user });
        if new.is_some() {
            let room = &mut self.state.lock().unwrap().rooms[place];
            (room.last, room.heard) = (new, heard);
        }
    }
}
