//! The id under which Redis has a node's users in a group.

use std::fmt;

/// Bytes of a node's name.
pub(super) const NODE_NAME_BYTES: usize = 8;

/// A node's name, and the letter of its epoch: another one after each repair.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SeatId([u8; NODE_NAME_BYTES + 1]);

/// The letters of epochs.
const EPOCHS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl SeatId {
    /// Returns the id of this epoch of a node; the 63rd has the letter of the first.
    pub(super) fn new(node: &str, epoch: usize) -> Self {
        let mut id = [b'-'; NODE_NAME_BYTES + 1];
        for (to, from) in id.iter_mut().zip(node.bytes()) {
            *to = from;
        }
        id[NODE_NAME_BYTES] = EPOCHS[epoch % EPOCHS.len()];
        Self(id)
    }

    /// Parses ids that stand one behind the other; ignores what is no id.
    pub(super) fn parse_all(ids: &[u8]) -> impl Iterator<Item = Self> {
        let parse = |id: &[u8]| id.is_ascii().then(|| id.try_into().ok().map(Self)).flatten();
        ids.chunks_exact(NODE_NAME_BYTES + 1).filter_map(parse)
    }

    /// Returns the name of the node.
    pub(super) fn node(&self) -> &str {
        std::str::from_utf8(&self.0[..NODE_NAME_BYTES]).expect("an id is ASCII")
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an id is ASCII")
    }
}

impl fmt::Debug for SeatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
