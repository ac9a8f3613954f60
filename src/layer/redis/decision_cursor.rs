//! Where this node is in the log of decisions, and what it has to apply of it. Pure: what arrives
//! goes in, what to do comes out.
//!
//! Every entry names the one before it, and every position has a nonce: a log that was lost and
//! written again never looks like the one before, although its ids may repeat.

use crate::layer::decision::Decision;

/// The position of an entry in the log: its id in the stream and its nonce, joined by a dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DecisionPosition(String);

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DecisionEntry {
    pub(super) position: DecisionPosition,
    /// The position of the entry before it; `None` if the log was empty.
    pub(super) prev: Option<DecisionPosition>,
    /// `None` for the mark of an empty log, and for a decision that is malformed.
    pub(super) decision: Option<Decision>,
}

/// What to do about an entry that was pushed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// Apply it.
    Apply(Option<Decision>),
    /// Entries before it are missing, or it is of another log: read the log.
    Behind,
    /// It has been applied.
    Known,
}

/// What a page of the log means for this node.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PageOutcome {
    /// These decisions were missed, in their order.
    Missed(Vec<Decision>),
    /// The log does not continue at the node's position: it was lost, rolled back or trimmed.
    Lost,
}

/// Where this node is in the log.
#[derive(Default)]
pub(super) struct DecisionCursor {
    /// The newest entry that was applied; `None` while the node does not know.
    position: Option<DecisionPosition>,
    /// Whether every connection was asked again since the position was taken.
    is_verified: bool,
}

impl DecisionPosition {
    /// Parses a position; `None` if it is malformed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.split_once('.').is_some_and(|(id, _)| !id.is_empty()).then(|| Self(text.to_owned()))
    }

    /// Creates the position of an entry of the stream.
    pub(super) fn new(id: &str, nonce: &str) -> Self {
        Self(format!("{id}.{nonce}"))
    }

    /// Returns the id in the stream.
    pub(super) fn id(&self) -> &str {
        self.0.split_once('.').map_or(&*self.0, |(id, _)| id)
    }
}

impl DecisionCursor {
    /// Returns the position; `None` while the node does not know.
    pub(super) fn position(&self) -> Option<&DecisionPosition> {
        self.position.as_ref()
    }

    /// Returns whether every connection was asked again since the position was taken.
    pub(super) fn is_verified(&self) -> bool {
        self.is_verified
    }

    /// Takes the end of the log as the position. What was decided before is unknown: every
    /// connection has to be asked again.
    pub(super) fn restart(&mut self, end: DecisionPosition) {
        (self.position, self.is_verified) = (Some(end), false);
    }

    /// Records that every connection was asked again.
    pub(super) fn mark_verified(&mut self) {
        self.is_verified = true;
    }

    /// Takes an entry that Redis pushed.
    pub(super) fn on_pushed(&mut self, entry: DecisionEntry) -> Pushed {
        match &self.position {
            // The position is taken later, and includes it.
            None => Pushed::Apply(entry.decision),
            Some(position) if *position == entry.position => Pushed::Known,
            Some(position) if entry.prev.as_ref() == Some(position) => {
                self.position = Some(entry.position);
                Pushed::Apply(entry.decision)
            }
            Some(_) => Pushed::Behind,
        }
    }

