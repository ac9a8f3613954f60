//! How long somebody heard nothing.

use std::time::Duration;

use super::tale::Tale;
use crate::chaos::checker::longest_silence;
use crate::chaos::record::{Kind, What};

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Client 1 hears something at 10 and at 30 ms, client 2 at 20 and at 60 ms.
fn tale() -> Tale {
    let tale = Tale::of_nobody(Kind::Calm);
    let tale = tale.heard_by(&[1, 2, 1], 0, "a", "1");
    tale.says(0, "b").says(0, "c").heard_by(&[2], 0, "b", "2")
}

#[test]
fn the_longest_silence_of_one_client_is_reported() {
    assert_eq!(longest_silence(&tale().record, &(ms(0)..ms(60))), ms(40));
}

#[test]
fn only_silence_within_the_phase_counts() {
    assert_eq!(longest_silence(&tale().record, &(ms(25)..ms(45))), ms(20), "of client 2");
    assert_eq!(longest_silence(&tale().record, &(ms(0)..ms(28))), ms(18), "of client 1, so far");
}

#[test]
fn a_client_that_receives_nothing_counts_to_the_end() {
    assert_eq!(longest_silence(&tale().record, &(ms(0)..ms(100))), ms(70), "of client 1");
}

#[test]
fn clients_that_stall_or_left_are_not_counted() {
    for what in [What::Deaf, What::Left] {
        let tale = tale().then(1, what.clone()).then(2, what);
        assert_eq!(longest_silence(&tale.record, &(ms(0)..ms(900))), ms(40));
    }
}
