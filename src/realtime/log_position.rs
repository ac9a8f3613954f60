//! Places in logs by number: where a log ends, and which id a number has.
//!
//! Each entry names its number and the id of the entry before it, so that a place is found, and
//! found to be lost, without counting: entries may have been erased.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use crate::http::context::Context;
use crate::layer::{Broker, HistoryRange, Layer, LayerError, Page};
use crate::realtime::command::StreamPosition;
use crate::wire::delivery::Delivery;
use crate::wire::event::Position;
use crate::wire::group::Group;
use crate::wire::id::Id;
use crate::wire::offset::Offset;
use crate::wire::time::now;

/// The epoch of entries without a number, which no place is in.
const NO_EPOCH: u64 = 0;
/// The most messages that one answer has.
pub(crate) const MAX_LOG_MESSAGES: usize = 300;
/// The bytes of messages from which on no further page is added to an answer.
const MAX_LOG_BYTES: usize = 256 * 1024;

/// What clients may read of a log, beside what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The number of the newest messages.
    messages: u32,
    /// The age of the oldest, in seconds.
    seconds: u32,
}

impl Kept {
    /// All that the log has.
    pub(crate) const ALL: Self = Self { messages: u32::MAX, seconds: u32::MAX };

    pub(crate) fn new(messages: Option<u32>, age: Option<Duration>) -> Self {
        let seconds = age.map_or(u32::MAX, |age| u32::try_from(age.as_secs()).unwrap_or(u32::MAX));
        Self { messages: messages.unwrap_or(u32::MAX), seconds }
    }

    /// Returns whether a message is so old that it is not read any more.
    fn is_over(self, id: Id) -> bool {
        id < self.start()
    }

    /// Returns an id that no message has: those before it are so old that they are not read any
    /// more.
    fn start(self) -> Id {
        if self.seconds == u32::MAX {
            return Id::START;
        }
        Id::START.next(now()).back(u64::from(self.seconds) * 1000)
    }
}

/// A place that was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Located {
    /// The id of the entry, or of the one before the first.
    pub(crate) id: Id,
    pub(crate) epoch: u64,
}

/// Messages of a log, and where it ends.
pub(crate) struct LogPage {
    pub(crate) events: Vec<Arc<Delivery>>,
    pub(crate) end: StreamPosition,
}

/// Reads messages of a group's log by their numbers, as [`Command::Log`](crate::Command::Log) asks
/// for them, within the bounds of [`Grant::with_history`](crate::Grant::with_history). Returns them
/// and where the log ends; `None` if the place is in another epoch.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not answer.
pub async fn read_log(
    context: &Context,
    group: &Group,
    (since, limit, reverse): (Option<StreamPosition>, usize, bool),
    (size, ttl): (Option<u32>, Option<Duration>),
) -> Result<Option<(Vec<Arc<Delivery>>, StreamPosition)>, LayerError> {
    let page = read(context.layer(), group, since, limit, reverse, Kept::new(size, ttl)).await?;
    Ok(page.map(|LogPage { events, end }| (events, end)))
}

/// Returns where a log ends, by the page of its newest entry.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not answer.
pub(crate) async fn end(layer: &Layer, group: &Group, newest: &Page) -> Result<StreamPosition, LayerError> {
    let last = match newest.events.last().and_then(|event| event.position()) {
        Some(last) => last.offset.map(|offset| (offset.epoch, offset.n.get())),
        None => layer.next_offset(group).await?.map(|next| (next.epoch, next.n.get() - 1)),
    };
    let (epoch, offset) = last.unwrap_or((NO_EPOCH, 0));
    Ok(StreamPosition { epoch: Some(epoch), offset })
}

/// Returns the id of a place; `None` unless all entries after it are in the log, `kept` at most.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not answer.
pub(crate) async fn locate(
    layer: &Layer,
    group: &Group,
    position: StreamPosition,
    kept: Kept,
) -> Result<Option<Located>, LayerError> {
    let newest = layer.history(group, HistoryRange::Before(None, 1)).await?;
    let end = end(layer, group, &newest).await?;
    if !is_of_epoch(end, position) {
        return Ok(None);
    }
    let epoch = end.epoch.unwrap_or(NO_EPOCH);
    if position.offset > end.offset || end.offset - position.offset > u64::from(kept.messages) {
        return Ok(None);
    }
    if position.offset == end.offset {
        return Ok(Some(Located { id: newest.last, epoch }));
    }
    let next = find(layer, group, epoch, position.offset + 1, &newest).await?;
    // A greater one follows an entry that was erased.
    let is_next = |next: &Position| next.offset.is_some_and(|own| own.n.get() == position.offset + 1);
    let next = next.filter(|next| is_next(next) && !kept.is_over(next.id));
    Ok(next.map(|next| Located { id: next.prev, epoch }))
}

