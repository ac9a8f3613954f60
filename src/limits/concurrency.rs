//! A tally: how many of something each one has open.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hash, RandomState};

use parking_lot::Mutex;

/// Fewest places that are given back.
const FEW: usize = 1024;

pub(crate) struct ConcurrencyLimiter {
    /// 0 is no limit, and nothing is counted.
    most: u32,
    /// Nobody can choose two keys that count as one.
    hasher: RandomState,
    counts: Mutex<HashMap<u64, u32>>,
}

impl ConcurrencyLimiter {
    /// Each one may have so many; 0 is no limit.
    pub(crate) fn new(most: u32) -> Self {
        Self { most, hasher: RandomState::new(), counts: Mutex::default() }
    }

    /// One more of this one's, to be given back to [`leave`](Self::leave); `None` if that is too many.
    pub(crate) fn enter<K: Hash + ?Sized>(&self, key: &K) -> Option<u64> {
        let key = self.hasher.hash_one(key);
        if self.most > 0 {
            let mut counts = self.counts.lock();
            let count = counts.entry(key).or_default();
            if *count == self.most {
                return None;
            }
            *count += 1;
        }
        Some(key)
    }

    /// One less.
    pub(crate) fn leave(&self, key: u64) {
        if self.most == 0 {
            return;
        }
        let mut counts = self.counts.lock();
        if let Entry::Occupied(mut count) = counts.entry(key) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        if counts.capacity() > FEW && counts.len() < counts.capacity() / 4 {
            counts.shrink_to_fit();
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.counts.lock().is_empty()
    }
}
