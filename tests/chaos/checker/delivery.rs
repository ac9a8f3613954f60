//! An acked message reaches everyone who is entitled to it, or they are told.

use super::book::{Book, Listener, Message};
use super::{Finding, Verdict, kind};
use crate::chaos::record::Kind;

/// Entitled is who was welcomed before it was said, and has not left; who left is entitled to what was said
/// before something that was heard.
pub fn lost(book: &Book<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (text, message) in &book.messages {
        let Some((acked, id)) = message.acked else { continue };
        let room = book.room_of(message.who);
        for (who, listener) in book.listeners_in(room) {
            if listener.places.contains_key(text) || !entitled(book, listener, text, message) {
                continue;
            }
            let heard = book.listeners_in(room).filter(|(_, other)| other.places.contains_key(text)).count();
            let notices: Vec<_> = listener.notices.iter().map(|notice| notice.story.as_str()).collect();
            let story = format!(
                "client {who} never heard {text:.60?} (id {id}, said by {} at {:.3?}, acked at {acked:.3?}); \
                 {heard} others of room {room} did; {}; told: {notices:?}",
                message.who,
                message.said,
                around(listener, message),
            );
            let mut finding = Finding::new(Verdict::Lost, message.said, story);
            finding.told = told(book, listener, text);
            finding.forgiven = finding.told && kind(book.record, message.said) == Some(Kind::Losing);
            findings.push(finding);
        }
    }
    findings
}

fn entitled(book: &Book<'_>, listener: &Listener<'_>, text: &str, message: &Message<'_>) -> bool {
    let came = listener.came.is_some_and(|came| came < message.said);
    let last = listener.heard.last();
    came && (listener.left.is_none() || last.is_some_and(|last| surely_before(book, text, last.text)))
}

/// Whether the client was told at a place where the message may have been.
fn told(book: &Book<'_>, listener: &Listener<'_>, text: &str) -> bool {
    listener.notices.iter().any(|notice| {
        let before = notice.place.checked_sub(1).and_then(|place| listener.heard.get(place));
        let behind = listener.heard.get(notice.place);
        !before.is_some_and(|before| surely_before(book, text, before.text))
            && !behind.is_some_and(|behind| surely_before(book, behind.text, text))
    })
}

/// Whether the room's order has `first` before `second` for sure: somebody heard them so, or the first was in
/// the log before the second was said.
fn surely_before(book: &Book<'_>, first: &str, second: &str) -> bool {
    let (Some(one), Some(two)) = (book.messages.get(first), book.messages.get(second)) else { return false };
    one.logged.is_some_and(|logged| logged < two.said)
        || book.listeners_in(book.room_of(one.who)).any(|(_, listener)| {
            let places = (listener.places.get(first), listener.places.get(second));
            matches!(places, (Some(one), Some(two)) if one < two)
        })
}

/// What the client heard around the time at which it should have heard the message.
fn around(listener: &Listener<'_>, message: &Message<'_>) -> String {
    let place = listener.heard.partition_point(|receipt| receipt.at < message.said);
    let near = &listener.heard[place.saturating_sub(2)..listener.heard.len().min(place + 3)];
    let near: Vec<_> = near
        .iter()
        .map(|one| format!("{} after {} at {:.3?}", one.id, one.prev.unwrap_or("none"), one.at))
        .collect();
    format!("it heard {near:?}")
}
