//! What a node reports of itself to all the others.

use serde::{Deserialize, Serialize};

use crate::layer::node_figures::NodeFigures;

/// One live node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its name, another one after each start.
    pub name: String,
    /// Time of its start, in Unix milliseconds.
    pub since_ms: u64,
    /// Open sockets.
    pub sockets: u64,
    /// Groups with sockets there.
    pub groups: u64,
    /// Time from its last publish to its own subscription, in milliseconds; `None` before the first
    /// measurement, and in memory.
    pub lag_ms: Option<f64>,
    /// Published events.
    pub published: u64,
    /// Frames queued for sockets.
    pub delivered: u64,
}

impl NodeInfo {
    /// Returns what this node reports of itself.
    pub(super) fn new(name: &str, since_ms: u64, lag_ms: Option<f64>, figures: NodeFigures) -> Self {
        let NodeFigures { sockets, groups, published, delivered } = figures;
        Self { name: name.to_owned(), since_ms, sockets, groups, lag_ms, published, delivered }
    }

    /// Returns whether a text has the form of a node's name.
    pub(super) fn is_name(text: &str) -> bool {
        text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    }

    /// Returns a new name for a node: eight letters and digits, 41 random bits.
    pub(super) fn new_name() -> String {
        (0..8).map(|_| char::from_digit(rand::random_range(0..36), 36).unwrap_or('0')).collect()
    }
}
