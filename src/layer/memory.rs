//! The layer of a node that stands alone: the contract of [`super`], kept in this process.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{LINGER, Listener};
use crate::event::Event;
use crate::group::Group;

/// Members and tickers of one process.
pub struct MemoryLayer {
    listener: Arc<dyn Listener>,
    groups: Mutex<HashMap<Group, HashSet<u64>>>,
    tickers: Mutex<HashMap<Group, Ticking>>,
}

/// A ticker that is on.
struct Ticking {
    due: Instant,
    /// When it ends unless somebody asks.
    ends: Instant,
}

impl MemoryLayer {
    pub(super) fn new(listener: Arc<dyn Listener>) -> Self {
        Self { listener, groups: Mutex::default(), tickers: Mutex::default() }
    }

    pub(super) fn enter(&self, group: &Group, member: u64) {
        self.groups.lock().entry(group.clone()).or_default().insert(member);
    }

    pub(super) fn leave(&self, group: &Group, member: u64) {
        let mut groups = self.groups.lock();
        let Some(members) = groups.get_mut(group) else { return };
        members.remove(&member);
        if members.is_empty() {
            groups.remove(group);
        }
    }

    pub(super) fn members(&self, group: &Group) -> usize {
        self.groups.lock().get(group).map_or(0, HashSet::len)
    }

    /// The listener's own lock on the group makes the one order.
    pub(super) fn publish(&self, group: &Group, event: &Event) {
        if self.members(group) > 0 {
            self.listener.deliver(group.name(), std::slice::from_ref(event));
        }
    }

    pub(super) fn start_ticker(&self, group: &Group, period: Duration) {
        let now = Instant::now();
        let mut tickers = self.tickers.lock();
        // Those that ended are swept out now and then, so that starting one costs the same however
        // many there are.
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
