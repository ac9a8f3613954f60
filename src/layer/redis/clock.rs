//! Redis' clock, as far as this node knows it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use crate::wire::time;
use crate::wire::time::millis;

/// Redis' clock, by this node's monotonic one: neither a wrong clock of this machine nor a step of
/// it has an effect.
pub(super) struct RedisClock {
    origin: Instant,
    /// Redis' time at `origin`, in Unix milliseconds.
    at_origin: AtomicI64,
}

impl RedisClock {
    /// Takes this machine's clock for Redis' until that is known.
    pub(super) fn new() -> Self {
        let clock = Self { origin: Instant::now(), at_origin: AtomicI64::new(0) };
        clock.learn(time::now());
        clock
    }

    /// Returns the time in Unix milliseconds; never later than it is, by what is known.
    pub(super) fn now(&self) -> u64 {
        millis(self.origin.elapsed()).saturating_add_signed(self.at_origin.load(Ordering::Relaxed))
    }

    /// Takes the time that Redis has just returned.
    pub(super) fn learn(&self, now: u64) {
        let at_origin = now.cast_signed().saturating_sub_unsigned(millis(self.origin.elapsed()));
        self.at_origin.store(at_origin, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_the_one_learned_last() {
        let clock = RedisClock::new();
        for learned in [1_000_000, 5, 1_790_000_000_000] {
            clock.learn(learned);
            let passed = clock.now().checked_sub(learned).expect("it does not go back");
            assert!(passed < 1000, "{passed} ms");
        }
    }
}
