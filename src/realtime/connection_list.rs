//! Whether connections are known in a channel, and to whom.

use std::sync::Arc;

use crate::realtime::renderer::Feed;
use crate::wire::group::Group;

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

/// One connection in the list of a group.
pub(crate) struct ListedConnection {
    /// The group whose members are connections.
    pub(crate) group: Group,
    pub(crate) member: Arc<str>,
    /// What its client receives of the others, and its key among those that do.
    pub(crate) feed: Option<(Arc<Feed>, usize)>,
}
