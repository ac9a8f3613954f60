//! The follower: keeps what this node has heard of each of its groups in line with the group's log.
//!
//! Pub/sub forgets what it could not deliver. Every logged event names the id before it, so the follower sees when one
//! is missing: it then reads the log from where it stands, hands that on, and what pub/sub brings meanwhile waits for it
//! in the log. After each reconnection every group is compared with its log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::commands::Commands;
use super::log::{self, Part};
use crate::layer::contract::MAX_PAGE_EVENTS;
use crate::layer::error::LayerError;
use crate::layer::redis::cursor::{GroupCursor, Heard, Outcome};
use crate::layer::{LayerListener, Page, Retention};
use crate::telemetry::{Chain, METRICS};
use crate::wire::event::{Event, GAP, PRESENCE};
use crate::wire::group::Group;
use crate::wire::id::Id;
use crate::wire::time::millis;

/// How long to wait before a log is read again that could not be read.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct LogFollower {
    pub(super) commands: Arc<Commands>,
    pub(super) listener: Arc<dyn LayerListener>,
    pub(super) keep: Retention,
    pub(super) groups: Mutex<HashMap<Group, Arc<GroupCursor>>>,
}

impl LogFollower {
    pub(super) fn followed(&self, group: &str) -> Option<Arc<GroupCursor>> {
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
    /// and handed on, in tasks of their own; what was redacted meanwhile is told at once.
    pub(super) async fn locate(self: &Arc<Self>, groups: &[Group]) -> Result<(), LayerError> {
        let ends = match log::ends(&self.commands, groups).await {
            Ok(ends) => ends,
            Err(error) => self.locate_one_by_one(groups, error).await?,
        };
        for (group, (last, redacted)) in groups.iter().zip(ends) {
            let Some(followed) = self.followed(group.name()) else { continue };
            let (news, behind) = followed.state.lock().locate(last, redacted);
            if !news.is_empty() {
                let news: Vec<_> = news.into_iter().map(|id| Arc::new(Event::redaction(id))).collect();
                self.listener.deliver(group.name(), &news);
            }
            if behind {
                tokio::spawn(Arc::clone(self).repair(group.clone(), followed));
            }
        }
        Ok(())
    }

    /// A key that is no log must not keep the node from all its groups: the others are found without it.
    async fn locate_one_by_one(
        &self,
        groups: &[Group],
        error: LayerError,
    ) -> Result<Vec<log::End>, LayerError> {
        if self.commands.ping().await.is_err() {
            return Err(error);
        }
        let mut all = Vec::with_capacity(groups.len());
        for group in groups {
            match log::ends(&self.commands, std::slice::from_ref(group)).await {
                Ok(found) => all.extend(found),
                Err(error) => {
                    warn!(%group, error = %Chain(&error), "could not read a log");
                    all.push(log::End::default());
                }
            }
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
    async fn repair(self: Arc<Self>, group: Group, followed: Arc<GroupCursor>) {
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
    async fn repair_once(&self, group: &Group, followed: &GroupCursor) -> Result<bool, LayerError> {
        while self.listener.is_full() {
            sleep(PAUSE).await;
        }
        let (from, wanted) = followed.state.lock().position();
        let events = Part::after(group, from, MAX_PAGE_EVENTS).read(&self.commands).await?;
        let newest = match events.last().and_then(|event| event.stamp()) {
            Some(stamp) => stamp.id,
            None => self.newest(group).await?,
        };
        let exhausted = events.len() < MAX_PAGE_EVENTS;
        // Held until all is handed on: what is heard to be redacted meanwhile is told behind it.
        let mut state = followed.state.lock();
        let (outcome, events) = state.repaired(from, events, newest, millis(self.keep.age));
        if let Outcome::Gap(reason) = outcome {
            METRICS.gap(reason);
            warn!(%group, after = %from, reason, "messages of this group may be missing");
            let gap = Event::new(GAP).with("reason", reason).with("after", &from.to_string());
            self.listener.deliver(group.name(), &[Arc::new(gap)]);
        }
        if !events.is_empty() {
            self.listener.deliver(group.name(), &events);
        }
        drop(state);
        // What came while this was handed on is in the log: the next reading finds it.
        Ok(followed.state.lock().is_settled(exhausted && outcome == Outcome::Follows, wanted))
    }

    async fn newest(&self, group: &Group) -> Result<Id, LayerError> {
        log::last(&self.commands, group).await
    }

    /// Up to a page of events after this id.
    pub(super) async fn after(&self, group: &Group, id: Id) -> Result<Page, LayerError> {
        if let Some(page) = self.tail_answer(group, |tail| tail.after_if_whole(id)).await? {
            return Ok(page);
        }
        loop {
            let events = Part::after(group, id, MAX_PAGE_EVENTS).read(&self.commands).await?;
            let more = events.len() == MAX_PAGE_EVENTS;
            let last = match events.last().and_then(|event| event.stamp()) {
                Some(stamp) if !more => stamp.id,
                _ => self.newest(group).await?,
            };
            // Unless it was written between the two questions.
            if !events.is_empty() || last <= id {
                return Ok(self.shown(group, Page { events, more, last }));
            }
        }
    }

    /// The newest events, or those before this id.
    pub(super) async fn before(
        &self,
        group: &Group,
        id: Option<Id>,
        limit: usize,
    ) -> Result<Page, LayerError> {
        if id.is_none()
            && let Some(page) = self.tail_answer(group, |tail| tail.newest_if_whole(limit)).await?
        {
            return Ok(page);
        }
        if id == Some(Id::START) {
            return Ok(Page { events: Vec::new(), more: false, last: self.newest(group).await? });
        }
        let count = limit + 1;
        let part = id.map_or_else(|| Part::newest(group, count), |id| Part::before(group, id, count));
        let mut events = part.read(&self.commands).await?;
        let more = events.len() > limit;
        events.truncate(limit);
        events.reverse();
        let last = match (id, events.last().and_then(|event| event.stamp())) {
            (None, Some(stamp)) => stamp.id,
            (None, None) => Id::START,
            (Some(_), _) => self.newest(group).await?,
        };
        Ok(self.shown(group, Page { events, more, last }))
    }

    /// What was read, as it may be shown now: the group's sockets may have been told meanwhile that some is redacted.
    fn shown(&self, group: &Group, mut page: Page) -> Page {
        if let Some(followed) = self.followed(group.name()) {
            followed.state.lock().kept.hide(&mut page.events);
        }
        page
    }

    /// An answer from the newest part of the log, which is read once for all who ask and then follows along for a
    /// while; `None` if it has to be read for this one.
    async fn tail_answer(
        &self,
        group: &Group,
        answer: impl Fn(&crate::layer::tail::Tail) -> Option<Page> + Send,
    ) -> Result<Option<Page>, LayerError> {
        let Some(followed) = self.followed(group.name()) else { return Ok(None) };
        if let Some(page) = followed.state.lock().kept.tail().and_then(&answer) {
            return Ok(Some(page));
        }
        let _turn = followed.reading.lock().await;
        loop {
            if let Some(page) = followed.state.lock().kept.tail().and_then(&answer) {
                return Ok(Some(page));
            }
            let Some((floor, count)) = followed.state.lock().tail_wants() else { return Ok(None) };
            let events = Part::until(group, floor, count).read(&self.commands).await?;
            followed.state.lock().kept.extend(floor, events, count);
        }
    }

    /// Forgets the parts of logs that nobody asked for lately.
    pub(super) fn sweep(&self) {
        let groups: Vec<Arc<GroupCursor>> = self.groups.lock().values().cloned().collect();
        for followed in groups {
            followed.state.lock().kept.sweep();
        }
    }

    /// The groups are not heard for a while. Who is in them, and what of their logs is redacted, is only known to Redis.
    pub(super) fn deaf(&self) {
        for followed in self.groups.lock().values() {
            followed.state.lock().deaf();
        }
    }
}

/// Whether an event is one about who is in the group.
pub(super) fn is_presence(event: &Event) -> bool {
    event.is_own() && event.kind() == PRESENCE
}
