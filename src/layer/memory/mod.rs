//! The layer of a single node: the contract of [`layer`](super), kept in this process.

mod group;
pub(crate) mod store;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::layer::broker::Broker;
use crate::layer::contract::{INTERVAL_LINGER, MAX_LISTED_MEMBERS, MAX_PAGE_EVENTS, leave_grace};
use crate::layer::control::Control;
use crate::layer::disconnect::Disconnect;
use crate::layer::error::LayerError;
use crate::layer::instruction::Instruction;
use crate::layer::listener::LayerListener;
use crate::layer::log::{
    Appended, HistoryRange, IdempotencyKey, LogFigures, Page, RATE_SAMPLE_EVENTS, Retention, gap,
};
use crate::layer::member::Member;
use crate::layer::memory::group::{Groups, MemoryGroup};
use crate::layer::memory::store::MemoryStore;
use crate::layer::node_info::NodeInfo;
use crate::layer::presence::{self, Presence, PresenceSnapshot};
use crate::layer::shared_store::SharedStore;
use crate::layer::store::Store;
use crate::telemetry::GapReason;
use crate::wire::delivery::Delivery;
use crate::wire::event::{Event, Position};
use crate::wire::group::Group;
use crate::wire::id::Id;
use crate::wire::offset::Offset;
use crate::wire::time::{millis, now};

/// Least time between two reports of a large group's number of users.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);

/// Logs, members and intervals of one process.
pub struct MemoryLayer {
    node: String,
    /// Time of its creation, in Unix milliseconds.
    since: u64,
    listener: Arc<dyn LayerListener>,
    retention: Retention,
    groups: Arc<Groups>,
    intervals: Mutex<HashMap<Group, RunningInterval>>,
    store: SharedStore,
    /// The number of the last presence event, over all groups.
    versions: Arc<AtomicU64>,
}

/// An interval that runs.
struct RunningInterval {
    next_tick: Instant,
    /// When it ends unless its tick is asked for.
    expires_at: Instant,
}

impl MemoryLayer {
    pub(super) fn new(retention: Retention, listener: Arc<dyn LayerListener>) -> Self {
        let groups = Arc::<Groups>::default();
        Self {
            node: NodeInfo::new_name(),
            since: now(),
            listener,
            retention,
            store: SharedStore::Memory(MemoryStore::new(Arc::clone(&groups))),
            groups,
            intervals: Mutex::default(),
            versions: Arc::default(),
        }
    }

    pub(super) fn store(&self) -> &SharedStore {
        &self.store
    }

    /// Returns the group, created if there is none.
    fn group(&self, name: &Group) -> Arc<Mutex<MemoryGroup>> {
        let mut groups = self.groups.lock();
        // Empty groups are removed whenever the map would grow: a creation costs the same however
        // many there were.
        if groups.len() == groups.capacity() {
            let oldest = now().saturating_sub(millis(self.retention.age));
            groups.retain(|_, group| Arc::strong_count(group) > 1 || group.lock().is_used(oldest));
        }
        Arc::clone(groups.entry(name.clone()).or_default())
    }

    fn enter(&self, name: &Group, member: Option<&Arc<str>>) {
        let group = self.group(name);
        let mut locked = group.lock();
        locked.sockets += 1;
        if let Some(member) = member
            && let Some(change) = locked.enter(&Member::new(member))
        {
            self.report_change(&group, &mut locked, name, change, member);
        }
    }

    /// Delivers the join, leave or rename of a member to the group; in a large group, a little
    /// later, the number of users.
    fn report_change(
        &self,
        group: &Arc<Mutex<MemoryGroup>>,
        locked: &mut MemoryGroup,
        name: &Group,
        change: &str,
        member: &str,
    ) {
        report_change(&self.listener, &self.versions, group, locked, name, change, member);
    }

    fn deliver_unlogged(&self, name: &Group, event: &Event) {
        let group = self.group(name);
        let group = group.lock();
        if group.sockets > 0 {
            self.listener.deliver(name.name(), &[Arc::new(event.clone().into())]);
        }
    }
}

impl Broker for MemoryLayer {
    fn subscribe(
        &self,
        group: &Group,
        member: Option<&Arc<str>>,
    ) -> impl Future<Output = Result<(), LayerError>> + Send {
        self.enter(group, member);
        std::future::ready(Ok(()))
    }

    async fn subscribe_unless(
        &self,
        group: &Group,
        member: &Arc<str>,
        record: &str,
    ) -> Result<bool, LayerError> {
        let is_absent = self.store.get(record).await?.is_none();
        if is_absent {
            self.enter(group, Some(member));
        }
        Ok(is_absent)
    }

