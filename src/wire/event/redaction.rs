//! Covered events: what is left of a logged event whose text nobody shall read any more, and how that is told.

use super::{Event, Position, REDACTED};
use crate::wire::id::Id;

impl Event {
    /// What is read in the place of a logged event that is redacted.
    pub(crate) fn redacted(place: Position) -> Self {
        Self::new(REDACTED).stamped(place)
    }

    /// The event that tells that the logged event with this id is redacted.
    pub(crate) fn redaction(id: Id) -> Self {
        Self::new(REDACTED).with("id", &id.to_string())
    }

    /// Whether it stands in the place of a logged event that is redacted.
    pub(crate) fn is_covered(&self) -> bool {
        self.stamp.is_some() && self.text("type") == Some(REDACTED)
    }

    /// Which logged event is redacted, if this one tells that.
    pub(crate) fn covers(&self) -> Option<Id> {
        if self.stamp.is_some() || self.text("type") != Some(REDACTED) {
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
        let place = Position { id: Id::START.next(7), prev: Id::START };
        let (told, left) = (Event::redaction(place.id), Event::redacted(place));
        assert_eq!(Event::decode_ours(&told.encode()), Ok(told.clone()), "its id is no place in a log");
        assert_eq!((told.covers(), told.is_covered()), (Some(place.id), false));
        assert_eq!((left.covers(), left.is_covered(), left.stamp()), (None, true, Some(place)));
        assert_eq!(Event::decode(&told.encode()), Err(super::super::Malformed::Reserved));
    }
}
