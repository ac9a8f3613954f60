//! The log of a group: a Redis stream. Each entry has the event's bytes (`e`) and the id before it (`p`), from which the
//! event is put together as it was published. Beside it are the ids of events that are redacted: their texts stay in the
//! stream, which cannot be written anew, and are left out of whatever is read.
//!
//! The keys are in the same Cluster slot as the group's channel: the channel's name is their hash tag.

use std::collections::BTreeSet;
use std::sync::Arc;

use redis::{Cmd, Pipeline, Value, from_redis_value};

use super::commands::Commands;
use super::keys::channel;
use crate::layer::error::LayerError;
use crate::telemetry::METRICS;
use crate::wire::event::{Event, Position};
use crate::wire::group::Group;
use crate::wire::id::Id;

/// A stream's entry: its id, then names and values.
type Entry = (String, Vec<Vec<u8>>);

/// The stream.
pub(super) fn key(group: &Group) -> String {
    format!("parlor:log:{{{}}}", channel(group))
}

/// Where the id of the event with this key is remembered.
pub(super) fn sent(group: &Group, key: &str) -> String {
    format!("parlor:sent:{{{}}}:{key}", channel(group))
}

/// The ids of the redacted events, by their ms.
pub(super) fn redacted(group: &Group) -> String {
    format!("parlor:covered:{{{}}}", channel(group))
}

/// Where a log ends, and which of its events are redacted.
pub(super) type End = (Id, BTreeSet<Id>);

/// Where these logs end.
pub(super) async fn ends(commands: &Commands, groups: &[Group]) -> Result<Vec<End>, LayerError> {
    let mut pipeline = Pipeline::new();
    for group in groups {
        pipeline.add_command(newest(group)).add_command(covered_in(group, "-inf", "+inf"));
    }
    let mut answers = commands.pipeline::<Vec<Value>>(&pipeline).await?.into_iter();
    let mut ends = Vec::with_capacity(groups.len());
    while let (Some(newest), Some(redacted)) = (answers.next(), answers.next()) {
        let read = |_| LayerError::UnexpectedReply("XREVRANGE");
        let newest: Vec<Entry> = from_redis_value(newest).map_err(read)?;
        let redacted: Vec<String> = from_redis_value(redacted).map_err(read)?;
        ends.push((newest.first().and_then(id).unwrap_or(Id::START), ids(&redacted)));
    }
    Ok(ends)
}

/// The id of the newest entry.
pub(super) async fn last(commands: &Commands, group: &Group) -> Result<Id, LayerError> {
    let entries: Vec<Entry> = commands.command(&newest(group)).await?;
    Ok(entries.first().and_then(id).unwrap_or(Id::START))
}

fn newest(group: &Group) -> Cmd {
    let mut newest = Cmd::new();
    newest.arg("XREVRANGE").arg(key(group)).arg("+").arg("-").arg("COUNT").arg(1);
    newest
}

fn covered_in(group: &Group, least: &str, most: &str) -> Cmd {
    let mut range = Cmd::new();
    range.arg("ZRANGEBYSCORE").arg(redacted(group)).arg(least).arg(most);
    range
}

/// A part of a log, as it is asked for.
pub(super) struct Part([Cmd; 2]);

impl Part {
    /// The oldest events after an id.
    pub(super) fn after(group: &Group, id: Id, count: usize) -> Self {
        let mut range = Cmd::new();
        range.arg("XRANGE").arg(key(group)).arg(format!("({id}")).arg("+").arg("COUNT").arg(count);
        Self([range, covered_in(group, &id.millis().to_string(), "+inf")])
    }

    /// The newest events, the newest first.
    pub(super) fn newest(group: &Group, count: usize) -> Self {
        Self::back(group, "+", "+inf", count)
    }

    /// The newest events up to this id, itself included, the newest first.
    pub(super) fn until(group: &Group, id: Id, count: usize) -> Self {
        Self::back(group, &id.to_string(), &id.millis().to_string(), count)
    }

    /// The newest events before this id, the newest first.
    pub(super) fn before(group: &Group, id: Id, count: usize) -> Self {
        Self::back(group, &format!("({id}"), &id.millis().to_string(), count)
    }

    fn back(group: &Group, from: &str, most: &str, count: usize) -> Self {
        let mut range = Cmd::new();
        range.arg("XREVRANGE").arg(key(group)).arg(from).arg("-").arg("COUNT").arg(count);
        Self([range, covered_in(group, "-inf", most)])
    }

    /// Reads it. What is redacted is asked for last: an event that is redacted when this is called never comes with its
    /// text.
    pub(super) async fn read(self, commands: &Commands) -> Result<Vec<Arc<Event>>, LayerError> {
        METRICS.log_reads.inc();
        let mut pipeline = Pipeline::new();
        for command in self.0 {
            pipeline.add_command(command);
        }
        let (entries, redacted): (Vec<Entry>, Vec<String>) = commands.pipeline(&pipeline).await?;
        let redacted = ids(&redacted);
        Ok(entries.iter().filter_map(|entry| event(entry, &redacted)).map(Arc::new).collect())
    }
}

/// Ids as Redis gives them.
fn ids(texts: &[String]) -> BTreeSet<Id> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

/// An entry's id; entries of ours have one.
fn id(entry: &Entry) -> Option<Id> {
    entry.0.parse().ok()
}

/// The event of an entry, without its text if it is redacted. One that cannot be read keeps its place, so that the others
/// do not seem to miss it.
fn event(entry: &Entry, redacted: &BTreeSet<Id>) -> Option<Event> {
    let field = |name: &[u8]| entry.1.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| &pair[1][..]);
    let prev = field(b"p").and_then(|prev| std::str::from_utf8(prev).ok()?.parse().ok());
    let stamp = Position { id: id(entry)?, prev: prev.unwrap_or(Id::START) };
    if redacted.contains(&stamp.id) {
        return Some(Event::redacted(stamp));
    }
    let read = field(b"e").and_then(|open| Event::decode_open(open, stamp).ok());
    Some(read.unwrap_or_else(|| Event::new("").stamped(stamp)))
}
