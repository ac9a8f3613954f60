//! The record, sorted by message and by client.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use crate::chaos::record::{Event, Record, What};

pub struct Book<'a> {
    pub record: &'a Record,
    /// By text: each text is said once, however often it is sent.
    pub messages: BTreeMap<&'a str, Message<'a>>,
    /// By client.
    pub listeners: Vec<Listener<'a>>,
}

#[derive(Debug)]
pub struct Message<'a> {
    pub who: usize,
    /// When it was first sent.
    pub said: Duration,
    /// How often it was sent.
    pub tries: usize,
    /// When the first ack came, and its id.
    pub acked: Option<(Duration, &'a str)>,
    /// The code of an error that forbids to try again, if that was the answer.
    pub refused: Option<&'a str>,
    /// Every id under which it was acked or heard.
    pub ids: BTreeSet<&'a str>,
    /// When it was first known to be in the log: acked or heard.
    pub logged: Option<Duration>,
}

#[derive(Debug, Default)]
pub struct Listener<'a> {
    pub user: Option<&'a str>,
    /// When it was welcomed for the first time.
    pub came: Option<Duration>,
    pub left: Option<Duration>,
    /// What is left after the client's rule, to drop ids that it has seen.
    pub heard: Vec<Receipt<'a>>,
    /// The place of each text in `heard`, the first one.
    pub places: HashMap<&'a str, usize>,
    /// Where it was told that something may be missing.
    pub notices: Vec<Notice>,
    /// What it dropped by the rule.
    pub repeats: Vec<Receipt<'a>>,
    seen: HashSet<&'a str>,
}

#[derive(Clone, Copy, Debug)]
pub struct Receipt<'a> {
    pub at: Duration,
    /// Empty for a message that did not pass the log.
    pub id: &'a str,
    /// The id of the message before it, as the server has it.
    pub prev: Option<&'a str>,
    pub text: &'a str,
    pub user: &'a str,
}

/// A `gap`, or a welcome with `recovered: false` for who came with a `since`.
#[derive(Clone, Debug)]
pub struct Notice {
    /// How many messages had been heard: what is missing lies behind these.
    pub place: usize,
    pub story: String,
}

impl<'a> Book<'a> {
    pub fn of(record: &'a Record) -> Self {
        let listeners = record.rooms.iter().map(|_| Listener::default()).collect();
        let mut book = Self { record, messages: BTreeMap::new(), listeners };
        for event in &record.events {
            book.enter(event);
        }
        book
    }

    fn enter(&mut self, event: &'a Event) {
        let at = event.at;
        let listener = &mut self.listeners[event.who];
        match &event.what {
            What::Welcomed { user, since, recovered, reason, .. } => {
                listener.user = Some(user);
                listener.came.get_or_insert(at);
                if since.is_some() && !recovered {
                    listener.notice(format!("recovered: false, {reason:?} at {at:.3?}"));
                }
            }
            What::Gap { reason, after } => {
                listener.notice(format!("gap {reason:?} after {after:?} at {at:.3?}"));
            }
            What::Left => listener.left = Some(at),
            What::Heard { id, prev, text, user } => {
                let id = id.as_deref().unwrap_or_default();
                listener.hear(Receipt { at, id, prev: prev.as_deref(), text, user });
                if let Some(message) = self.messages.get_mut(text.as_str()) {
                    message.ids.insert(id);
                    message.logged.get_or_insert(at);
                }
            }
            What::Said { text, .. } => {
                self.messages.entry(text).or_insert_with(|| Message::new(event.who, at)).tries += 1;
            }
            What::Acked { text, id } => {
                let message = self.message(text);
                message.acked.get_or_insert((at, id));
                message.ids.insert(id);
                message.logged.get_or_insert(at);
            }
            What::Refused { text, code, retry: false } => self.message(text).refused = Some(code),
            _ => {}
        }
    }

    fn message(&mut self, text: &str) -> &mut Message<'a> {
        self.messages.get_mut(text).expect("a client takes answers only to what it said")
    }

    pub fn room_of(&self, who: usize) -> usize {
        self.record.rooms[who]
    }

    /// The clients of a room with their numbers.
    pub fn listeners_in(&self, room: usize) -> impl Iterator<Item = (usize, &Listener<'a>)> {
        self.listeners.iter().enumerate().filter(move |(who, _)| self.room_of(*who) == room)
    }

    /// Every client and what it heard, with what is known of the message.
    pub fn receipts(&self) -> impl Iterator<Item = (usize, Receipt<'a>, Option<&Message<'a>>)> {
        self.listeners.iter().enumerate().flat_map(move |(who, listener)| {
            listener.heard.iter().map(move |receipt| (who, *receipt, self.messages.get(receipt.text)))
        })
    }
}

impl Message<'_> {
    fn new(who: usize, said: Duration) -> Self {
        let ids = BTreeSet::new();
        Self { who, said, tries: 0, acked: None, refused: None, ids, logged: None }
    }
}

impl<'a> Listener<'a> {
    fn hear(&mut self, receipt: Receipt<'a>) {
        if !receipt.id.is_empty() && !self.seen.insert(receipt.id) {
            self.repeats.push(receipt);
            return;
        }
        self.places.entry(receipt.text).or_insert(self.heard.len());
        self.heard.push(receipt);
    }

    fn notice(&mut self, story: String) {
        self.notices.push(Notice { place: self.heard.len(), story });
    }
}
