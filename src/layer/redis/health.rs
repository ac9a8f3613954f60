//! What this node knows of its Redis: whether it is subscribed, why not, what Redis refuses, and
//! when a message of its own last came back.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::layer::error::LayerError;
use crate::layer::redis::cause_log::CauseLog;
use crate::telemetry::RedisRefusal;

/// Time for which a refusal counts that writes in general do not show, as of one command.
const REFUSAL_HOLD: Duration = Duration::from_secs(30);

/// What this node knows of its Redis.
pub(super) struct Health {
    state: Mutex<State>,
    /// Notified when the node has to be checked.
    pub(super) doubted: Notify,
}

struct State {
    /// Why the node is not subscribed.
    outage: Option<Outage>,
    /// What Redis refused since the last check that passed.
    refusal: Option<Refusal>,
    /// Why the last check of this connection did not pass; `None` after it did.
    unchecked: Option<String>,
    /// Causes that were logged since the last check that passed.
    failures: CauseLog,
    contact: Instant,
}

struct Outage {
    since: Instant,
    cause: String,
    logged: CauseLog,
}

struct Refusal {
    since: Instant,
    last: Instant,
    kind: RedisRefusal,
    message: String,
}

impl Health {
    /// Creates the state of a node that has not connected yet.
    pub(super) fn new() -> Self {
        let state = State {
            outage: Some(Outage {
                since: Instant::now(),
                cause: "not connected yet".to_owned(),
                logged: CauseLog::default(),
            }),
            refusal: None,
            unchecked: Some("not checked yet".to_owned()),
            failures: CauseLog::default(),
            contact: Instant::now(),
        };
        Self { state: Mutex::new(state), doubted: Notify::new() }
    }

    /// Records that the node is not subscribed, and logs each change of the cause.
    pub(super) fn on_disconnected(&self, cause: &str) {
        let mut state = self.state.lock();
        state.unchecked.get_or_insert_with(|| "not checked again yet".to_owned());
        let outage = state.outage.get_or_insert_with(|| Outage {
            since: Instant::now(),
            cause: String::new(),
            logged: CauseLog::default(),
        });
        cause.clone_into(&mut outage.cause);
        let is_first = outage.logged.is_empty();
        if outage.logged.take(cause, Instant::now()) {
            if is_first {
                warn!(cause, "redis subscription lost; reconnecting");
            } else {
                let seconds = outage.since.elapsed().as_secs();
                warn!(cause, seconds, "redis is still unreachable, now for another reason");
            }
        }
    }

    /// Records that the node is subscribed to every group of its members. It has to be checked.
    pub(super) fn on_subscribed(&self) {
        let mut state = self.state.lock();
        if state.outage.take().is_some() {
            state.contact = Instant::now();
        }
        drop(state);
        self.doubted.notify_one();
    }

    /// Returns for how long the node is not subscribed; `None` while it is.
    pub(super) fn lost_for(&self) -> Option<Duration> {
        self.state.lock().outage.as_ref().map(|outage| outage.since.elapsed())
    }

    /// Records that a message of the node to itself has arrived.
    pub(super) fn on_contact(&self) {
        self.state.lock().contact = Instant::now();
    }

    /// Records an error of a command: Redis may take no writes at all.
    pub(super) fn on_error(&self, error: &LayerError) {
        let LayerError::Refused { kind, message } = error else { return };
        if !kind.concerns_all_writes() {
            return;
        }
        let (mut state, now) = (self.state.lock(), Instant::now());
        let since = state.refusal.as_ref().map_or(now, |refusal| refusal.since);
        state.refusal = Some(Refusal { since, last: now, kind: *kind, message: message.clone() });
        drop(state);
        self.doubted.notify_one();
    }

    /// Returns whether the node has to be checked.
    pub(super) fn is_doubted(&self) -> bool {
        let state = self.state.lock();
        state.outage.is_none() && (state.unchecked.is_some() || state.refusal.is_some())
    }

