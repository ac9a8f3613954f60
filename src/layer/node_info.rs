//! Facts: what a node tells of itself to all the others.

use serde::{Deserialize, Serialize};

use crate::telemetry::METRICS;

/// One live node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its name, which is another one after each start.
    pub name: String,
    /// When it was started, in milliseconds since 1970.
    pub since_ms: u64,
    /// Open sockets.
    pub sockets: u64,
    /// Groups with sockets there.
    pub groups: u64,
    /// From its last publish to itself to its own subscription, in milliseconds; `None` if nothing was measured yet,
    /// or there is nothing on the way.
    pub lag_ms: Option<f64>,
    /// Events that it published.
    pub published: u64,
    /// Frames that it handed to sockets.
    pub delivered: u64,
}

impl NodeInfo {
    /// Those of this node.
    pub(super) fn now(name: &str, since_ms: u64, lag_ms: Option<f64>) -> Self {
        let count = |gauge: i64| u64::try_from(gauge).unwrap_or_default();
        Self {
            name: name.to_owned(),
            since_ms,
            sockets: count(METRICS.sockets.get()),
            groups: count(METRICS.groups.get()),
            lag_ms,
            published: METRICS.published.get(),
            delivered: METRICS.delivered.get(),
        }
    }

    /// A name for a node.
    pub(super) fn new_name() -> String {
        format!("{:016x}", rand::random::<u64>())
    }
}