    /// Takes a page of the log that was read from the position `from` on, that entry included.
    pub(super) fn on_page(&mut self, from: &DecisionPosition, page: Vec<DecisionEntry>) -> PageOutcome {
        let continues = |entry: &DecisionEntry| entry.prev.as_ref() == Some(from);
        let is_chain = page.windows(2).all(|pair| pair[1].prev.as_ref() == Some(&pair[0].position));
        let starts_here = page.first().is_some_and(|first| first.position == *from || continues(first));
        if !starts_here || !is_chain {
            self.position = None;
            return PageOutcome::Lost;
        }
        // Entries that were pushed meanwhile have moved the position on, perhaps past the page.
        let known = page.iter().position(|entry| Some(&entry.position) == self.position.as_ref());
        let known = match known {
            Some(index) => index + 1,
            None if self.position.as_ref() == Some(from) => 0,
            None => page.len(),
        };
        let missed: Vec<DecisionEntry> = page.into_iter().skip(known).collect();
        if let Some(last) = missed.last() {
            self.position = Some(last.position.clone());
        }
        PageOutcome::Missed(missed.into_iter().filter_map(|entry| entry.decision).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashSet, VecDeque};

    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;
    use crate::layer::disconnect::Disconnect;
    use crate::seeds;

    /// The most entries of the model's log.
    const LOG_LENGTH: usize = 6;
    /// The most entries of a page.
    const PAGE_LENGTH: usize = 4;
    const SEEDS: u64 = 20_000;

    /// A log in Redis: entries are numbered, and ids repeat after a loss.
    #[derive(Default)]
    struct Log {
        entries: VecDeque<DecisionEntry>,
        /// The next id in the stream.
        next_id: usize,
        /// The number of entries ever made; the nonce of the next.
        made: usize,
    }

    impl Log {
        fn append(&mut self, is_mark: bool) -> DecisionEntry {
            self.made += 1;
            self.next_id += 1;
            let entry = DecisionEntry {
                position: DecisionPosition::new(&self.next_id.to_string(), &self.made.to_string()),
                prev: self.entries.back().map(|entry| entry.position.clone()),
                decision: (!is_mark).then(|| {
                    Decision::Disconnect(Disconnect {
                        user: Some(self.made.to_string()),
                        code: 4403,
                        ..Disconnect::default()
                    })
                }),
            };
            self.entries.push_back(entry.clone());
            if self.entries.len() > LOG_LENGTH {
                self.entries.pop_front();
            }
            entry
        }

        fn end(&mut self) -> DecisionPosition {
            match self.entries.back() {
                Some(last) => last.position.clone(),
                None => self.append(true).position,
            }
        }

        fn page(&self, from: &DecisionPosition) -> Vec<DecisionEntry> {
            let id = |position: &DecisionPosition| position.id().parse::<usize>().expect("a number");
            let rest = self.entries.iter().filter(|entry| id(&entry.position) >= id(from));
            rest.take(PAGE_LENGTH).cloned().collect()
        }
    }

    /// A node that follows the log.
    #[derive(Default)]
    struct Follower {
        cursor: DecisionCursor,
        applied: Vec<String>,
        /// A page on its way to the node.
        page: Option<(DecisionPosition, Vec<DecisionEntry>)>,
    }

    impl Follower {
        fn apply(&mut self, decisions: impl IntoIterator<Item = Decision>) {
            let users = decisions.into_iter().filter_map(|decision| decision.disconnect()?.user);
            self.applied.extend(users);
        }

        /// Reads until the log has no more; asks everything again if it has to.
        fn catch_up(&mut self, log: &mut Log) -> bool {
            let mut is_asked = false;
            loop {
                let Some(from) = self.cursor.position().cloned() else {
                    self.cursor.restart(log.end());
                    self.cursor.mark_verified();
                    is_asked = true;
                    continue;
                };
                let page = log.page(&from);
                let is_last = page.len() < PAGE_LENGTH;
                match self.cursor.on_page(&from, page) {
                    PageOutcome::Missed(missed) => self.apply(missed),
                    PageOutcome::Lost => continue,
                }
                if is_last {
                    return is_asked;
                }
            }
        }
    }

    /// Decisions, losses, restores, pushes that come, come twice or do not come, and pages that
    /// come late: after the node has caught up, each decision since the last time that everything
    /// was asked again was applied once.
    fn play(seed: u64) -> usize {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut log, mut node) = (Log::default(), Follower::default());
        node.catch_up(&mut log);
        let (mut pushes, mut before): (VecDeque<DecisionEntry>, _) = (VecDeque::new(), None);
        for _ in 0..60 {
            match random.random_range(0..12) {
                0..4 => {
                    let entry = log.append(false);
                    match random.random_range(0..4) {
                        0 => {} // lost
                        1 => pushes.extend([entry.clone(), entry]),
                        _ => pushes.push_back(entry),
                    }
                }
                4..7 => {
                    // Without a position everything is asked again later.
                    let is_counted = node.cursor.position().is_some();
                    if let Some(entry) = pushes.pop_front()
                        && let Pushed::Apply(decision) = node.cursor.on_pushed(entry)
                        && is_counted
                    {
                        node.apply(decision);
                    }
                }
                7 => {
                    let from = node.cursor.position().cloned();
                    node.page = from.map(|from| (from.clone(), log.page(&from)));
                }
                8 => {
                    if let Some((from, page)) = node.page.take()
                        && let PageOutcome::Missed(missed) = node.cursor.on_page(&from, page)
                    {
                        node.apply(missed);
                    }
                }
                9 => before = Some((log.entries.clone(), log.next_id)),
                // A restored snapshot, or a promoted replica that was behind.
                10 => {
                    if let Some((entries, next_id)) = before.take() {
                        (log.entries, log.next_id) = (entries, next_id);
                    }
                }
                _ if random.random_bool(0.2) => (log.entries, log.next_id) = (VecDeque::new(), 0),
                _ => {}
            }
        }
        node.page = None;
        let is_asked = node.catch_up(&mut log);
        let unique: HashSet<&String> = node.applied.iter().collect();
        assert_eq!(unique.len(), node.applied.len(), "seed {seed}: applied twice: {:?}", node.applied);
        let in_log = log.entries.iter().filter_map(|entry| entry.decision.clone()?.disconnect()?.user);
        let missing: Vec<String> = in_log.filter(|decision| !unique.contains(decision)).collect();
        assert!(is_asked || missing.is_empty(), "seed {seed}: not applied: {missing:?}");
        unique.len()
    }