    /// Records that a check which began at this time has passed.
    pub(super) fn on_passed(&self, begun: Instant) {
        let mut state = self.state.lock();
        if state.outage.is_some() {
            return;
        }
        (state.unchecked, state.failures) = (None, CauseLog::default());
        let is_over = |refusal: &mut Refusal| {
            let hold = if refusal.kind.may_concern_one_command() { REFUSAL_HOLD } else { Duration::ZERO };
            refusal.last + hold < begun
        };
        if let Some(refusal) = state.refusal.take_if(is_over) {
            info!(seconds = refusal.since.elapsed().as_secs(), "redis takes writes again");
        }
    }

    /// Records why a check did not pass, and logs each change of the cause.
    pub(super) fn on_failed(&self, cause: &str) {
        let mut state = self.state.lock();
        state.unchecked = Some(cause.to_owned());
        if state.failures.take(cause, Instant::now()) {
            warn!(cause, "this node cannot use redis, and is not ready");
        }
    }

    /// Returns the time of the last proof that messages of this node reach it through Redis.
    pub(super) fn contact(&self) -> Instant {
        self.state.lock().contact
    }

    /// Returns an error, in Redis' own words and with its age, unless Redis has shown that it does
    /// everything that the node needs.
    pub(super) fn check(&self) -> Result<(), LayerError> {
        let state = self.state.lock();
        let aged = |text: &str, since: Instant| format!("{text} (for {} s)", since.elapsed().as_secs());
        if let Some(outage) = &state.outage {
            return Err(LayerError::Unreachable(aged(&outage.cause, outage.since).into()));
        }
        if let Some(refusal) = &state.refusal {
            let message = aged(&refusal.message, refusal.since);
            return Err(LayerError::Refused { kind: refusal.kind, message });
        }
        state.unchecked.as_ref().map_or(Ok(()), |cause| Err(LayerError::Unreachable(cause.clone().into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(kind: RedisRefusal, message: &str) -> LayerError {
        LayerError::Refused { kind, message: message.to_owned() }
    }

    /// A check that begins after this time has passed.
    fn pass_after(health: &Health, time: Duration) {
        health.on_passed(Instant::now() + time);
    }

    #[test]
    fn a_node_is_well_once_it_is_subscribed_and_checked() {
        let health = Health::new();
        assert!(health.check().is_err() && !health.is_doubted());
        pass_after(&health, Duration::ZERO);
        assert!(health.check().is_err(), "a check of a lost connection says nothing");
        health.on_subscribed();
        assert!(health.check().is_err() && health.is_doubted());
        pass_after(&health, Duration::ZERO);
        assert!(health.check().is_ok() && !health.is_doubted());
        health.on_disconnected("gone");
        health.on_disconnected("other");
        let text = health.check().unwrap_err().to_string();
        assert!(text.contains("other (for 0 s)"), "{text}");
        health.on_subscribed();
        assert!(health.check().is_err() && health.is_doubted(), "each connection is checked");
    }

    #[test]
    fn a_refusal_lasts_until_a_later_check_passes() {
        let health = Health::new();
        health.on_subscribed();
        pass_after(&health, Duration::ZERO);
        health.on_error(&refused(RedisRefusal::WrongType, "WRONGTYPE"));
        health.on_error(&refused(RedisRefusal::Other, "ERR value is not an integer"));
        assert!(health.check().is_ok(), "one key, not Redis");
        let begun = Instant::now();
        health.on_error(&refused(RedisRefusal::OutOfMemory, "OOM no"));
        health.on_passed(begun);
        assert!(health.check().unwrap_err().to_string().contains("OOM no"), "the check began before");
        pass_after(&health, Duration::from_millis(1));
        assert!(health.check().is_ok());
        health.on_error(&refused(RedisRefusal::NotPermitted, "NOPERM getex"));
        pass_after(&health, REFUSAL_HOLD / 2);
        assert!(health.check().is_err(), "the check does not use every command");
        pass_after(&health, REFUSAL_HOLD * 2);
        assert!(health.check().is_ok());
    }
}
