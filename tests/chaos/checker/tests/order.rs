//! One order for all clients.

use super::record_builder::RecordBuilder;
use crate::chaos::checker::Verdict;
use crate::chaos::record::PhaseKind;

fn both_sent() -> RecordBuilder {
    RecordBuilder::in_a_phase(PhaseKind::Harmless)
        .delivers_to_all("first", "0")
        .sends_acked(0, "a", "1")
        .sends_acked(1, "b", "2")
}

#[test]
fn two_messages_received_in_both_orders_are_reordered() {
    let builder = both_sent().received_by(&[0, 1], 0, "a", "1").received_by(&[0, 1, 2], 1, "b", "2");
    let builder = builder.received_by(&[2], 0, "a", "1").delivers_to_all("last", "3");
    builder.is(Verdict::Reordered, &["room 0", "client 0", "client 2", "1 before 2"]);
}

#[test]
fn messages_sent_at_the_same_time_have_any_order() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless).sends(0, "a").sends(1, "b");
    let builder = builder.acked(1, "b", "1").acked(0, "a", "2");
    builder.received_by(&[0, 1, 2], 1, "b", "1").received_by(&[0, 1, 2], 0, "a", "2").has_no_findings();
}

#[test]
fn a_message_follows_what_was_acked_before_it_was_sent() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless)
        .sends_acked(0, "a", "2")
        .sends_acked(1, "b", "1")
        .received_by(&[0, 1, 2], 1, "b", "1");
    builder.received_by(&[0, 1, 2], 0, "a", "2").is(Verdict::Reordered, &["\"b\" before \"a\""]);
}

#[test]
fn ids_rise_at_each_client() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless).sends(0, "a").sends(1, "b");
    let builder = builder.acked(1, "b", "9").acked(0, "a", "10");
    let builder = [0, 1, 2].into_iter().fold(builder, |builder, who| {
        builder.received_after(who, 0, "a", ("10", None)).received_after(who, 1, "b", ("9", Some("10")))
    });
    builder.is(Verdict::Reordered, &["10 before 9"]);
}

#[test]
fn a_log_that_begins_again_may_have_lower_ids() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Losing).delivers_to_all("a", "10");
    let builder = builder.gap(0).gap(1).gap(2).sends_acked(0, "b", "9");
    let builder =
        [0, 1, 2].into_iter().fold(builder, |builder, who| builder.received_after(who, 0, "b", ("9", None)));
    builder.has_no_findings();
}

#[test]
fn a_repeat_does_not_change_the_order() {
    let builder = both_sent().received_by(&[0, 1, 2], 0, "a", "1").received_by(&[0, 1, 2], 1, "b", "2");
    builder.received_by(&[1], 0, "a", "1").received_by(&[1], 1, "b", "2").has_no_findings();
}

#[test]
fn a_message_that_arrives_many_places_late_is_reordered() {
    let mut builder = RecordBuilder::in_a_phase(PhaseKind::Harmless).sends_acked(0, "late", "1").received_by(
        &[0, 1],
        0,
        "late",
        "1",
    );
    for (text, id) in [("a", "2"), ("b", "3"), ("c", "4")] {
        builder = builder.delivers_to_all(text, id);
    }
    let verdicts = builder.received_by(&[2], 0, "late", "1").verdicts();
    assert!(!verdicts.is_empty() && verdicts.iter().all(|verdict| verdict == "Reordered"), "{verdicts:?}");
}

#[test]
fn each_room_has_its_own_order() {
    let builder =
        RecordBuilder::in_a_phase(PhaseKind::Harmless).delivers_to_all("a", "1").delivers_to_all("b", "2");
    let builder = builder.sends_acked(3, "b of room 1", "1").sends_acked(3, "a of room 1", "2");
    let builder = builder.received_by(&[3], 3, "b of room 1", "1");
    builder.received_by(&[3], 3, "a of room 1", "2").has_no_findings();
}
