//! Redaction: the event that reports it, and the one in the place of a redacted event.

use super::{Event, Position, REDACTED};
use crate::wire::id::Id;

impl Event {
    /// Returns the event in the place of a redacted one.
    pub(crate) fn redacted(place: Position) -> Self {
        Self::new(REDACTED).at_position(place)
    }

    /// Returns the event that reports the redaction of the logged event with this id.
    pub(crate) fn redaction(id: Id) -> Self {
        Self::new(REDACTED).with("id", &id.to_string())
    }

    /// Returns whether the event is in the place of a redacted one.
    pub(crate) fn is_redacted(&self) -> bool {
        self.position.is_some() && self.text("type") == Some(REDACTED)
    }

    /// Returns the id of the redacted event if this one reports a redaction.
    pub(crate) fn redacts(&self) -> Option<Id> {
        if self.position.is_some() || self.text("type") != Some(REDACTED) {
            return None;
        }
        self.text("id")?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redaction_and_a_redacted_event_are_distinct() {
        let place = Position { id: Id::START.next(7), prev: Id::START, offset: None };
        let (sent, left) = (Event::redaction(place.id), Event::redacted(place));
        assert_eq!(Event::decode_ours(&sent.encode()), Ok(sent.clone()), "its id is no place in a log");
        assert_eq!((sent.redacts(), sent.is_redacted()), (Some(place.id), false));
        assert_eq!((left.redacts(), left.is_redacted(), left.position()), (None, true, Some(place)));
        assert_eq!(Event::decode(&sent.encode()), Err(super::super::Malformed::Reserved));
    }
}
