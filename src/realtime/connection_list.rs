//! Whether connections are known in a channel, and to whom.

/// Whether the connections in a channel are known, and who receives their joins and leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionList {
    /// Users are known only.
    #[default]
    None,
    /// Clients may ask for the list.
    Listed,
    /// Clients that wish it receive joins and leaves, too.
    Announced,
    /// All clients of protocols that have them receive joins and leaves.
    AnnouncedToAll,
}
