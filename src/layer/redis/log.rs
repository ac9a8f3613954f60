//! The log of a group: a Redis stream. Each entry has the event's bytes (`e`) and the id before it (`p`), from which the
//! event is put together as it was published.
//!
//! The keys are in the same Cluster slot as the group's channel: the channel's name is their hash tag.

use std::sync::Arc;

use redis::Cmd;

use super::channel;
use crate::event::{Event, Stamp};
use crate::group::Group;
use crate::id::Id;

/// A stream's entry: its id, then names and values.
pub(super) type Entry = (String, Vec<Vec<u8>>);

/// The stream.
pub(super) fn key(group: &Group) -> String {
    format!("parlor:log:{{{}}}", channel(group))
}

/// Where the id of the event with this key is remembered.
pub(super) fn sent(group: &Group, key: &str) -> String {
    format!("parlor:sent:{{{}}}:{key}", channel(group))
}

/// The oldest entries after an id.
pub(super) fn after(group: &Group, id: Id, count: usize) -> Cmd {
    let mut range = Cmd::new();
    range.arg("XRANGE").arg(key(group)).arg(format!("({id}")).arg("+").arg("COUNT").arg(count);
    range
}

/// The newest entries.
pub(super) fn newest(group: &Group, count: usize) -> Cmd {
    back(group, "+", count)
}

/// The newest entries up to this id, itself included.
pub(super) fn until(group: &Group, id: Id, count: usize) -> Cmd {
    back(group, &id.to_string(), count)
}

/// The newest entries before this id.
pub(super) fn before(group: &Group, id: Id, count: usize) -> Cmd {
    back(group, &format!("({id}"), count)
}

fn back(group: &Group, from: &str, count: usize) -> Cmd {
    let mut range = Cmd::new();
    range.arg("XREVRANGE").arg(key(group)).arg(from).arg("-").arg("COUNT").arg(count);
    range
}

/// An entry's id; entries of ours have one.
pub(super) fn id(entry: &Entry) -> Option<Id> {
    entry.0.parse().ok()
}

/// The events of these entries. One that cannot be read keeps its place, so that the others do not seem to miss it.
pub(super) fn events(entries: &[Entry]) -> Vec<Arc<Event>> {
    entries.iter().filter_map(event).map(Arc::new).collect()
}

fn event(entry: &Entry) -> Option<Event> {
    let field = |name: &[u8]| entry.1.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| &pair[1][..]);
    let prev = field(b"p").and_then(|prev| std::str::from_utf8(prev).ok()?.parse().ok());
    let stamp = Stamp { id: id(entry)?, prev: prev.unwrap_or(Id::START) };
    let read = field(b"e").and_then(|open| Event::decode_open(open, stamp).ok());
    Some(read.unwrap_or_else(|| Event::new("").stamped(stamp)))
}
