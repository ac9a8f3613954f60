//! Why the layer is not connected at start.

use redis::RedisError;
use thiserror::Error;

/// Why the layer is not connected at start.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The URL of Redis is invalid.
    #[error("`REDIS_URL` (--redis-url) is no Redis URL")]
    InvalidUrl(#[source] RedisError),
    /// A node cannot reach Redis.
    #[error(
        "could not connect to Redis at {address}: {cause}; start Redis, set REDIS_URL (--redis-url), \
         or give --wait-for-redis"
    )]
    Unreachable {
        /// The address of Redis, without credentials.
        address: String,
        /// Why, in one line.
        cause: String,
    },
    /// A command of the command line cannot reach Redis. A command does not wait.
    #[error("could not connect to Redis at {address}: {cause}")]
    UnreachableByCommand {
        /// The address of Redis, without credentials.
        address: String,
        /// Why, in one line.
        cause: String,
    },
    /// Redis answers commands, but the node is not subscribed in time.
    #[error("Redis answers, but does not let this node subscribe: check the ACL of its user")]
    NotSubscribed,
}
