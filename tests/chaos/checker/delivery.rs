//! Every entitled client receives each message of the log, or a gap in its place.

use super::index::{Message, Notice, Receiver, RecordIndex};
use super::notices::ends_epochs;
use super::position::Position;
use super::{Finding, Verdict, kind};
use crate::chaos::record::PhaseKind;

/// A client is entitled to messages behind the end of the log at its first welcome, as long as it
/// has not left. One that left is entitled to messages before the last one it received.
pub fn lost(index: &RecordIndex<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (who, receiver) in index.receivers.iter().enumerate() {
        for text in missing(index, who) {
            let message = &index.messages[text];
            let room = index.room_of(who);
            let received =
                index.receivers_in(room).filter(|(_, other)| other.places.contains_key(text)).count();
            let notices: Vec<_> = receiver.notices.iter().map(|notice| notice.detail.as_str()).collect();
            let detail = format!(
                "client {who} did not receive {text:.60?} (ids {:?}, sent by {} at {:.3?}, acked: {:?}); \
                 {received} others of room {room} did; {}; reported: {notices:?}",
                message.ids,
                message.who,
                message.sent,
                message.acked,
                around(receiver, message),
            );
            let mut finding = Finding::new(Verdict::Lost, message.sent, detail);
            finding.reported = receiver.notices.iter().any(|notice| covers(index, receiver, notice, text));
            let is_lossy =
                matches!(kind(index.record, message.sent), Some(PhaseKind::Losing | PhaseKind::Trimming));
            let has_new_epoch = receiver.has_offsets && ends_epochs(index, message.sent);
            finding.forgiven = finding.reported && (is_lossy || has_new_epoch);
            findings.push(finding);
        }
    }
    findings
}

/// The messages of the log that the client is entitled to and never received.
pub fn missing<'a>(index: &RecordIndex<'a>, who: usize) -> Vec<&'a str> {
    let (receiver, room) = (&index.receivers[who], index.room_of(who));
    let missing = index.messages.iter().filter(|(text, message)| {
        message.logged.is_some()
            && index.room_of(message.who) == room
            && !receiver.places.contains_key(**text)
            && !(message.acked.is_none() && may_discard_unacked(index, message))
            && entitled(index, receiver, text, message)
    });
    missing.map(|(text, _)| *text).collect()
}

/// Whether Redis may have discarded a message that a client received and that was never acked.
fn may_discard_unacked(index: &RecordIndex<'_>, message: &Message<'_>) -> bool {
    matches!(kind(index.record, message.sent), Some(PhaseKind::Losing | PhaseKind::Doubling))
}

fn entitled(index: &RecordIndex<'_>, receiver: &Receiver<'_>, text: &str, message: &Message<'_>) -> bool {
    let Some(joined_at) = receiver.joined_at else { return false };
    let is_owed =
        joined_at < message.sent || message.ids.iter().any(|id| Position::of(Some(id)) > receiver.owed_from);
    let last = receiver.received.last();
    is_owed && (receiver.left.is_none() || last.is_some_and(|last| surely_before(index, text, last.text)))
}

/// Whether the client received this notice where the message may have been, and not before the
/// message was sent.
pub fn covers(index: &RecordIndex<'_>, receiver: &Receiver<'_>, notice: &Notice, text: &str) -> bool {
    let before = notice.place.checked_sub(1).and_then(|place| receiver.received.get(place));
    let behind = receiver.received.get(notice.place);
    index.messages[text].sent < notice.at
        && !before.is_some_and(|before| surely_before(index, text, before.text))
        && !behind.is_some_and(|behind| surely_before(index, behind.text, text))
}

/// Whether `first` is certainly before `second` in the room: a client received them so, or the
/// first was logged before the second was sent. A text that was logged twice is at two places.
fn surely_before(index: &RecordIndex<'_>, first: &str, second: &str) -> bool {
    let (Some(one), Some(two)) = (index.messages.get(first), index.messages.get(second)) else {
        return false;
    };
    let is_received_so = |receiver: &Receiver<'_>| {
        let places = (receiver.places.get(first), receiver.places.get(second));
        matches!(places, (Some(one), Some(two)) if one < two)
    };
    one.ids.len() < 2
        && (one.logged.is_some_and(|logged| logged < two.sent)
            || two.ids.len() < 2
                && index.receivers_in(index.room_of(one.who)).any(|(_, receiver)| is_received_so(receiver)))
}

/// The messages around the time at which the client should have received this one.
fn around(receiver: &Receiver<'_>, message: &Message<'_>) -> String {
    let place = receiver.received.partition_point(|receipt| receipt.at < message.sent);
    let near = &receiver.received[place.saturating_sub(2)..receiver.received.len().min(place + 3)];
    let near: Vec<_> = near
        .iter()
        .map(|one| format!("{} after {} at {:.3?}", one.id, one.prev.unwrap_or("none"), one.at))
        .collect();
    format!("it received {near:?}")
}
