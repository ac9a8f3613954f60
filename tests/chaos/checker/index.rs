//! The record, indexed by message and by client.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use super::position::Position;
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
    pub acked: Option<(Duration, Option<&'a str>)>,
    /// The code of an error that forbids a retry.
    pub rejected: Option<&'a str>,
    /// Its sender did not learn whether it is in the log, and will not.
    pub abandoned: bool,
    /// Every id under which it was acked or received.
    pub ids: BTreeSet<&'a str>,
    /// When it was first known to be in the log: acked or received.
    pub logged: Option<Duration>,
}

#[derive(Debug, Default)]
pub struct Receiver<'a> {
    pub user: Option<&'a str>,
    /// Since when the client is a member of its room.
    pub member_since: Option<Duration>,
    /// When the client received its first welcome.
    pub joined_at: Option<Duration>,
    /// The client speaks Centrifugo's protocol, which has offsets in place of ids.
    pub has_offsets: bool,
    /// The end of the log at that moment: the client is owed what is behind it. With offsets, it is
    /// owed what was sent later.
    pub owed_from: Position,
    pub left: Option<Duration>,
    /// What remains after the client has dropped ids that it knew.
    pub received: Vec<Receipt<'a>>,
    /// What each message in `received` has to follow.
    pub links: Vec<Link>,
    /// The first index in `received` of each text.
    pub places: HashMap<&'a str, usize>,
    /// Where the client learned that messages may be missing.
    pub notices: Vec<Notice>,
    /// Received messages that the client dropped.
    pub repeats: Vec<Receipt<'a>>,
    seen: HashSet<&'a str>,
    next_link: Link,
    reads_since: Duration,
}

/// What the next message has to follow.
#[derive(Clone, Copy, Debug, Default)]
pub enum Link {
    /// The message at this position.
    Follows(Position),
    /// Any message: the client was informed that some may be missing.
    #[default]
    Free,
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
    /// Since when the client had this socket and read from it.
    pub reads_since: Duration,
}

/// A `gap`, or a welcome with `recovered: false` after a handshake with `since`.
#[derive(Clone, Debug)]
pub struct Notice {
    pub at: Duration,
    /// It was a welcome.
    pub in_welcome: bool,
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
            Action::Welcomed { user, since, recovered, reason, last, position, .. } => {
                receiver.user = Some(user);
                receiver.member_since.get_or_insert(at);
                receiver.reads_since = at;
                let last = Position::of(last.as_deref());
                if receiver.joined_at.is_none() {
                    receiver.joined_at = Some(at);
                    receiver.has_offsets = position.is_some();
                    (receiver.owed_from, receiver.next_link) = if receiver.has_offsets {
                        (Position::END, Link::Free)
                    } else {
                        (last, Link::Follows(last))
                    };
                } else if since.is_some() && !recovered {
                    receiver.notice(at, true, format!("recovered: false, {reason:?} at {at:.3?}"));
                }
            }
            Action::Opened { user } => {
                receiver.user = Some(user);
                receiver.member_since.get_or_insert(at);
            }
            Action::Resumed => receiver.reads_since = at,
            Action::Gap { reason, after } => {
                receiver.notice(at, false, format!("gap {reason:?} after {after:?} at {at:.3?}"));
            }
            Action::Left => receiver.left = Some(at),
            Action::Received { id, prev, text, user, .. } => {
                let id = id.as_deref().unwrap_or_default();
                let reads_since = receiver.reads_since;
                receiver.receive(Receipt { at, id, prev: prev.as_deref(), text, user, reads_since });
                if let Some(message) = self.messages.get_mut(text.as_str())
                    && !id.is_empty()
                {
                    message.ids.insert(id);
                    message.logged.get_or_insert(at);
                }
            }
            Action::Sent { text, .. } => {
                self.messages.entry(text).or_insert_with(|| Message::new(event.who, at)).tries += 1;
            }
            Action::Acked { text, id } => {
                let message = self.message(text);
                message.acked.get_or_insert((at, id.as_deref()));
                message.ids.extend(id.as_deref());
                message.logged.get_or_insert(at);
            }
            Action::Rejected { text, code, retry: false } => self.message(text).rejected = Some(code),
            Action::Abandoned { text, .. } => self.message(text).abandoned = true,
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
        Self { who, sent, tries: 0, acked: None, rejected: None, abandoned: false, ids, logged: None }
    }
}

impl<'a> Receiver<'a> {
    fn receive(&mut self, receipt: Receipt<'a>) {
        if !receipt.id.is_empty() && !self.seen.insert(receipt.id) {
            self.repeats.push(receipt);
            return;
        }
        self.places.entry(receipt.text).or_insert(self.received.len());
        self.links.push(self.next_link);
        self.received.push(receipt);
        if !receipt.id.is_empty() && !self.has_offsets {
            self.next_link = Link::Follows(Position::of(Some(receipt.id)));
        }
    }

    fn notice(&mut self, at: Duration, in_welcome: bool, detail: String) {
        self.next_link = Link::Free;
        self.notices.push(Notice { at, in_welcome, place: self.received.len(), detail });
    }
}
