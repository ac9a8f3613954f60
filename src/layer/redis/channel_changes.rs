//! Changes of the channels that this node subscribes to.

use crate::wire::group::Group;

/// The channels that the subscriber has to change.
#[derive(Default)]
pub(super) struct ChannelChanges {
    pub(super) subscribe: Vec<Group>,
    pub(super) unsubscribe: Vec<Group>,
    /// Groups that were left before they were subscribed to.
    pub(super) abandoned: Vec<Group>,
}
