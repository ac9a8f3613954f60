//! A client is informed of a loss only where it misses something.

use std::collections::BTreeMap;
use std::time::Duration;

use super::delivery::{covers, missing};
use super::index::RecordIndex;
use super::{Finding, Verdict, kind};
use crate::chaos::record::PhaseKind;

/// When Redis has lost data, no node knows whether a client misses something: it is informed once
/// for each socket that it opens and for each log that begins again, of which a fault may cause
/// this many.
const MAX_REWRITES: usize = 2;

pub fn needless(index: &RecordIndex<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (who, receiver) in index.receivers.iter().enumerate() {
        let missing = missing(index, who);
        let mut gaps: BTreeMap<usize, usize> = BTreeMap::new();
        for notice in &receiver.notices {
            let phase = index.record.phase(notice.at);
            let gaps = gaps.entry(phase).or_default();
            *gaps += usize::from(!notice.in_welcome);
            let is_tolerated = (notice.in_welcome || *gaps <= MAX_REWRITES) && loses_data(index, notice.at);
            if !is_tolerated && !missing.iter().any(|text| covers(index, receiver, notice, text)) {
                let detail = format!("client {who} misses nothing at {}", notice.detail);
                findings.push(Finding::new(Verdict::Needless, notice.at, detail));
            }
        }
    }
    findings
}

fn loses_data(index: &RecordIndex<'_>, at: Duration) -> bool {
    matches!(kind(index.record, at), Some(PhaseKind::Losing | PhaseKind::Doubling))
}
