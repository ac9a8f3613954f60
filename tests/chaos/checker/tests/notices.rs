//! Notices of a loss where nothing is missing.

use std::time::Duration;

use super::record_builder::RecordBuilder;
use crate::chaos::checker::Verdict;
use crate::chaos::record::{Phase, PhaseKind};

#[test]
fn a_gap_where_nothing_is_missing_is_needless() {
    for kind in [PhaseKind::Calm, PhaseKind::Harmless, PhaseKind::Trimming] {
        let builder = RecordBuilder::in_a_phase(kind).delivers_to_all("a", "1").gap(1);
        builder.delivers_to_all("b", "2").is(Verdict::Needless, &["client 1", "gap"]);
    }
}

#[test]
fn a_failed_recovery_where_nothing_is_missing_is_needless() {
    for kind in [PhaseKind::Calm, PhaseKind::Harmless, PhaseKind::Trimming] {
        let builder = RecordBuilder::in_a_phase(kind).delivers_to_all("a", "1").welcomed(1, Some("1"), false);
        builder.delivers_to_all("b", "2").is(Verdict::Needless, &["client 1", "recovered: false"]);
    }
}

#[test]
fn a_gap_after_each_message_is_needless_even_when_redis_lost_data() {
    let mut builder = RecordBuilder::in_a_phase(PhaseKind::Losing);
    for id in 1..=5 {
        builder = builder.delivers_to_all(&format!("text {id}"), &id.to_string()).gap(1);
    }
    assert_eq!(builder.verdicts(), ["Needless", "Needless", "Needless"]);
}

#[test]
fn each_log_that_begins_again_may_be_reported() {
    let mut builder = RecordBuilder::in_a_phase(PhaseKind::Losing);
    for id in 1..=3 {
        let text = format!("text {id}");
        builder = builder.sends_acked(0, &text, &id.to_string());
        for who in 0..=2 {
            builder = builder.received_after(who, 0, &text, (&id.to_string(), None));
        }
        builder = builder.gap(1).gap(1);
    }
    assert_eq!(builder.verdicts(), [""; 0]);
    assert_eq!(builder.gap(1).verdicts(), ["Needless"]);
}

#[test]
fn a_gap_where_a_message_is_missing_is_none_of_the_tolerated_ones() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Losing).delivers_to_all("a", "1").gap(1);
    let builder = builder.sends_acked(0, "b", "2").received_by(&[0, 2], 0, "b", "2").gap(1);
    let builder = builder.delivers_to_all("c", "3").gap(1).delivers_to_all("d", "4");
    assert_eq!(builder.verdicts(), ["Lost reported*"]);
}

#[test]
fn each_failed_recovery_may_be_reported_when_redis_lost_data() {
    let mut builder = RecordBuilder::in_a_phase(PhaseKind::Losing).delivers_to_all("a", "1");
    for _ in 0..5 {
        builder = builder.welcomed(1, Some("1"), false);
    }
    builder.has_no_findings();
}

#[test]
fn a_trimmed_message_is_forgiven_where_it_is_reported() {
    let reported = RecordBuilder::in_a_phase(PhaseKind::Trimming)
        .delivers_to_all("a", "1")
        .sends_acked(0, "b", "2")
        .received_by(&[0, 1], 0, "b", "2")
        .welcomed(2, Some("1"), false);
    assert_eq!(reported.delivers_to_all("c", "3").verdicts(), ["Lost reported*"]);
}

#[test]
fn a_client_that_returns_after_a_restart_is_informed_later() {
    for (kind, expected) in [(PhaseKind::Restarting, &[][..]), (PhaseKind::Trimming, &["Needless"])] {
        let mut builder = RecordBuilder::in_a_phase(kind).delivers_to_all("a", "1");
        let from = builder.record.events.last().expect("an event").at + Duration::from_millis(1);
        builder.record.phases.push(Phase { from, fault: "another", kind: PhaseKind::Harmless });
        let builder = builder.sends_acked(0, "b", "2").received_by(&[0, 2], 0, "b", "2").gap(1);
        assert_eq!(builder.received_by(&[1], 0, "b", "2").verdicts(), expected);
    }
}
