//! Positions in a log, as Centrifugo's clients and programs name them.

use parlor::StreamPosition;

/// Returns a position of a client. Without an epoch it is of any; an epoch of another server is one
/// that no log has.
pub(crate) fn position(epoch: &str, offset: u64) -> StreamPosition {
    let epoch = (!epoch.is_empty()).then(|| u64::from_str_radix(epoch, 16).unwrap_or(u64::MAX));
    StreamPosition { epoch, offset }
}

/// Returns the text of an epoch, which [`position`] reads.
pub(crate) fn epoch(epoch: u64) -> String {
    format!("{epoch:016x}")
}
