//! Notices of a loss where nothing is missing.

use super::record_builder::RecordBuilder;
use crate::chaos::checker::Verdict;
use crate::chaos::record::PhaseKind;

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
