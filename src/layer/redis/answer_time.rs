//! Time in which Redis has to answer, without that for which this node did not look.

use std::io;
use std::pin::pin;
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisFuture, RedisResult, Value};
use tokio::time::timeout;

/// Time in which Redis has to answer a command: publishers get an answer within about a second.
pub(super) const COMMAND_TIMEOUT: Duration = Duration::from_secs(1);

/// Parts of a limit. One that ends late, because the node was busy or stood still, counts once.
const PARTS: u32 = 10;

/// A connection on which each answer has [`COMMAND_TIMEOUT`].
pub(super) struct Timed<C>(pub(super) C);

impl<C: ConnectionLike + Send> ConnectionLike for Timed<C> {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(in_time(self.0.req_packed_command(command)))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(in_time(self.0.req_packed_commands(pipeline, offset, count)))
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}

async fn in_time<T>(answer: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let answer = answer_within(COMMAND_TIMEOUT, answer).await;
    answer.unwrap_or_else(|| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

/// Returns what Redis answers, or `None` after the limit.
///
/// An answer may be there, unread, although the time is over: a node with many requests looks at
/// its connections rarely, and one that was frozen did not for longer than the limit. So the limit
/// is over after as many looks, not at a time.
async fn answer_within<F: Future>(limit: Duration, answer: F) -> Option<F::Output> {
    let mut answer = pin!(answer);
    for _ in 0..PARTS {
        if let Ok(answer) = timeout(limit / PARTS, &mut answer).await {
            return Some(answer);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Instant;

    use tokio::sync::oneshot;
    use tokio::task::yield_now;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn a_busy_node_reads_the_answer_before_it_gives_up() {
        let (answer, answered) = oneshot::channel();
        tokio::spawn(async {
            for _ in 0..3 {
                let start = Instant::now();
                while start.elapsed() < LIMIT * 2 {}
                yield_now().await;
            }
            answer.send(()).expect("a caller that waits");
        });
        assert_eq!(answer_within(LIMIT, answered).await, Some(Ok(())));
    }

    #[tokio::test]
    async fn an_answer_that_does_not_come_is_awaited_for_the_limit() {
        let start = Instant::now();
        assert_eq!(answer_within(LIMIT, pending::<()>()).await, None);
        assert!(start.elapsed() >= LIMIT, "{:?}", start.elapsed());
    }
}
