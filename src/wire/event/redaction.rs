//! Covered events: what is left of a logged event whose text nobody shall read any more, and how that is told.

use super::{COVERED, Event, Stamp};
use crate::wire::id::Id;

impl Event {
    /// What is read in the place of a logged event that is covered.
    pub(crate) fn covered(place: Stamp) -> Self {
        Self::new(COVERED).stamped(place)
    }

    /// The event that tells that the logged event with this id is covered.
    pub(crate) fn covering(id: Id) -> Self {
        Self::new(COVERED).with("id", &id.to_string())
    }

    /// Whether it stands in the place of a logged event that is covered.
    pub(crate) fn is_covered(&self) -> bool {
        self.stamp.is_some() && self.text("type") == Some(COVERED)
    }

    /// Which logged event is covered, if this one tells that.
    pub(crate) fn covers(&self) -> Option<Id> {
        if self.stamp.is_some() || self.text("type") != Some(COVERED) {
            return None;
        }
        self.text("id")?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_of_a_covered_event_and_what_stands_for_it_are_told_apart() {
        let place = Stamp { id: Id::START.next(7), prev: Id::START };
        let (told, left) = (Event::covering(place.id), Event::covered(place));
        assert_eq!(Event::decode_ours(&told.encode()), Ok(told.clone()), "its id is no place in a log");
        assert_eq!((told.covers(), told.is_covered()), (Some(place.id), false));
        assert_eq!((left.covers(), left.is_covered(), left.stamp()), (None, true, Some(place)));
        assert_eq!(Event::decode(&told.encode()), Err(super::super::Malformed::Reserved));
    }
}
