//! An event on its way from the layer to the sockets of this node, with the frames rendered of it.

use std::ops::Deref;

use crate::wire::event::Event;
use crate::wire::render_cache::RenderCache;

/// An event, and beside it the frames that this node has rendered of it.
///
/// The tail of a log keeps deliveries, so a client that catches up receives the frames that the
/// others received, without rendering.
#[derive(Debug)]
pub struct Delivery {
    event: Event,
    pub(crate) frames: RenderCache,
}

impl From<Event> for Delivery {
    fn from(event: Event) -> Self {
        Self { event, frames: RenderCache::default() }
    }
}

impl Deref for Delivery {
    type Target = Event;

    fn deref(&self) -> &Event {
        &self.event
    }
}

impl Delivery {
    /// About how many bytes it takes in memory, without its frames.
    pub(crate) fn size(&self) -> usize {
        size_of::<RenderCache>() + self.event.size()
    }
}
