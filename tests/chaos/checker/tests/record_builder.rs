//! Builds records by hand: each event takes ten milliseconds.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::chaos::checker::{Finding, Verdict, check};
use crate::chaos::record::{Action, Event, Phase, PhaseKind, Record};

/// Clients 0, 1 and 2 in room 0, client 3 in room 1.
pub struct RecordBuilder {
    pub record: Record,
    at: Duration,
}

pub fn user(who: usize) -> String {
    format!("user{who}")
}

impl RecordBuilder {
    /// All clients are connected from the start, in a phase of this kind.
    pub fn in_a_phase(kind: PhaseKind) -> Self {
        let mut builder = Self::without_clients(kind);
        for who in 0..4 {
            builder = builder.joins(who);
        }
        builder
    }

    pub fn without_clients(kind: PhaseKind) -> Self {
        let phases = vec![Phase { from: Duration::ZERO, fault: "something", kind }];
        Self { record: Record { events: Vec::new(), phases, rooms: vec![0, 0, 0, 1] }, at: Duration::ZERO }
    }

    pub fn then(mut self, who: usize, action: Action) -> Self {
        self.at += Duration::from_millis(10);
        self.record.events.push(Event { at: self.at, who, action });
        self
    }

    pub fn joins(self, who: usize) -> Self {
        self.welcomed(who, None, false)
    }

    pub fn welcomed(self, who: usize, since: Option<&str>, recovered: bool) -> Self {
        let reason = (!recovered).then(|| "rewritten".to_owned());
        let (node, since) = ("node".to_owned(), since.map(str::to_owned));
        self.then(who, Action::Welcomed { node, user: user(who), since, recovered, reason })
    }

    pub fn sends(self, who: usize, text: &str) -> Self {
        self.then(who, Action::Sent { text: text.to_owned(), client_id: format!("id of {text}") })
    }

    pub fn acked(self, who: usize, text: &str, id: &str) -> Self {
        self.then(who, Action::Acked { text: text.to_owned(), id: id.to_owned() })
    }

    /// The client sends the text and receives the ack.
    pub fn sends_acked(self, who: usize, text: &str, id: &str) -> Self {
        self.sends(who, text).acked(who, text, id)
    }

    pub fn rejected(self, who: usize, text: &str, retry: bool) -> Self {
        self.then(who, Action::Rejected { text: text.to_owned(), code: "some_code".to_owned(), retry })
    }

    /// Each of these clients receives what this client sent.
    pub fn received_by(mut self, receivers: &[usize], sender: usize, text: &str, id: &str) -> Self {
        for &who in receivers {
            let (id, text) = (Some(id.to_owned()), text.to_owned());
            self = self.then(who, Action::Received { id, prev: None, text, user: user(sender) });
        }
        self
    }

    /// Client 0 sends it, receives the ack, and all clients of the room receive it.
    pub fn delivers_to_all(self, text: &str, id: &str) -> Self {
        self.sends_acked(0, text, id).received_by(&[0, 1, 2], 0, text, id)
    }

    pub fn gap(self, who: usize) -> Self {
        self.then(who, Action::Gap { reason: "rewritten".to_owned(), after: None })
    }

    pub fn counted(self, who: usize, members: &[usize]) -> Self {
        let members: BTreeSet<_> = members.iter().map(|&member| user(member)).collect();
        self.then(who, Action::Members { members })
    }

    pub fn findings(&self) -> Vec<Finding> {
        check(&self.record)
    }

    /// The verdicts; `*` marks what is forgiven, `reported` what a gap reported.
    pub fn verdicts(&self) -> Vec<String> {
        let findings = self.findings();
        let word = |finding: &Finding| {
            let reported = if finding.reported { " reported" } else { "" };
            format!("{:?}{reported}{}", finding.verdict, if finding.forgiven { "*" } else { "" })
        };
        findings.iter().map(word).collect()
    }

    pub fn has_no_findings(&self) {
        assert_eq!(self.findings(), [], "a record without findings");
    }

    /// Asserts exactly one finding with this verdict, whose text contains these words.
    pub fn is(&self, verdict: Verdict, words: &[&str]) {
        let findings = self.findings();
        assert_eq!(findings.len(), 1, "{findings:#?}");
        assert_eq!(findings[0].verdict, verdict, "{}", findings[0]);
        for word in words {
            assert!(findings[0].detail.contains(word), "{word:?} in {}", findings[0]);
        }
    }
}
