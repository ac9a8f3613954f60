//! Why the layer did not do what it was asked to do.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::error::Error;

use parking_lot::Mutex;
use redis::{ErrorKind, RedisError};
use thiserror::Error;
use tracing::{error, warn};

use crate::telemetry::{Chain, FailureReason, LogThrottle, METRICS, RedisRefusal};

/// Errors of Redis that a process logs, and the characters by which they differ.
const MAX_LOGGED_REFUSALS: usize = 64;
const MAX_COMPARED_CHARS: usize = 200;

/// Why the layer did not do what it was asked to do.
///
/// A failed write may have been carried out if its answer was lost; see the contract in
/// `src/layer/mod.rs`.
#[derive(Clone, Debug, Error)]
pub enum LayerError {
    /// Redis cannot be reached, the connection was lost, or this node receives nothing from Redis.
    #[error("Redis is unreachable: {0}")]
    Unreachable(Cow<'static, str>),
    /// Redis did not do this in time: `Redis did not … in time`.
    #[error("Redis did not {0} in time")]
    TimedOut(&'static str),
    /// Redis answered with an error.
    #[error("Redis refused a command: {message}")]
    Refused {
        /// The kind of refusal.
        kind: RedisRefusal,
        /// The error in Redis' own words.
        message: String,
    },
    /// What is stored under this key is not what was written there. Trying again does not help.
    #[error("corrupt record under `{key}`: {problem}")]
    CorruptRecord {
        /// The key in Redis, or of the record in memory.
        key: String,
        /// What is wrong with the value. Never contains any of it.
        problem: String,
    },
    /// Redis answered with a value of another shape than the command's.
    #[error("Redis sent an unexpected reply to {0}")]
    UnexpectedReply(&'static str),
}

impl LayerError {
    /// Returns whether the same call may succeed later without a repair of the stored data.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut(_) => true,
            Self::Refused { kind, .. } => *kind != RedisRefusal::WrongType,
            Self::CorruptRecord { .. } | Self::UnexpectedReply(_) => false,
        }
    }

    /// Returns an error for a server that could not be reached.
    pub(super) fn unreachable(cause: &dyn Error) -> Self {
        Self::Unreachable(Chain(cause).to_string().into())
    }

    /// Returns an error for a command that Redis answered with an error. Counts it, and warns of
    /// each text once.
    pub(super) fn refused(message: impl Into<String>) -> Self {
        let message = message.into();
        let kind = RedisRefusal::from_message(&message);
        METRICS.redis_refused(kind);
        let is_first = is_new(&message);
        let text = "redis refused a command (each text is logged once, and counted always)";
        match kind {
            RedisRefusal::WrongType if is_first => error!(kind = kind.as_str(), message, "{text}"),
            _ if is_first => warn!(kind = kind.as_str(), message, "{text}"),
            _ => {}
        }
        Self::Refused { kind, message }
    }

    /// Counts a client's request that fails for this, and logs it, at most once a minute for each
    /// reason. What Redis refuses, and what is corrupt, is logged where it is found.
    pub(crate) fn record(&self) {
        static TIMED_OUT: LogThrottle = LogThrottle::new();
        static UNREACHABLE: LogThrottle = LogThrottle::new();
        let (reason, throttle) = match self {
            Self::Unreachable(_) => (FailureReason::Unreachable, Some(&UNREACHABLE)),
            Self::TimedOut(_) => (FailureReason::TimedOut, Some(&TIMED_OUT)),
            Self::Refused { .. } => (FailureReason::Refused, None),
            Self::CorruptRecord { .. } | Self::UnexpectedReply(_) => (FailureReason::Corrupt, None),
        };
        METRICS.failed(reason);
        if let Some(left_out) = throttle.and_then(LogThrottle::pass) {
            warn!(error = %Chain(self), left_out, "a request of a client failed (logged once a minute)");
        }
    }

    /// Returns an error for a value that is not what was written under this key, and logs it.
    ///
    /// `problem` must not contain any of the value.
    pub(crate) fn corrupt_record(key: impl Into<String>, problem: impl Into<String>) -> Self {
        let (key, problem) = (key.into(), problem.into());
        error!(key, problem, "corrupt record");
        Self::CorruptRecord { key, problem }
    }
}

/// Returns whether this process has not logged this error of Redis yet. What follows `script:`
/// names the script, and differs for the same cause.
fn is_new(message: &str) -> bool {
    static LOGGED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let text = message.split(" script:").next().unwrap_or_default();
    let text: String = text.chars().take(MAX_COMPARED_CHARS).collect();
    let mut logged = LOGGED.lock();
    logged.len() < MAX_LOGGED_REFUSALS && logged.insert(text)
}

/// Why a command failed, by what the client library says of it.
impl From<RedisError> for LayerError {
    fn from(error: RedisError) -> Self {
        if error.is_timeout() {
            return Self::TimedOut("answer a command");
        }
        match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => Self::refused(server_message(&error)),
            // The library's text of it contains the value.
            ErrorKind::UnexpectedReturnType | ErrorKind::Parse => Self::UnexpectedReply("a command"),
            _ => Self::unreachable(&error),
        }
    }
}

/// Returns the error of Redis as received, its code first; for a pipeline, the first error.
fn server_message(error: &RedisError) -> String {
    let errors = error.clone().into_server_errors();
    let Some((_, error)) = errors.as_deref().and_then(<[_]>::first) else { return error.to_string() };
    match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_by_itself_is_retryable() {
        for (error, retryable) in [
            (LayerError::Unreachable("gone".into()), true),
            (LayerError::TimedOut("answer"), true),
            (LayerError::refused("OOM command not allowed when used memory > 'maxmemory'."), true),
            (LayerError::refused("READONLY You can't write against a read only replica."), true),
            (LayerError::refused("WRONGTYPE Operation against a key holding the wrong kind of value"), false),
            (LayerError::corrupt_record("parlor:record:x", "not JSON"), false),
            (LayerError::UnexpectedReply("XRANGE"), false),
        ] {
            assert_eq!(error.is_retryable(), retryable, "{error}");
        }
    }
}
