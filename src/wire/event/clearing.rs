//! The event that reports that a log was emptied.

use super::{CLEARED, Event};
use crate::wire::id::Id;

/// The member with the id of the newest event that was removed.
const LAST: &str = "last";

impl Event {
    /// Returns the event that reports that a log was emptied, encoded without its last text: an id,
    /// which the script in Redis appends.
    pub(crate) fn open_clearing() -> Vec<u8> {
        let mut encoded = Self::new(CLEARED).with(LAST, "").encode();
        encoded.pop(); // the empty text
        encoded
    }

    /// Returns the id of the newest event that was removed if this event reports that.
    pub(crate) fn clears(&self) -> Option<Id> {
        if self.text("type") == Some(CLEARED) { self.text(LAST)?.parse().ok() } else { None }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns the event as Redis publishes it.
    pub(crate) fn clearing(last: Id) -> Event {
        let id = last.to_string();
        let length = u8::try_from(id.len()).expect("an id is short");
        let encoded = [&Event::open_clearing()[..], &[0xd9, length], id.as_bytes()].concat();
        Event::decode_ours(&encoded).expect("an event")
    }

    #[test]
    fn a_clearing_names_the_last_event_and_is_the_nodes_own() {
        let last = Id::START.next(1_790_000_000_000);
        let event = clearing(last);
        assert_eq!((event.clears(), event.position()), (Some(last), None));
        assert_eq!(Event::decode(&event.encode()), Err(super::super::Malformed::Reserved));
        assert_eq!(Event::redaction(last).clears(), None);
    }
}
