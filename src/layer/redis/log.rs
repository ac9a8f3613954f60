//! The log of a group: a Redis stream.
//!
//! Each entry has the bytes of the event (`e`), the id before it (`p`) and its offset (`o`);
//! together they are the event as it was published. A sorted set beside the stream has the ids of
//! redacted events: an entry of a stream cannot be changed, so its text stays there and is left out
//! of everything that is read.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::layer::contract::{MAX_PAGE_BYTES, MAX_PAGE_EVENTS};
use crate::layer::error::LayerError;
use crate::layer::log::RATE_SAMPLE_EVENTS;
use crate::layer::redis::commands::Commands;
use crate::layer::redis::log_end::{LogEnd, end_from, ids};
use crate::layer::redis::scripts::Scripts;
use crate::layer::redis::tail_cache::MAX_KNOWN_REDACTIONS;
use crate::telemetry::METRICS;
use crate::wire::delivery::Delivery;
use crate::wire::event::{Event, Position};
use crate::wire::group::Group;
use crate::wire::id::Id;
use crate::wire::offset::Offset;

/// Pages that the node reads at a time, of all groups.
const MAX_CONCURRENT_READS: usize = 4;

/// An entry of a stream: its id, then names and values in turn.
type StreamEntry = (String, Vec<Vec<u8>>);

/// Reads logs, on a connection that carries nothing else: a large answer delays neither appends nor
/// small commands.
///
/// The node reads a few pages at a time; callers wait in turn, so that what Redis holds for this
/// node is bounded however many ask.
pub(super) struct LogReader {
    commands: Arc<Commands>,
    scripts: Arc<Scripts>,
    /// What a log is trimmed to, in steps.
    messages: usize,
    turns: Semaphore,
}

/// A query for a part of a log.
#[derive(Clone, Copy)]
pub(super) struct PageQuery {
    pub(super) from: From,
    pub(super) most: usize,
    /// Leaves out what is to be trimmed.
    pub(super) is_exact: bool,
}

/// Where a page begins.
#[derive(Clone, Copy)]
pub(super) enum From {
    After(Id),
    Until(Id),
    Before(Id),
    End,
}

/// A part of a log in the order in which it was read.
pub(super) struct LogPage {
    pub(super) events: Vec<Arc<Delivery>>,
    /// Whether the log has more in this direction.
    pub(super) more: bool,
    /// The id of the log's newest event, or [`Id::START`].
    pub(super) last: Id,
}

impl PageQuery {
    /// The oldest events after this id, also those that are to be trimmed.
    pub(super) fn after(id: Id) -> Self {
        Self { from: From::After(id), most: MAX_PAGE_EVENTS, is_exact: false }
    }

    /// The oldest events after this id.
    pub(super) fn since(id: Id) -> Self {
        Self { is_exact: true, ..Self::after(id) }
    }

    /// The newest events, the newest first.
    pub(super) fn newest(most: usize) -> Self {
        Self { from: From::End, most, is_exact: true }
    }

    /// The newest events up to and with this id, the newest first, also those that are to be
    /// trimmed.
    pub(super) fn until(id: Id, most: usize) -> Self {
        Self { from: From::Until(id), most, is_exact: false }
    }

    /// The newest events before this id, the newest first.
    pub(super) fn before(id: Id, most: usize) -> Self {
        Self { from: From::Before(id), most, is_exact: true }
    }

    /// Returns the command of the query, and where it begins.
    fn range(self) -> (&'static str, String) {
        match self.from {
            From::After(id) => ("XRANGE", format!("({id}")),
            From::Until(id) => ("XREVRANGE", id.to_string()),
            From::Before(id) => ("XREVRANGE", format!("({id}")),
            From::End => ("XREVRANGE", "+".to_owned()),
        }
    }
}

impl LogReader {
    pub(super) fn new(commands: Arc<Commands>, scripts: Arc<Scripts>, messages: usize) -> Self {
        Self { commands, scripts, messages, turns: Semaphore::new(MAX_CONCURRENT_READS) }
    }

    /// Reads a page, at most [`MAX_PAGE_BYTES`] of events, but one at least. An event that is
    /// redacted when this is called never comes with its text.
    pub(super) async fn page(&self, group: &Group, query: PageQuery) -> Result<LogPage, LayerError> {
        let _turn = self.turns.acquire().await;
        METRICS.log_reads.inc();
        let (command, from) = query.range();
        let mut script = self.scripts.page.key(self.commands.keys().log(group));
        script.key(self.commands.keys().redactions(group));
        let length = if query.is_exact { self.messages } else { 0 };
        script.arg(command).arg(from).arg(query.most).arg(MAX_PAGE_BYTES).arg(length);
        let (last, more, entries, redacted): (String, bool, Vec<StreamEntry>, Vec<String>) =
            self.commands.bulk_script(&script).await?;
        let redacted = ids(&redacted);
        let events = entries.iter().filter_map(|entry| event(entry, &redacted));
        Ok(LogPage {
            events: events.map(|event| Arc::new(event.into())).collect(),
            more,
            last: last.parse().unwrap_or(Id::START),
        })
    }

    /// Returns the end of a log.
    pub(super) async fn end(&self, group: &Group) -> Result<LogEnd, LayerError> {
        let mut script = self.scripts.log_end.key(self.commands.keys().log(group));
        script.key(self.commands.keys().redactions(group)).arg(MAX_KNOWN_REDACTIONS);
        let answer: Vec<String> = self.commands.script(&script).await?;
        end_from(&answer).ok_or(LayerError::UnexpectedReply("log_end.lua"))
    }

    /// Returns the position of the first event with this number or a greater one in this epoch.
    pub(super) async fn find(&self, group: &Group, offset: Offset) -> Result<Option<Position>, LayerError> {
        let mut script = self.scripts.find.key(self.commands.keys().log(group));
        script.arg(format!("{:016x}", offset.epoch)).arg(offset.n.get());
        let found: Vec<String> = self.commands.script(&script).await?;
        let [id, prev, offset] = found.as_slice() else { return Ok(None) };
        let prev = prev.parse().unwrap_or(Id::START);
        Ok(id.parse().ok().map(|id| Position { id, prev, offset: offset.parse().ok() }))
    }

    /// Returns how many events each log has, and the ids of the newest, the newest first.
    pub(super) async fn figures(&self, groups: &[Group]) -> Result<Vec<(usize, Vec<Id>)>, LayerError> {
        let calls = groups.iter().map(|group| {
            let mut call = self.scripts.log_figures.key(self.commands.keys().log(group));
            call.arg(RATE_SAMPLE_EVENTS).arg(MAX_PAGE_BYTES);
            call
        });
        let replies = self.commands.each_script(&calls.collect::<Vec<_>>()).await;
        let figures = replies.into_iter().map(|reply: Result<(usize, Vec<String>), LayerError>| {
            let (length, newest) = reply?;
            Ok((length, newest.iter().filter_map(|id| id.parse().ok()).collect()))
        });
        figures.collect()
    }
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
    let offset = field(b"o").and_then(Offset::from_bytes);
    let position = Position { id: id(entry)?, prev: prev.unwrap_or(Id::START), offset };
    if redacted.contains(&position.id) {
        return Some(Event::redacted(position));
    }
    let decoded = field(b"e").and_then(|open| Event::decode_open(open, position).ok());
    Some(decoded.unwrap_or_else(|| Event::new("").at_position(position)))
}
