//! Limits in how many logs each address has messages.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Logs of all addresses that are remembered; those of the longest ago are forgotten.
const MAX_REMEMBERED_LOGS: usize = 256 * 1024;
/// What is left when there are more.
const MIN_REMEMBERED_LOGS: usize = MAX_REMEMBERED_LOGS / 4 * 3;

pub(crate) struct AddressLogs {
    /// The limit per address; 0 disables the limiter, and nothing is remembered.
    most: usize,
    /// The time for which a log may have a message, in seconds.
    window: u64,
    /// Randomly seeded: a client cannot construct colliding keys.
    hasher: RandomState,
    started_at: Instant,
    remembered: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    /// For each address its logs, with the second of its last message there.
    by_address: HashMap<u64, HashMap<u64, u64>>,
    count: usize,
}

impl AddressLogs {
    /// Creates a limiter of this many logs per address, of which each counts for this time after
    /// the last message; 0 is no limit.
    pub(crate) fn new(most: u32, window: Duration) -> Self {
        Self {
            most: most as usize,
            window: window.as_secs(),
            hasher: RandomState::new(),
            started_at: Instant::now(),
            remembered: Mutex::default(),
        }
    }

    /// Counts a message of this address in the log of a group; returns whether it may be published.
    pub(crate) fn enter(&self, address: u64, group: &str) -> bool {
        self.enter_at(address, group, self.started_at.elapsed().as_secs())
    }

    fn enter_at(&self, address: u64, group: &str, now: u64) -> bool {
        if self.most == 0 {
            return true;
        }
        let group = self.hasher.hash_one(group);
        let mut all = self.remembered.lock();
        let own = all.by_address.entry(address).or_default();
        if let Some(last) = own.get_mut(&group) {
            *last = now;
            return true;
        }
        let before = own.len();
        if before >= self.most {
            own.retain(|_, last| now < *last + self.window);
        }
        let (gone, is_allowed) = (before - own.len(), own.len() < self.most);
        if is_allowed {
            own.insert(group, now);
        }
        all.count = all.count + usize::from(is_allowed) - gone;
        if all.count > MAX_REMEMBERED_LOGS {
            all.forget(now, self.window);
        }
        is_allowed
    }
}

impl Remembered {
    /// Forgets what does not count any more, and more than that if too much is left.
    fn forget(&mut self, now: u64, window: u64) {
        let mut age = window;
        loop {
            self.by_address.retain(|_, logs| {
                logs.retain(|_, last| now < *last + age);
                !logs.is_empty()
            });
            self.count = self.by_address.values().map(HashMap::len).sum();
            if self.count <= MIN_REMEMBERED_LOGS {
                return;
            }
            age /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_counts_while_it_may_have_a_message_of_the_address() {
        let logs = AddressLogs::new(2, Duration::from_secs(10));
        assert!(logs.enter_at(1, "a", 0) && logs.enter_at(1, "b", 5));
        assert!(!logs.enter_at(1, "c", 9) && logs.enter_at(2, "c", 9), "by address");
        assert!(logs.enter_at(1, "a", 9), "a log that counts");
        assert!(!logs.enter_at(1, "c", 14) && logs.enter_at(1, "c", 15), "b has ended");
        assert!(!logs.enter_at(1, "b", 18) && logs.enter_at(1, "b", 19), "a has ended");
        let none = AddressLogs::new(0, Duration::from_secs(10));
        assert!((0..100).all(|n| none.enter_at(1, &n.to_string(), 0)));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_newest() {
        let logs = AddressLogs::new(1, Duration::from_secs(1_000_000));
        let count = MAX_REMEMBERED_LOGS as u64 + 1;
        assert!((0..count).all(|address| logs.enter_at(address, "a", address)));
        let remembered = logs.remembered.lock().count;
        assert!((1..=MIN_REMEMBERED_LOGS).contains(&remembered), "{remembered}");
        assert!(!logs.enter_at(count - 1, "b", count) && logs.enter_at(0, "b", count));
        for address in 0..2 * count {
            logs.enter_at(address, "c", count);
        }
        assert!(logs.remembered.lock().count <= MAX_REMEMBERED_LOGS, "in one second, too");
    }
}
