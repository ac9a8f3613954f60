//! The place of one open connection: among those of the node, and among those of its address.

use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

use crate::limits::concurrency::ConcurrencyLimiter;
use crate::limits::network_of;

/// The place of one open connection, until this is dropped.
pub(crate) struct ConnectionSlot {
    by_address: Arc<ConcurrencyLimiter>,
    /// What the connection is counted under.
    counted: Mutex<Option<u64>>,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionSlot {
    /// Takes a place among those of the node; no address has the connection yet.
    pub(crate) fn new(permit: OwnedSemaphorePermit, by_address: &Arc<ConcurrencyLimiter>) -> Self {
        Self { by_address: Arc::clone(by_address), counted: Mutex::default(), _permit: permit }
    }

    /// Creates a place for a connection of a test.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn for_test() -> Self {
        let permit = Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned().expect("a permit");
        Self::new(permit, &Arc::new(ConcurrencyLimiter::new(0)))
    }

    /// Counts the connection for this address (IPv6: its /64), and no longer for another. Returns
    /// `false` when the address has as many as it may have.
    pub(crate) fn count_for(&self, address: IpAddr) -> bool {
        let mut counted = self.counted.lock();
        let network = network_of(address);
        if *counted == Some(self.by_address.key(&network)) {
            return true;
        }
        if let Some(before) = counted.take() {
            self.by_address.leave(before);
        }
        *counted = self.by_address.enter(&network);
        counted.is_some()
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        if let Some(counted) = self.counted.get_mut().take() {
            self.by_address.leave(counted);
        }
    }
}
