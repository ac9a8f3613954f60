//! A client of `parlor.v1`, by WebSocket or event stream, that follows docs/protocol.md and records
//! what it does and sees.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::instructions::{Instructions, Lifecycle, State, Traffic};
use super::line::{Arrival, Line, Wire};
use super::membership::Membership;
use super::pending::Pending;
use super::record::{Action, Recorder};

/// From the first byte to the welcome; a frozen node accepts connections and sends nothing.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence after which the client asks for one message of history. The protocol says 40 s; a room
/// under constant load allows less.
const MAX_SILENCE: Duration = Duration::from_secs(4);
/// Time for the reply to that, after which the socket is dead.
const REPLY_TIMEOUT: Duration = Duration::from_secs(4);
/// Silence after which an event stream in a room at rest is dead: it takes no questions, and has a
/// comment every 25 s.
const MAX_STREAM_SILENCE: Duration = Duration::from_secs(40);

pub struct Client {
    index: usize,
    membership: Membership,
    wire: Wire,
    address: SocketAddr,
    recorder: Recorder,
    rng: StdRng,
    instructions: watch::Receiver<Instructions>,
    state: Arc<Mutex<State>>,
    pending: Pending,
    known: HashSet<String>,
    /// The last message before which nothing is missing without a gap.
    since: Option<String>,
    next_send_at: Instant,
    last_frame_at: Instant,
    probed: bool,
}

impl Client {
    pub fn new(
        (index, membership, wire): (usize, Membership, Wire),
        address: SocketAddr,
        recorder: Recorder,
        seed: u64,
        instructions: watch::Receiver<Instructions>,
        state: Arc<Mutex<State>>,
    ) -> Self {
        let rng = StdRng::seed_from_u64(seed.wrapping_mul(1009).wrapping_add(index as u64));
        let now = Instant::now();
        let (pending, known, since) = (Pending::default(), HashSet::new(), None);
        Self {
            index,
            membership,
            wire,
            address,
            recorder,
            rng,
            instructions,
            state,
            pending,
            known,
            since,
            next_send_at: now,
            last_frame_at: now,
            probed: false,
        }
    }

    /// Runs until the test stops it.
    pub async fn run(mut self) {
        let mut failures = 0;
        while self.is_wanted().await {
            let handshake = timeout(HANDSHAKE_TIMEOUT, self.enter()).await;
            if let Ok(Some(line)) = handshake {
                failures = 0;
                self.state.lock().unwrap().online = true;
                let code = self.use_line(line).await;
                self.state.lock().unwrap().online = false;
                self.write(Action::Ended { code });
            } else {
                failures += 1;
            }
            // The first attempt follows almost at once; jitter spreads the clients.
            let most = 100_u64 << failures.min(5);
            let pause = self.rng.random_range(0..most);
            sleep(Duration::from_millis(pause)).await;
        }
        self.write(Action::Left);
    }

    /// Waits as long as the client is held away; `false` when it does not return.
    async fn is_wanted(&mut self) -> bool {
        let decided =
            self.instructions.wait_for(|instructions| instructions.lifecycle != Lifecycle::Away).await;
        decided.is_ok_and(|instructions| instructions.lifecycle == Lifecycle::Connected)
    }

    fn write(&self, action: Action) {
        self.recorder.write(self.index, action);
    }

    /// Connects, with `since` except the first time, and waits for the welcome.
    async fn enter(&mut self) -> Option<Line> {
        self.write(Action::HandshakeStarted { since: self.since.clone() });
        let mut line = Line::open(self.wire, self.address, &self.membership, self.since.as_deref()).await?;
        let welcome = loop {
            match line.next().await {
                Arrival::Frame(frame) => break frame,
                Arrival::Reply(_) | Arrival::Ping => {}
                Arrival::End(_) => return None,
            }
        };
        assert_eq!(welcome["type"], "welcome", "the first frame of a socket");
        self.write(Action::Welcomed {
            node: text_in(&welcome, "node").unwrap_or_default(),
            user: text_in(&welcome, "user").expect("a user in a welcome"),
            since: self.since.clone(),
            recovered: welcome["recovered"] == true,
            reason: text_in(&welcome, "reason"),
            last: text_in(&welcome, "last"),
        });
        // In an empty room every message is behind the start of the log.
        let last = || text_in(&welcome, "last").unwrap_or_else(|| "0-0".to_owned());
        self.since = Some(self.since.take().unwrap_or_else(last));
        self.learn_members(&welcome);
        Some(line)
    }

