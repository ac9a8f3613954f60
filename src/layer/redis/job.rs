//! What the heartbeat does for the membership.

use crate::layer::redis::seat_id::SeatId;
use crate::wire::group::Group;

/// What the heartbeat has to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Job {
    /// Beat, for the groups that await it.
    Beat,
    /// Publish a pending state, up to this mark.
    Tell(Group, u32),
    /// Put this node into the group's set again, which may be lost, too.
    Enlist(Group),
    /// Remove the users of an id of this node.
    Reap(Group, SeatId),
    /// These ids are in use: their nodes may be dead.
    See(Group, Vec<SeatId>),
    /// Ask a node whether it still has members under this id.
    Ask(Group, SeatId),
}
