//! Records that the store did not have when they were last read: a group that many clients join
//! mostly has none that restricts it.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Time for which an absence is remembered, if no disconnect command ends it before.
const ABSENCE_TTL: Duration = Duration::from_secs(1);
/// Absences that are remembered.
const MAX_ABSENT_RECORDS: usize = 4096;

/// The keys of records that are absent.
#[derive(Default)]
pub(super) struct AbsentRecords {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When each of them was read.
    read_at: HashMap<Box<str>, Instant>,
    /// How many times all were forgotten.
    generation: u64,
}

/// The time before a record is read. An absence that is forgotten meanwhile is not learned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    generation: u64,
    began_at: Instant,
}

impl Reading {
    /// Returns whether nothing was forgotten between this one and another.
    pub(super) fn is_as_good_as(self, other: Self) -> bool {
        self.generation == other.generation
    }
}

impl AbsentRecords {
    /// Returns `None` if the record is known to be absent, else what [`learn`](Self::learn) takes
    /// once it was read.
    pub(super) fn begin(&self, key: &str, now: Instant) -> Option<Reading> {
        let state = self.state.lock();
        let is_absent = state.read_at.get(key).is_some_and(|at| now.duration_since(*at) < ABSENCE_TTL);
        (!is_absent).then_some(Reading { generation: state.generation, began_at: now })
    }

    /// The record was absent.
    pub(super) fn learn(&self, key: &str, reading: Reading) {
        let mut state = self.state.lock();
        if state.generation != reading.generation {
            return;
        }
        if state.read_at.len() == MAX_ABSENT_RECORDS {
            state.read_at.retain(|_, at| reading.began_at.duration_since(*at) < ABSENCE_TTL);
        }
        if state.read_at.len() < MAX_ABSENT_RECORDS {
            state.read_at.insert(key.into(), reading.began_at);
        }
    }

    /// Forgets all: a record may have been written.
    pub(super) fn forget(&self) {
        let mut state = self.state.lock();
        state.generation += 1;
        state.read_at.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(records: &AbsentRecords, key: &str, at: Instant) {
        let reading = records.begin(key, at).expect("not known");
        records.learn(key, reading);
    }

    #[test]
    fn an_absence_is_known_for_a_second_after_the_reading_began() {
        let (records, start) = (AbsentRecords::default(), Instant::now());
        read(&records, "a", start);
        assert!(records.begin("a", start + ABSENCE_TTL - Duration::from_millis(1)).is_none());
        assert!(records.begin("a", start + ABSENCE_TTL).is_some());
        assert!(records.begin("b", start).is_some());
    }

    #[test]
    fn a_reading_that_began_before_all_was_forgotten_is_not_learned() {
        let (records, start) = (AbsentRecords::default(), Instant::now());
        let reading = records.begin("a", start).expect("not known");
        records.forget();
        records.learn("a", reading);
        assert!(records.begin("a", start).is_some());
        read(&records, "a", start);
        records.forget();
        assert!(records.begin("a", start).is_some());
    }

    #[test]
    fn absences_are_bounded_in_number() {
        let (records, start) = (AbsentRecords::default(), Instant::now());
        for number in 0..=MAX_ABSENT_RECORDS {
            read(&records, &number.to_string(), start);
        }
        assert!(records.begin(&MAX_ABSENT_RECORDS.to_string(), start).is_some(), "one too many");
        read(&records, "later", start + ABSENCE_TTL);
        assert_eq!(records.state.lock().read_at.len(), 1);
    }
}
