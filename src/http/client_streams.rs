//! Clients that receive in the body of a response, and send by further requests, to any node.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::Mutex;
use rand::distr::{Alphanumeric, SampleString};
use tokio::sync::mpsc;

/// The bytes of a stream's secret id.
pub(crate) const ID_BYTES: usize = 32;
/// The messages of one client that may wait for its stream.
const MAX_WAITING_MESSAGES: usize = 64;

/// The streams of this node, by their ids, which only their clients know.
#[derive(Default)]
pub(crate) struct ClientStreams(Mutex<HashMap<String, mpsc::Sender<Bytes>>>);

impl ClientStreams {
    /// Adds a stream. Returns its id, and what receives the messages of its client.
    pub(crate) fn open(&self) -> (String, mpsc::Receiver<Bytes>) {
        let id = Alphanumeric.sample_string(&mut rand::rng(), ID_BYTES);
        let (sender, receiver) = mpsc::channel(MAX_WAITING_MESSAGES);
        self.0.lock().insert(id.clone(), sender);
        (id, receiver)
    }

    /// Removes a stream.
    pub(crate) fn close(&self, id: &str) {
        self.0.lock().remove(id);
    }

    /// Passes a message to a stream. Returns whether there is one of this id. A client that sends
    /// more than its stream takes loses the stream.
    pub(crate) fn send(&self, id: &str, message: Bytes) -> bool {
        let mut streams = self.0.lock();
        let Some(sender) = streams.get(id) else { return false };
        if sender.try_send(message).is_err() {
            streams.remove(id);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_sends_too_much_loses_its_stream() {
        let streams = ClientStreams::default();
        let (id, mut messages) = streams.open();
        assert_eq!(id.len(), ID_BYTES);
        assert!(!streams.send("another", Bytes::new()));
        for _ in 0..=MAX_WAITING_MESSAGES {
            assert!(streams.send(&id, Bytes::from_static(b"{}")));
        }
        assert!(!streams.send(&id, Bytes::new()));
        let received = std::iter::from_fn(|| messages.try_recv().ok()).count();
        assert_eq!((received, messages.is_closed()), (MAX_WAITING_MESSAGES, true));
    }
}
