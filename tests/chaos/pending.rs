//! Messages without a final reply. They outlive the socket.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::Instant;

use super::record::Action;

/// Maximum number of unanswered messages; at the limit the client sends nothing new.
const MOST: usize = 8;
/// The time after which a message without a reply is sent again.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// One message of this many is invalid and must be rejected.
const ERRORS: u32 = 60;
/// The id of an invalid message.
pub const BAD_ID: &str = "not an id!";

#[derive(Clone, Debug)]
pub struct Said {
    /// The place of its room among those of the client.
    pub room: usize,
    pub text: String,
    pub client_id: String,
    pub since: Instant,
    /// When to send it (again).
    due: Option<Instant>,
    tries: usize,
}

/// What an error says of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It is not in the log, and will not be.
    Never,
    /// The client sends it again.
    Later,
    /// It may be in the log. The client has no id under which it could send it again.
    Unknown,
}

pub struct Pending {
    waiting: Vec<Said>,
    /// Messages have ids, so that they can be sent again.
    has_ids: bool,
    /// The number of the newest message.
    pub count: usize,
    /// An id that was acked at the first attempt, so that no second reply to it is on its way.
    used: Option<String>,
}

impl Pending {
    pub fn new(has_ids: bool) -> Self {
        Self { waiting: Vec::new(), has_ids, count: 0, used: None }
    }

    pub fn has_room(&self) -> bool {
        self.waiting.len() < MOST
    }

    /// When the oldest one was sent.
    pub fn oldest(&self) -> Option<Instant> {
        self.waiting.iter().map(|sent| sent.since).min()
    }

    /// When to send the next one in these rooms.
    pub fn due(&self, is_joined: impl Fn(usize) -> bool) -> Option<Instant> {
        self.waiting.iter().filter(|sent| is_joined(sent.room)).filter_map(|sent| sent.due).min()
    }

    /// Queues a new message in this room. A few have an invalid or a used id.
    pub fn compose(&mut self, who: usize, room: usize, is_long: bool, rng: &mut StdRng) {
        self.count += 1;
        let mut text = numbered(self.count, who);
        if is_long {
            text.push_str(&" and so on".repeat(600));
        }
        let client_id = match (rng.random_range(0..ERRORS), self.used.take()) {
            (0, _) => BAD_ID.to_owned(),
            (1, Some(used)) => used,
            (_, used) => {
                self.used = used;
                format!("c{who}-{}-{:016x}", self.count, rng.random::<u64>())
            }
        };
        let now = Instant::now();
        // The replies to two messages with one id cannot be distinguished.
        if !self.waiting.iter().any(|sent| sent.client_id == client_id) {
            self.waiting.push(Said { room, text, client_id, since: now, due: Some(now), tries: 0 });
        }
    }

    /// Sends everything again on a new socket. Returns what cannot be sent again, and has no answer
    /// any more.
    pub fn again(&mut self) -> Vec<(usize, Action)> {
        let has_ids = self.has_ids;
        let unknown = self.waiting.extract_if(.., |sent| !has_ids && sent.tries > 0);
        let unknown = unknown.map(|sent| abandoned(sent, "the connection ended")).collect();
        for sent in &mut self.waiting {
            sent.due = Some(Instant::now());
        }
        unknown
    }

    /// Takes up to this many messages that are due in these rooms, the oldest first.
    pub fn take_due(&mut self, most: usize, is_joined: impl Fn(usize) -> bool) -> Vec<Said> {
        let (now, has_ids) = (Instant::now(), self.has_ids);
        let is_due = |sent: &&mut Said| sent.due.is_some_and(|due| due <= now) && is_joined(sent.room);
        let due = self.waiting.iter_mut().filter(is_due).take(most);
        due.map(|sent| {
            sent.due = has_ids.then(|| now + REPLY_TIMEOUT);
            sent.tries += 1;
            sent.clone()
        })
        .collect()
    }

    /// Takes an ack of the message with this id of the client, and returns its room; `None` when no
    /// message waits for it.
    pub fn acked(&mut self, client_id: &str, id: Option<String>) -> Option<(usize, Action)> {
        let place = self.place(client_id)?;
        let sent = self.waiting.remove(place);
        if sent.tries == 1 && self.has_ids {
            self.used = Some(sent.client_id);
        }
        Some((sent.room, Action::Acked { text: sent.text, id }))
    }

    /// Takes an error about the message with this id of the client. One that allows a retry
    /// schedules it.
    pub fn rejected(
        &mut self,
        client_id: &str,
        code: String,
        retry: Retry,
        rng: &mut StdRng,
    ) -> Option<(usize, Action)> {
        let place = self.place(client_id)?;
        if retry == Retry::Later {
            let sent = &mut self.waiting[place];
            sent.due = Some(Instant::now() + Duration::from_millis(rng.random_range(300..1000)));
            return Some((sent.room, Action::Rejected { text: sent.text.clone(), code, retry: true }));
        }
        let sent = self.waiting.remove(place);
        Some(match retry {
            Retry::Unknown => abandoned(sent, &code),
            _ => (sent.room, Action::Rejected { text: sent.text, code, retry: false }),
        })
    }

    fn place(&self, client_id: &str) -> Option<usize> {
        self.waiting.iter().position(|sent| sent.client_id == client_id)
    }
}

fn numbered(number: usize, who: usize) -> String {
    format!("message {number} of client {who}")
}

/// The number and the sender of a message with this text.
pub fn number_and_sender(text: &str) -> Option<(usize, usize)> {
    let words: Vec<_> = text.split(' ').collect();
    let (number, who) = (words.get(1)?.parse().ok()?, words.get(4)?.parse().ok()?);
    text.starts_with(&numbered(number, who)).then_some((number, who))
}

fn abandoned(sent: Said, reason: &str) -> (usize, Action) {
    (sent.room, Action::Abandoned { text: sent.text, reason: reason.to_owned() })
}
