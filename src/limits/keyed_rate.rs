//! Limits the rate of events per key, for any number of keys.

use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::{DefaultKeyedRateLimiter, Quota};

/// Checks between two sweeps of the map. A sweep removes idle keys, so that the map holds at most
/// this many beyond the active ones.
const CHECKS_PER_SWEEP: u32 = 1024;

pub(crate) struct KeyedRateLimiter {
    limiter: Option<DefaultKeyedRateLimiter<u64>>,
    /// Randomly seeded: a client cannot construct colliding keys.
    hasher: RandomState,
    asked: AtomicU32,
}

impl KeyedRateLimiter {
    /// Creates a limiter of `rate` events per second, with bursts of `burst` times as many; 0 is no
    /// limit.
    pub(crate) fn per_second(rate: u32, burst: u32) -> Self {
        Self::per_second_at_least(rate, burst, 0)
    }

    /// Creates a limiter of `rate` events per second, with bursts of `burst` times as many, but at
    /// least of `at_least`; 0 is no limit.
    pub(crate) fn per_second_at_least(rate: u32, burst: u32, at_least: u32) -> Self {
        Self::new(NonZeroU32::new(rate).map(|rate| {
            let burst = NonZeroU32::new(burst).map_or(rate, |burst| rate.saturating_mul(burst));
            let at_least = NonZeroU32::new(at_least).unwrap_or(burst);
            Quota::per_second(rate).allow_burst(burst.max(at_least))
        }))
    }

    /// Creates a limiter of `rate` events per minute, which may arrive in one burst; 0 is no limit.
    pub(crate) fn per_minute(rate: u32) -> Self {
        Self::new(NonZeroU32::new(rate).map(Quota::per_minute))
    }

    fn new(quota: Option<Quota>) -> Self {
        let limiter = quota.map(DefaultKeyedRateLimiter::dashmap);
        Self { limiter, hasher: RandomState::new(), asked: AtomicU32::new(0) }
    }

    /// Counts that many events of the key.
    ///
    /// # Errors
    /// Returns the time until they are allowed, or a second if they never are.
    pub(crate) fn check_n<K: Hash + ?Sized>(&self, key: &K, count: u32) -> Result<(), Duration> {
        let (Some(limiter), Some(count)) = (&self.limiter, NonZeroU32::new(count)) else { return Ok(()) };
        self.sweep(limiter);
        match limiter.check_key_n(&self.hasher.hash_one(key), count) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(until)) => Err(until.wait_time_from(limiter.clock().now())),
            Err(_) => Err(Duration::from_secs(1)),
        }
    }

    /// Counts an event of the key.
    ///
    /// # Errors
    /// Returns the time until the next event is allowed.
    pub(crate) fn check<K: Hash + ?Sized>(&self, key: &K) -> Result<(), Duration> {
        self.check_n(key, 1)
    }

    /// Removes idle keys once in a while.
    fn sweep(&self, limiter: &DefaultKeyedRateLimiter<u64>) {
        if self.asked.fetch_add(1, Ordering::Relaxed) % CHECKS_PER_SWEEP == CHECKS_PER_SWEEP - 1 {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_rate_and_a_refusal_says_when_to_retry() {
        let gate = KeyedRateLimiter::per_second(2, 5);
        for name in ["ann", "bob"] {
            for _ in 0..10 {
                gate.check(name).unwrap();
            }
            let wait = gate.check(name).unwrap_err();
            assert!(wait <= Duration::from_millis(500) && !wait.is_zero(), "{wait:?}");
        }
    }

    #[test]
    fn an_idle_key_is_forgotten() {
        let gate = KeyedRateLimiter::per_second(1_000_000, 1);
        for n in 0..20 * CHECKS_PER_SWEEP {
            gate.check(&n).unwrap();
        }
        let held = gate.limiter.unwrap().len();
        assert!(held <= 2 * CHECKS_PER_SWEEP as usize, "{held} are remembered");
    }
}
