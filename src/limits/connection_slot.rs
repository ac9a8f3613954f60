//! The place of one open connection: among those of the node, and among those of its address.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::OwnedSemaphorePermit;

use crate::limits::concurrency::ConcurrencyLimiter;
use crate::limits::network_of;

/// The place of one open connection, until this is dropped.
pub(crate) struct ConnectionSlot {
    by_address: Arc<ConcurrencyLimiter>,
    /// What the connection is counted under; 0 for nothing.
    counted: AtomicU64,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionSlot {
    /// Takes a place among those of the node; no address has the connection yet.
    pub(crate) fn new(permit: OwnedSemaphorePermit, by_address: &Arc<ConcurrencyLimiter>) -> Self {
        Self { by_address: Arc::clone(by_address), counted: AtomicU64::new(0), _permit: permit }
    }

    /// Creates a place for a connection of a test.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn for_test() -> Self {
        let permit = Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned().expect("a permit");
        Self::new(permit, &Arc::new(ConcurrencyLimiter::new(0)))
    }

    /// Counts the connection for this address (IPv6: its /64), and no longer for another. Returns
    /// `false` when the address has as many as it may have. The requests of a connection come one
    /// after another.
    pub(crate) fn count_for(&self, address: IpAddr) -> bool {
        let network = network_of(address);
        if self.counted.load(Ordering::Relaxed) == self.by_address.key(&network) {
            return true;
        }
        self.end_count();
        let entered = self.by_address.enter(&network);
        self.counted.store(entered.unwrap_or(0), Ordering::Relaxed);
        entered.is_some()
    }

    fn end_count(&self) {
        let counted = self.counted.swap(0, Ordering::Relaxed);
        if counted != 0 {
            self.by_address.leave(counted);
        }
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.end_count();
    }
}
