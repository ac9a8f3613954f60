//! The frames rendered of an event: one for each channel, protocol, transport and name of the
//! group, whether it is sent now or later.

use std::any::TypeId;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::wire::frame::Transport;

/// For whom an event is rendered: a channel, a protocol and a transport.
pub(crate) type RenderKey = (TypeId, TypeId, Transport);

/// One frame for each key and name; few groups have more than one.
#[derive(Default)]
pub(crate) struct RenderCache(Mutex<SmallVec<[CachedFrame; 1]>>);

struct CachedFrame {
    key: RenderKey,
    name: Arc<str>,
    frame: Bytes,
}

impl RenderCache {
    pub(crate) fn get(&self, key: RenderKey, name: &str) -> Option<Bytes> {
        let frames = self.0.lock();
        let known = frames.iter().find(|known| known.key == key && *known.name == *name);
        known.map(|known| known.frame.clone())
    }

    pub(crate) fn put(&self, key: RenderKey, name: &Arc<str>, frame: &Bytes) {
        self.0.lock().push(CachedFrame { key, name: Arc::clone(name), frame: frame.clone() });
    }
}

impl std::fmt::Debug for RenderCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RenderCache")
    }
}