/// Returns whether a place may be in the epoch of a log's last entry.
fn is_of_epoch(end: StreamPosition, position: StreamPosition) -> bool {
    end.epoch != Some(NO_EPOCH) && position.epoch.is_none_or(|epoch| Some(epoch) == end.epoch)
}

/// Returns the position of the first entry with this number or a greater one, if there is one. The
/// newest entry is known.
async fn find(
    layer: &Layer,
    group: &Group,
    epoch: u64,
    number: u64,
    newest: &Page,
) -> Result<Option<Position>, LayerError> {
    let Some(n) = NonZeroU64::new(number) else { return Ok(None) };
    let offset = Offset { epoch, n };
    let newest = newest.events.last().and_then(|event| event.position());
    match newest.filter(|newest| newest.offset == Some(offset)) {
        Some(newest) => Ok(Some(newest)),
        None => layer.find(group, offset).await,
    }
}

/// Reads messages by their numbers: those after a place, or before it in reverse; without a place
/// from the first or last on. `None` if the place is in another epoch.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not answer.
pub(crate) async fn read(
    layer: &Layer,
    group: &Group,
    since: Option<StreamPosition>,
    limit: usize,
    reverse: bool,
    kept: Kept,
) -> Result<Option<LogPage>, LayerError> {
    let newest = layer.history(group, HistoryRange::Before(None, 1)).await?;
    let end = end(layer, group, &newest).await?;
    if since.is_some_and(|since| !is_of_epoch(end, since)) {
        return Ok(None);
    }
    let epoch = end.epoch.unwrap_or(NO_EPOCH);
    let first_kept = end.offset.saturating_sub(kept.messages.into()) + 1;
    let (limit, mut events) = (limit.min(MAX_LOG_MESSAGES), Vec::<Arc<Delivery>>::new());
    let number = |event: &Delivery| {
        let position = event.position().filter(|position| !kept.is_over(position.id))?;
        position.offset.filter(|offset| offset.epoch == epoch).map(|offset| offset.n.get())
    };
    let is_full = |events: &[Arc<Delivery>]| {
        events.len() >= limit || events.iter().map(|event| event.bytes()).sum::<usize>() >= MAX_LOG_BYTES
    };
    if reverse {
        let mut before = match since {
            Some(since) if since.offset <= end.offset => {
                find(layer, group, epoch, since.offset.max(1), &newest).await?.map(|first| first.id)
            }
            _ => None,
        };
        while !is_full(&events) {
            let page = layer.history(group, HistoryRange::Before(before, limit - events.len())).await?;
            before = page.events.first().and_then(|event| event.position()).map(|position| position.id);
            let more = page.more;
            let (read, before_page) = (page.events.len(), events.len());
            let of_epoch = page.events.into_iter().rev();
            events.extend(of_epoch.take_while(|event| number(event).is_some_and(|n| n >= first_kept)));
            // What is older than one that is not kept is not kept, either.
            let is_kept_whole = events.len() - before_page == read;
            if !more || before.is_none() || !is_kept_whole {
                break;
            }
        }
    } else {
        let first = since.map_or(1, |since| since.offset.saturating_add(1)).max(first_kept);
        let located = find(layer, group, epoch, first, &newest).await?;
        // What is older was trimmed: the log begins later.
        let mut after = located.map_or(Id::START, |first| first.prev).max(kept.start());
        while !is_full(&events) && first <= end.offset {
            let page = layer.history(group, HistoryRange::Since(after)).await?;
            let Some(last) = page.events.last().and_then(|event| event.position()) else { break };
            after = last.id;
            events.extend(page.events.into_iter().filter(|event| number(event).is_some_and(|n| n >= first)));
            if !page.more {
                break;
            }
        }
    }
    events.truncate(limit);
    Ok(Some(LogPage { events, end }))
}
