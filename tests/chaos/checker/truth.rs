//! Every received message was sent: once, with this text, by this user, in this room, and was not
//! rejected for good.

use std::collections::{BTreeMap, HashMap};

use super::index::RecordIndex;
use super::{Finding, Verdict, kind};
use crate::chaos::record::PhaseKind;

/// Texts under two ids. Forgiven while Redis loses data, its memory of keys included: a client
/// sends a message again without an answer, and so does its node when the connection broke before
/// one.
pub fn duplicated(index: &RecordIndex<'_>) -> Vec<Finding> {
    let doubles = index.messages.iter().filter(|(_, message)| message.ids.len() > 1);
    doubles
        .map(|(text, message)| {
            let detail = format!(
                "{text:.60?} of client {} has the ids {:?}; it was sent {} times",
                message.who, message.ids, message.tries
            );
            let mut finding = Finding::new(Verdict::Duplicated, message.sent, detail);
            finding.forgiven =
                matches!(kind(index.record, message.sent), Some(PhaseKind::Losing | PhaseKind::Doubling));
            finding
        })
        .collect()
}

/// A fault may repeat a message to one client this many times.
const MAX_REPEATS: usize = 3;

/// Ids received again in a phase without a fault, or too often. A repair may repeat messages, which
/// the client drops.
pub fn repeated(index: &RecordIndex<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (who, receiver) in index.receivers.iter().enumerate() {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for repeat in &receiver.repeats {
            let count = counts.entry(repeat.id).or_default();
            *count += 1;
            if kind(index.record, repeat.at) == Some(PhaseKind::Calm) || *count == MAX_REPEATS + 1 {
                let detail = format!("client {who} received {:.60?} (id {}) again", repeat.text, repeat.id);
                findings.push(Finding::new(Verdict::Repeated, repeat.at, detail));
            }
        }
    }
    findings
}

pub fn invented(index: &RecordIndex<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (who, receipt, message) in index.receipts() {
        let room = index.room_of(who);
        let wrong = match message {
            None => Some("which no client sent".to_owned()),
            Some(message) if index.room_of(message.who) != room => {
                Some(format!("which was sent in room {}", index.room_of(message.who)))
            }
            Some(message) if message.sent > receipt.at => {
                Some(format!("which was sent at {:.3?} only", message.sent))
            }
            Some(message) if index.receivers[message.who].user.is_some_and(|user| user != receipt.user) => {
                Some(format!("as of user {}, which client {} sent", receipt.user, message.who))
            }
            Some(_) if receipt.id.is_empty() => Some("without an id".to_owned()),
            Some(_) => None,
        };
        if let Some(wrong) = wrong {
            let detail = format!("client {who} of room {room} received {:.60?} {wrong}", receipt.text);
            findings.push(Finding::new(Verdict::Invented, receipt.at, detail));
        }
    }
    findings
}

pub fn two_texts(index: &RecordIndex<'_>) -> Vec<Finding> {
    let mut texts: BTreeMap<(usize, &str), BTreeMap<&str, _>> = BTreeMap::new();
    for (who, receipt, _) in index.receipts().filter(|(_, receipt, _)| !receipt.id.is_empty()) {
        texts.entry((index.room_of(who), receipt.id)).or_default().entry(receipt.text).or_insert(receipt.at);
    }
    for (text, message) in &index.messages {
        for id in message.ids.iter().filter(|id| !id.is_empty()) {
            let texts = texts.entry((index.room_of(message.who), id)).or_default();
            texts.entry(text).or_insert(message.sent);
        }
    }
    let doubles = texts.iter().filter(|(_, texts)| texts.len() > 1);
    doubles
        .map(|((room, id), texts)| {
            let at = texts.values().max().copied().unwrap_or_default();
            let texts: Vec<_> = texts.keys().collect();
            Finding::new(Verdict::TwoTexts, at, format!("id {id} of room {room} has the texts {texts:.60?}"))
        })
        .collect()
}

pub fn rejected_and_delivered(index: &RecordIndex<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (who, receipt, message) in index.receipts() {
        if let Some(code) = message.and_then(|message| message.rejected) {
            let detail =
                format!("client {who} received {:.60?}, which was rejected with {code:?}", receipt.text);
            findings.push(Finding::new(Verdict::RejectedAndDelivered, receipt.at, detail));
        }
    }
    findings
}

/// A client that left waits for no reply.
pub fn unanswered(index: &RecordIndex<'_>) -> Vec<Finding> {
    let open = index.messages.iter().filter(|(_, message)| {
        let is_answered = message.acked.is_some() || message.rejected.is_some() || message.abandoned;
        !is_answered && index.receivers[message.who].left.is_none()
    });
    open.map(|(text, message)| {
        let detail = format!("{text:.60?} of client {}, sent {} times", message.who, message.tries);
        Finding::new(Verdict::Unanswered, message.sent, detail)
    })
    .collect()
}
