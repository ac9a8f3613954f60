//! A connected client receives a message soon after it is in the log.

use std::time::Duration;

use super::index::RecordIndex;
use super::{Finding, Verdict, kind};
use crate::chaos::record::PhaseKind;

/// Without a fault; the machine may be busy.
const CALM: Duration = Duration::from_secs(5);
/// As long as a fault takes with the recovery from it.
const FAULT: Duration = Duration::from_secs(45);

/// Counted from the client's last welcome, or from the moment at which it read again, where that is
/// later.
pub fn late(index: &RecordIndex<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (who, receipt, message) in index.receipts() {
        let Some(logged) = message.and_then(|message| message.logged) else { continue };
        let due = logged.max(receipt.reads_since);
        let Some(delay) = receipt.at.checked_sub(due) else { continue };
        // A fault that begins meanwhile delays it, too.
        let calm = kind(index.record, due + CALM) == Some(PhaseKind::Calm);
        if delay > if calm { CALM } else { FAULT } {
            let detail = format!(
                "client {who} received {:.60?} (id {}) {delay:.1?} after it was logged",
                receipt.text, receipt.id
            );
            findings.push(Finding::new(Verdict::Late, receipt.at, detail));
        }
    }
    findings
}
