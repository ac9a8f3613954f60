//! Within one socket, the plain wire delivers each message once, in order, and leaves none out.

use std::collections::BTreeMap;

use super::index::RecordIndex;
use super::position::Position;
use super::{Finding, Verdict, kind};
use crate::chaos::record::{Action, PhaseKind};

/// What one socket delivered, while Redis lost nothing.
#[derive(Default)]
struct Heard<'a> {
    texts: Vec<&'a str>,
    lost_data: bool,
}

pub fn broken(index: &RecordIndex<'_>) -> Vec<Finding> {
    let mut sockets: BTreeMap<usize, Heard<'_>> = BTreeMap::new();
    let mut findings = Vec::new();
    for event in &index.record.events {
        match &event.action {
            Action::Opened { .. } => drop(sockets.insert(event.who, Heard::default())),
            Action::Heard { text } => {
                let heard = sockets.entry(event.who).or_default();
                let loses =
                    matches!(kind(index.record, event.at), Some(PhaseKind::Losing | PhaseKind::Doubling));
                heard.lost_data |= loses;
                if index.messages.contains_key(text.as_str()) {
                    heard.texts.push(text);
                } else {
                    let detail = format!("client {} heard {text:.60?}, which no client sent", event.who);
                    findings.push(Finding::new(Verdict::Invented, event.at, detail));
                }
            }
            Action::Ended { .. } | Action::Left => {
                if let Some(heard) = sockets.remove(&event.who) {
                    findings.extend(of_one_socket(index, event.who, &heard));
                }
            }
            _ => {}
        }
    }
    findings.extend(sockets.iter().flat_map(|(who, heard)| of_one_socket(index, *who, heard)));
    findings
}

fn of_one_socket(index: &RecordIndex<'_>, who: usize, heard: &Heard<'_>) -> Vec<Finding> {
    // What Redis discarded has no place in the log.
    if heard.lost_data {
        return Vec::new();
    }
    let position = |text: &str| {
        let message = &index.messages[text];
        let id = message.acked.and_then(|(_, id)| id).or_else(|| message.ids.first().copied());
        Some((Position::of(Some(id?)), message.sent))
    };
    let positions: Vec<_> = heard.texts.iter().filter_map(|text| Some((*text, position(text)?))).collect();
    let mut findings = Vec::new();
    for pair in positions.windows(2) {
        let ((first, (one, _)), (second, (two, sent))) = (pair[0], pair[1]);
        let verdict = match one.cmp(&two) {
            std::cmp::Ordering::Less => continue,
            std::cmp::Ordering::Equal => Verdict::Repeated,
            std::cmp::Ordering::Greater => Verdict::Reordered,
        };
        let detail = format!("client {who} heard {first:.60?} before {second:.60?} on the plain wire");
        findings.push(Finding::new(verdict, sent, detail));
    }
    let (Some((_, (first, _))), Some((_, (last, _)))) = (positions.first(), positions.last()) else {
        return findings;
    };
    let room = index.room_of(who);
    for (text, message) in index.messages.iter().filter(|(_, message)| index.room_of(message.who) == room) {
        let Some((at, sent)) = position(text).filter(|(at, _)| first < at && at < last) else { continue };
        if message.logged.is_some() && !heard.texts.contains(text) {
            let detail = format!("client {who} did not hear {text:.60?} ({at:?}) on the plain wire");
            findings.push(Finding::new(Verdict::Lost, sent, detail));
        }
    }
    findings
}
