//! The frames rendered of an event: one for each channel, protocol and transport, whether it is
//! sent now or later.

use std::any::TypeId;

use bytes::Bytes;
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::wire::frame::Transport;

/// For whom an event is rendered: a channel, a protocol and a transport.
pub(crate) type RenderKey = (TypeId, TypeId, Transport);

/// One frame for each key; few groups have more than one.
#[derive(Default)]
pub(crate) struct RenderCache(Mutex<SmallVec<[(RenderKey, Bytes); 1]>>);

impl RenderCache {
    pub(crate) fn get(&self, key: RenderKey) -> Option<Bytes> {
        let frames = self.0.lock();
        frames.iter().find(|(known, _)| *known == key).map(|(_, frame)| frame.clone())
    }

    pub(crate) fn put(&self, key: RenderKey, frame: &Bytes) {
        self.0.lock().push((key, frame.clone()));
    }
}

impl std::fmt::Debug for RenderCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RenderCache")
    }
}
