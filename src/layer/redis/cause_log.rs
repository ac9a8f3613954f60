//! Which causes of an outage are logged: each change, but a cause that comes back again and again
//! once a minute.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// Time in which a cause is logged once.
const REPEAT_PAUSE: Duration = Duration::from_mins(1);
/// Causes that are logged in that time.
const MAX_CAUSES: usize = 16;

/// The causes of one outage that were logged.
#[derive(Default)]
pub(super) struct CauseLog {
    last: Option<String>,
    /// When each was logged, for [`REPEAT_PAUSE`].
    logged: HashMap<String, Instant>,
}

impl CauseLog {
    /// Returns whether none was logged yet.
    pub(super) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// Takes the cause at this time; returns whether it is to be logged: if it is another one than
    /// the last that was, and not one that was logged within a minute.
    pub(super) fn take(&mut self, cause: &str, now: Instant) -> bool {
        if self.last.as_deref() == Some(cause) {
            return false;
        }
        self.logged.retain(|_, at| now.duration_since(*at) < REPEAT_PAUSE);
        if self.logged.contains_key(cause) || self.logged.len() >= MAX_CAUSES {
            return false;
        }
        self.last = Some(cause.to_owned());
        self.logged.insert(cause.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_of_the_cause_is_logged_and_one_that_comes_back_later() {
        let (mut log, start) = (CauseLog::default(), Instant::now());
        let mut take = |cause: &str, seconds: u64| log.take(cause, start + Duration::from_secs(seconds));
        assert!(take("refused", 0) && !take("refused", 1));
        assert!(take("LOADING", 2) && !take("LOADING", 3));
        assert!(!take("refused", 4), "within a minute");
        assert!(!take("LOADING", 70), "the last one that was logged");
        assert!(take("refused", 71) && !take("refused", 500));
        assert!(take("LOADING", 501));
    }

    #[test]
    fn causes_that_are_always_new_are_bounded() {
        let (mut log, start) = (CauseLog::default(), Instant::now());
        let mut count = |second: u64| {
            let now = start + Duration::from_secs(second);
            (0..100).filter(|number| log.take(&format!("{second}/{number}"), now)).count()
        };
        assert_eq!((count(0), count(59), count(60)), (MAX_CAUSES, 0, MAX_CAUSES));
    }
}
