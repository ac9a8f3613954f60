//! The inbox: what Redis pushed and this node has not handed on yet, bounded in bytes.
//!
//! The library reads from Redis as fast as it can, so Redis' own `client-output-buffer-limit` never
//! sees that a node is too slow. The bound is here: over it, events are dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use redis::{Msg, PushInfo, PushKind};
use tokio::sync::mpsc;
use tracing::warn;

use crate::telemetry::METRICS;

/// Most bytes of payload that may wait; about what Redis itself allows a subscriber (32 MB).
const MOST: usize = 32 * 1024 * 1024;
/// What an event costs beside its payload.
const OVERHEAD: usize = 256;

/// Most events of one turn: what came in while the last turn was on its way goes out together.
const TURN: usize = 1024;

/// The end that the node reads from.
pub(super) struct Inbox {
    pushes: mpsc::UnboundedReceiver<Option<Msg>>,
    waiting: Arc<AtomicUsize>,
}

/// A function for the library that puts what Redis pushes into the inbox, and the inbox.
pub(super) fn inbox() -> (impl Fn(PushInfo) -> Result<(), ()> + Send + Sync + 'static, Inbox) {
    let (sender, pushes) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&waiting);
    let put = move |push: PushInfo| {
        if push.kind == PushKind::Disconnection {
            return sender.send(None).map_err(drop);
        }
        let Some(message) = Msg::from_push_info(push) else { return Ok(()) };
        let size = size(&message);
        let before = count.fetch_add(size, Ordering::Relaxed);
        if before + size <= MOST {
            return sender.send(Some(message)).map_err(drop);
        }
        count.fetch_sub(size, Ordering::Relaxed);
        if METRICS.dropped("overflow") == 0 {
            warn!(
                "this node is too slow for what Redis sends: events are dropped (logged once, counted always)"
            );
        }
        Ok(())
    };
    (put, Inbox { pushes, waiting })
}

impl Inbox {
    /// Everything that is there, at least one message; `None` when the connection has ended.
    pub(super) async fn turn(&mut self) -> Option<Vec<Msg>> {
        let mut pushes = Vec::new();
        self.pushes.recv_many(&mut pushes, TURN).await;
        let messages: Vec<Msg> = pushes.into_iter().map_while(|push| push).collect();
        let size = messages.iter().map(size).sum();
        self.waiting.fetch_sub(size, Ordering::Relaxed);
        // What came before the end is handed on first; the channel then gives nothing more.
        (!messages.is_empty()).then_some(messages)
    }
}

fn size(message: &Msg) -> usize {
    message.get_payload_bytes().len() + OVERHEAD
}
