//! Limits how many instances of something each key has open.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hash, RandomState};

use parking_lot::Mutex;

/// The capacity below which the map does not shrink.
const MIN_SHRINK_CAPACITY: usize = 1024;

pub(crate) struct ConcurrencyLimiter {
    /// The limit per key; 0 disables the limiter, and nothing is counted.
    most: u32,
    /// Randomly seeded: a client cannot construct colliding keys.
    hasher: RandomState,
    counts: Mutex<HashMap<u64, u32>>,
}

impl ConcurrencyLimiter {
    /// Creates a limiter with this limit per key; 0 is no limit.
    pub(crate) fn new(most: u32) -> Self {
        Self { most, hasher: RandomState::new(), counts: Mutex::default() }
    }

    /// Returns the handle under which this key is counted.
    pub(crate) fn key<K: Hash + ?Sized>(&self, key: &K) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Returns whether the key may have one more.
    pub(crate) fn has_space<K: Hash + ?Sized>(&self, key: &K) -> bool {
        self.most == 0 || self.counts.lock().get(&self.key(key)).is_none_or(|count| *count < self.most)
    }

    /// Counts one more for the key and returns its handle for [`leave`](Self::leave); `None` at the
    /// limit.
    pub(crate) fn enter<K: Hash + ?Sized>(&self, key: &K) -> Option<u64> {
        let key = self.key(key);
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

    /// Counts one less.
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
        if counts.capacity() > MIN_SHRINK_CAPACITY && counts.len() < counts.capacity() / 4 {
            counts.shrink_to_fit();
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.counts.lock().is_empty()
    }
}
