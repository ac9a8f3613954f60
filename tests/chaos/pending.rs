//! Messages without a final reply. They outlive the socket.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::Value;
use tokio::time::Instant;

use super::instructions::Traffic;
use super::record::Action;

/// Maximum number of unanswered messages; at the limit the client sends nothing new.
const MOST: usize = 8;
/// The time after which a message without a reply is sent again.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// One message of this many is invalid and must be rejected.
const ERRORS: u32 = 60;

#[derive(Clone, Debug)]
pub struct Said {
    pub text: String,
    pub client_id: String,
    pub since: Instant,
    /// When to send it (again).
    pub due: Instant,
    tries: usize,
}

#[derive(Default)]
pub struct Pending {
    waiting: Vec<Said>,
    count: usize,
    /// An id that was acked at the first attempt, so that no second reply to it is on its way.
    used: Option<String>,
}

impl Pending {
    pub fn has_room(&self) -> bool {
        self.waiting.len() < MOST
    }

    /// When the oldest one was sent.
    pub fn oldest(&self) -> Option<Instant> {
        self.waiting.iter().map(|sent| sent.since).min()
    }

    /// When to send the next one.
    pub fn due(&self) -> Option<Instant> {
        self.waiting.iter().map(|sent| sent.due).min()
    }

    /// Queues a new message. A few have an invalid or a used id.
    pub fn compose(&mut self, who: usize, traffic: Traffic, rng: &mut StdRng) {
        self.count += 1;
        let mut text = format!("message {} of client {who}", self.count);
        if traffic == Traffic::Heavy {
            text.push_str(&" and so on".repeat(600));
        }
        let client_id = match (rng.random_range(0..ERRORS), self.used.take()) {
            (0, _) => "not an id!".to_owned(),
            (1, Some(used)) => used,
            (_, used) => {
                self.used = used;
                format!("c{who}-{}-{:016x}", self.count, rng.random::<u64>())
            }
        };
        let now = Instant::now();
        // The replies to two messages with one id cannot be distinguished.
        if !self.waiting.iter().any(|sent| sent.client_id == client_id) {
            self.waiting.push(Said { text, client_id, since: now, due: now, tries: 0 });
        }
    }

    /// Sends everything again on a new socket.
    pub fn again(&mut self) {
        for sent in &mut self.waiting {
            sent.due = Instant::now();
        }
    }

    /// Takes the messages that are due, the oldest first.
    pub fn take_due(&mut self) -> Vec<Said> {
        let now = Instant::now();
        let due = self.waiting.iter_mut().filter(|sent| sent.due <= now);
        due.map(|sent| {
            sent.due = now + REPLY_TIMEOUT;
            sent.tries += 1;
            sent.clone()
        })
        .collect()
    }

    /// Takes an `ack`; `None` when no message waits for it.
    pub fn acked(&mut self, frame: &Value) -> Option<Action> {
        let place = self.place(frame)?;
        let sent = self.waiting.remove(place);
        let id = frame["id"].as_str().unwrap_or_default().to_owned();
        if sent.tries == 1 {
            self.used = Some(sent.client_id);
        }
        Some(Action::Acked { text: sent.text, id })
    }

    /// Takes an `error`. One that allows a retry schedules it.
    pub fn rejected(&mut self, frame: &Value, rng: &mut StdRng) -> Option<Action> {
        let place = self.place(frame)?;
        let code = frame["code"].as_str().unwrap_or_default().to_owned();
        let retry = frame["retry"] == true;
        let text = self.waiting[place].text.clone();
        if retry {
            self.waiting[place].due = Instant::now() + Duration::from_millis(rng.random_range(300..1000));
        } else {
            self.waiting.remove(place);
        }
        Some(Action::Rejected { text, code, retry })
    }

    /// The message that a frame answers. A malformed id may come back as null.
    fn place(&self, frame: &Value) -> Option<usize> {
        let place = |id: &str| self.waiting.iter().position(|sent| sent.client_id == id);
        match frame["client_id"].as_str() {
            Some(id) => place(id),
            None if frame["code"] == "bad_id" => place("not an id!"),
            None => None,
        }
    }
}
