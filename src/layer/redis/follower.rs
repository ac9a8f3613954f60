//! The follower: keeps what this node received of its groups in line with their logs.
//!
//! Pub/sub does not repeat what it could not deliver. Every logged event names the id before it, so
//! a missing one is noticed: the log is then read from the group's position on and delivered (a
//! *backfill*), and what pub/sub brings meanwhile is found in the log. After each reconnection
//! every group is compared with its log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::layer::error::LayerError;
use crate::layer::listener::LayerListener;
use crate::layer::log::{HistoryRange, Page, Retention, gap};
use crate::layer::redis::clock::RedisClock;
use crate::layer::redis::command_queue::{LogEnds, Subscribed};
use crate::layer::redis::cursor::{GroupCursor, Sequence};
use crate::layer::redis::history_reading::{HistoryReading, HistoryStep, in_order, range_query};
use crate::layer::redis::log::{LogReader, PageQuery};
use crate::layer::redis::log_end::LogEnd;
use crate::telemetry::{Chain, DropReason, GapReason, METRICS};
use crate::wire::delivery::Delivery;
use crate::wire::event::Event;
use crate::wire::group::Group;
use crate::wire::id::Id;
use crate::wire::time::millis;

/// Pause before a backfill tries again: the log could not be read, or too many events wait for
/// delivery.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct LogFollower {
    pub(super) reader: LogReader,
    pub(super) listener: Arc<dyn LayerListener>,
    pub(super) retention: Retention,
    pub(super) clock: RedisClock,
    pub(super) cursors: Mutex<HashMap<Group, Arc<GroupCursor>>>,
}

impl LogFollower {
    /// Returns the cursor of a group that the node subscribes to.
    pub(super) fn cursor(&self, group: &str) -> Option<Arc<GroupCursor>> {
        self.cursors.lock().get(group).cloned()
    }

    /// Adds groups that are about to be subscribed to.
    pub(super) fn add(&self, groups: &[Group]) {
        let mut cursors = self.cursors.lock();
        let cursor = || Arc::new(GroupCursor::new(self.retention.messages));
        for group in groups {
            cursors.entry(group.clone()).or_insert_with(cursor);
        }
    }

    /// Removes groups that are about to be unsubscribed from.
    pub(super) fn remove(&self, groups: &[Group]) {
        let mut cursors = self.cursors.lock();
        for group in groups {
            cursors.remove(group);
        }
    }

    /// Takes the ends of the logs of groups that the node is subscribed to now; passes over those
    /// whose slots are at other shards. Missed redactions
    /// are delivered at once, missed events by tasks of their own.
    pub(super) async fn locate(self: &Arc<Self>, groups: &[Group], ends: LogEnds) -> Result<(), LayerError> {
        let (now, age) = (self.clock.now(), millis(self.retention.age));
        for (group, end) in groups.iter().zip(ends) {
            let end = match end {
                Subscribed::At(end) => Ok(end),
                Subscribed::Unread => self.reader.end(group).await,
                Subscribed::Displaced => continue,
            };
            let (last, redacted) = match end {
                Ok(end) => end,
                Err(error) if error.is_retryable() => return Err(error),
                // A key of another type must not keep the node from its other groups.
                Err(error) => {
                    warn!(%group, error = %Chain(&error), "log not readable");
                    LogEnd::default()
                }
            };
            let Some(cursor) = self.cursor(group.name()) else { continue };
            let (new_redactions, is_behind) = cursor.state.lock().locate(last, redacted, now, age);
            if !new_redactions.is_empty() {
                let events = new_redactions.into_iter().map(|id| Arc::new(Event::redaction(id).into()));
                self.listener.deliver(group.name(), &events.collect::<Vec<_>>());
            }
            if is_behind {
                tokio::spawn(Arc::clone(self).backfill(group.clone(), cursor));
            }
        }
        Ok(())
    }