    fn unsubscribe(&self, name: &Group, member: Option<&Arc<str>>) {
        let group = self.group(name);
        let mut locked = group.lock();
        locked.sockets = locked.sockets.saturating_sub(1);
        let Some(member) = member.map(Member::new).filter(|member| locked.leave(member)) else { return };
        drop(locked);
        let (listener, versions) = (Arc::clone(&self.listener), Arc::clone(&self.versions));
        let name = name.clone();
        tokio::spawn(async move {
            let grace = leave_grace(&name);
            tokio::time::sleep(grace).await;
            let mut locked = group.lock();
            if let Some(member) = locked.remove_if_gone(&member, grace) {
                report_change(&listener, &versions, &group, &mut locked, &name, "leave", member.text());
            }
        });
    }

    /// The group's lock is held until the event is delivered, which makes the one order.
    async fn append(
        &self,
        name: &Group,
        event: &Event,
        key: Option<&IdempotencyKey>,
    ) -> Result<Appended, LayerError> {
        let group = self.group(name);
        let mut group = group.lock();
        if let Some(earlier) = key.and_then(|key| group.appended_under(key)) {
            return Ok(earlier);
        }
        let event = group.append(event.clone(), self.retention);
        let (id, offset) = event.position().map_or((Id::START, None), |stamp| (stamp.id, stamp.offset));
        if let Some(key) = key {
            group.remember(key, id, offset);
        }
        self.listener.deliver(name.name(), std::slice::from_ref(&event));
        Ok(Appended::New(id, offset))
    }

    async fn publish(&self, group: &Group, event: &Event) -> Result<(), LayerError> {
        self.deliver_unlogged(group, event);
        Ok(())
    }

    async fn publish_ephemeral(&self, group: &Group, event: &Event) -> Result<(), LayerError> {
        self.deliver_unlogged(group, event);
        Ok(())
    }

    async fn history(&self, group: &Group, range: HistoryRange) -> Result<Page, LayerError> {
        let group = self.group(group);
        let mut group = group.lock();
        let log = group.log(self.retention);
        Ok(match range {
            HistoryRange::After(id) | HistoryRange::Since(id) => log.after(id, MAX_PAGE_EVENTS, usize::MAX),
            HistoryRange::Before(id, limit) => log.before(id, limit, usize::MAX),
        })
    }

    async fn find(&self, group: &Group, offset: Offset) -> Result<Option<Position>, LayerError> {
        Ok(self.group(group).lock().log(self.retention).find(offset))
    }

    async fn next_offset(&self, group: &Group) -> Result<Option<Offset>, LayerError> {
        Ok(Some(self.group(group).lock().next_offset()))
    }

    async fn redact(&self, name: &Group, id: Id) -> Result<bool, LayerError> {
        let group = self.group(name);
        let mut group = group.lock();
        let redacted = group.redact(id, self.retention);
        if redacted == Some(true) {
            self.listener.deliver(name.name(), &[Arc::new(Event::redaction(id).into())]);
        }
        Ok(redacted.is_some())
    }

    async fn clear_log(&self, name: &Group) -> Result<bool, LayerError> {
        let group = self.group(name);
        let mut group = group.lock();
        let cleared = group.clear_log(self.retention);
        if let Some(last) = cleared {
            self.listener.deliver(name.name(), &[Arc::new(gap(GapReason::Trimmed, last).into())]);
        }
        Ok(cleared.is_some())
    }

    fn redacted(&self, group: &Group) -> BTreeSet<Id> {
        self.group(group).lock().log(self.retention).redacted()
    }

    fn redact_texts(&self, group: &Group, events: &mut [Arc<Delivery>]) {
        self.group(group).lock().log(self.retention).redact_texts(events);
    }
}

impl Presence for MemoryLayer {
    async fn presence(&self, group: &Group) -> Result<PresenceSnapshot, LayerError> {
        Ok(self.group(group).lock().presence())
    }

    async fn member_count(&self, group: &Group) -> Result<usize, LayerError> {
        Ok(self.group(group).lock().user_count())
    }

    async fn groups(&self) -> Result<Vec<(String, usize)>, LayerError> {
        let groups: Vec<_> =
            self.groups.lock().iter().map(|(name, group)| (name.clone(), Arc::clone(group))).collect();
        let counted =
            groups.into_iter().map(|(name, group)| (name.name().to_owned(), group.lock().user_count()));
        Ok(presence::largest(counted.collect()))
    }

