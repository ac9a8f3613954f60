//! What is heard was said: once, so, by this user, in this room, and not after all refused.

use std::collections::BTreeMap;

use super::book::Book;
use super::{Finding, Verdict, kind};
use crate::chaos::record::Kind;

/// Texts under two ids. Forgiven is one that had to be sent again while Redis forgot what it had taken.
pub fn duplicated(book: &Book<'_>) -> Vec<Finding> {
    let doubles = book.messages.iter().filter(|(_, message)| message.ids.len() > 1);
    doubles
        .map(|(text, message)| {
            let story = format!(
                "{text:.60?} of client {} has the ids {:?}; it was sent {} times",
                message.who, message.ids, message.tries
            );
            let mut finding = Finding::new(Verdict::Duplicated, message.said, story);
            let forgets = matches!(kind(book.record, message.said), Some(Kind::Losing | Kind::Doubling));
            finding.forgiven = message.tries > 1 && forgets;
            finding
        })
        .collect()
}

/// Ids that came again while nothing was wrong. A repair may repeat, and the client drops it.
pub fn repeated(book: &Book<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (who, listener) in book.listeners.iter().enumerate() {
        for repeat in &listener.repeats {
            if kind(book.record, repeat.at) == Some(Kind::Calm) {
                let story = format!("client {who} heard {:.60?} (id {}) again", repeat.text, repeat.id);
                findings.push(Finding::new(Verdict::Repeated, repeat.at, story));
            }
        }
    }
    findings
}

pub fn invented(book: &Book<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (who, receipt, message) in book.receipts() {
        let room = book.room_of(who);
        let wrong = match message {
            None => Some("which nobody said".to_owned()),
            Some(message) if book.room_of(message.who) != room => {
                Some(format!("which was said in room {}", book.room_of(message.who)))
            }
            Some(message) if message.said > receipt.at => {
                Some(format!("which was said at {:.3?} only", message.said))
            }
            Some(message) if book.listeners[message.who].user.is_some_and(|user| user != receipt.user) => {
                Some(format!("as of user {}, which client {} said", receipt.user, message.who))
            }
            Some(_) if receipt.id.is_empty() => Some("without an id".to_owned()),
            Some(_) => None,
        };
        if let Some(wrong) = wrong {
            let story = format!("client {who} of room {room} heard {:.60?} {wrong}", receipt.text);
            findings.push(Finding::new(Verdict::Invented, receipt.at, story));
        }
    }
    findings
}

pub fn two_texts(book: &Book<'_>) -> Vec<Finding> {
    let mut texts: BTreeMap<(usize, &str), BTreeMap<&str, _>> = BTreeMap::new();
    for (who, receipt, _) in book.receipts().filter(|(_, receipt, _)| !receipt.id.is_empty()) {
        texts.entry((book.room_of(who), receipt.id)).or_default().entry(receipt.text).or_insert(receipt.at);
    }
    for (text, message) in &book.messages {
        for id in message.ids.iter().filter(|id| !id.is_empty()) {
            let texts = texts.entry((book.room_of(message.who), id)).or_default();
            texts.entry(text).or_insert(message.said);
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

pub fn refused_and_heard(book: &Book<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (who, receipt, message) in book.receipts() {
        if let Some(code) = message.and_then(|message| message.refused) {
            let story = format!("client {who} heard {:.60?}, which was refused as {code:?}", receipt.text);
            findings.push(Finding::new(Verdict::RefusedAndHeard, receipt.at, story));
        }
    }
    findings
}

/// Who left waits for nothing.
pub fn unanswered(book: &Book<'_>) -> Vec<Finding> {
    let open = book.messages.iter().filter(|(_, message)| {
        message.acked.is_none() && message.refused.is_none() && book.listeners[message.who].left.is_none()
    });
    open.map(|(text, message)| {
        let story = format!("{text:.60?} of client {}, sent {} times", message.who, message.tries);
        Finding::new(Verdict::Unanswered, message.said, story)
    })
    .collect()
}
