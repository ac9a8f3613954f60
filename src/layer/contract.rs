//! The constants of the contract.

use std::time::Duration;

/// For how long the key of an appended event is known.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_mins(5);
/// How long a user may be away without having left: a reload, or a node that is restarted.
pub const LEAVE_GRACE: Duration = Duration::from_secs(5);
/// Most users that are listed one by one.
pub const MAX_LISTED_MEMBERS: usize = 200;
/// Most groups that are told at once.
pub const MAX_LISTED_GROUPS: usize = 1000;
/// Most events of one [`Page`].
pub(crate) const MAX_PAGE_EVENTS: usize = 200;
