//! Limits how many bytes of incomplete messages and bodies each address makes a node hold.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use parking_lot::Mutex;

pub(crate) struct HeldBytes {
    /// The limit per address; 0 disables the limiter, and nothing is counted.
    most: usize,
    held: Mutex<HashMap<u64, usize>>,
}

impl HeldBytes {
    /// Creates a limiter of this many bytes per address; 0 is no limit.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, held: Mutex::default() }
    }

    /// Records that `now` bytes are held for a client of the address instead of `before`; returns
    /// whether the address is within the limit.
    pub(crate) fn change(&self, address: u64, before: usize, now: usize) -> bool {
        if self.most == 0 || before == now {
            return true;
        }
        let mut held = self.held.lock();
        match held.entry(address) {
            Entry::Occupied(mut all) => {
                *all.get_mut() = *all.get() + now - before;
                let all_now = *all.get();
                if all_now == 0 {
                    all.remove();
                }
                all_now <= self.most
            }
            Entry::Vacant(none) => *none.insert(now) <= self.most,
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.held.lock().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_for_an_address_is_added_up() {
        let held = HeldBytes::new(100);
        assert!(held.change(1, 0, 60) && held.change(1, 0, 40) && held.change(2, 0, 100));
        assert!(!held.change(1, 40, 41), "101 bytes");
        assert!(held.change(1, 41, 0) && held.change(1, 60, 100));
        assert!(held.change(1, 100, 0) && held.change(2, 100, 0) && held.change(3, 0, 0));
        assert!(held.is_empty());
        assert!(HeldBytes::new(0).change(1, 0, usize::MAX));
    }
}
