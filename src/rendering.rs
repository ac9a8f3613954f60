//! Renderings: the frames that were made of an event, so that it is rendered once for each kind of consumer, whether it is
//! sent now or to those who come back later.

use bytes::Bytes;
use parking_lot::Mutex;

use crate::consumer::Kind;

/// One frame for each kind of consumer; few applications have more than two in a group. They are no part of what the
/// event is: a copy begins without them.
#[derive(Default)]
pub(crate) struct Renderings(Mutex<Vec<(Kind, Bytes)>>);

impl Renderings {
    pub(crate) fn get(&self, kind: Kind) -> Option<Bytes> {
        let frames = self.0.lock();
        frames.iter().find(|(known, _)| *known == kind).map(|(_, frame)| frame.clone())
    }

    pub(crate) fn put(&self, kind: Kind, frame: &Bytes) {
        self.0.lock().push((kind, frame.clone()));
    }
}

impl Clone for Renderings {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for Renderings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Renderings")
    }
}

impl PartialEq for Renderings {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Renderings {}
