//! What reads the history meanwhile, and what only readers notice: removals, and how long a cache
//! lives.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng;

use crate::layer::log::{HistoryRange, Page};
use crate::layer::redis::cursor::Sequence;
use crate::layer::redis::history_reading::{HistoryReading, HistoryStep};
use crate::layer::redis::interleavings::{AGE, Locating, Message, Model};
use crate::layer::redis::log::{LogPage, PageQuery};
use crate::wire::event::{Event, Position};
use crate::wire::id::Id;

/// A reading of the history.
pub(super) struct Reading {
    range: HistoryRange,
    state: HistoryReading,
    query: Option<PageQuery>,
    page: Option<LogPage>,
    /// The redactions that count: those that the node knew when it began, or all without a cache.
    redactions: BTreeSet<Id>,
    /// How often the log was lost then.
    losses: usize,
}

impl Model {
    /// What only those notice that read the history.
    pub(super) fn step_of_readers(&mut self) {
        match self.readers.random_range(0..100) {
            0..40 => self.read_history(),
            40..42 => self.redact(),
            42..50 => self.take_redaction(),
            50 => self.cursor.tail_cache.sweep(Instant::now() + Duration::from_mins(1)),
            _ => {}
        }
    }

    /// A message of the log is removed, perhaps by this node.
    fn redact(&mut self) {
        if self.log.is_empty() {
            return;
        }
        let id = self.log[self.readers.random_range(0..self.log.len())].position.id;
        self.trace.push(format!("redact {id}"));
        self.redactions.insert(id);
        if self.pushes.is_some() {
            self.pushed_redactions.push_back((self.published, id));
        }
        if self.readers.random_bool(0.3) {
            self.cursor.tail_cache.redact_text(id);
        }
    }

    /// The oldest redaction that Redis pushed arrives, if what was pushed before it has.
    pub(super) fn take_redaction(&mut self) {
        let next = self.pushes.as_ref().and_then(VecDeque::front).map_or(u64::MAX, |next| next.number);
        if self.pushed_redactions.front().is_none_or(|(after, _)| *after >= next) {
            return;
        }
        let Some((_, id)) = self.pushed_redactions.pop_front() else { return };
        self.trace.push(format!("redaction {id}"));
        let event = Arc::new(Event::redaction(id).into());
        assert_eq!(self.cursor.on_event(&event, self.clock, AGE), Sequence::Next);
    }

    /// A reading of the history begins, Redis answers it, or the answer arrives.
    fn read_history(&mut self) {
        let Some(mut history) = self.history.take() else {
            let range = self.random_range();
            let known = self.cursor.tail_cache.redactions();
            self.history = Some(Reading {
                range,
                state: HistoryReading::new(range),
                query: None,
                page: None,
                redactions: if self.may_cache() { known } else { &self.redactions }.clone(),
                losses: self.losses,
            });
            return;
        };
        let answer = match (history.query, history.page.take()) {
            (None, _) => match history.state.next(&mut self.cursor, Instant::now()) {
                HistoryStep::Answer(page) => Some(page),
                HistoryStep::Read(query) => {
                    history.query = Some(query);
                    None
                }
            },
            (Some(query), None) => {
                self.expire();
                history.page = Some(self.page(query));
                None
            }
            (Some(_), Some(page)) => {
                history.query = None;
                history.state.on_page(&mut self.cursor, page)
            }
        };
        match answer {
            None => self.history = Some(history),
            Some(page) => self.check_answer(&history, &page),
        }
    }

    /// Returns whether the node receives what happens to the log.
    fn may_cache(&self) -> bool {
        self.pushes.is_some() && self.locating == Locating::Done
    }

    fn random_range(&mut self) -> HistoryRange {
        let id = self.readers.random_range(0..=self.all.len()).checked_sub(1);
        let id = id.map_or(Id::START, |index| self.all[index].position.id);
        let limit = self.readers.random_range(1..8);
        match self.readers.random_range(0..3) {
            0 => HistoryRange::After(id),
            1 => HistoryRange::Before(None, limit),
            _ => HistoryRange::Before(Some(id), limit),
        }
    }

