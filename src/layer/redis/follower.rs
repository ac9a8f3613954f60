//! The follower: keeps what this node has heard of each of its groups in line with the group's log.
//!
//! Pub/sub forgets what it could not deliver. Every logged event names the id before it, so the follower sees when one
//! is missing: it then reads the log from where it stands, hands that on, and what pub/sub brings meanwhile waits for it
//! in the log. After each reconnection every group is compared with its log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::Pipeline;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::commands::Commands;
use super::followed::{Followed, Heard, Outcome};
use super::log::{self, Entry};
use crate::clock::millis;
use crate::error::Unavailable;
use crate::event::{Event, GAP, PRESENCE};
use crate::group::Group;
use crate::id::Id;
use crate::layer::{Keep, Listener, PAGE, Page};
use crate::telemetry::{Chain, METRICS};

/// How long to wait before a log is read again that could not be read.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Follower {
    pub(super) commands: Arc<Commands>,
    pub(super) listener: Arc<dyn Listener>,
    pub(super) keep: Keep,
    pub(super) groups: Mutex<HashMap<Group, Arc<Followed>>>,
}

impl Follower {
    pub(super) fn followed(&self, group: &str) -> Option<Arc<Followed>> {
        self.groups.lock().get(group).cloned()
    }

    /// These groups are about to be subscribed to.
    pub(super) fn begin(&self, groups: &[Group]) {
        let mut followed = self.groups.lock();
        for group in groups {
            followed.entry(group.clone()).or_default();
        }
    }

    /// These groups are not heard any more.
    pub(super) fn end(&self, groups: &[Group]) {
        let mut followed = self.groups.lock();
        for group in groups {
            followed.remove(group);
        }
    }

    /// These groups are heard now: finds where their logs end. What was missed while they were not heard is read
    /// and handed on, in tasks of their own.
    pub(super) async fn locate(self: &Arc<Self>, groups: &[Group]) -> Result<(), Unavailable> {
        let mut newest = Pipeline::new();
        for group in groups {
            newest.add_command(log::newest(group, 1));
        }
        let newest: Vec<Vec<Entry>> = match self.commands.pipeline(&newest).await {
            Ok(newest) => newest,
            Err(error) => self.locate_one_by_one(groups, error).await?,
        };
        for (group, entries) in groups.iter().zip(newest) {
            let last = entries.first().and_then(log::id).unwrap_or(Id::START);
            let Some(followed) = self.followed(group.name()) else { continue };
            if followed.state.lock().locate(last) {
                tokio::spawn(Arc::clone(self).repair(group.clone(), followed));
            }
        }
        Ok(())
    }

    /// A key that is no log must not keep the node from all its groups: the others are found without it.
    async fn locate_one_by_one(
        &self,
        groups: &[Group],
        error: Unavailable,
    ) -> Result<Vec<Vec<Entry>>, Unavailable> {
        if self.commands.ping().await.is_err() {
            return Err(error);
        }
        let mut all = Vec::with_capacity(groups.len());
        for group in groups {
            let found = self.commands.command(&log::newest(group, 1)).await;
            all.push(found.unwrap_or_else(|error| {
                warn!(%group, error = %Chain(&error), "could not read a log");
                Vec::new()
            }));
        }
        Ok(all)
    }

    /// What Redis pushed for a group, in its order.
    pub(super) fn hear(self: &Arc<Self>, group: &str, events: Vec<Event>) {
        let Some(followed) = self.followed(group) else { return };
        let mut ready = Vec::with_capacity(events.len());
        let mut behind = false;
        let mut state = followed.state.lock();
        for event in events {
            let event = Arc::new(event);
            match state.hear(&event, millis(self.keep.age)) {
                Heard::Next => ready.push(event),
                Heard::Waits => {}
                Heard::Behind => behind = true,
            }
        }
        drop(state);
        if !ready.is_empty() {
            self.listener.deliver(group, &ready);
        }
        if behind {
            tokio::spawn(Arc::clone(self).repair(Group::new(group), followed));
        }
    }

    /// Redis pushed this when too much waited already: what is logged is read from the log later.
    pub(super) fn miss(self: &Arc<Self>, group: &str, event: &Event) {
        let Some(followed) = self.followed(group) else { return };
        let behind = followed.state.lock().miss(event);
        if behind {
            tokio::spawn(Arc::clone(self).repair(Group::new(group), followed));
        }
    }

