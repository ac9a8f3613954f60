//! A call for one group: who of this node joins and leaves, and the share that the node believes to
//! have there.

use crate::layer::member::Member;
use crate::layer::redis::seat_id::SeatId;

/// Users of one call: Redis does nothing else meanwhile.
pub(super) const MAX_CALL_USERS: usize = 500;

/// The part of a group's users that Redis has under one id: how many, and the number of the call
/// that wrote it last. No number is used twice by a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) users: u32,
    pub(super) number: u32,
}

/// A call for one group: who joins and who leaves.
#[derive(Clone)]
pub(super) struct SeatCall {
    pub(super) id: SeatId,
    pub(super) share: Share,
    pub(super) number: u32,
    /// Other nodes know these users already.
    pub(super) is_quiet: bool,
    pub(super) joins: Vec<Joining>,
    pub(super) leaves: Vec<Member>,
}

/// A user that joins.
#[derive(Clone)]
pub(super) struct Joining {
    pub(super) member: Member,
    /// The user has no socket here any more: a name that it has elsewhere counts.
    pub(super) is_away: bool,
}

impl Share {
    /// Returns whether both are one. Without users there is no share, whatever was written last.
    pub(super) fn is(self, other: Self) -> bool {
        self == other || (self.users == 0 && other.users == 0)
    }
}
