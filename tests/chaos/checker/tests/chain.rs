//! Each message follows the last one that the client has.

use super::record_builder::RecordBuilder;
use crate::chaos::checker::Verdict;
use crate::chaos::record::PhaseKind;

fn one_delivered() -> RecordBuilder {
    RecordBuilder::in_a_phase(PhaseKind::Harmless).delivers_to_all("a", "1").sends_acked(0, "b", "2")
}

#[test]
fn a_message_after_one_that_no_client_received_is_unchained() {
    let builder =
        one_delivered().received_by(&[0, 1], 0, "b", "2").received_after(2, 0, "b", ("2", Some("9")));
    builder.is(Verdict::Unchained, &["client 2", "\"b\"", "after 9"]);
}

#[test]
fn a_message_that_names_none_before_it_is_unchained() {
    let builder = one_delivered().received_by(&[0, 1], 0, "b", "2").received_after(2, 0, "b", ("2", None));
    builder.is(Verdict::Unchained, &["client 2", "after none"]);
}

#[test]
fn the_first_message_follows_the_last_one_before_the_welcome() {
    let earlier = RecordBuilder::without_clients(PhaseKind::Harmless)
        .joins(0)
        .sends_acked(0, "a", "1")
        .received_by(&[0], 0, "a", "1")
        .joins(1)
        .sends_acked(0, "b", "2")
        .received_by(&[0], 0, "b", "2");
    let wrong = |builder: RecordBuilder| builder.received_after(1, 0, "b", ("2", None));
    wrong(earlier).is(Verdict::Unchained, &["client 1", "after none"]);
}

#[test]
fn a_message_after_a_notice_may_follow_any_other() {
    let builder =
        RecordBuilder::in_a_phase(PhaseKind::Losing).delivers_to_all("a", "1").sends_acked(0, "b", "7");
    let reported = builder.received_by(&[0], 0, "b", "7").gap(1).gap(2);
    reported
        .received_after(1, 0, "b", ("7", Some("6")))
        .received_after(2, 0, "b", ("7", None))
        .has_no_findings();
}

#[test]
fn a_repeat_does_not_break_the_chain() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless)
        .delivers_to_all("a", "1")
        .delivers_to_all("b", "2")
        .welcomed(1, Some("2"), true)
        .received_by(&[1], 0, "a", "1");
    builder.delivers_to_all("c", "3").has_no_findings();
}
