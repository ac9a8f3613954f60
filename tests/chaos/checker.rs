//! Decides over the record of a run what went wrong in it: a pure function.

use std::fmt;
use std::time::Duration;

use super::record::{Kind, Record};

mod book;
mod delivery;
mod order;
mod presence;
mod silence;
mod truth;

#[cfg(test)]
mod tests {
    //! Hand-made records, and what the checker makes of them.
    mod delivery;
    mod order;
    mod presence;
    mod silence;
    mod tale;
    mod truth;
}

pub use silence::longest_silence;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// An acked message that a client which was entitled to it never heard.
    Lost,
    /// One text under two ids: it was taken twice.
    Duplicated,
    /// Two messages that two clients heard in different orders.
    Reordered,
    /// A message came twice to a client though nothing had to be repaired.
    Repeated,
    /// Heard, and nobody had said it, or not there, or not yet, or not as this user, or without an id.
    Invented,
    /// One id with two texts.
    TwoTexts,
    /// The sender was told that it is not done, and it was done.
    RefusedAndHeard,
    /// Neither acked nor refused, in all the time there was.
    Unanswered,
    /// A newcomer was told of other users than those who were there.
    Presence,
}

/// One thing that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub verdict: Verdict,
    /// When it began: mostly when the message was said.
    pub at: Duration,
    /// The client was told that something is missing at this very place.
    pub told: bool,
    /// In order, because the fault had taken Redis' own data.
    pub forgiven: bool,
    pub story: String,
}

impl Finding {
    fn new(verdict: Verdict, at: Duration, story: String) -> Self {
        Self { verdict, at, told: false, forgiven: false, story }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = if self.told { " (told)" } else { "" };
        write!(formatter, "{:?}{told} at {:.3?}: {}", self.verdict, self.at, self.story)
    }
}

/// Everything that went wrong, in the order of time; what is forgiven, too.
pub fn check(record: &Record) -> Vec<Finding> {
    let book = book::Book::of(record);
    let mut findings = delivery::lost(&book);
    findings.extend(truth::duplicated(&book));
    findings.extend(truth::repeated(&book));
    findings.extend(truth::invented(&book));
    findings.extend(truth::two_texts(&book));
    findings.extend(truth::refused_and_heard(&book));
    findings.extend(truth::unanswered(&book));
    findings.extend(order::reordered(&book));
    findings.extend(presence::wrong(&book));
    findings.sort_by_key(|finding| (finding.at, finding.verdict));
    findings
}

/// The kind of the phase of this time.
fn kind(record: &Record, at: Duration) -> Option<Kind> {
    record.phases.get(record.phase(at)).map(|phase| phase.kind)
}
