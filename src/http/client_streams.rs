//! Clients that receive in the body of a response, and send by further requests, to any node.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use parking_lot::Mutex;
use rand::distr::{Alphanumeric, SampleString};
use tokio::sync::mpsc;

/// The bytes of a stream's secret id.
pub(crate) const ID_BYTES: usize = 32;
/// The messages of one client that may wait for its stream.
const MAX_WAITING_MESSAGES: usize = 64;
/// Their bytes, from which on no further one waits.
const MAX_WAITING_BYTES: usize = 512 * 1024;

/// The streams of this node, by their ids, which only their clients know.
#[derive(Default)]
pub(crate) struct ClientStreams(Mutex<HashMap<String, ClientStream>>);

/// Where the messages of a client go.
struct ClientStream {
    messages: mpsc::Sender<Bytes>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// The messages of a client, in their order.
pub(crate) struct ClientMessages {
    messages: mpsc::Receiver<Bytes>,
    waiting_bytes: Arc<AtomicUsize>,
}

impl ClientMessages {
    /// Returns the next message; `None` once the stream is closed and all were returned.
    pub(crate) fn poll_next(&mut self, task: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let message = ready!(self.messages.poll_recv(task));
        let bytes = message.as_ref().map_or(0, Bytes::len);
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        Poll::Ready(message)
    }
}

impl ClientStreams {
    /// Adds a stream. Returns its id, and the messages of its client.
    pub(crate) fn open(&self) -> (String, ClientMessages) {
        let id = Alphanumeric.sample_string(&mut rand::rng(), ID_BYTES);
        let (sender, receiver) = mpsc::channel(MAX_WAITING_MESSAGES);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let stream = ClientStream { messages: sender, waiting_bytes: Arc::clone(&waiting_bytes) };
        self.0.lock().insert(id.clone(), stream);
        (id, ClientMessages { messages: receiver, waiting_bytes })
    }

    /// Removes a stream.
    pub(crate) fn close(&self, id: &str) {
        self.0.lock().remove(id);
    }

    /// Passes a message to a stream. Returns whether there is one of this id. A client that sends
    /// more than its stream takes loses the stream.
    pub(crate) fn send(&self, id: &str, message: Bytes) -> bool {
        let mut streams = self.0.lock();
        let Some(ClientStream { messages, waiting_bytes }) = streams.get(id) else { return false };
        let is_full = waiting_bytes.fetch_add(message.len(), Ordering::Relaxed) >= MAX_WAITING_BYTES;
        if is_full || messages.try_send(message).is_err() {
            streams.remove(id);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn next(messages: &mut ClientMessages) -> Option<Bytes> {
        poll_fn(|task| messages.poll_next(task)).await
    }

    #[tokio::test]
    async fn a_client_that_sends_too_much_loses_its_stream() {
        let streams = ClientStreams::default();
        let (id, mut messages) = streams.open();
        assert_eq!(id.len(), ID_BYTES);
        assert!(!streams.send("another", Bytes::new()));
        for _ in 0..=MAX_WAITING_MESSAGES {
            assert!(streams.send(&id, Bytes::from_static(b"{}")));
        }
        assert!(!streams.send(&id, Bytes::new()));
        for _ in 0..MAX_WAITING_MESSAGES {
            assert!(next(&mut messages).await.is_some());
        }
        assert!(next(&mut messages).await.is_none());
    }

    #[tokio::test]
    async fn few_bytes_wait_for_a_stream() {
        let streams = ClientStreams::default();
        let (id, mut messages) = streams.open();
        let half = Bytes::from(vec![0; MAX_WAITING_BYTES / 2]);
        for _ in 0..3 {
            assert!(streams.send(&id, half.clone()) && streams.send(&id, half.clone()));
            assert!(next(&mut messages).await.is_some() && next(&mut messages).await.is_some());
        }
        assert!((0..3).all(|_| streams.send(&id, half.clone())));
        assert!(!streams.send(&id, Bytes::new()), "the third was more than may wait");
    }
}
