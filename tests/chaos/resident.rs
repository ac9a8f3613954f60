//! A client of `parlor.v1` that lives in a room by the rules of docs/protocol.md, and writes down all that it
//! does.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::orders::{Orders, State, Stay, Voice};
use super::pending::Pending;
use super::record::{Pen, What};
use crate::support::handshake::Handshake;
use crate::support::websocket::{Message, WebSocket};

/// From the first byte to the welcome; a frozen node takes connections and says nothing.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Who hears nothing for so long asks for one message of the past. The protocol says 40 s; in a room that is
/// never quiet one may be quicker.
const QUIET: Duration = Duration::from_secs(4);
/// Without an answer to that the socket is dead.
const ANSWER: Duration = Duration::from_secs(4);

pub struct Resident {
    who: usize,
    room: String,
    door: SocketAddr,
    pen: Pen,
    dice: StdRng,
    orders: watch::Receiver<Orders>,
    state: Arc<Mutex<State>>,
    pending: Pending,
    known: HashSet<String>,
    /// The last message of which it is known that nothing before it is missing, or that what is missing was
    /// told.
    since: Option<String>,
    speaks: Instant,
    heard: Instant,
    asked: bool,
}

impl Resident {
    pub fn new(
        (who, room): (usize, String),
        door: SocketAddr,
        pen: Pen,
        seed: u64,
        orders: watch::Receiver<Orders>,
        state: Arc<Mutex<State>>,
    ) -> Self {
        let dice = StdRng::seed_from_u64(seed.wrapping_mul(1009).wrapping_add(who as u64));
        let now = Instant::now();
        let (pending, known, since) = (Pending::default(), HashSet::new(), None);
        Self {
            who,
            room,
            door,
            pen,
            dice,
            orders,
            state,
            pending,
            known,
            since,
            speaks: now,
            heard: now,
            asked: false,
        }
    }

    /// Lives until told to leave.
    pub async fn live(mut self) {
        let mut failures = 0;
        while self.orders.borrow().stay == Stay::Here {
            let knock = timeout(HANDSHAKE, self.enter()).await;
            if let Ok(Some(socket)) = knock {
                failures = 0;
                self.state.lock().unwrap().online = true;
                let code = self.stay(socket).await;
                self.state.lock().unwrap().online = false;
                self.write(What::Ended { code });
            } else {
                failures += 1;
            }
            // The first try comes almost at once; jitter keeps a crowd apart.
            let most = 100_u64 << failures.min(5);
            let pause = self.dice.random_range(0..most);
            sleep(Duration::from_millis(pause)).await;
        }
        self.write(What::Left);
    }

    fn write(&self, what: What) {
        self.pen.write(self.who, what);
    }

    /// Comes in with `since`, up to the welcome. Who has no message yet asks for all that there is, except
    /// the first time.
    async fn enter(&mut self) -> Option<WebSocket> {
        let mut ticket = Handshake::to_room(&self.room).with_guest(self.who as u64 + 1);
        match &self.since {
            Some(since) => ticket = ticket.since(since),
            None if self.state.lock().unwrap().last.is_some() => ticket = ticket.history(1000),
            None => {}
        }
        self.write(What::Knocked { since: self.since.clone() });
        let mut socket = ticket.try_connect(self.door).await.ok()?;
        let welcome = loop {
            if let Message::Text(text) = socket.next_message().await? {
                break serde_json::from_str::<Value>(&text).ok()?;
            }
        };
        assert_eq!(welcome["type"], "welcome", "the first frame of a socket");
        self.write(What::Welcomed {
            node: text_in(&welcome, "node").unwrap_or_default(),
            user: text_in(&welcome, "user").expect("a user in a welcome"),
            since: self.since.clone(),
            recovered: welcome["recovered"] == true,
            reason: text_in(&welcome, "reason"),
        });
        self.since = self.since.take().or_else(|| text_in(&welcome, "last"));
        Some(socket)
    }

