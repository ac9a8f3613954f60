//! Records written by hand: each line takes ten milliseconds.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::chaos::checker::{Finding, Verdict, check};
use crate::chaos::record::{Event, Kind, Phase, Record, What};

/// Clients 0, 1 and 2 in room 0, client 3 in room 1.
pub struct Tale {
    pub record: Record,
    at: Duration,
}

pub fn user(who: usize) -> String {
    format!("user{who}")
}

impl Tale {
    /// Everybody is there from the start, in a phase of this kind.
    pub fn in_a_phase(kind: Kind) -> Self {
        let mut tale = Self::of_nobody(kind);
        for who in 0..4 {
            tale = tale.comes(who);
        }
        tale
    }

    pub fn of_nobody(kind: Kind) -> Self {
        let phases = vec![Phase { from: Duration::ZERO, fault: "something", kind }];
        Self { record: Record { events: Vec::new(), phases, rooms: vec![0, 0, 0, 1] }, at: Duration::ZERO }
    }

    pub fn then(mut self, who: usize, what: What) -> Self {
        self.at += Duration::from_millis(10);
        self.record.events.push(Event { at: self.at, who, what });
        self
    }

    pub fn comes(self, who: usize) -> Self {
        self.welcomed(who, None, false)
    }

    pub fn welcomed(self, who: usize, since: Option<&str>, recovered: bool) -> Self {
        let reason = (!recovered).then(|| "rewritten".to_owned());
        let (node, since) = ("node".to_owned(), since.map(str::to_owned));
        self.then(who, What::Welcomed { node, user: user(who), since, recovered, reason })
    }

    pub fn says(self, who: usize, text: &str) -> Self {
        self.then(who, What::Said { text: text.to_owned(), client_id: format!("id of {text}") })
    }

    pub fn acked(self, who: usize, text: &str, id: &str) -> Self {
        self.then(who, What::Acked { text: text.to_owned(), id: id.to_owned() })
    }

    /// Says it and gets the ack.
    pub fn puts(self, who: usize, text: &str, id: &str) -> Self {
        self.says(who, text).acked(who, text, id)
    }

    pub fn refused(self, who: usize, text: &str, retry: bool) -> Self {
        self.then(who, What::Refused { text: text.to_owned(), code: "some_code".to_owned(), retry })
    }

    /// Each of these clients hears what this speaker said.
    pub fn heard_by(mut self, listeners: &[usize], speaker: usize, text: &str, id: &str) -> Self {
        for &who in listeners {
            let (id, text) = (Some(id.to_owned()), text.to_owned());
            self = self.then(who, What::Heard { id, prev: None, text, user: user(speaker) });
        }
        self
    }

    /// Said by client 0, acked, and heard by all of the room.
    pub fn passes(self, text: &str, id: &str) -> Self {
        self.puts(0, text, id).heard_by(&[0, 1, 2], 0, text, id)
    }

    pub fn gap(self, who: usize) -> Self {
        self.then(who, What::Gap { reason: "rewritten".to_owned(), after: None })
    }

    pub fn counted(self, who: usize, members: &[usize]) -> Self {
        let members: BTreeSet<_> = members.iter().map(|&member| user(member)).collect();
        self.then(who, What::Counted { members })
    }

    pub fn findings(&self) -> Vec<Finding> {
        check(&self.record)
    }

    /// The verdicts alone; a star is on what is forgiven, `told` with what was told.
    pub fn verdicts(&self) -> Vec<String> {
        let findings = self.findings();
        let word = |finding: &Finding| {
            let told = if finding.told { " told" } else { "" };
            format!("{:?}{told}{}", finding.verdict, if finding.forgiven { "*" } else { "" })
        };
        findings.iter().map(word).collect()
    }

    pub fn is_well(&self) {
        assert_eq!(self.findings(), [], "a record in which nothing is wrong");
    }

    /// Exactly one finding, with this verdict; its story holds these words.
    pub fn is(&self, verdict: Verdict, words: &[&str]) {
        let findings = self.findings();
        assert_eq!(findings.len(), 1, "{findings:#?}");
        assert_eq!(findings[0].verdict, verdict, "{}", findings[0]);
        for word in words {
            assert!(findings[0].story.contains(word), "{word:?} in {}", findings[0]);
        }
    }
}
