//! The longest silence of a client in a room with constant traffic.

use std::ops::Range;
use std::time::Duration;

use crate::chaos::record::{Action, Record};

/// The longest time between two messages at any client, within this part of the run. Clients that
/// the test has stopped from reading do not count.
pub fn longest_silence(record: &Record, part: &Range<Duration>) -> Duration {
    let mut last: Vec<Option<Duration>> = vec![None; record.rooms.len()];
    let mut longest = Duration::ZERO;
    for event in &record.events {
        let before = &mut last[event.who];
        match event.action {
            Action::Received { .. } => {
                let from = before.replace(event.at).map(|before| before.max(part.start));
                let silence = from.and_then(|from| event.at.min(part.end).checked_sub(from));
                longest = longest.max(silence.unwrap_or_default());
            }
            Action::Stalled | Action::Left => *before = None,
            _ => {}
        }
    }
    let open = last.into_iter().flatten().filter_map(|before| part.end.checked_sub(before.max(part.start)));
    open.fold(longest, Duration::max)
}
