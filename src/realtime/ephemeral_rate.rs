//! How often a subscription publishes events that are not logged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::wire::time::millis;

/// The rate of a subscription's ephemeral events.
pub(crate) struct EphemeralRate {
    begun: Instant,
    /// When the next one is allowed, in milliseconds after the begin.
    next_at: AtomicU64,
}

impl EphemeralRate {
    /// Allows the first one from `begun` on.
    pub(crate) fn new(begun: Instant) -> Self {
        Self { begun, next_at: AtomicU64::new(0) }
    }

    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    /// Returns whether one may be published now, and if so, forbids the next one for this period.
    pub(crate) fn take(&self, period: Duration) -> bool {
        let now = millis(self.begun.elapsed());
        let is_allowed = now >= self.next_at.load(Ordering::Relaxed);
        if is_allowed {
            self.next_at.store(now + millis(period), Ordering::Relaxed);
        }
        is_allowed
    }
}
