//! Lines of the log that clients can cause: one a minute, with the number of those left out.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Time between two lines.
const INTERVAL: Duration = Duration::from_mins(1);

static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Lets one line pass in each [`INTERVAL`].
pub(crate) struct LogThrottle {
    /// When the next line may pass, in milliseconds since the epoch.
    next: AtomicU64,
    left_out: AtomicU64,
}

impl LogThrottle {
    pub(crate) const fn new() -> Self {
        Self { next: AtomicU64::new(0), left_out: AtomicU64::new(0) }
    }

    /// Returns the number of lines left out since the last one if a line may pass now.
    pub(crate) fn pass(&self) -> Option<u64> {
        self.pass_at(EPOCH.elapsed())
    }

    fn pass_at(&self, now: Duration) -> Option<u64> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let may_pass = |next: u64| (millis(now) >= next).then(|| millis(now + INTERVAL));
        if self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, may_pass).is_ok() {
            Some(self.left_out.swap(0, Ordering::Relaxed))
        } else {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

/// As a [`LogThrottle`] for each of a few kinds of lines: no kind hides another.
pub(crate) struct LogThrottles<K>(Mutex<Vec<(K, LogThrottle)>>);

impl<K: PartialEq> LogThrottles<K> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Returns the number of lines of this kind left out since the last one if one may pass now.
    pub(crate) fn pass(&self, kind: K) -> Option<u64> {
        let mut throttles = self.0.lock();
        if let Some((_, throttle)) = throttles.iter().find(|(known, _)| *known == kind) {
            return throttle.pass();
        }
        let throttle = LogThrottle::new();
        let passed = throttle.pass();
        throttles.push((kind, throttle));
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_passes_each_minute_with_the_number_of_the_others() {
        let throttle = LogThrottle::new();
        let passed: Vec<_> =
            [0, 1, 59, 60, 119, 300].map(Duration::from_secs).map(|now| throttle.pass_at(now)).into();
        assert_eq!(passed, [Some(0), None, None, Some(2), None, Some(1)]);
    }

    #[test]
    fn a_line_of_each_kind_passes() {
        let throttles = LogThrottles::new();
        let passed: Vec<_> = ["a", "b", "a", "b"].map(|kind| throttles.pass(kind)).into();
        assert_eq!(passed, [Some(0), Some(0), None, None]);
    }
}
