//! Pins this program and the processes that it starts to one CPU.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::Result;

/// The calling thread.
const SELF: Pid = Pid::from_raw(0);

/// Restores the affinity of this program on drop; processes started meanwhile keep theirs.
pub(crate) struct Pin {
    before: CpuSet,
}

impl Pin {
    /// Pins to the first CPU that this program may use.
    pub(crate) fn new() -> Result<Self> {
        let before = sched_getaffinity(SELF)?;
        let first =
            (0..CpuSet::count()).find(|cpu| before.is_set(*cpu) == Ok(true)).ok_or("no CPU to stay on")?;
        let mut one = CpuSet::new();
        one.set(first)?;
        sched_setaffinity(SELF, &one)?;
        Ok(Self { before })
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        sched_setaffinity(SELF, &self.before).ok(); // it was allowed before
    }
}
