//! What follows from one step of a group: for its sockets, for the heartbeat, and later.

use tokio::time::Instant;

use crate::layer::member::Member;
use crate::layer::redis::job::Job;
use crate::wire::event::Event;

pub(super) struct Effects {
    pub(super) now: Instant,
    /// The number of the last presence event that sockets were sent, over all groups.
    version: u64,
    /// What the group's sockets are sent.
    told: Vec<Event>,
    pub(super) jobs: Vec<Job>,
    pub(super) timers: Vec<(Instant, Timer)>,
}

/// What a group awaits.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The grace of a user ends.
    Grace(Member),
    Look,
    Tell,
    /// The changes of a large group that came meanwhile are written.
    Call,
}

impl Effects {
    pub(super) fn new(now: Instant, version: u64) -> Self {
        Self { now, version, told: Vec::new(), jobs: Vec::new(), timers: Vec::new() }
    }

    /// Numbers what the sockets are sent next.
    pub(super) fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    pub(super) fn set_timer(&mut self, at: Instant, timer: Timer) {
        self.timers.push((at, timer));
    }

    pub(super) fn tell(&mut self, events: impl IntoIterator<Item = Event>) {
        self.told.extend(events);
    }

    /// Returns the last number, and what the sockets are sent.
    pub(super) fn finish(self) -> (u64, Vec<Event>) {
        (self.version, self.told)
    }
}
