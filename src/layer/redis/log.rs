//! The log of a group: a Redis stream.
//!
//! Each entry has the bytes of the event (`e`) and the id before it (`p`); together they are the
//! event as it was published. A sorted set beside the stream has the ids of redacted events: an
//! entry of a stream cannot be changed, so its text stays there and is left out of everything that
//! is read.

use std::collections::BTreeSet;
use std::sync::Arc;

use redis::{Cmd, Pipeline, Value, from_redis_value};

use crate::layer::error::LayerError;
use crate::layer::redis::commands::Commands;
use crate::layer::redis::keys::Keys;
use crate::telemetry::METRICS;
use crate::wire::delivery::Delivery;
use crate::wire::event::{Event, Position};
use crate::wire::group::Group;
use crate::wire::id::Id;

/// An entry of a stream: its id, then names and values in turn.
type StreamEntry = (String, Vec<Vec<u8>>);

/// The id of a log's newest event, and its redactions.
pub(super) type LogEnd = (Id, BTreeSet<Id>);

/// Returns the ends of these logs.
pub(super) async fn ends(commands: &Commands, groups: &[Group]) -> Result<Vec<LogEnd>, LayerError> {
    let keys = commands.keys();
    let mut pipeline = Pipeline::new();
    for group in groups {
        pipeline
            .add_command(newest(keys, group))
            .add_command(redactions_between(keys, group, "-inf", "+inf"));
    }
    let mut answers = commands.pipeline::<Vec<Value>>(&pipeline).await?.into_iter();
    let mut ends = Vec::with_capacity(groups.len());
    while let (Some(newest), Some(redacted)) = (answers.next(), answers.next()) {
        let unexpected = |_| LayerError::UnexpectedReply("XREVRANGE");
        let newest: Vec<StreamEntry> = from_redis_value(newest).map_err(unexpected)?;
        let redacted: Vec<String> = from_redis_value(redacted).map_err(unexpected)?;
        ends.push((newest.first().and_then(id).unwrap_or(Id::START), ids(&redacted)));
    }
    Ok(ends)
}

/// Returns the id of the newest event, or [`Id::START`].
pub(super) async fn last_id(commands: &Commands, group: &Group) -> Result<Id, LayerError> {
    let entries: Vec<StreamEntry> = commands.command(&newest(commands.keys(), group)).await?;
    Ok(entries.first().and_then(id).unwrap_or(Id::START))
}

fn newest(keys: &Keys, group: &Group) -> Cmd {
    let mut newest = Cmd::new();
    newest.arg("XREVRANGE").arg(keys.log(group)).arg("+").arg("-").arg("COUNT").arg(1);
    newest
}

fn redactions_between(keys: &Keys, group: &Group, least: &str, most: &str) -> Cmd {
    let mut range = Cmd::new();
    range.arg("ZRANGEBYSCORE").arg(keys.redactions(group)).arg(least).arg(most);
    range
}

/// A query for a range of a log.
pub(super) struct RangeQuery([Cmd; 2]);

impl RangeQuery {
    /// The oldest events after this id.
    pub(super) fn after(keys: &Keys, group: &Group, id: Id, count: usize) -> Self {
        let mut range = Cmd::new();
        range.arg("XRANGE").arg(keys.log(group)).arg(format!("({id}")).arg("+").arg("COUNT").arg(count);
        Self([range, redactions_between(keys, group, &id.millis().to_string(), "+inf")])
    }

    /// The newest events, the newest first.
    pub(super) fn newest(keys: &Keys, group: &Group, count: usize) -> Self {
        Self::backwards(keys, group, "+", "+inf", count)
    }

    /// The newest events up to and with this id, the newest first.
    pub(super) fn until(keys: &Keys, group: &Group, id: Id, count: usize) -> Self {
        Self::backwards(keys, group, &id.to_string(), &id.millis().to_string(), count)
    }

    /// The newest events before this id, the newest first.
    pub(super) fn before(keys: &Keys, group: &Group, id: Id, count: usize) -> Self {
        Self::backwards(keys, group, &format!("({id}"), &id.millis().to_string(), count)
    }

    fn backwards(keys: &Keys, group: &Group, from: &str, most: &str, count: usize) -> Self {
        let mut range = Cmd::new();
        range.arg("XREVRANGE").arg(keys.log(group)).arg(from).arg("-").arg("COUNT").arg(count);
        Self([range, redactions_between(keys, group, "-inf", most)])
    }

    /// Runs the query. The redactions are read last: an event that is redacted when this is called
    /// never comes with its text.
    pub(super) async fn run(self, commands: &Commands) -> Result<Vec<Arc<Delivery>>, LayerError> {
        METRICS.log_reads.inc();
        let mut pipeline = Pipeline::new();
        for command in self.0 {
            pipeline.add_command(command);
        }
        let (entries, redacted): (Vec<StreamEntry>, Vec<String>) = commands.pipeline(&pipeline).await?;
        let redacted = ids(&redacted);
        Ok(entries
            .iter()
            .filter_map(|entry| event(entry, &redacted))
            .map(|event| Arc::new(event.into()))
            .collect())
    }
}

/// Parses redactions. Ignores a member that is no id: only ids name events, so it redacts none, and
/// it must not make the log unreadable.
fn ids(texts: &[String]) -> BTreeSet<Id> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

/// Returns the id of an entry. Redis makes ids of this form; `None` for the greatest one, after
/// which a log takes no entry.
fn id(entry: &StreamEntry) -> Option<Id> {
    entry.0.parse().ok()
}

/// Returns the event of an entry, without its text if it is redacted. An entry that cannot be
/// decoded becomes an event without a type, so that the chain of ids has no hole and the rest of
/// the log stays readable.
fn event(entry: &StreamEntry, redacted: &BTreeSet<Id>) -> Option<Event> {
    let field = |name: &[u8]| entry.1.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| &pair[1][..]);
    let prev = field(b"p").and_then(|prev| std::str::from_utf8(prev).ok()?.parse().ok());
    let stamp = Position { id: id(entry)?, prev: prev.unwrap_or(Id::START) };
    if redacted.contains(&stamp.id) {
        return Some(Event::redacted(stamp));
    }
    let decoded = field(b"e").and_then(|open| Event::decode_open(open, stamp).ok());
    Some(decoded.unwrap_or_else(|| Event::new("").at_position(stamp)))
}