    /// Stays on the socket until it is over, and gives its close code.
    async fn stay(&mut self, mut socket: WebSocket) -> Option<u16> {
        self.pending.again();
        (self.heard, self.asked) = (Instant::now(), false);
        let mut deaf = false;
        loop {
            let orders = *self.orders.borrow_and_update();
            match orders.stay {
                Stay::Here => {}
                Stay::Vanishes => return None,
                Stay::Leaves => {
                    timeout(ANSWER, socket.close()).await.ok();
                    return Some(1000);
                }
            }
            if deaf != orders.deaf {
                deaf = orders.deaf;
                self.write(if deaf { What::Deaf } else { What::Listens });
                (self.heard, self.asked) = (Instant::now(), false);
            }
            if !deaf && timeout(ANSWER, self.act(&mut socket, orders.voice)).await != Ok(true) {
                return None;
            }
            self.state.lock().unwrap().unanswered = self.pending.oldest();
            tokio::select! {
                frame = socket.next_message(), if !deaf => match frame {
                    Some(Message::Close(close)) => return close.map(|close| close.code.into()),
                    Some(Message::Text(text)) => self.take(&text),
                    Some(_) => self.heard = Instant::now(),
                    None => return None,
                },
                () = sleep_until(self.next_act(orders.voice)), if !deaf => {}
                changed = self.orders.changed() => if changed.is_err() { return None },
            }
        }
    }

    /// When something is to be done, whatever is heard.
    fn next_act(&self, voice: Voice) -> Instant {
        let liveness = self.heard + if self.asked { QUIET + ANSWER } else { QUIET };
        let speaks = (voice != Voice::Silent && self.pending.has_room()).then_some(self.speaks);
        [speaks, self.pending.due()].into_iter().flatten().fold(liveness, Instant::min)
    }

    /// Does what is due; false when the socket is of no use any more.
    async fn act(&mut self, socket: &mut WebSocket, voice: Voice) -> bool {
        let now = Instant::now();
        if voice != Voice::Silent && now >= self.speaks && self.pending.has_room() {
            self.pending.compose(self.who, voice, &mut self.dice);
            let pause = self.dice.random_range(500..1500) / if voice == Voice::Loud { 5 } else { 1 };
            self.speaks = now + Duration::from_millis(pause);
        }
        let mut frames = Vec::new();
        for said in self.pending.take_due() {
            let (text, client_id) = (said.text, said.client_id);
            frames.push(json!({ "type": "message", "message": text, "id": client_id }));
            self.write(What::Said { text, client_id });
        }
        if now >= self.heard + QUIET + ANSWER {
            return false;
        }
        if now >= self.heard + QUIET && !self.asked {
            self.asked = true;
            frames.push(json!({ "type": "history", "limit": 1 }));
        }
        for frame in frames {
            if !socket.try_send(Message::text(frame.to_string())).await {
                return false;
            }
        }
        true
    }

    /// Takes a frame of the server; one of an unknown type is read over.
    fn take(&mut self, text: &str) {
        (self.heard, self.asked) = (Instant::now(), false);
        let frame: Value = serde_json::from_str(text).expect("a frame in JSON");
        match frame["type"].as_str().expect("a type in each frame") {
            "message" => self.hear(&frame),
            "gap" => {
                let reason = text_in(&frame, "reason").unwrap_or_default();
                self.write(What::Gap { reason, after: text_in(&frame, "after") });
            }
            "ack" => {
                let _ = self.pending.acked(&frame).map(|what| self.write(what));
            }
            "error" => {
                let _ = self.pending.refused(&frame, &mut self.dice).map(|what| self.write(what));
            }
            "bye" => {
                let delay = Duration::from_millis(frame["reconnect_ms"].as_u64().unwrap_or_default());
                self.write(What::Bye { delay });
            }
            _ => {}
        }
    }

    fn hear(&mut self, frame: &Value) {
        let (id, prev) = (text_in(frame, "id"), text_in(frame, "prev"));
        let text = text_in(frame, "text").expect("a text in a message");
        let user = text_in(frame, "user").unwrap_or_default();
        self.write(What::Heard { id: id.clone(), prev, text, user });
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