    /// Reads a group's log from where the node stands, until nothing is missing.
    async fn repair(self: Arc<Self>, group: Group, followed: Arc<Followed>) {
        METRICS.repairs.inc();
        let mut told = false;
        while self.followed(group.name()).is_some_and(|now| Arc::ptr_eq(&now, &followed)) {
            match self.repair_once(&group, &followed).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        debug!(%group, error = %Chain(&error), "could not read a log; trying again");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Reads on; whether nothing is missing any more.
    async fn repair_once(&self, group: &Group, followed: &Followed) -> Result<bool, Unavailable> {
        while self.listener.is_full() {
            sleep(PAUSE).await;
        }
        let (from, wanted) = followed.state.lock().position();
        METRICS.log_reads.inc();
        let entries: Vec<Entry> = self.commands.command(&log::after(group, from, PAGE)).await?;
        let events = log::events(&entries);
        let newest = match events.last().and_then(|event| event.stamp()) {
            Some(stamp) => stamp.id,
            None => self.newest(group).await?,
        };
        let exhausted = events.len() < PAGE;
        let (outcome, events) = followed.state.lock().repaired(from, events, newest, millis(self.keep.age));
        if let Outcome::Gap(reason) = outcome {
            METRICS.gap(reason);
            warn!(%group, after = %from, reason, "messages of this group may be missing");
            let gap = Event::new(GAP).with("reason", reason).with("after", &from.to_string());
            self.listener.deliver(group.name(), &[Arc::new(gap)]);
        }
        if !events.is_empty() {
            self.listener.deliver(group.name(), &events);
        }
        // What came while this was handed on is in the log: the next reading finds it.
        Ok(followed.state.lock().is_settled(exhausted && outcome == Outcome::Follows, wanted))
    }

    async fn newest(&self, group: &Group) -> Result<Id, Unavailable> {
        let entries: Vec<Entry> = self.commands.command(&log::newest(group, 1)).await?;
        Ok(entries.first().and_then(log::id).unwrap_or(Id::START))
    }

    /// Up to a page of events after this id.
    pub(super) async fn after(&self, group: &Group, id: Id) -> Result<Page, Unavailable> {
        if let Some(page) = self.tail_answer(group, |tail| tail.after_if_whole(id)).await? {
            return Ok(page);
        }
        loop {
            METRICS.log_reads.inc();
            let entries: Vec<Entry> = self.commands.command(&log::after(group, id, PAGE)).await?;
            let events = log::events(&entries);
            let more = events.len() == PAGE;
            let last = match events.last().and_then(|event| event.stamp()) {
                Some(stamp) if !more => stamp.id,
                _ => self.newest(group).await?,
            };
            // Unless it was written between the two questions.
            if !events.is_empty() || last <= id {
                return Ok(Page { events, more, last });
            }
        }
    }

    /// The newest events, or those before this id.
    pub(super) async fn before(
        &self,
        group: &Group,
        id: Option<Id>,
        limit: usize,
    ) -> Result<Page, Unavailable> {
        if id.is_none()
            && let Some(page) = self.tail_answer(group, |tail| tail.newest_if_whole(limit)).await?
        {
            return Ok(page);
        }
        if id == Some(Id::START) {
            return Ok(Page { events: Vec::new(), more: false, last: self.newest(group).await? });
        }
        METRICS.log_reads.inc();
        let count = limit + 1;
        let range = id.map_or_else(|| log::newest(group, count), |id| log::before(group, id, count));
        let mut entries: Vec<Entry> = self.commands.command(&range).await?;
        let more = entries.len() > limit;
        entries.truncate(limit);
        entries.reverse();
        let events = log::events(&entries);
        let last = match (id, events.last().and_then(|event| event.stamp())) {
            (None, Some(stamp)) => stamp.id,
            (None, None) => Id::START,
            (Some(_), _) => self.newest(group).await?,
        };
        Ok(Page { events, more, last })
    }

    /// An answer from the newest part of the log, which is read once for all who ask and then follows along for a
    /// while; `None` if it has to be read for this one.
    async fn tail_answer(
        &self,
        group: &Group,
        answer: impl Fn(&crate::layer::tail::Tail) -> Option<Page> + Send,
    ) -> Result<Option<Page>, Unavailable> {
        let Some(followed) = self.followed(group.name()) else { return Ok(None) };
        if let Some(page) = followed.state.lock().tail().and_then(&answer) {
            return Ok(Some(page));
        }
        let _turn = followed.reading.lock().await;
        loop {
            if let Some(page) = followed.state.lock().tail().and_then(&answer) {
                return Ok(Some(page));
            }
            let Some((floor, count)) = followed.state.lock().tail_wants() else { return Ok(None) };
            METRICS.log_reads.inc();
            let entries: Vec<Entry> = self.commands.command(&log::until(group, floor, count)).await?;
            followed.state.lock().tail_extend(floor, log::events(&entries), count);
        }
    }

    /// Forgets the parts of logs that nobody asked for lately.
    pub(super) fn sweep(&self) {
        let groups: Vec<Arc<Followed>> = self.groups.lock().values().cloned().collect();
        for followed in groups {
            followed.state.lock().sweep();
        }
    }

    /// Forgets who is in the groups: changes may have been missed. The next answer is Redis' own.
    pub(super) fn forget_presence(&self) {
        for followed in self.groups.lock().values() {
            followed.state.lock().presence = None;
        }
    }
}

/// Whether an event is one about who is in the group.
pub(super) fn is_presence(event: &Event) -> bool {
    event.is_own() && event.kind() == PRESENCE
}
