//! A gate: how often somebody may come, for any number of them.

use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::{DefaultKeyedRateLimiter, Quota};

/// After so many questions those are forgotten who have not come for so long that it makes no difference. So there
/// are never more than these, and those who came within the time of the limit.
const SWEEP: u32 = 1024;

pub(crate) struct KeyedRateLimiter {
    limiter: Option<DefaultKeyedRateLimiter<u64>>,
    /// Nobody can choose two keys that count as one.
    hasher: RandomState,
    asked: AtomicU32,
}

impl KeyedRateLimiter {
    /// So many in a second, and `burst` times as many at once; 0 is no limit.
    pub(crate) fn per_second(rate: u32, burst: u32) -> Self {
        Self::new(NonZeroU32::new(rate).map(|rate| {
            let burst = NonZeroU32::new(burst).map_or(rate, |burst| rate.saturating_mul(burst));
            Quota::per_second(rate).allow_burst(burst)
        }))
    }

    /// So many in a minute, at once or not; 0 is no limit.
    pub(crate) fn per_minute(rate: u32) -> Self {
        Self::new(NonZeroU32::new(rate).map(Quota::per_minute))
    }

    fn new(quota: Option<Quota>) -> Self {
        let limiter = quota.map(DefaultKeyedRateLimiter::dashmap);
        Self { limiter, hasher: RandomState::new(), asked: AtomicU32::new(0) }
    }

    /// Whether this one may come now.
    ///
    /// # Errors
    /// After how long it may.
    pub(crate) fn check<K: Hash + ?Sized>(&self, key: &K) -> Result<(), Duration> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        if self.asked.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
        let passed = limiter.check_key(&self.hasher.hash_one(key));
        passed.map_err(|until| until.wait_time_from(limiter.clock().now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_one_may_come_so_often_and_is_told_when_again() {
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
    fn those_who_do_not_come_any_more_are_forgotten() {
        let gate = KeyedRateLimiter::per_second(1_000_000, 1);
        for n in 0..20 * SWEEP {
            gate.check(&n).unwrap();
        }
        let held = gate.limiter.unwrap().len();
        assert!(held <= 2 * SWEEP as usize, "{held} are remembered");
    }
}
