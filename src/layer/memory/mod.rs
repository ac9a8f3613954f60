//! The layer of a node that stands alone: the contract of [`super`], kept in this process.

mod group;
pub mod store;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::store::Store;
use super::{
    Appended, Disconnect, IdempotencyKey, LayerListener, NodeInfo, Page, Presence, Retention, presence,
};
use crate::layer::contract::{LEAVE_GRACE, MAX_LISTED_MEMBERS, MAX_PAGE_EVENTS};
use crate::layer::intervals::LINGER;
use crate::layer::memory::group::MemoryGroup;
use crate::layer::memory::store::MemoryStore;
use crate::wire::event::Event;
use crate::wire::group::Group;
use crate::wire::id::Id;
use crate::wire::time::{millis, now};

/// How often the count of a big group is told.
const COUNTED: Duration = Duration::from_secs(1);

/// Logs, members and tickers of one process.
pub struct MemoryLayer {
    node: String,
    /// When it was made, in milliseconds since 1970.
    since: u64,
    listener: Arc<dyn LayerListener>,
    keep: Retention,
    groups: Mutex<HashMap<Group, Arc<Mutex<MemoryGroup>>>>,
    tickers: Mutex<HashMap<Group, Ticking>>,
    store: Store,
}

/// A ticker that is on.
struct Ticking {
    due: Instant,
    /// When it ends unless somebody asks.
    ends: Instant,
}

