//! Every entitled client receives an acked message or a gap in its place.

use super::index::{Message, Receiver, RecordIndex};
use super::{Finding, Verdict, kind};
use crate::chaos::record::PhaseKind;

/// A client is entitled to messages sent after its first welcome, as long as it has not left. One
/// that left is entitled to messages before the last one it received.
pub fn lost(index: &RecordIndex<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (text, message) in &index.messages {
        let Some((acked, id)) = message.acked else { continue };
        let room = index.room_of(message.who);
        for (who, receiver) in index.receivers_in(room) {
            if receiver.places.contains_key(text) || !entitled(index, receiver, text, message) {
                continue;
            }
            let received =
                index.receivers_in(room).filter(|(_, other)| other.places.contains_key(text)).count();
            let notices: Vec<_> = receiver.notices.iter().map(|notice| notice.detail.as_str()).collect();
            let detail = format!(
                "client {who} did not receive {text:.60?} (id {id}, sent by {} at {:.3?}, acked at {acked:.3?}); \
                 {received} others of room {room} did; {}; reported: {notices:?}",
                message.who,
                message.sent,
                around(receiver, message),
            );
            let mut finding = Finding::new(Verdict::Lost, message.sent, detail);
            finding.reported = reported(index, receiver, text);
            finding.forgiven =
                finding.reported && kind(index.record, message.sent) == Some(PhaseKind::Losing);
            findings.push(finding);
        }
    }
    findings
}

fn entitled(index: &RecordIndex<'_>, receiver: &Receiver<'_>, text: &str, message: &Message<'_>) -> bool {
    let joined_at = receiver.joined_at.is_some_and(|joined_at| joined_at < message.sent);
    let last = receiver.received.last();
    joined_at && (receiver.left.is_none() || last.is_some_and(|last| surely_before(index, text, last.text)))
}

/// Whether the client received a gap where the message may have been.
fn reported(index: &RecordIndex<'_>, receiver: &Receiver<'_>, text: &str) -> bool {
    receiver.notices.iter().any(|notice| {
        let before = notice.place.checked_sub(1).and_then(|place| receiver.received.get(place));
        let behind = receiver.received.get(notice.place);
        !before.is_some_and(|before| surely_before(index, text, before.text))
            && !behind.is_some_and(|behind| surely_before(index, behind.text, text))
    })
}

/// Whether `first` is certainly before `second` in the room: a client received them so, or the
/// first was logged before the second was sent.
fn surely_before(index: &RecordIndex<'_>, first: &str, second: &str) -> bool {
    let (Some(one), Some(two)) = (index.messages.get(first), index.messages.get(second)) else {
        return false;
    };
    one.logged.is_some_and(|logged| logged < two.sent)
        || index.receivers_in(index.room_of(one.who)).any(|(_, receiver)| {
            let places = (receiver.places.get(first), receiver.places.get(second));
            matches!(places, (Some(one), Some(two)) if one < two)
        })
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