    /// Delivers what Redis pushed for a group, as far as it is the next of the log.
    pub(super) fn on_events(self: &Arc<Self>, group: &str, events: Vec<Event>) {
        let Some(cursor) = self.cursor(group) else { return };
        let mut ready = Vec::with_capacity(events.len());
        let mut is_behind = false;
        let (now, age) = (self.clock.now(), millis(self.retention.age));
        let mut state = cursor.state.lock();
        for event in events {
            let event = Arc::new(Delivery::from(event));
            match state.on_event(&event, now, age) {
                Sequence::Next => ready.push(event),
                Sequence::Rewritten(after) => {
                    report_gap(group, GapReason::Rewritten, after);
                    ready.push(Arc::new(gap(GapReason::Rewritten, after).into()));
                    ready.push(event);
                }
                Sequence::Cleared(after) => ready.push(Arc::new(gap(GapReason::Trimmed, after).into())),
                Sequence::Waits => {}
                Sequence::Behind => is_behind = true,
            }
        }
        drop(state);
        if !ready.is_empty() {
            self.listener.deliver(group, &ready);
        }
        if is_behind {
            tokio::spawn(Arc::clone(self).backfill(Group::new(group), cursor));
        }
    }

    /// Redis pushed this event while too many waited: if it is logged, it is read from the log
    /// later.
    pub(super) fn on_skipped(self: &Arc<Self>, group: &str, event: &Event) {
        let Some(cursor) = self.cursor(group) else { return };
        let is_behind = cursor.state.lock().on_skipped(event, self.clock.now());
        if is_behind {
            tokio::spawn(Arc::clone(self).backfill(Group::new(group), cursor));
        }
    }

    /// Reads a group's log from its position on until nothing is missing.
    async fn backfill(self: Arc<Self>, group: Group, cursor: Arc<GroupCursor>) {
        METRICS.repairs.inc();
        let mut is_logged = false;
        while self.cursor(group.name()).is_some_and(|current| Arc::ptr_eq(&current, &cursor)) {
            match self.backfill_once(&group, &cursor).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    if !std::mem::replace(&mut is_logged, true) {
                        debug!(%group, error = %Chain(&error), "log not readable; trying again");
                    }
                    sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    /// Reads and delivers one page; returns whether nothing is missing any more.
    async fn backfill_once(&self, group: &Group, cursor: &GroupCursor) -> Result<bool, LayerError> {
        while self.listener.is_full() {
            sleep(RETRY_PAUSE).await;
        }
        let asked = cursor.state.lock().next_page();
        let page = self.reader.page(group, PageQuery::after(asked.from)).await?;
        // Held until all is delivered: a redaction that arrives meanwhile is delivered after it.
        let mut state = cursor.state.lock();
        let found = state.on_page(asked, page, self.clock.now(), millis(self.retention.age));
        for (reason, after) in &found.gaps {
            report_gap(group.name(), *reason, *after);
        }
        for _ in 0..found.dropped {
            METRICS.dropped(DropReason::NotLogged);
        }
        if !found.events.is_empty() {
            self.listener.deliver(group.name(), &found.events);
        }
        Ok(found.is_done)
    }

    /// Returns a range of a log: what is cached, else what one caller of the group reads at a time.
    pub(super) async fn history(&self, group: &Group, range: HistoryRange) -> Result<Page, LayerError> {
        let Some(cursor) = self.cursor(group.name()) else {
            return Ok(in_order(range, self.reader.page(group, range_query(range)).await?));
        };
        let mut reading = HistoryReading::new(range);
        let cached = cursor.state.lock().tail_cache.answer(range, Instant::now());
        if let Some(page) = cached {
            return Ok(page);
        }
        let _turn = cursor.reading.lock().await;
        loop {
            let step = reading.next(&mut cursor.state.lock(), Instant::now());
            let query = match step {
                HistoryStep::Answer(page) => return Ok(page),
                HistoryStep::Read(query) => query,
            };
            let page = self.reader.page(group, query).await?;
            if let Some(page) = reading.on_page(&mut cursor.state.lock(), page) {
                return Ok(page);
            }
        }
    }

    /// Drops the cached tails that were not read lately.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        let cursors: Vec<Arc<GroupCursor>> = self.cursors.lock().values().cloned().collect();
        for cursor in cursors {
            cursor.state.lock().tail_cache.sweep(now);
        }
    }

    /// The subscriptions to these groups were lost: redactions are known to Redis only.
    pub(super) fn on_disconnected(&self, is_lost: impl Fn(&Group) -> bool) {
        let now = self.clock.now();
        for (group, cursor) in &*self.cursors.lock() {
            if is_lost(group) {
                cursor.state.lock().on_disconnected(now);
            }
        }
    }
}

/// Counts and logs a gap.
fn report_gap(group: &str, reason: GapReason, after: Id) {
    METRICS.gap(reason);
    warn!(group, %after, reason = reason.as_str(), "messages of a group may be missing");
}
