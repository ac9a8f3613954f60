//! One reading of a group's history: what the node has cached, else what Redis has to be asked for.
//! Decides only: it reads nothing and has no clock.

use std::time::Instant;

use crate::layer::log::{HistoryRange, Page};
use crate::layer::redis::cursor::CursorState;
use crate::layer::redis::log::{LogPage, PageQuery};
use crate::wire::id::Id;

pub(super) struct HistoryReading {
    range: HistoryRange,
    /// What Redis is asked for.
    asked: Asked,
    /// Whether the tail is not read any further.
    is_direct: bool,
    /// How often the log had been emptied when Redis was asked.
    clearings: u64,
}

#[derive(Clone, Copy)]
enum Asked {
    /// The range itself.
    Range,
    /// The tail of the log, from this id down.
    Tail(Id),
}

/// What to do next.
pub(super) enum HistoryStep {
    Answer(Page),
    Read(PageQuery),
}

impl HistoryReading {
    pub(super) fn new(range: HistoryRange) -> Self {
        Self {
            range,
            asked: Asked::Range,
            is_direct: matches!(range, HistoryRange::Before(Some(_), _)),
            clearings: 0,
        }
    }

    /// Returns what is cached, or what has to be read.
    pub(super) fn next(&mut self, cursor: &mut CursorState, now: Instant) -> HistoryStep {
        if let Some(page) = cursor.tail_cache.answer(self.range, now) {
            return HistoryStep::Answer(page);
        }
        self.clearings = cursor.tail_cache.clearings();
        let missing = if self.is_direct { None } else { cursor.missing_tail() };
        let Some((floor, most)) = missing else {
            self.asked = Asked::Range;
            return HistoryStep::Read(range_query(self.range));
        };
        // The end of the log is known without reading.
        if let Some(page) = cursor.tail_cache.answer(self.range, now) {
            return HistoryStep::Answer(page);
        }
        // What is read beyond this was not asked for.
        self.is_direct = matches!(self.range, HistoryRange::After(_) | HistoryRange::Since(_));
        self.asked = Asked::Tail(floor);
        HistoryStep::Read(PageQuery::until(floor, most))
    }

    /// Takes what was read; returns the answer if it is one.
    pub(super) fn on_page(&mut self, cursor: &mut CursorState, page: LogPage) -> Option<Page> {
        let is_current = self.clearings == cursor.tail_cache.clearings();
        match self.asked {
            Asked::Tail(_) if !is_current => None,
            Asked::Tail(floor) => {
                cursor.tail_cache.extend(floor, page.events, !page.more);
                None
            }
            Asked::Range => {
                let mut page = in_order(self.range, page);
                cursor.tail_cache.redact_texts(&mut page.events);
                if let HistoryRange::After(id) | HistoryRange::Since(id) = self.range
                    && is_current
                {
                    cursor.tail_cache.keep_page(id, &page);
                }
                Some(page)
            }
        }
    }
}

/// Returns the query of a range.
pub(super) fn range_query(range: HistoryRange) -> PageQuery {
    match range {
        HistoryRange::After(id) => PageQuery::after(id),
        HistoryRange::Since(id) => PageQuery::since(id),
        HistoryRange::Before(None, most) => PageQuery::newest(most),
        HistoryRange::Before(Some(id), most) => PageQuery::before(id, most),
    }
}

/// Returns what was read of a range, the oldest first.
pub(super) fn in_order(range: HistoryRange, page: LogPage) -> Page {
    let LogPage { mut events, more, last } = page;
    if let HistoryRange::Before(..) = range {
        events.reverse();
    }
    Page { events, more, last }
}
