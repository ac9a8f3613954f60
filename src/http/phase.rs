//! What a connection that speaks HTTP waits for.

use std::sync::atomic::{AtomicU32, Ordering};

/// What a connection that speaks HTTP waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The head of a request.
    Head,
    /// The response to a request whose head is complete.
    Request,
    /// The peer, which takes the response.
    Response,
    /// The first byte of the next request.
    Idle,
}

/// A phase with the number of its beginning. Four bytes, because every socket has one.
pub(crate) struct AtomicPhase(AtomicU32);

impl AtomicPhase {
    pub(crate) fn new(phase: Phase) -> Self {
        Self(AtomicU32::new(phase as u32))
    }

    /// Begins a phase. Only the task of the connection does.
    pub(crate) fn set(&self, phase: Phase) {
        let number = (self.0.load(Ordering::Relaxed) >> 2).wrapping_add(1);
        self.0.store(number << 2 | phase as u32, Ordering::Relaxed);
    }

    /// Returns the phase, and the number of its beginning.
    pub(crate) fn get(&self) -> (Phase, u32) {
        let bits = self.0.load(Ordering::Relaxed);
        let phase = match bits & 3 {
            0 => Phase::Head,
            1 => Phase::Request,
            2 => Phase::Response,
            _ => Phase::Idle,
        };
        (phase, bits >> 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_that_begins_again_has_another_number() {
        let phase = AtomicPhase::new(Phase::Head);
        let mut before = phase.get();
        for next in [Phase::Request, Phase::Response, Phase::Idle, Phase::Head, Phase::Head] {
            phase.set(next);
            assert!(phase.get().0 == next && phase.get() != before, "{before:?}");
            before = phase.get();
        }
    }
}
