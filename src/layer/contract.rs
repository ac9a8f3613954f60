//! The constants of the contract.

use std::time::Duration;

use crate::wire::group::Group;

/// Time for which the key of an appended event is remembered.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_mins(5);
/// Time for which a user may be away without having left: a reload, or a node that restarts.
pub const LEAVE_GRACE: Duration = Duration::from_secs(5);
/// Time for which readers of an empty log may rely on the epoch of its first event.
pub(crate) const EPOCH_LIFETIME: Duration = Duration::from_hours(1);
/// Users of a group that are listed by name; of larger groups only the number is known.
pub const MAX_LISTED_MEMBERS: usize = 200;
/// Groups that [`Presence::groups`](crate::layer::Presence::groups) returns.
pub const MAX_LISTED_GROUPS: usize = 1000;
/// Events of one [`Page`](crate::layer::Page) after an id.
pub(crate) const MAX_PAGE_EVENTS: usize = 200;
/// Bytes of the events of one [`Page`](crate::layer::Page); one event is returned whatever its
/// size.
pub(crate) const MAX_PAGE_BYTES: usize = 128 * 1024;
/// Time for which a reader of a log waits for its turn.
pub(crate) const READ_PATIENCE: Duration = Duration::from_secs(5);
/// Time after which an interval ends that no node asks for.
pub(super) const INTERVAL_LINGER: Duration = Duration::from_mins(1);
/// Time for which a stopped interval is known as stopped to nodes that followed it and were
/// disconnected.
pub(super) const STOPPED_INTERVAL_WINDOW: Duration = Duration::from_mins(10);

/// Returns the time after which a member of this group has left. A connection does not return.
pub(super) fn leave_grace(group: &Group) -> Duration {
    if Group::is_of_connections(group.name()) { Duration::ZERO } else { LEAVE_GRACE }
}
