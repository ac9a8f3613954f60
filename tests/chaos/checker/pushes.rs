//! A push stream goes on as long as a client listens.

use std::time::Duration;

use super::index::RecordIndex;
use super::{Finding, Verdict};
use crate::chaos::record::Action;

/// As long as a fault takes with the recovery from it.
const MAX_SILENCE: Duration = Duration::from_secs(45);

pub fn silent(index: &RecordIndex<'_>) -> Vec<Finding> {
    let end = index.record.events.last().map_or(Duration::ZERO, |event| event.at);
    let mut last = vec![None; index.record.rooms.len()];
    let mut findings = Vec::new();
    let mut judge = |who: usize, last: Option<Duration>, at: Duration| {
        if let Some(silence) = last.and_then(|last| at.checked_sub(last)).filter(|time| *time > MAX_SILENCE) {
            let detail = format!("client {who} received no push for {silence:.1?}");
            findings.push(Finding::new(Verdict::Late, at, detail));
        }
    };
    for event in &index.record.events {
        match event.action {
            Action::Ticked => judge(event.who, last[event.who].replace(event.at), event.at),
            Action::Left => judge(event.who, last[event.who].take(), event.at),
            _ => {}
        }
    }
    for (who, last) in last.into_iter().enumerate() {
        judge(who, last, end);
    }
    findings
}
