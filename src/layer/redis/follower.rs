//! The follower: keeps what this node received of its groups in line with their logs.
//!
//! Pub/sub does not repeat what it could not deliver. Every logged event names the id before it, so
//! a missing one is noticed: the log is then read from the group's position on and delivered (a
//! *backfill*), and what pub/sub brings meanwhile is found in the log. After each reconnection
//! every group is compared with its log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::layer::contract::MAX_PAGE_EVENTS;
use crate::layer::error::LayerError;
use crate::layer::listener::LayerListener;
use crate::layer::log::{Page, Retention};
use crate::layer::redis::commands::Commands;
use crate::layer::redis::cursor::{BackfillOutcome, GroupCursor, Sequence};
use crate::layer::redis::log::{self, RangeQuery};
use crate::layer::tail::Tail;
use crate::telemetry::{Chain, METRICS};
use crate::wire::delivery::Delivery;
use crate::wire::event::{Event, GAP};
use crate::wire::group::Group;
use crate::wire::id::Id;
use crate::wire::time::millis;

/// Pause before a backfill tries again: the log could not be read, or too many events wait for
/// delivery.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct LogFollower {
    pub(super) commands: Arc<Commands>,
    pub(super) listener: Arc<dyn LayerListener>,
    pub(super) retention: Retention,
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
        for group in groups {
            cursors.entry(group.clone()).or_default();
        }
    }

    /// Removes groups that are about to be unsubscribed from.
    pub(super) fn remove(&self, groups: &[Group]) {
        let mut cursors = self.cursors.lock();
        for group in groups {
            cursors.remove(group);
        }
    }

    /// Finds the ends of the logs of groups that the node is subscribed to now. Missed redactions
    /// are delivered at once, missed events by tasks of their own.
    pub(super) async fn locate(self: &Arc<Self>, groups: &[Group]) -> Result<(), LayerError> {
        let ends = match log::ends(&self.commands, groups).await {
            Ok(ends) => ends,
            Err(error) => self.locate_one_by_one(groups, error).await?,
        };
        for (group, (last, redacted)) in groups.iter().zip(ends) {
            let Some(cursor) = self.cursor(group.name()) else { continue };
            let (new_redactions, is_behind) = cursor.state.lock().locate(last, redacted);
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

    /// A key of another type must not keep the node from all its groups: the others are found
    /// without it.
    async fn locate_one_by_one(
        &self,
        groups: &[Group],
        error: LayerError,
    ) -> Result<Vec<log::LogEnd>, LayerError> {
        if self.commands.ping().await.is_err() {
            return Err(error);
        }
        let mut all = Vec::with_capacity(groups.len());
        for group in groups {
            match log::ends(&self.commands, std::slice::from_ref(group)).await {
                Ok(found) => all.extend(found),
                Err(error) => {
                    warn!(%group, error = %Chain(&error), "log not readable");
                    all.push(log::LogEnd::default());
                }
            }
        }
        Ok(all)
    }

    /// Delivers what Redis pushed for a group, as far as it is the next of the log.
    pub(super) fn on_events(self: &Arc<Self>, group: &str, events: Vec<Event>) {
        let Some(cursor) = self.cursor(group) else { return };
        let mut ready = Vec::with_capacity(events.len());
        let mut is_behind = false;
        let mut state = cursor.state.lock();
        for event in events {
            let event = Arc::new(Delivery::from(event));
            match state.on_event(&event, millis(self.retention.age)) {
                Sequence::Next => ready.push(event),
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
        let is_behind = cursor.state.lock().on_skipped(event);
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
        let (from, wanted) = cursor.state.lock().position();
        let events =
            RangeQuery::after(self.commands.keys(), group, from, MAX_PAGE_EVENTS).run(&self.commands).await?;
        let newest = match events.last().and_then(|event| event.position()) {
            Some(stamp) => stamp.id,
            None => self.newest(group).await?,
        };
        let is_exhausted = events.len() < MAX_PAGE_EVENTS;
        // Held until all is delivered: a redaction that arrives meanwhile is delivered after it.
        let mut state = cursor.state.lock();
        let (outcome, events) = state.on_backfill(from, events, newest, millis(self.retention.age));
        if let BackfillOutcome::Gap(reason) = outcome {
            METRICS.gap(reason);
            let reason = reason.as_str();
            warn!(%group, after = %from, reason, "messages of a group may be missing");
            let gap = Event::new(GAP).with("reason", reason).with("after", &from.to_string());
            self.listener.deliver(group.name(), &[Arc::new(gap.into())]);
        }
        if !events.is_empty() {
            self.listener.deliver(group.name(), &events);
        }
        drop(state);
        // What was pushed during the delivery is in the log: the next page has it.
        let is_end = is_exhausted && outcome == BackfillOutcome::Follows;
        Ok(cursor.state.lock().settle(is_end, wanted))
    }

    async fn newest(&self, group: &Group) -> Result<Id, LayerError> {
        log::last_id(&self.commands, group).await
    }

    /// Returns up to a page of events after this id.
    pub(super) async fn after(&self, group: &Group, id: Id) -> Result<Page, LayerError> {
        if let Some(page) = self.tail_page(group, |tail| tail.after_if_whole(id)).await? {
            return Ok(page);
        }
        loop {
            let events = RangeQuery::after(self.commands.keys(), group, id, MAX_PAGE_EVENTS)
                .run(&self.commands)
                .await?;
            let more = events.len() == MAX_PAGE_EVENTS;
            let last = match events.last().and_then(|event| event.position()) {
                Some(stamp) if !more => stamp.id,
                _ => self.newest(group).await?,
            };
            // Unless an event was appended between the two queries.
            if !events.is_empty() || last <= id {
                return Ok(self.redacted_page(group, Page { events, more, last }));
            }
        }
    }

    /// Returns the newest events, or those before this id.
    pub(super) async fn before(
        &self,
        group: &Group,
        id: Option<Id>,
        limit: usize,
    ) -> Result<Page, LayerError> {
        if id.is_none()
            && let Some(page) = self.tail_page(group, |tail| tail.newest_if_whole(limit)).await?
        {
            return Ok(page);
        }
        if id == Some(Id::START) {
            return Ok(Page { events: Vec::new(), more: false, last: self.newest(group).await? });
        }
        let (count, keys) = (limit + 1, self.commands.keys());
        let query = id.map_or_else(
            || RangeQuery::newest(keys, group, count),
            |id| RangeQuery::before(keys, group, id, count),
        );
        let mut events = query.run(&self.commands).await?;
        let more = events.len() > limit;
        events.truncate(limit);
        events.reverse();
        let last = match (id, events.last().and_then(|event| event.position())) {
            (None, Some(stamp)) => stamp.id,
            (None, None) => Id::START,
            (Some(_), _) => self.newest(group).await?,
        };
        Ok(self.redacted_page(group, Page { events, more, last }))
    }

    /// Removes the texts whose redactions were received while the page was read.
    fn redacted_page(&self, group: &Group, mut page: Page) -> Page {
        if let Some(cursor) = self.cursor(group.name()) {
            cursor.state.lock().tail_cache.redact_texts(&mut page.events);
        }
        page
    }

    /// Answers from the cached tail of the log, which is read once for all callers and then kept
    /// current for a while; `None` if the tail cannot answer.
    async fn tail_page(
        &self,
        group: &Group,
        answer: impl Fn(&Tail) -> Option<Page> + Send,
    ) -> Result<Option<Page>, LayerError> {
        let Some(cursor) = self.cursor(group.name()) else { return Ok(None) };
        if let Some(page) = cursor.state.lock().tail_cache.tail().and_then(&answer) {
            return Ok(Some(page));
        }
        let _turn = cursor.reading.lock().await;
        loop {
            if let Some(page) = cursor.state.lock().tail_cache.tail().and_then(&answer) {
                return Ok(Some(page));
            }
            let Some((floor, count)) = cursor.state.lock().missing_tail() else { return Ok(None) };
            let events =
                RangeQuery::until(self.commands.keys(), group, floor, count).run(&self.commands).await?;
            cursor.state.lock().tail_cache.extend(floor, events, count);
        }
    }

    /// Drops the cached tails that were not read lately.
    pub(super) fn sweep(&self) {
        let cursors: Vec<Arc<GroupCursor>> = self.cursors.lock().values().cloned().collect();
        for cursor in cursors {
            cursor.state.lock().tail_cache.sweep();
        }
    }

    /// The connection with the subscriptions was lost: presence and redactions are known to Redis
    /// only.
    pub(super) fn on_disconnected(&self) {
        for cursor in self.cursors.lock().values() {
            cursor.state.lock().on_disconnected();
        }
    }
}
