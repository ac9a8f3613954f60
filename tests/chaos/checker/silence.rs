//! How long somebody heard no message in a room where messages are said all the time.

use std::ops::Range;
use std::time::Duration;

use crate::chaos::record::{Record, What};

/// The longest time between two messages at any client, counted as far as it lies within this part of the
/// run. Who does not read, by the test's own will, is not counted.
pub fn longest_silence(record: &Record, part: &Range<Duration>) -> Duration {
    let mut last: Vec<Option<Duration>> = vec![None; record.rooms.len()];
    let mut longest = Duration::ZERO;
    for event in &record.events {
        let before = &mut last[event.who];
        match event.what {
            What::Heard { .. } => {
                let from = before.replace(event.at).map(|before| before.max(part.start));
                let silence = from.and_then(|from| event.at.min(part.end).checked_sub(from));
                longest = longest.max(silence.unwrap_or_default());
            }
            What::Deaf | What::Left => *before = None,
            _ => {}
        }
    }
    let open = last.into_iter().flatten().filter_map(|before| part.end.checked_sub(before.max(part.start)));
    open.fold(longest, Duration::max)
}
