//! At rest a newcomer is told of exactly those who are there.

use std::collections::BTreeSet;

use super::book::Book;
use super::{Finding, Verdict};
use crate::chaos::record::What;

pub fn wrong(book: &Book<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for event in &book.record.events {
        let What::Counted { members } = &event.what else { continue };
        let room = book.room_of(event.who);
        let there: BTreeSet<&str> = book
            .listeners_in(room)
            .filter(|(_, one)| one.came.is_some_and(|came| came <= event.at))
            .filter(|(_, one)| one.left.is_none_or(|left| left > event.at))
            .filter_map(|(_, one)| one.user)
            .collect();
        let told: BTreeSet<&str> = members.iter().map(String::as_str).collect();
        if told != there {
            let missing: Vec<_> = there.difference(&told).collect();
            let ghosts: Vec<_> = told.difference(&there).collect();
            let story =
                format!("in room {room} are {} users; missing {missing:?}, ghosts {ghosts:?}", there.len());
            findings.push(Finding::new(Verdict::Presence, event.at, story));
        }
    }
    findings
}
