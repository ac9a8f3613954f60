//! What this node believes of a group.

use crate::layer::redis::seat_call::Share;
use crate::layer::redis::seat_id::SeatId;
use crate::wire::group::Group;

/// What this node believes of a group, to be compared with what Redis has.
pub(super) struct Belief {
    pub(super) group: Group,
    pub(super) id: SeatId,
    pub(super) share: Share,
    pub(super) digest: u64,
}