    /// Fails if a page has a hole or a text that was removed.
    fn check_answer(&mut self, history: &Reading, page: &Page) {
        self.answers += 1;
        let Reading { range, redactions, losses, .. } = history;
        let positions: Vec<_> = page.events.iter().filter_map(|event| event.position()).collect();
        let ends = positions.first().zip(positions.last());
        self.trace.push(format!("{range:?}: {ends:?} {} {}", page.more, page.last));
        let known = self.cursor.tail_cache.redactions();
        for event in page.events.iter().filter(|event| !event.is_redacted()) {
            let id = event.position().expect("logged events alone").id;
            // A node that caches receives them.
            let is_known = known.contains(&id) || !self.may_cache() && redactions.contains(&id);
            self.assert_that(!is_known, "a text that was removed");
        }
        let is_one_log = self.losses == 0 && *losses == 0;
        let is_whole = positions.windows(2).all(|pair| pair[0].id == pair[1].prev);
        self.assert_that(is_whole || !is_one_log, "a hole");
        let is_in_log = |id: Id| self.log.iter().any(|message| message.position.id == id);
        let (first, last) = (positions.first(), positions.last());
        let is_right = match *range {
            _ if !is_one_log => true,
            HistoryRange::After(id) | HistoryRange::Since(id) if is_in_log(id) => {
                first.map_or(page.last, |first| first.prev) == id
            }
            HistoryRange::After(id) | HistoryRange::Since(id) => first.is_none_or(|first| first.id > id),
            HistoryRange::Before(None, limit) => {
                positions.len() <= limit && last.is_none_or(|last| last.id == page.last)
            }
            HistoryRange::Before(Some(id), limit) => {
                let before = self.log.iter().find(|message| message.position.id == id);
                let is_next = |before: &Message| last.is_some_and(|last| last.id == before.position.prev);
                // A trimmed log has nothing before its first message.
                let oldest = self.log.first().map(|first| first.position.id);
                positions.len() <= limit && before.is_none_or(|own| is_next(own) || oldest == Some(id))
            }
        };
        self.assert_that(is_right, "another part of the log");
        let is_end = match range {
            HistoryRange::After(_) | HistoryRange::Since(_) => last.is_none_or(|last| last.id == page.last),
            // The log has no older one.
            HistoryRange::Before(..) => {
                let older = |first: &Position| self.log.iter().any(|message| message.position.id < first.id);
                !first.is_some_and(older)
            }
        };
        self.assert_that(page.more || is_end || !is_one_log, "not all of it, and no more");
    }

    fn assert_that(&self, holds: bool, what: &str) {
        assert!(holds, "{what} is read of {:?}\n{}", self.log, self.trace.join("\n"));
    }

    /// Fails if what is read of the log now is not the log.
    pub(super) fn check_history(&mut self) {
        let ids: Vec<Id> = self.log.iter().map(|message| message.position.id).collect();
        let ranges = ids.iter().map(|id| HistoryRange::After(*id));
        let ranges = ranges.chain(ids.iter().map(|id| HistoryRange::Before(Some(*id), 4)));
        for range in ranges.chain([HistoryRange::Before(None, 4)]).collect::<Vec<_>>() {
            let mut reading = HistoryReading::new(range);
            let page = loop {
                match reading.next(&mut self.cursor, Instant::now()) {
                    HistoryStep::Answer(page) => break page,
                    HistoryStep::Read(query) => {
                        let page = self.page(query);
                        if let Some(page) = reading.on_page(&mut self.cursor, page) {
                            break page;
                        }
                    }
                }
            };
            let read: Vec<_> = page.events.iter().filter_map(|event| event.position()).collect();
            self.trace.push(format!("in the end {range:?}: {} events", read.len()));
            for event in &page.events {
                let id = event.position().expect("logged events alone").id;
                let is_known = self.redactions.contains(&id);
                self.assert_that(event.is_redacted() == is_known, "a text, or none,");
            }
            let log = self.log.iter().map(|message| message.position);
            // What was trimmed may be cached.
            let is_right = match range {
                HistoryRange::After(id) | HistoryRange::Since(id) => {
                    log.filter(|at| at.id > id).take(read.len()).eq(read)
                }
                HistoryRange::Before(end, _) => {
                    let mut kept: Vec<_> = log.filter(|at| end.is_none_or(|end| at.id < end)).collect();
                    let count = kept.len().min(read.len());
                    kept.drain(..kept.len() - count);
                    read.ends_with(&kept) && (count > 0 || kept.is_empty())
                }
            };
            self.assert_that(is_right && Some(page.last) == ids.last().copied(), "another log");
        }
    }
}
