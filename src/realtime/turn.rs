//! The turn of one client: what its requests may cost before other sockets have theirs.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use tokio::task::yield_now;

/// The most requests of a turn.
const MAX_TURN_REQUESTS: usize = 32;
/// The most bytes of the replies after which a turn goes on.
const MAX_TURN_BYTES: usize = 64 * 1024;
/// The time after which a turn ends, spent on requests and not in waiting.
const MAX_TURN_TIME: Duration = Duration::from_millis(3);

/// What the requests of a turn have cost.
#[derive(Default)]
pub(crate) struct Turn {
    requests: usize,
    bytes: usize,
    spent: Duration,
}

impl Turn {
    /// Carries out a request, and counts the time that it takes.
    pub(crate) async fn spend<T>(&mut self, request: impl Future<Output = T>) -> T {
        let mut request = pin!(request);
        poll_fn(|context| {
            let start = Instant::now();
            let polled = request.as_mut().poll(context);
            self.spent += start.elapsed();
            polled
        })
        .await
    }

    /// Counts the bytes of a reply.
    pub(crate) fn reply(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Ends a request: lets the other sockets have their turns, if this one has cost enough.
    pub(crate) async fn end_request(&mut self) {
        self.requests += 1;
        if self.is_over() {
            *self = Self::default();
            others().await;
        }
    }

    fn is_over(&self) -> bool {
        self.requests >= MAX_TURN_REQUESTS || self.bytes > MAX_TURN_BYTES || self.spent >= MAX_TURN_TIME
    }
}

/// Returns once the runtime has looked for I/O and timers.
///
/// `yield_now` alone returns at the next poll of its task, which a reply in the outbox wakes: the
/// runtime would look only after 61 polls (`event_interval`), each with a turn.
async fn others() {
    let mut looked: Option<Arc<Looked>> = None;
    poll_fn(|context| match &looked {
        Some(looked) if looked.has_woken.load(Ordering::Acquire) => Poll::Ready(()),
        Some(_) => Poll::Pending,
        None => {
            let waker = Arc::new(Looked { has_woken: AtomicBool::new(false), task: context.waker().clone() });
            looked = Some(Arc::clone(&waker));
            let waker = Waker::from(waker);
            pin!(yield_now()).poll(&mut Context::from_waker(&waker))
        }
    })
    .await;
}

/// The waker that the runtime calls after it has looked for I/O and timers.
struct Looked {
    has_woken: AtomicBool,
    task: Waker,
}

impl Wake for Looked {
    fn wake(self: Arc<Self>) {
        self.has_woken.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_turn_ends_by_requests_by_bytes_and_by_time() {
        let mut turn = Turn::default();
        turn.reply(MAX_TURN_BYTES);
        for request in 1..MAX_TURN_REQUESTS {
            turn.end_request().await;
            assert_eq!(turn.requests, request);
        }
        turn.end_request().await;
        assert_eq!((turn.requests, turn.bytes), (0, 0));
        turn.reply(MAX_TURN_BYTES + 1);
        turn.end_request().await;
        assert_eq!((turn.requests, turn.bytes), (0, 0));
        let start = Instant::now();
        turn.spend(async { while start.elapsed() < MAX_TURN_TIME * 2 {} }).await;
        assert!(turn.is_over());
        turn.end_request().await;
        assert_eq!((turn.requests, turn.spent), (0, Duration::ZERO));
    }

    #[tokio::test]
    async fn others_are_read_although_the_task_is_woken() {
        timeout(Duration::from_secs(10), read_beside_a_woken_task()).await.expect("the turns of others");
    }

    async fn read_beside_a_woken_task() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let (mut started, mut start) = duplex(1);
        let reader = tokio::spawn(async move {
            started.write_all(&[1]).await.unwrap();
            server.read_u8().await.unwrap()
        });
        // The reader waits for the runtime to look at its socket.
        start.read_u8().await.unwrap();
        client.write_all(&[7]).await.unwrap();
        let mut turns = 0;
        while !reader.is_finished() {
            poll_fn(|context| {
                context.waker().wake_by_ref();
                Poll::Ready(())
            })
            .await;
            others().await;
            turns += 1;
            assert!(turns <= 2, "{turns} turns");
        }
        assert_eq!(reader.await.unwrap(), 7);
    }
}
