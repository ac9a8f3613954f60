//! Where this node is in the log of decisions, and what it has to apply of it. Pure: what arrives
//! goes in, what to do comes out.
//!
//! Every entry names the one before it, and every position has a nonce: a log that was lost and
//! written again never looks like the one before, although its ids may repeat.
//!
//! Of instructions the log drops the oldest by themselves. So every entry also names the one before
//! it that lasts: where the two follow one another, only instructions are missing between them.

use crate::layer::decision::Decision;

/// The position of an entry in the log: its id in the stream and its nonce, joined by a dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DecisionPosition(String);

/// A place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DecisionPlace {
    /// The newest entry up to it.
    pub(super) position: DecisionPosition,
    /// The newest one that the log does not drop; `None` if it is not known.
    pub(super) lasting: Option<DecisionPosition>,
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DecisionEntry {
    pub(super) position: DecisionPosition,
    /// The position of the entry before it; `None` if the log was empty.
    pub(super) prev: Option<DecisionPosition>,
    /// The newest one before it that the log does not drop. Entries that are pushed do not say it,
    /// nor do those of the version before.
    pub(super) prev_lasting: Option<DecisionPosition>,
    /// The log drops it after so many others.
    pub(super) is_droppable: bool,
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
    /// These decisions were missed, in their order; unless it is whole, instructions between them
    /// too, which the log no longer has.
    Missed { decisions: Vec<Decision>, is_whole: bool },
    /// The log does not continue at the node's position: it was lost, rolled back or trimmed.
    Lost,
}

/// Where this node is in the log.
#[derive(Default)]
pub(super) struct DecisionCursor {
    /// The newest entry that was applied; `None` while the node does not know.
    place: Option<DecisionPlace>,
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

impl DecisionPlace {
    /// Moves behind an entry.
    fn advance(&mut self, entry: &DecisionEntry) {
        self.position = entry.position.clone();
        if !entry.is_droppable {
            self.lasting = Some(entry.position.clone());
        }
    }

    /// Returns what is missing between this place and an entry; `None` if it does not follow.
    fn follows(&self, entry: &DecisionEntry) -> Option<Gap> {
        if entry.prev.as_ref() == Some(&self.position) {
            return Some(Gap::None);
        }
        (entry.prev_lasting.is_some() && entry.prev_lasting == self.lasting).then_some(Gap::Instructions)
    }
}

impl DecisionCursor {
    /// Returns the place; `None` while the node does not know.
    pub(super) fn place(&self) -> Option<&DecisionPlace> {
        self.place.as_ref()
    }

    /// Returns whether every connection was asked again since the position was taken.
    pub(super) fn is_verified(&self) -> bool {
        self.is_verified
    }

    /// Takes the end of the log as the position. What was decided before is unknown: every
    /// connection has to be asked again.
    pub(super) fn restart(&mut self, end: DecisionPlace) {
        (self.place, self.is_verified) = (Some(end), false);
    }

    /// Records that every connection was asked again.
    pub(super) fn mark_verified(&mut self) {
        self.is_verified = true;
    }

    /// Takes an entry that Redis pushed.
    pub(super) fn on_pushed(&mut self, entry: DecisionEntry) -> Pushed {
        match &mut self.place {
            // The place is taken later, and includes it.
            None => Pushed::Apply(entry.decision),
            Some(place) if place.position == entry.position => Pushed::Known,
            Some(place) if entry.prev.as_ref() == Some(&place.position) => {
                place.advance(&entry);
                Pushed::Apply(entry.decision)
            }
            Some(_) => Pushed::Behind,
        }
    }

    /// Takes a page of the log that was read from the place `from` on, that entry included.
    pub(super) fn on_page(&mut self, from: &DecisionPlace, page: Vec<DecisionEntry>) -> PageOutcome {
        let starts_here = page.first().is_some_and(|first| first.position == from.position);
        let Some(gap) = gap(from, &page[usize::from(starts_here)..]).filter(|_| !page.is_empty()) else {
            self.place = None;
            return PageOutcome::Lost;
        };
        // Entries that were pushed meanwhile have moved the place on, perhaps past the page.
        let at = self.place.as_ref().map(|place| &place.position);
        let known = match page.iter().position(|entry| Some(&entry.position) == at) {
            Some(index) => index + 1,
            None if at == Some(&from.position) => 0,
            None => page.len(),
        };
        let missed: Vec<DecisionEntry> = page.into_iter().skip(known).collect();
        if let Some(place) = &mut self.place {
            for entry in &missed {
                place.advance(entry);
            }
        }
        let is_whole = gap == Gap::None || missed.is_empty();
        let decisions = missed.into_iter().filter_map(|entry| entry.decision).collect();
        PageOutcome::Missed { decisions, is_whole }
    }
}

/// What is missing between two entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    None,
    /// Instructions that the log has dropped.
    Instructions,
}

