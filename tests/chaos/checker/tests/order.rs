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
fn the_order_of_sending_is_not_guaranteed() {
    both_sent().received_by(&[0, 1, 2], 1, "b", "2").received_by(&[0, 1, 2], 0, "a", "1").has_no_findings();
}

#[test]
fn a_repeat_does_not_change_the_order() {
    let builder = both_sent().received_by(&[0, 1, 2], 0, "a", "1").received_by(&[0, 1, 2], 1, "b", "2");
    builder.received_by(&[1], 0, "a", "1").received_by(&[1], 1, "b", "2").has_no_findings();
}

#[test]
fn a_message_that_arrives_many_places_late_is_reordered() {
    let mut builder = RecordBuilder::in_a_phase(PhaseKind::Harmless).sends_acked(0, "late", "9").received_by(
        &[0, 1],
        0,
        "late",
        "9",
    );
    for (text, id) in [("a", "1"), ("b", "2"), ("c", "3")] {
        builder = builder.delivers_to_all(text, id);
    }
    let verdicts = builder.received_by(&[2], 0, "late", "9").verdicts();
    assert!(!verdicts.is_empty() && verdicts.iter().all(|verdict| verdict == "Reordered"), "{verdicts:?}");
}

#[test]
fn each_room_has_its_own_order() {
    let builder =
        RecordBuilder::in_a_phase(PhaseKind::Harmless).delivers_to_all("a", "1").delivers_to_all("b", "2");
    let builder = builder.sends_acked(3, "d", "2").sends_acked(3, "c", "1");
    builder.received_by(&[3], 3, "d", "2").received_by(&[3], 3, "c", "1").has_no_findings();
}
