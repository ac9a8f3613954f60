//! Waiting with a deadline: nothing in the tests sleeps instead of waiting, and a wait that fails says for what.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// How long a test waits for something that should take milliseconds; long, for the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Seconds, shorter to write.
pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The future's answer, or a panic that says what was awaited.
pub async fn within<F: Future>(limit: Duration, what: &str, future: F) -> F::Output {
    let output = timeout(limit, future).await;
    output.unwrap_or_else(|_elapsed| panic!("waited {limit:?} for {what}"))
}

/// Asks again and again until the probe answers `Ok`; after `limit` it panics with the last `Err`, what it saw instead.
pub async fn until<T>(limit: Duration, what: &str, mut probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + limit;
    let mut seen = String::from("no answer at all");
    loop {
        let time_left = end.saturating_duration_since(Instant::now());
        let Ok(answer) = timeout(time_left, probe()).await else {
            panic!("waited {limit:?} for {what}; last saw: {seen}");
        };
        match answer {
            Ok(answer) => return answer,
            Err(instead) => seen = instead,
        }
        // A probe that is ready at once is never too late for `timeout`.
        assert!(Instant::now() < end, "waited {limit:?} for {what}; last saw: {seen}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// `Ok` when the condition holds, else what was seen: the answer of a probe for [`until`].
pub fn holds(condition: bool, seen: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(seen()) }
}
