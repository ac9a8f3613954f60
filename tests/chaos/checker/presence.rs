//! At rest, new clients of every node and the members themselves have a list of exactly the
//! connected users.

use std::collections::BTreeSet;

use super::index::RecordIndex;
use super::{Finding, Verdict};
use crate::chaos::record::{Action, Observer};

pub fn wrong(index: &RecordIndex<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for event in &index.record.events {
        let Action::Members { observer, members } = &event.action else { continue };
        let room = index.room_of(event.who);
        let there: BTreeSet<&str> = index
            .receivers_in(room)
            .filter(|(_, one)| one.member_since.is_some_and(|since| since <= event.at))
            .filter(|(_, one)| one.left.is_none_or(|left| left > event.at))
            .filter_map(|(_, one)| one.user)
            .collect();
        let reported: BTreeSet<&str> = members.iter().map(String::as_str).collect();
        if reported != there {
            let missing: Vec<_> = there.difference(&reported).collect();
            let ghosts: Vec<_> = reported.difference(&there).collect();
            let detail = format!(
                "in room {room} are {} users, as seen by {}; missing {missing:?}, ghosts {ghosts:?}",
                there.len(),
                name_of(observer, event.who)
            );
            findings.push(Finding::new(Verdict::Presence, event.at, detail));
        }
    }
    findings
}

fn name_of(observer: &Observer, who: usize) -> String {
    match observer {
        Observer::NewClientOf(node) => format!("a new client of node {node}"),
        Observer::Member => format!("client {who}"),
    }
}
