//! A client is informed of a loss only where it misses something.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::delivery::{covers, missing};
use super::index::{Notice, Receiver, RecordIndex};
use super::{Finding, Verdict, kind};
use crate::chaos::record::PhaseKind;

/// When Redis has lost data, no node knows whether a client misses something: it is informed once
/// for each socket that it opens, and this often for each log that begins again. One gap is for the
/// log that was lost, one for what another may have had that was lost with it unseen.
const MAX_GAPS_PER_LOG: usize = 2;

pub fn needless(index: &RecordIndex<'_>) -> Vec<Finding> {
    let beginnings = beginnings(index);
    let mut findings = Vec::new();
    for (who, receiver) in index.receivers.iter().enumerate() {
        let missing = missing(index, who);
        let mut gaps: BTreeMap<usize, usize> = BTreeMap::new();
        for notice in &receiver.notices {
            // A gap where something is missing is none of those.
            if missing.iter().any(|text| covers(index, receiver, notice, text)) {
                continue;
            }
            let phase = index.record.phase(notice.at);
            let gaps = gaps.entry(phase).or_default();
            *gaps += usize::from(!notice.in_welcome);
            let logs = beginnings.get(&(index.room_of(who), phase)).map_or(1, BTreeSet::len);
            let is_tolerated = (notice.in_welcome || *gaps <= MAX_GAPS_PER_LOG * logs)
                && may_span_epochs(index, receiver, notice);
            if !is_tolerated {
                let detail = format!("client {who} misses nothing at {}", notice.detail);
                findings.push(Finding::new(Verdict::Needless, notice.at, detail));
            }
        }
    }
    findings
}

/// The first messages of logs, by room and phase.
fn beginnings<'a>(index: &RecordIndex<'a>) -> BTreeMap<(usize, usize), BTreeSet<&'a str>> {
    let mut beginnings: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (who, receipt, _) in index.receipts().filter(|(_, receipt, _)| receipt.prev.is_none()) {
        if index.receivers[who].has_offsets {
            continue;
        }
        let place = (index.room_of(who), index.record.phase(receipt.at));
        beginnings.entry(place).or_default().insert(receipt.id);
    }
    beginnings
}

/// Whether an epoch may have begun between the message before a notice and the notice.
fn may_span_epochs(index: &RecordIndex<'_>, receiver: &Receiver<'_>, notice: &Notice) -> bool {
    let before = notice.place.checked_sub(1).and_then(|place| receiver.received.get(place));
    let before = before.and_then(|receipt| index.messages.get(receipt.text));
    let from = before.map_or(notice.at, |message| message.sent.min(notice.at));
    let phases = &index.record.phases[index.record.phase(from)..=index.record.phase(notice.at)];
    phases.iter().any(|phase| begins_epochs(phase.kind))
}

/// Whether Redis begins new epochs at this time: clients that resume from before one are informed.
pub fn ends_epochs(index: &RecordIndex<'_>, at: Duration) -> bool {
    kind(index.record, at).is_some_and(begins_epochs)
}

fn begins_epochs(kind: PhaseKind) -> bool {
    matches!(kind, PhaseKind::Losing | PhaseKind::Doubling | PhaseKind::Restarting)
}