/// Returns what is missing between a place and the entries behind it; `None` if they do not follow.
fn gap(from: &DecisionPlace, entries: &[DecisionEntry]) -> Option<Gap> {
    let (mut place, mut all) = (from.clone(), Gap::None);
    for entry in entries {
        if place.follows(entry)? == Gap::Instructions {
            all = Gap::Instructions;
        }
        place.advance(entry);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashSet, VecDeque};

    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;
    use crate::layer::disconnect::Disconnect;
    use crate::layer::instruction::{ConnectionChange, Instruction};
    use crate::seeds;

    /// The most entries of the model's log that last, and that do not.
    const LOG_LENGTH: usize = 6;
    const INSTRUCTIONS: usize = 2;
    /// The most entries of a page.
    const PAGE_LENGTH: usize = 4;
    const SEEDS: u64 = 20_000;

    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Mark,
        Disconnect,
        Instruction,
    }

    /// Returns the newest entry up to this one that the log does not drop.
    fn lasting(entry: &DecisionEntry) -> Option<DecisionPosition> {
        if entry.is_droppable { entry.prev_lasting.clone() } else { Some(entry.position.clone()) }
    }

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
        fn append(&mut self, kind: Kind) -> DecisionEntry {
            self.made += 1;
            self.next_id += 1;
            let user = self.made.to_string();
            let newest = self.entries.back();
            let entry = DecisionEntry {
                position: DecisionPosition::new(&self.next_id.to_string(), &user),
                prev: newest.map(|entry| entry.position.clone()),
                prev_lasting: newest.and_then(lasting),
                is_droppable: kind == Kind::Instruction,
                decision: match kind {
                    Kind::Mark => None,
                    Kind::Disconnect => Some(Decision::Disconnect(Disconnect {
                        user: Some(user),
                        code: 4403,
                        ..Disconnect::default()
                    })),
                    Kind::Instruction => Some(Decision::Instruction(Instruction {
                        user,
                        client: None,
                        change: ConnectionChange::Refresh { expires_at: None, info: None },
                    })),
                },
            };
            self.entries.push_back(entry.clone());
            let droppable: Vec<usize> =
                (0..self.entries.len()).filter(|at| self.entries[*at].is_droppable).collect();
            if droppable.len() > INSTRUCTIONS {
                self.entries.remove(droppable[0]);
            }
            if self.entries.len() > LOG_LENGTH + INSTRUCTIONS {
                self.entries.pop_front();
            }
            entry
        }

        fn end(&mut self) -> DecisionPlace {
            if self.entries.is_empty() {
                self.append(Kind::Mark);
            }
            let newest = self.entries.back().expect("not empty");
            DecisionPlace { position: newest.position.clone(), lasting: lasting(newest) }
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
        page: Option<(DecisionPlace, Vec<DecisionEntry>)>,
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
                let Some(from) = self.cursor.place().cloned() else {
                    self.cursor.restart(log.end());
                    self.cursor.mark_verified();
                    is_asked = true;
                    continue;
                };
                let page = log.page(&from.position);
                let is_last = page.len() < PAGE_LENGTH;
                match self.cursor.on_page(&from, page) {
                    PageOutcome::Missed { decisions, .. } => self.apply(decisions),
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
                    let is_instruction = random.random_bool(0.5);
                    let mut entry =
                        log.append(if is_instruction { Kind::Instruction } else { Kind::Disconnect });
                    entry.prev_lasting = None; // pushed without it
                    match random.random_range(0..4) {
                        0 => {} // lost
                        1 => pushes.extend([entry.clone(), entry]),
                        _ => pushes.push_back(entry),
                    }
                }
                4..7 => {
                    // Without a position everything is asked again later.
                    let is_counted = node.cursor.place().is_some();
                    if let Some(entry) = pushes.pop_front()
                        && let Pushed::Apply(decision) = node.cursor.on_pushed(entry)
                        && is_counted
                    {
                        node.apply(decision);
                    }
                }
                7 => {
                    let from = node.cursor.place().cloned();
                    node.page = from.map(|from| (from.clone(), log.page(&from.position)));
                }
                8 => {
                    if let Some((from, page)) = node.page.take()
                        && let PageOutcome::Missed { decisions, .. } = node.cursor.on_page(&from, page)
                    {
                        node.apply(decisions);
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
        DecisionEntry {
            position: position(id),
            prev: prev.map(position),
            prev_lasting: None,
            is_droppable: false,
            decision,
        }
    }

    fn place(position: &str, lasting: Option<&str>) -> DecisionPlace {
        let parse = |text: &str| DecisionPosition::parse(text).expect("a position");
        DecisionPlace { position: parse(position), lasting: lasting.map(parse) }
    }

    fn dropped_before(entry: DecisionEntry, lasting: &str) -> DecisionEntry {
        DecisionEntry { prev_lasting: DecisionPosition::parse(lasting), ..entry }
    }

    #[test]
    fn only_instructions_may_be_missing_between_two_entries() {
        let instruction = |id, prev| DecisionEntry { is_droppable: true, ..entry(id, prev) };
        for (page, expected) in [
            // The place itself, and others behind it.
            (vec![dropped_before(entry("9-0.c", Some("8-0.b")), "3-0.a")], Some(false)),
            (vec![instruction("5-0.a", None), entry("6-0.b", Some("5-0.a"))], Some(true)),
            (vec![dropped_before(instruction("9-0.c", Some("8-0.b")), "3-0.a")], Some(false)),
            // Something that lasts.
            (vec![dropped_before(entry("9-0.c", Some("8-0.b")), "7-0.a")], None),
            (vec![dropped_before(instruction("9-0.c", Some("8-0.b")), "3-0.b")], None),
            (
                vec![entry("6-0.b", Some("5-0.a")), dropped_before(entry("9-0.c", Some("8-0.b")), "3-0.a")],
                None,
            ),
            (
                vec![entry("6-0.b", Some("5-0.a")), dropped_before(entry("9-0.c", Some("8-0.b")), "6-0.b")],
                Some(false),
            ),
        ] {
            let from = place("5-0.a", Some("3-0.a"));
            let mut cursor = DecisionCursor::default();
            cursor.restart(from.clone());
            match (cursor.on_page(&from, page.clone()), expected) {
                (PageOutcome::Lost, None) => assert_eq!(cursor.place(), None),
                (PageOutcome::Missed { is_whole, .. }, Some(expected)) => {
                    assert_eq!(is_whole, expected, "{page:?}");
                    assert_eq!(
                        cursor.place().map(|place| &place.position),
                        page.last().map(|it| &it.position)
                    );
                }
                (outcome, _) => panic!("{outcome:?} for {page:?}"),
            }
            let mut unknown = DecisionCursor::default();
            unknown.restart(place("5-0.a", None));
            let outcome = unknown.on_page(&place("5-0.a", None), page[..1].to_vec());
            assert_eq!(outcome == PageOutcome::Lost, page[0].prev_lasting.is_some(), "{page:?}");
        }
    }

    #[test]
    fn a_log_that_lost_the_position_or_reuses_its_id_is_lost() {
        let at = |id: &str| {
            let mut cursor = DecisionCursor::default();
            cursor.restart(place(id, None));
            cursor
        };
        let from = place("5-0.a", None);
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
                (PageOutcome::Lost, None) => assert_eq!(cursor.place(), None),
                (PageOutcome::Missed { decisions, is_whole }, Some(count)) => {
                    assert_eq!((decisions.len(), is_whole), (count, true), "{page:?}");
                }
                (outcome, _) => panic!("{outcome:?} for {page:?}"),
            }
        }
    }

    #[test]
    fn pushed_entries_are_applied_in_line_and_once() {
        let mut cursor = DecisionCursor::default();
        cursor.restart(place("5-0.a", None));
        let next = entry("6-0.b", Some("5-0.a"));
        assert_eq!(cursor.on_pushed(next.clone()), Pushed::Apply(next.decision.clone()));
        assert_eq!(cursor.on_pushed(next.clone()), Pushed::Known);
        assert_eq!(cursor.on_pushed(entry("8-0.d", Some("7-0.c"))), Pushed::Behind);
        // A page that was read before the push came knows nothing of it.
        let (from, nothing) = (place("5-0.a", None), Vec::new());
        let outcome = cursor.on_page(&from, vec![entry("5-0.a", None)]);
        assert_eq!(outcome, PageOutcome::Missed { decisions: nothing, is_whole: true });
        assert_eq!(cursor.place(), Some(&place("6-0.b", Some("6-0.b"))));
    }
}