    /// Uses the line until it ends and returns its close code.
    async fn use_line(&mut self, mut line: Line) -> Option<u16> {
        self.pending.again();
        (self.last_frame_at, self.probed) = (Instant::now(), false);
        let mut stalled = false;
        loop {
            let instructions = *self.instructions.borrow_and_update();
            match instructions.lifecycle {
                Lifecycle::Connected => {}
                Lifecycle::Vanishes => return None,
                Lifecycle::Away => {
                    self.write(Action::Stalled);
                    return None;
                }
                Lifecycle::Leaves => {
                    timeout(REPLY_TIMEOUT, line.close()).await.ok();
                    return Some(1000);
                }
            }
            if stalled != instructions.stalled {
                stalled = instructions.stalled;
                line.set_reading(!stalled);
                self.write(if stalled { Action::Stalled } else { Action::Resumed });
                (self.last_frame_at, self.probed) = (Instant::now(), false);
            }
            if !stalled && timeout(REPLY_TIMEOUT, self.act(&mut line, instructions.traffic)).await != Ok(true)
            {
                return None;
            }
            tokio::select! {
                arrival = line.next(), if !stalled => match arrival {
                    Arrival::Frame(frame) => {
                        (self.last_frame_at, self.probed) = (Instant::now(), false);
                        self.take(&frame);
                    }
                    Arrival::Reply(reply) => self.take(&reply),
                    Arrival::Ping => self.last_frame_at = Instant::now(),
                    Arrival::End(code) => return code,
                },
                () = sleep_until(self.next_act(instructions.traffic)), if !stalled => {}
                changed = self.instructions.changed() => if changed.is_err() { return None },
            }
        }
    }

    /// The silence after which the socket is dead.
    fn max_silence(&self, traffic: Traffic) -> Duration {
        let is_silent_stream = self.wire == Wire::EventStream && traffic == Traffic::None;
        if is_silent_stream { MAX_STREAM_SILENCE } else { MAX_SILENCE + REPLY_TIMEOUT }
    }

    /// When the next action is due, whatever is received.
    fn next_act(&self, traffic: Traffic) -> Instant {
        let liveness = self.last_frame_at + if self.probed { self.max_silence(traffic) } else { MAX_SILENCE };
        let next_send_at = (traffic != Traffic::None && self.pending.has_room()).then_some(self.next_send_at);
        [next_send_at, self.pending.due()].into_iter().flatten().fold(liveness, Instant::min)
    }

    /// Queues a message if one is due, and shows it in the state before its first byte: a test that
    /// has instructed the client to send nothing sees all that it ever sent.
    fn compose(&mut self, now: Instant) {
        let mut state = self.state.lock().unwrap();
        let traffic = self.instructions.borrow().traffic;
        if traffic != Traffic::None && now >= self.next_send_at && self.pending.has_room() {
            self.pending.compose(self.index, traffic, &mut self.rng);
            let pause = self.rng.random_range(500..1500) / if traffic == Traffic::Heavy { 5 } else { 1 };
            self.next_send_at = now + Duration::from_millis(pause);
        }
        state.unanswered = self.pending.oldest();
    }

    /// Does what is due; `false` when the socket is dead.
    async fn act(&mut self, line: &mut Line, traffic: Traffic) -> bool {
        let now = Instant::now();
        self.compose(now);
        let mut frames = Vec::new();
        for sent in self.pending.take_due() {
            let (text, client_id) = (sent.text, sent.client_id);
            frames.push(json!({ "type": "message", "message": text, "id": client_id }));
            self.write(Action::Sent { text, client_id });
        }
        if now >= self.last_frame_at + self.max_silence(traffic) {
            return false;
        }
        if now >= self.last_frame_at + MAX_SILENCE && !self.probed {
            self.probed = true;
            if line.takes_questions() {
                frames.push(json!({ "type": "history", "limit": 1 }));
            }
        }
        for frame in frames {
            if !line.send(&frame).await {
                return false;
            }
        }
        true
    }

    /// Handles a frame of the server; ignores unknown types.
    fn take(&mut self, frame: &Value) {
        match frame["type"].as_str().expect("a type in each frame") {
            "message" => self.receive(frame),
            "presence" => self.learn_members(frame),
            "gap" => {
                let reason = text_in(frame, "reason").unwrap_or_default();
                self.write(Action::Gap { reason, after: text_in(frame, "after") });
            }
            "ack" => {
                let _ = self.pending.acked(frame).map(|action| self.write(action));
            }
            "error" => {
                let _ = self.pending.rejected(frame, &mut self.rng).map(|action| self.write(action));
            }
            "bye" => {
                let delay = Duration::from_millis(frame["reconnect_ms"].as_u64().unwrap_or_default());
                self.write(Action::Bye { delay });
            }
            _ => {}
        }
    }

    /// Takes the members in a welcome or in a presence frame.
    fn learn_members(&self, frame: &Value) {
        let members = &mut self.state.lock().unwrap().members;
        let user = || text_in(frame, "user").expect("a user who joined or left");
        match frame["change"].as_str() {
            Some("join") => drop(members.insert(user())),
            Some("leave") => drop(members.remove(&user())),
            None | Some("state") => {
                let listed = frame["members"].as_array().expect("a list in a room of few members");
                *members = listed.iter().filter_map(|user| Some(user.as_str()?.to_owned())).collect();
            }
            Some(_) => {}
        }
    }

    fn receive(&mut self, frame: &Value) {
        let (id, prev) = (text_in(frame, "id"), text_in(frame, "prev"));
        let text = text_in(frame, "text").expect("a text in a message");
        let user = text_in(frame, "user").unwrap_or_default();
        self.write(Action::Received { id: id.clone(), prev, text, user });
        if let Some(id) = id
            && self.known.insert(id.clone())
        {
            self.state.lock().unwrap().last = Some(id.clone());
            self.since = Some(id);
        }
    }
}

fn text_in(frame: &Value, member: &str) -> Option<String> {
    frame[member].as_str().map(str::to_owned)
}