    #[test]
    fn each_decision_of_a_log_is_applied_once_or_all_are_asked() {
        seeds::search(SEEDS, 3, play);
    }

    fn entry(id: &str, prev: Option<&str>) -> DecisionEntry {
        let position = |text| DecisionPosition::parse(text).expect("a position");
        let decision = Disconnect { user: Some(id.to_owned()), code: 4403, ..Disconnect::default() };
        let decision = Some(Decision::Disconnect(decision));
        DecisionEntry { position: position(id), prev: prev.map(position), decision }
    }

    #[test]
    fn a_log_that_lost_the_position_or_reuses_its_id_is_lost() {
        let at = |id: &str| {
            let mut cursor = DecisionCursor::default();
            cursor.restart(DecisionPosition::parse(id).expect("a position"));
            cursor
        };
        let from = DecisionPosition::parse("5-0.a").expect("a position");
        for (page, expected) in [
            (vec![], None),
            (vec![entry("5-0.b", None)], None),
            (vec![entry("6-0.b", None)], None),
            (vec![entry("6-0.b", Some("4-0.a"))], None),
            (vec![entry("5-0.a", None), entry("7-0.c", Some("6-0.b"))], None),
            (vec![entry("5-0.a", None)], Some(0)),
            (vec![entry("6-0.b", Some("5-0.a"))], Some(1)),
            (vec![entry("5-0.a", None), entry("6-0.b", Some("5-0.a"))], Some(1)),
        ] {
            let mut cursor = at("5-0.a");
            match (cursor.on_page(&from, page.clone()), expected) {
                (PageOutcome::Lost, None) => assert_eq!(cursor.position(), None),
                (PageOutcome::Missed(missed), Some(count)) => assert_eq!(missed.len(), count, "{page:?}"),
                (outcome, _) => panic!("{outcome:?} for {page:?}"),
            }
        }
    }

    #[test]
    fn pushed_entries_are_applied_in_line_and_once() {
        let mut cursor = DecisionCursor::default();
        cursor.restart(DecisionPosition::parse("5-0.a").expect("a position"));
        let next = entry("6-0.b", Some("5-0.a"));
        assert_eq!(cursor.on_pushed(next.clone()), Pushed::Apply(next.decision.clone()));
        assert_eq!(cursor.on_pushed(next.clone()), Pushed::Known);
        assert_eq!(cursor.on_pushed(entry("8-0.d", Some("7-0.c"))), Pushed::Behind);
        // A page that was read before the push came knows nothing of it.
        let from = DecisionPosition::parse("5-0.a").expect("a position");
        assert_eq!(cursor.on_page(&from, vec![entry("5-0.a", None)]), PageOutcome::Missed(Vec::new()));
        assert_eq!(cursor.position(), Some(&next.position));
    }
}
