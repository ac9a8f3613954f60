//! Intervals: what a group gets again and again while its ticker is on, from one node each time.

use std::time::Duration;

/// For how long a ticker goes on when no node asks for it: a minute.
pub(super) const LINGER: Duration = Duration::from_mins(1);
