//! Each message names the one before it, which is the last one that the client has.

use super::index::{Link, RecordIndex};
use super::position::Position;
use super::{Finding, Verdict};

/// A notice ends the chain: the message after it may follow any other.
pub fn unchained(index: &RecordIndex<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (who, receiver) in index.receivers.iter().enumerate() {
        for (receipt, link) in receiver.received.iter().zip(&receiver.links) {
            let Link::Follows(last) = link else { continue };
            if Position::of(receipt.prev) != *last {
                let detail = format!(
                    "client {who} received {:.60?} (id {}) as the message after {}, but had {last:?} last",
                    receipt.text,
                    receipt.id,
                    receipt.prev.unwrap_or("none"),
                );
                findings.push(Finding::new(Verdict::Unchained, receipt.at, detail));
            }
        }
    }
    findings
}
