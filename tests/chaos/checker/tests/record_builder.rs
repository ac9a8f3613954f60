//! Builds records by hand: each event takes ten milliseconds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::chaos::checker::{Finding, Verdict, check};
use crate::chaos::record::{Action, Event, Observer, Phase, PhaseKind, Record, StreamPosition};

/// Clients 0, 1 and 2 in room 0, client 3 in room 1; client 4 of room 0 listens only.
pub struct RecordBuilder {
    pub record: Record,
    at: Duration,
    /// The ids of each room's log so far.
    logs: BTreeMap<usize, BTreeSet<u64>>,
}

pub fn user(who: usize) -> String {
    format!("user{who}")
}

fn position(epoch: &str, offset: u64) -> StreamPosition {
    StreamPosition { epoch: epoch.to_owned(), offset }
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
        let record = Record { phases, rooms: vec![0, 0, 0, 1, 0], ..Record::default() };
        Self { record, at: Duration::ZERO, logs: BTreeMap::new() }
    }

    /// Lets this much time pass.
    pub fn later(mut self, time: Duration) -> Self {
        self.at += time;
        self
    }

    fn log(&mut self, who: usize) -> &mut BTreeSet<u64> {
        self.logs.entry(self.record.rooms[who]).or_default()
    }

    pub fn then(mut self, who: usize, action: Action) -> Self {
        self.at += Duration::from_millis(10);
        self.record.events.push(Event { at: self.at, who, action });
        self
    }

    pub fn joins(self, who: usize) -> Self {
        self.welcomed(who, None, false)
    }

    pub fn welcomed(mut self, who: usize, since: Option<&str>, recovered: bool) -> Self {
        let reason = (!recovered).then(|| "rewritten".to_owned());
        let (node, since) = ("node".to_owned(), since.map(str::to_owned));
        let last = self.log(who).last().map(u64::to_string);
        let (user, position) = (user(who), None);
        self.then(who, Action::Welcomed { node, user, since, recovered, reason, last, position })
    }

    /// The client subscribes at a position by Centrifugo's protocol. It comes with one, which the
    /// server has recovered or not.
    pub fn subscribed(self, who: usize, at: (&str, u64), since: Option<(&str, u64, bool)>) -> Self {
        let recovered = since.is_some_and(|(.., recovered)| recovered);
        let since = since.map(|(epoch, offset, _)| position(epoch, offset).to_string());
        let (node, user, position) = (String::new(), user(who), Some(position(at.0, at.1)));
        let (reason, last) = (None, None);
        self.then(who, Action::Welcomed { node, user, since, recovered, reason, last, position })
    }

    /// Each of these clients receives a message of client 0 at a position.
    pub fn published_to(mut self, receivers: &[usize], text: &str, id: &str, at: (&str, u64)) -> Self {
        for &who in receivers {
            let (id, position) = (Some(id.to_owned()), Some(position(at.0, at.1)));
            let (text, user) = (text.to_owned(), user(0));
            self = self.then(who, Action::Received { id, prev: None, position, text, user });
        }
        self
    }

    pub fn sends(self, who: usize, text: &str) -> Self {
        self.then(who, Action::Sent { text: text.to_owned(), client_id: format!("id of {text}") })
    }

    pub fn acked(mut self, who: usize, text: &str, id: &str) -> Self {
        self.log(who).insert(id.parse().expect("a number as the id"));
        self.then(who, Action::Acked { text: text.to_owned(), id: Some(id.to_owned()) })
    }

    /// The client sends the text and receives the ack.
    pub fn sends_acked(self, who: usize, text: &str, id: &str) -> Self {
        self.sends(who, text).acked(who, text, id)
    }

    pub fn rejected(self, who: usize, text: &str, retry: bool) -> Self {
        self.then(who, Action::Rejected { text: text.to_owned(), code: "some_code".to_owned(), retry })
    }

    /// Each of these clients receives what this client sent, behind the message before it.
    pub fn received_by(mut self, receivers: &[usize], sender: usize, text: &str, id: &str) -> Self {
        let number = id.parse().expect("a number as the id");
        for &who in receivers {
            let log = self.log(who);
            log.insert(number);
            let prev = log.range(..number).next_back().map(u64::to_string);
            self = self.received_after(who, sender, text, (id, prev.as_deref()));
        }
        self
    }

    /// The client receives the message of this id as the one after another.
    pub fn received_after(self, who: usize, sender: usize, text: &str, ids: (&str, Option<&str>)) -> Self {
        let (id, prev) = (Some(ids.0.to_owned()), ids.1.map(str::to_owned));
        let (text, user, position) = (text.to_owned(), user(sender), None);
        self.then(who, Action::Received { id, prev, position, text, user })
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
        self.then(who, Action::Members { observer: Observer::NewClientOf("a".to_owned()), members })
    }

    /// The client itself has learned of these members.
    pub fn knows(self, who: usize, members: &[usize]) -> Self {
        let members: BTreeSet<_> = members.iter().map(|&member| user(member)).collect();
        self.then(who, Action::Members { observer: Observer::Member, members })
    }

    pub fn findings(&self) -> Vec<Finding> {
        check(&self.record)
    }

    /// The findings without those of broken chains, which each lost and each swapped message
    /// leaves.
    fn findings_beside_chains(&self) -> Vec<Finding> {
        self.findings().into_iter().filter(|finding| finding.verdict != Verdict::Unchained).collect()
    }

    /// The verdicts; `*` marks what is forgiven, `reported` what a gap reported.
    pub fn verdicts(&self) -> Vec<String> {
        let findings = self.findings_beside_chains();
        let word = |finding: &Finding| {
            let reported = if finding.reported { " reported" } else { "" };
            format!("{:?}{reported}{}", finding.verdict, if finding.forgiven { "*" } else { "" })
        };
        findings.iter().map(word).collect()
    }

    pub fn has_no_findings(&self) {
        assert_eq!(self.findings(), [], "a record without findings");
    }

    /// Asserts a finding with this verdict, whose text contains these words.
    pub fn is_among(&self, verdict: Verdict, words: &[&str]) {
        let findings = self.findings();
        let is_it = |finding: &&Finding| {
            finding.verdict == verdict && words.iter().all(|word| finding.detail.contains(word))
        };
        assert!(findings.iter().any(|finding| is_it(&finding)), "{findings:#?}");
    }

    /// Asserts exactly one finding with this verdict, whose text contains these words.
    pub fn is(&self, verdict: Verdict, words: &[&str]) {
        let findings =
            if verdict == Verdict::Unchained { self.findings() } else { self.findings_beside_chains() };
        assert_eq!(findings.len(), 1, "{findings:#?}");
        assert_eq!(findings[0].verdict, verdict, "{}", findings[0]);
        for word in words {
            assert!(findings[0].detail.contains(word), "{word:?} in {}", findings[0]);
        }
    }
}
