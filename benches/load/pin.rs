//! Pins this program and the processes that it starts to one CPU.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Result;

/// Restores the affinity of this program on drop; processes started meanwhile keep theirs.
pub(crate) struct Pin {
    before: CpuSet,
}

impl Pin {
    /// Pins to the first CPU that this program may use.
    pub(crate) fn new() -> Result<Self> {
        let before = sched_getaffinity(None)?;
        let first = (0..CpuSet::MAX_CPU).find(|cpu| before.is_set(*cpu)).ok_or("no CPU to stay on")?;
        let mut one = CpuSet::new();
        one.set(first);
        sched_setaffinity(None, &one)?;
        Ok(Self { before })
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        sched_setaffinity(None, &self.before).ok(); // it was allowed before
    }
}