impl MemoryLayer {
    pub(super) fn new(keep: Retention, listener: Arc<dyn LayerListener>) -> Self {
        Self {
            node: NodeInfo::new_name(),
            since: now(),
            listener,
            keep,
            groups: Mutex::default(),
            tickers: Mutex::default(),
            store: Store::Memory(MemoryStore::default()),
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// The group's circle, made if there is none.
    fn circle(&self, group: &Group) -> Arc<Mutex<MemoryGroup>> {
        let mut groups = self.groups.lock();
        // Circles where nothing is left are swept out now and then, so that making one costs the same
        // however many there were.
        if groups.len() == groups.capacity() {
            let oldest = now().saturating_sub(millis(self.keep.age));
            groups.retain(|_, circle| Arc::strong_count(circle) > 1 || circle.lock().is_used(oldest));
        }
        Arc::clone(groups.entry(group.clone()).or_default())
    }

    pub(super) fn enter(&self, group: &Group, user: &str) {
        let circle = self.circle(group);
        let mut held = circle.lock();
        if held.enter(user) {
            self.tell(&circle, &mut held, group, "join", user);
        }
    }

    pub(super) fn leave(&self, group: &Group, user: &str) {
        let circle = self.circle(group);
        if !circle.lock().leave(user) {
            return;
        }
        let (listener, group, user) = (Arc::clone(&self.listener), group.clone(), user.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(LEAVE_GRACE).await;
            let mut held = circle.lock();
            if held.gone(&user) {
                tell(&listener, &circle, &mut held, &group, "leave", &user);
            }
        });
    }

    fn tell(
        &self,
        circle: &Arc<Mutex<MemoryGroup>>,
        held: &mut MemoryGroup,
        group: &Group,
        change: &str,
        user: &str,
    ) {
        tell(&self.listener, circle, held, group, change, user);
    }

    pub(super) fn members(&self, group: &Group) -> usize {
        self.circle(group).lock().users()
    }

    pub(super) fn presence(&self, group: &Group) -> Presence {
        self.circle(group).lock().presence()
    }

    /// The circle's lock, held until the event is delivered, makes the one order.
    pub(super) fn append(&self, group: &Group, event: &Event, key: Option<&IdempotencyKey>) -> Appended {
        let circle = self.circle(group);
        let mut circle = circle.lock();
        if let Some(known) = key.and_then(|key| circle.known(key)) {
            return known;
        }
        let event = circle.append(event.clone(), self.keep);
        let id = event.stamp().map_or(Id::START, |stamp| stamp.id);
        if let Some(key) = key {
            circle.remember(key, id);
        }
        self.listener.deliver(group.name(), std::slice::from_ref(&event));
        Appended::New(id)
    }

    pub(super) fn after(&self, group: &Group, id: Id) -> Page {
        self.circle(group).lock().log(self.keep).after(id, MAX_PAGE_EVENTS)
    }

    pub(super) fn before(&self, group: &Group, id: Option<Id>, limit: usize) -> Page {
        self.circle(group).lock().log(self.keep).before(id, limit)
    }

    pub(super) fn redact(&self, group: &Group, id: Id) -> bool {
        let circle = self.circle(group);
        let mut circle = circle.lock();
        let redacted = circle.redact(id, self.keep);
        if redacted == Some(true) {
            self.listener.deliver(group.name(), &[Arc::new(Event::redaction(id))]);
        }
        redacted.is_some()
    }

    pub(super) fn redacted(&self, group: &Group) -> BTreeSet<Id> {
        self.circle(group).lock().log(self.keep).redacted()
    }

    pub(super) fn log_size(&self, group: &Group) -> usize {
        self.circle(group).lock().log(self.keep).len()
    }

    pub(super) fn groups(&self) -> Vec<(String, usize)> {
        let groups: Vec<_> =
            self.groups.lock().iter().map(|(group, circle)| (group.clone(), Arc::clone(circle))).collect();
        let counted =
            groups.into_iter().map(|(group, circle)| (group.name().to_owned(), circle.lock().users()));
        presence::largest(counted.collect())
    }

    pub(super) fn node(&self) -> &str {
        &self.node
    }

    pub(super) fn facts(&self) -> NodeInfo {
        NodeInfo::now(&self.node, self.since, None)
    }

    pub(super) fn order(&self, order: &Disconnect) {
        self.listener.ordered(order.clone());
    }

    pub(super) fn publish(&self, group: &Group, event: &Event) {
        let circle = self.circle(group);
        let circle = circle.lock();
        if circle.users() > 0 {
            self.listener.deliver(group.name(), &[Arc::new(event.clone())]);
        }
    }

    pub(super) fn start_ticker(&self, group: &Group, period: Duration) {
        let now = Instant::now();
        let mut tickers = self.tickers.lock();
        // Those that ended are swept out now and then, as circles are.
        if tickers.len() == tickers.capacity() {
            tickers.retain(|_, ticking| ticking.ends > now);
        }
        let ticking = tickers.entry(group.clone()).or_insert(Ticking { due: now + period, ends: now });
        ticking.ends = now + LINGER;
        drop(tickers);
        self.listener.ticker_started(group.name());
    }

    pub(super) fn stop_ticker(&self, group: &Group) {
        self.tickers.lock().remove(group);
    }

    pub(super) fn tick(&self, group: &Group, event: &Event, period: Duration) -> Option<Duration> {
        let now = Instant::now();
        let mut tickers = self.tickers.lock();
        let ticking = tickers.get_mut(group).filter(|ticking| ticking.ends > now)?;
        ticking.ends = now + LINGER;
        let due = ticking.due <= now;
        if due {
            // Ticks that nobody was there for are not made up.
            while ticking.due <= now {
                ticking.due += period;
            }
        }
        let next = ticking.due - now;
        drop(tickers);
        if due {
            self.publish(group, event);
        }
        Some(next)
    }
}

/// Tells the circle's members that somebody came or left; in a big circle, a little later, how many are there.
fn tell(
    listener: &Arc<dyn LayerListener>,
    circle: &Arc<Mutex<MemoryGroup>>,
    held: &mut MemoryGroup,
    group: &Group,
    change: &str,
    user: &str,
) {
    let presence = held.presence();
    if presence.count <= MAX_LISTED_MEMBERS && !held.counting {
        listener.deliver(group.name(), &[Arc::new(presence.event(change, Some(user)))]);
        return;
    }
    if std::mem::replace(&mut held.counting, true) {
        return;
    }
    let (listener, circle, group) = (Arc::clone(listener), Arc::clone(circle), group.clone());
    tokio::spawn(async move {
        tokio::time::sleep(COUNTED).await;
        let mut held = circle.lock();
        held.counting = false;
        listener.deliver(group.name(), &[Arc::new(held.presence().event("state", None))]);
    });
}
