//! Decides what went wrong in a run: a pure function of its record.

use std::fmt;
use std::time::Duration;

use super::record::{PhaseKind, Record};

mod chain;
mod delay;
mod delivery;
mod index;
mod notices;
mod offsets;
mod order;
mod plain;
mod position;
mod presence;
mod pushes;
mod silence;
mod truth;

#[cfg(test)]
mod tests {
    //! Records written by hand, and the findings expected of them.
    mod chain;
    mod delay;
    mod delivery;
    mod notices;
    mod offsets;
    mod order;
    mod plain;
    mod presence;
    mod pushes;
    mod record_builder;
    mod silence;
    mod truth;
}

pub use silence::longest_silence;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// An entitled client never received a message of the log.
    Lost,
    /// A message names another one before it than the last one that the client has, or its offset
    /// is not the next one.
    Unchained,
    /// A client was informed of a loss where it misses nothing.
    Needless,
    /// A connected client received a message long after it was logged, or no push for as long.
    Late,
    /// One text has two ids: it was logged twice.
    Duplicated,
    /// Two clients received two messages in different orders, or one client received them against
    /// the order of their ids or of time.
    Reordered,
    /// A client received a message twice while nothing had to be repaired, or again and again.
    Repeated,
    /// A received message was not sent, or was sent elsewhere, later, by another user, or has no
    /// id.
    Invented,
    /// One id has two texts.
    TwoTexts,
    /// One position of Centrifugo's protocol has two messages, or one message has two positions.
    Ambiguous,
    /// Within an epoch, a client received an offset that is not higher than one before it.
    NotRising,
    /// A message was delivered although its sender received an error that forbids a retry.
    RejectedAndDelivered,
    /// A message was neither acked nor rejected by the end of the run.
    Unanswered,
    /// A client received other members than those connected.
    Presence,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub verdict: Verdict,
    /// When it began: mostly when the message was sent.
    pub at: Duration,
    /// The client received a gap at this very place.
    pub reported: bool,
    /// Accepted, because the fault had destroyed data in Redis.
    pub forgiven: bool,
    pub detail: String,
}

impl Finding {
    fn new(verdict: Verdict, at: Duration, detail: String) -> Self {
        Self { verdict, at, reported: false, forgiven: false, detail }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reported = if self.reported { " (reported)" } else { "" };
        write!(formatter, "{:?}{reported} at {:.3?}: {}", self.verdict, self.at, self.detail)
    }
}

/// Returns all findings in the order of their times, including those that are forgiven.
pub fn check(record: &Record) -> Vec<Finding> {
    let index = index::RecordIndex::of(record);
    let mut findings = delivery::lost(&index);
    findings.extend(chain::unchained(&index));
    findings.extend(notices::needless(&index));
    findings.extend(delay::late(&index));
    findings.extend(truth::duplicated(&index));
    findings.extend(truth::repeated(&index));
    findings.extend(truth::invented(&index));
    findings.extend(truth::two_texts(&index));
    findings.extend(truth::rejected_and_delivered(&index));
    findings.extend(truth::unanswered(&index));
    findings.extend(order::reordered(&index));
    findings.extend(offsets::ambiguous(&index));
    findings.extend(offsets::broken(&index));
    findings.extend(plain::broken(&index));
    findings.extend(pushes::silent(&index));
    findings.extend(presence::wrong(&index));
    findings.sort_by_key(|finding| (finding.at, finding.verdict));
    findings
}

/// Returns the kind of the phase at this time.
fn kind(record: &Record, at: Duration) -> Option<PhaseKind> {
    record.phases.get(record.phase(at)).map(|phase| phase.kind)
}
