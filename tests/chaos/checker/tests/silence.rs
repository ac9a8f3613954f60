//! The longest silence.

use std::time::Duration;

use super::record_builder::RecordBuilder;
use crate::chaos::checker::longest_silence;
use crate::chaos::record::{Action, PhaseKind};

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Client 1 receives messages at 10 and 30 ms, client 2 at 20 and 60 ms.
fn builder() -> RecordBuilder {
    let builder = RecordBuilder::without_clients(PhaseKind::Calm);
    let builder = builder.received_by(&[1, 2, 1], 0, "a", "1");
    builder.sends(0, "b").sends(0, "c").received_by(&[2], 0, "b", "2")
}

#[test]
fn the_longest_silence_of_one_client_is_reported() {
    assert_eq!(longest_silence(&builder().record, &(ms(0)..ms(60))), ms(40));
}

#[test]
fn only_silence_within_the_phase_counts() {
    assert_eq!(longest_silence(&builder().record, &(ms(25)..ms(45))), ms(20), "of client 2");
    assert_eq!(longest_silence(&builder().record, &(ms(0)..ms(28))), ms(18), "of client 1, so far");
}

#[test]
fn a_client_that_receives_nothing_counts_to_the_end() {
    assert_eq!(longest_silence(&builder().record, &(ms(0)..ms(100))), ms(70), "of client 1");
}

#[test]
fn clients_that_stall_or_left_are_not_counted() {
    for action in [Action::Stalled, Action::Left] {
        let builder = builder().then(1, action.clone()).then(2, action);
        assert_eq!(longest_silence(&builder.record, &(ms(0)..ms(900))), ms(40));
    }
}
