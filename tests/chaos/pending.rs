//! What a client has said and has no final answer to, kept until it has one, whatever becomes of the socket.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::Value;
use tokio::time::Instant;

use super::orders::Voice;
use super::record::What;

/// So many messages may wait for their answers; who has that many says nothing new.
const MOST: usize = 8;
/// An answer that has not come by then will not come: the same is sent again.
const ANSWER: Duration = Duration::from_secs(5);
/// One message of so many is one that the server must refuse.
const ERRORS: u32 = 60;

#[derive(Clone, Debug)]
pub struct Said {
    pub text: String,
    pub client_id: String,
    pub since: Instant,
    /// When it is to be sent (again).
    pub due: Instant,
    tries: usize,
}

#[derive(Default)]
pub struct Pending {
    waiting: Vec<Said>,
    count: usize,
    /// An id that was acked at the first try, so that no second answer to it is on its way.
    used: Option<String>,
}

impl Pending {
    pub fn has_room(&self) -> bool {
        self.waiting.len() < MOST
    }

    /// When the oldest one was said.
    pub fn oldest(&self) -> Option<Instant> {
        self.waiting.iter().map(|said| said.since).min()
    }

    /// When the next one is to be sent.
    pub fn due(&self) -> Option<Instant> {
        self.waiting.iter().map(|said| said.due).min()
    }

    /// Makes a new message of this client, to be sent at once. A few have an id that is wrong or was used
    /// before.
    pub fn compose(&mut self, who: usize, voice: Voice, dice: &mut StdRng) {
        self.count += 1;
        let mut text = format!("message {} of client {who}", self.count);
        if voice == Voice::Loud {
            text.push_str(&" and so on".repeat(600));
        }
        let client_id = match (dice.random_range(0..ERRORS), self.used.take()) {
            (0, _) => "not an id!".to_owned(),
            (1, Some(used)) => used,
            (_, used) => {
                self.used = used;
                format!("c{who}-{}-{:016x}", self.count, dice.random::<u64>())
            }
        };
        let now = Instant::now();
        // Two with the same id at a time could not tell their answers apart.
        if !self.waiting.iter().any(|said| said.client_id == client_id) {
            self.waiting.push(Said { text, client_id, since: now, due: now, tries: 0 });
        }
    }

    /// Everything is to be sent again: the socket is a new one.
    pub fn again(&mut self) {
        for said in &mut self.waiting {
            said.due = Instant::now();
        }
    }

    /// What is to be sent now, the oldest first.
    pub fn take_due(&mut self) -> Vec<Said> {
        let now = Instant::now();
        let due = self.waiting.iter_mut().filter(|said| said.due <= now);
        due.map(|said| {
            said.due = now + ANSWER;
            said.tries += 1;
            said.clone()
        })
        .collect()
    }

    /// Takes an `ack`; `None` when nothing waits for it any more.
    pub fn acked(&mut self, frame: &Value) -> Option<What> {
        let place = self.place(frame)?;
        let said = self.waiting.remove(place);
        let id = frame["id"].as_str().unwrap_or_default().to_owned();
        if said.tries == 1 {
            self.used = Some(said.client_id);
        }
        Some(What::Acked { text: said.text, id })
    }

    /// Takes an `error`; one that may be tried again is, a while later.
    pub fn refused(&mut self, frame: &Value, dice: &mut StdRng) -> Option<What> {
        let place = self.place(frame)?;
        let code = frame["code"].as_str().unwrap_or_default().to_owned();
        let retry = frame["retry"] == true;
        let text = self.waiting[place].text.clone();
        if retry {
            self.waiting[place].due = Instant::now() + Duration::from_millis(dice.random_range(300..1000));
        } else {
            self.waiting.remove(place);
        }
        Some(What::Refused { text, code, retry })
    }

    /// The message that a frame answers. An id that is none may come back as none.
    fn place(&self, frame: &Value) -> Option<usize> {
        let place = |id: &str| self.waiting.iter().position(|said| said.client_id == id);
        match frame["client_id"].as_str() {
            Some(id) => place(id),
            None if frame["code"] == "bad_id" => place("not an id!"),
            None => None,
        }
    }
}
