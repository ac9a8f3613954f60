//! A consumer as the hub sees it: its rendering functions and its transport.

use std::any::TypeId;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;

use crate::wire::delivery::Delivery;
use crate::wire::event::Event;
use crate::wire::frame::{Frame, Transport};
use crate::wire::group::Group;
use crate::wire::render_cache::RenderKey;

/// A periodic event of a group, published while the interval is on and the group has sockets.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    /// From the start to the first event, and from each event to the next.
    pub period: Duration,
    /// Creates the event. Every node with sockets of the group calls it; one node's event is
    /// published.
    pub event: fn(&Group) -> Event,
}

/// A consumer on one transport. A pointer, because every socket holds one.
#[derive(Clone, Copy)]
pub(crate) struct Kind(pub(crate) &'static ConsumerVTable);

/// The identity, transport and functions of a consumer.
pub(crate) struct ConsumerVTable {
    pub(crate) id: TypeId,
    pub(crate) wire: Transport,
    pub(crate) ticker: Option<Interval>,
    pub(crate) event: fn(&Event) -> Option<Frame<'static>>,
    pub(crate) bye: fn(Duration) -> Option<Frame<'static>>,
}

/// The result of rendering an event.
pub(crate) enum Rendered {
    /// The frame for its sockets.
    Frame(Bytes),
    /// The consumer does not handle this type of event.
    Unlisted,
    /// The consumer panicked.
    Failed,
}

impl Kind {
    /// Renders an event. Catches a panic of the consumer: it would otherwise end every node of the
    /// group, since all of them receive the event.
    pub(crate) fn render(self, event: &Delivery) -> Rendered {
        if let Some(frame) = event.frames.get(self.reader()) {
            return Rendered::Frame(frame);
        }
        match catch_unwind(AssertUnwindSafe(|| (self.event)(event))) {
            Ok(Some(frame)) => {
                let id = event.stamp().map(|stamp| stamp.id);
                let frame = self.wire.message(frame, id);
                // An event that is not logged is never sent again.
                if id.is_some() {
                    event.frames.put(self.reader(), &frame);
                }
                Rendered::Frame(frame)
            }
            Ok(None) => Rendered::Unlisted,
            Err(_) => Rendered::Failed,
        }
    }

    fn reader(self) -> RenderKey {
        (self.id, self.wire)
    }

    /// Returns the frame that asks a client to reconnect to another node.
    pub(crate) fn bye(self, reconnect: Duration) -> Option<Bytes> {
        let mut frame = self.wire.message((self.bye)(reconnect)?, None);
        if self.wire == Transport::Sse {
            // Browsers reconnect by themselves after this time.
            frame = [format!("retry: {}\n", reconnect.as_millis()).as_bytes(), &frame].concat().into();
        }
        Some(frame)
    }
}

impl Deref for Kind {
    type Target = ConsumerVTable;

    fn deref(&self) -> &ConsumerVTable {
        self.0
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.reader() == other.reader()
    }
}
