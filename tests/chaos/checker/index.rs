//! The record, indexed by message and by client.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use crate::chaos::record::{Action, Event, Record};

pub struct RecordIndex<'a> {
    pub record: &'a Record,
    /// By text: each message has its own text, however often it is sent.
    pub messages: BTreeMap<&'a str, Message<'a>>,
    /// By client.
    pub receivers: Vec<Receiver<'a>>,
}

#[derive(Debug)]
pub struct Message<'a> {
    pub who: usize,
    /// When it was first sent.
    pub sent: Duration,
    /// How often it was sent.
    pub tries: usize,
    /// The time and id of its first ack.
    pub acked: Option<(Duration, &'a str)>,
    /// The code of an error that forbids a retry.
    pub rejected: Option<&'a str>,
    /// Every id under which it was acked or received.
    pub ids: BTreeSet<&'a str>,
    /// When it was first known to be in the log: acked or received.
    pub logged: Option<Duration>,
}

#[derive(Debug, Default)]
pub struct Receiver<'a> {
    pub user: Option<&'a str>,
    /// When the client received its first welcome.
    pub joined_at: Option<Duration>,
    pub left: Option<Duration>,
    /// What remains after the client has dropped ids that it knew.
    pub received: Vec<Receipt<'a>>,
    /// The first index in `received` of each text.
    pub places: HashMap<&'a str, usize>,
    /// Where the client learned that messages may be missing.
    pub notices: Vec<Notice>,
    /// Received messages that the client dropped.
    pub repeats: Vec<Receipt<'a>>,
    seen: HashSet<&'a str>,
}

#[derive(Clone, Copy, Debug)]
pub struct Receipt<'a> {
    pub at: Duration,
    /// Empty for a message that is not in the log.
    pub id: &'a str,
    /// The id of the message before it, according to the server.
    pub prev: Option<&'a str>,
    pub text: &'a str,
    pub user: &'a str,
}

/// A `gap`, or a welcome with `recovered: false` after a handshake with `since`.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Number of messages received before it; missing messages belong after these.
    pub place: usize,
    pub detail: String,
}

impl<'a> RecordIndex<'a> {
    pub fn of(record: &'a Record) -> Self {
        let receivers = record.rooms.iter().map(|_| Receiver::default()).collect();
        let mut index = Self { record, messages: BTreeMap::new(), receivers };
        for event in &record.events {
            index.enter(event);
        }
        index
    }

    fn enter(&mut self, event: &'a Event) {
        let at = event.at;
        let receiver = &mut self.receivers[event.who];
        match &event.action {
            Action::Welcomed { user, since, recovered, reason, .. } => {
                receiver.user = Some(user);
                receiver.joined_at.get_or_insert(at);
                if since.is_some() && !recovered {
                    receiver.notice(format!("recovered: false, {reason:?} at {at:.3?}"));
                }
            }
            Action::Gap { reason, after } => {
                receiver.notice(format!("gap {reason:?} after {after:?} at {at:.3?}"));
            }
            Action::Left => receiver.left = Some(at),
            Action::Received { id, prev, text, user } => {
                let id = id.as_deref().unwrap_or_default();
                receiver.receive(Receipt { at, id, prev: prev.as_deref(), text, user });
                if let Some(message) = self.messages.get_mut(text.as_str()) {
                    message.ids.insert(id);
                    message.logged.get_or_insert(at);
                }
            }
            Action::Sent { text, .. } => {
                self.messages.entry(text).or_insert_with(|| Message::new(event.who, at)).tries += 1;
            }
            Action::Acked { text, id } => {
                let message = self.message(text);
                message.acked.get_or_insert((at, id));
                message.ids.insert(id);
                message.logged.get_or_insert(at);
            }
            Action::Rejected { text, code, retry: false } => self.message(text).rejected = Some(code),
            _ => {}
        }
    }

    fn message(&mut self, text: &str) -> &mut Message<'a> {
        self.messages.get_mut(text).expect("a client takes answers only to what it sent")
    }

    pub fn room_of(&self, who: usize) -> usize {
        self.record.rooms[who]
    }

    /// The clients of a room with their indexes.
    pub fn receivers_in(&self, room: usize) -> impl Iterator<Item = (usize, &Receiver<'a>)> {
        self.receivers.iter().enumerate().filter(move |(who, _)| self.room_of(*who) == room)
    }

    /// All received messages with their client and the message that was sent.
    pub fn receipts(&self) -> impl Iterator<Item = (usize, Receipt<'a>, Option<&Message<'a>>)> {
        self.receivers.iter().enumerate().flat_map(move |(who, receiver)| {
            receiver.received.iter().map(move |receipt| (who, *receipt, self.messages.get(receipt.text)))
        })
    }
}

impl Message<'_> {
    fn new(who: usize, sent: Duration) -> Self {
        let ids = BTreeSet::new();
        Self { who, sent, tries: 0, acked: None, rejected: None, ids, logged: None }
    }
}

impl<'a> Receiver<'a> {
    fn receive(&mut self, receipt: Receipt<'a>) {
        if !receipt.id.is_empty() && !self.seen.insert(receipt.id) {
            self.repeats.push(receipt);
            return;
        }
        self.places.entry(receipt.text).or_insert(self.received.len());
        self.received.push(receipt);
    }

    fn notice(&mut self, detail: String) {
        self.notices.push(Notice { place: self.received.len(), detail });
    }
}
