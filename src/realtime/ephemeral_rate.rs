//! How often a subscription publishes events that are not logged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use once_cell::sync::Lazy;

use crate::wire::time::millis;

/// When the process first published one. Times after it take less than an [`Instant`].
static BEGIN: Lazy<Instant> = Lazy::new(Instant::now);

/// The rate of a subscription's ephemeral events.
#[derive(Default)]
pub(crate) struct EphemeralRate {
    /// When the next one is allowed, in milliseconds after [`BEGIN`].
    next_at: AtomicU64,
}

impl EphemeralRate {
    /// Returns whether one may be published now, and if so, forbids the next one for this period.
    pub(crate) fn take(&self, period: Duration) -> bool {
        let now = millis(BEGIN.elapsed());
        let is_allowed = now >= self.next_at.load(Ordering::Relaxed);
        if is_allowed {
            self.next_at.store(now + millis(period), Ordering::Relaxed);
        }
        is_allowed
    }
}
