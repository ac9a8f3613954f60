//! A consumer as the hub knows it: how it renders, and how its frames travel.

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

/// A group's own event, made again and again while the ticker is on and the group has sockets.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    /// From the start to the first event, and from each event to the next.
    pub period: Duration,
    /// Makes the event. Every node with sockets of the group calls it, one node's event is sent.
    pub event: fn(&Group) -> Event,
}

/// A consumer as the hub knows it: a pointer, for every socket has it.
#[derive(Clone, Copy)]
pub(crate) struct Kind(pub(crate) &'static ConsumerVTable);

/// Which consumer it is, how it renders, and how its frames travel.
pub(crate) struct ConsumerVTable {
    pub(crate) id: TypeId,
    pub(crate) wire: Transport,
    pub(crate) ticker: Option<Interval>,
    pub(crate) event: fn(&Event) -> Option<Frame<'static>>,
    pub(crate) bye: fn(Duration) -> Option<Frame<'static>>,
}

/// What a consumer made of an event.
pub(crate) enum Rendered {
    /// The frame for its sockets.
    Frame(Bytes),
    /// It does not list this type of event.
    Unlisted,
    /// It panicked.
    Failed,
}

impl Kind {
    /// Renders an event. A consumer that panics over one must not take the node along, for every node
    /// of the group gets the same event.
    pub(crate) fn render(self, event: &Delivery) -> Rendered {
        if let Some(frame) = event.frames.get(self.reader()) {
            return Rendered::Frame(frame);
        }
        match catch_unwind(AssertUnwindSafe(|| (self.event)(event))) {
            Ok(Some(frame)) => {
                let id = event.stamp().map(|stamp| stamp.id);
                let frame = self.wire.message(frame, id);
                // What is not logged is never sent again.
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

    /// The frame that tells a socket to connect elsewhere.
    pub(crate) fn bye(self, reconnect: Duration) -> Option<Bytes> {
        let mut frame = self.wire.message((self.bye)(reconnect)?, None);
        if self.wire == Transport::Sse {
            // Browsers come back to a feed by themselves, after this time.
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
