//! Why the layer is not connected at start.

use thiserror::Error;

/// Why the layer is not connected at start.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The URL of Redis is invalid.
    #[error("`REDIS_URL` (--redis-url): {0}")]
    InvalidUrl(String),
    /// A node cannot reach Redis, or what answers is of no use to it.
    #[error(
        "could not connect to Redis at {address}: {cause}{}",
        advice(*.is_permanent, *.waits)
    )]
    Unreachable {
        /// The address of Redis, without credentials.
        address: String,
        /// Why, in one line.
        cause: String,
        /// Whether only an operator can mend it.
        is_permanent: bool,
        /// Whether the node waits for Redis.
        waits: bool,
    },
    /// A command of the command line cannot reach Redis. A command does not wait.
    #[error("could not connect to Redis at {address}: {cause}")]
    UnreachableByCommand {
        /// The address of Redis, without credentials.
        address: String,
        /// Why, in one line.
        cause: String,
    },
    /// The keys in Redis are those of another version, or of nodes of another version that run.
    #[error("{cause}")]
    Layout {
        /// Why, and what to do.
        cause: String,
        /// Whether only an operator can mend it.
        is_permanent: bool,
    },
    /// Redis answers, and does not do everything that a node needs.
    #[error("Redis at {address} answers, and this node cannot use it: {cause}")]
    Unusable {
        /// The address of Redis, without credentials.
        address: String,
        /// Why, in one line.
        cause: String,
        /// Whether only an operator can mend it.
        is_permanent: bool,
    },
}

/// Returns what to do about a Redis that cannot be reached, after the cause.
fn advice(is_permanent: bool, waits: bool) -> &'static str {
    match (is_permanent, waits) {
        (true, _) => "",
        (false, true) => "; the node waits for it: start Redis, or set REDIS_URL (--redis-url)",
        (false, false) => "; start Redis, set REDIS_URL (--redis-url), or give --wait-for-redis",
    }
}

impl ConnectError {
    /// Returns whether the same start may succeed later.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::InvalidUrl(_) => false,
            Self::UnreachableByCommand { .. } => true,
            Self::Unreachable { is_permanent, .. }
            | Self::Layout { is_permanent, .. }
            | Self::Unusable { is_permanent, .. } => !is_permanent,
        }
    }
}
