//! Waiting with a deadline. A wait that fails says what it waited for.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// The deadline for events that normally take milliseconds, long enough for a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Shorthand for [`Duration::from_secs`].
pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Returns the future's output, or panics with what was awaited.
pub async fn within<F: Future>(limit: Duration, what: &str, future: F) -> F::Output {
    let output = timeout(limit, future).await;
    output.unwrap_or_else(|_elapsed| panic!("waited {limit:?} for {what}"))
}

/// Repeats the probe until it returns `Ok`. Panics after `limit` with the last `Err`, which says
/// what was seen instead.
pub async fn until<T>(limit: Duration, what: &str, mut probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + limit;
    let mut seen = String::from("no answer at all");
    loop {
        let time_left = end.saturating_duration_since(Instant::now());
        let Ok(response) = timeout(time_left, probe()).await else {
            panic!("waited {limit:?} for {what}; last saw: {seen}");
        };
        match response {
            Ok(response) => return response,
            Err(instead) => seen = instead,
        }
        // `timeout` never fails a probe that is ready at once.
        assert!(Instant::now() < end, "waited {limit:?} for {what}; last saw: {seen}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// `Ok` when the condition holds, else what was seen: the result of a probe for [`until`].
pub fn holds(condition: bool, seen: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(seen()) }
}
