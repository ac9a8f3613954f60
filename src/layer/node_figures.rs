//! The figures that a node counts itself.

/// What a node has counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeFigures {
    /// Open sockets.
    pub sockets: u64,
    /// Groups with sockets there.
    pub groups: u64,
    /// Published events.
    pub published: u64,
    /// Frames queued for sockets.
    pub delivered: u64,
}