    fn node_name(&self) -> &str {
        &self.node
    }
}

impl Control for MemoryLayer {
    async fn disconnect(&self, commands: &[Disconnect]) -> Result<(), LayerError> {
        for command in commands {
            self.listener.on_disconnect(command.clone());
        }
        Ok(())
    }

    async fn instruct(&self, instruction: &Instruction) -> Result<(), LayerError> {
        self.listener.on_instruction(instruction.clone());
        Ok(())
    }

    async fn end_changes(&self, _ids: &[&str]) -> Result<(), LayerError> {
        Ok(())
    }

    async fn send_to_node(&self, _node: &str, _message: &[u8]) -> Result<bool, LayerError> {
        Ok(false)
    }

    async fn in_line(&self) -> Result<(), LayerError> {
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<NodeInfo>, LayerError> {
        Ok(vec![NodeInfo::new(&self.node, self.since, None, self.listener.figures())])
    }

    async fn log_length(&self, group: &Group) -> Result<usize, LayerError> {
        Ok(self.group(group).lock().log(self.retention).len())
    }

    async fn log_figures(&self, groups: &[Group]) -> Result<Vec<LogFigures>, LayerError> {
        let figures = groups.iter().map(|group| {
            let group = self.group(group);
            let mut group = group.lock();
            let log = group.log(self.retention);
            LogFigures::new(log.len(), &log.newest_ids(RATE_SAMPLE_EVENTS), now())
        });
        Ok(figures.collect())
    }

    async fn start_interval(&self, group: &Group, period: Duration) -> Result<(), LayerError> {
        let now = Instant::now();
        let mut intervals = self.intervals.lock();
        // Those that ended are removed whenever the map would grow.
        if intervals.len() == intervals.capacity() {
            intervals.retain(|_, interval| interval.expires_at > now);
        }
        let first = RunningInterval { next_tick: now + period, expires_at: now };
        intervals.entry(group.clone()).or_insert(first).expires_at = now + INTERVAL_LINGER;
        drop(intervals);
        self.listener.on_interval_started(group.name());
        Ok(())
    }

    async fn stop_interval(&self, group: &Group) -> Result<(), LayerError> {
        self.intervals.lock().remove(group);
        Ok(())
    }

    async fn tick(
        &self,
        group: &Group,
        event: &Event,
        period: Duration,
        _follows: bool,
    ) -> Result<Option<Duration>, LayerError> {
        let now = Instant::now();
        let (is_due, next) = {
            let mut intervals = self.intervals.lock();
            let Some(interval) = intervals.get_mut(group).filter(|interval| interval.expires_at > now) else {
                return Ok(None);
            };
            interval.expires_at = now + INTERVAL_LINGER;
            let is_due = interval.next_tick <= now;
            // Missed ticks are skipped.
            while interval.next_tick <= now {
                interval.next_tick += period;
            }
            (is_due, interval.next_tick - now)
        };
        if is_due {
            self.deliver_unlogged(group, event);
        }
        Ok(Some(next))
    }

    fn ready(&self) -> Result<Cow<'static, str>, LayerError> {
        Ok("memory: this node stands alone".into())
    }

    async fn close(&self) {}
}

fn report_change(
    listener: &Arc<dyn LayerListener>,
    versions: &Arc<AtomicU64>,
    group: &Arc<Mutex<MemoryGroup>>,
    locked: &mut MemoryGroup,
    name: &Group,
    change: &str,
    member: &str,
) {
    if locked.user_count() <= MAX_LISTED_MEMBERS && !locked.count_pending {
        locked.version = versions.fetch_add(1, Ordering::Relaxed) + 1;
    }
    let presence = locked.presence();
    if presence.count <= MAX_LISTED_MEMBERS && !locked.count_pending {
        listener.deliver(name.name(), &[Arc::new(presence.event(change, Some(member)).into())]);
        return;
    }
    if std::mem::replace(&mut locked.count_pending, true) {
        return;
    }
    let (listener, versions) = (Arc::clone(listener), Arc::clone(versions));
    let (group, name) = (Arc::clone(group), name.clone());
    tokio::spawn(async move {
        tokio::time::sleep(COUNT_INTERVAL).await;
        let mut locked = group.lock();
        locked.count_pending = false;
        locked.version = versions.fetch_add(1, Ordering::Relaxed) + 1;
        listener.deliver(name.name(), &[Arc::new(locked.presence().event("state", None).into())]);
    });
}
