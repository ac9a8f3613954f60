//! The events of a group that were pushed and wait until its log is read up to them.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::wire::delivery::Delivery;

/// The most events that wait.
const MAX_HELD_EVENTS: usize = 1024;
/// The most bytes that wait.
const MAX_HELD_BYTES: usize = 1024 * 1024;

/// An event, and its number in the order of arrival.
pub(super) type HeldEvent = (u64, Arc<Delivery>);

/// Events in the order in which they arrived.
#[derive(Default)]
pub(super) struct HeldEvents {
    entries: VecDeque<HeldEvent>,
    bytes: usize,
    arrived: u64,
}

impl HeldEvents {
    /// Returns how many events have arrived.
    pub(super) fn arrived(&self) -> u64 {
        self.arrived
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds an event. Returns `false` if older ones had to be dropped for it: they have to be read
    /// from the log.
    pub(super) fn push(&mut self, event: &Arc<Delivery>) -> bool {
        self.keep((self.arrived, Arc::clone(event)));
        self.arrived += 1;
        let held = self.entries.len();
        while self.entries.len() > MAX_HELD_EVENTS || self.bytes > MAX_HELD_BYTES {
            let Some((_, dropped)) = self.entries.pop_front() else { break };
            self.bytes -= dropped.bytes();
        }
        self.entries.len() == held
    }

    /// Adds an event that was taken out.
    pub(super) fn keep(&mut self, held: HeldEvent) {
        self.bytes += held.1.bytes();
        self.entries.push_back(held);
    }

    /// Takes all events out.
    pub(super) fn take(&mut self) -> VecDeque<HeldEvent> {
        self.bytes = 0;
        std::mem::take(&mut self.entries)
    }
}
