//! A pin: from here on, this program and whatever it starts stay on one CPU.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Result;

/// Undone when it goes; processes that were started meanwhile keep it.
pub(crate) struct Pin {
    before: CpuSet,
}

impl Pin {
    /// Stays on the first CPU that this program may use.
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
