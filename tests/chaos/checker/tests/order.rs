//! One order for all.

use super::tale::Tale;
use crate::chaos::checker::Verdict;
use crate::chaos::record::Kind;

fn both_said() -> Tale {
    Tale::in_a_phase(Kind::Harmless).passes("first", "0").puts(0, "a", "1").puts(1, "b", "2")
}

#[test]
fn two_messages_received_in_both_orders_are_reordered() {
    let tale = both_said().heard_by(&[0, 1], 0, "a", "1").heard_by(&[0, 1, 2], 1, "b", "2");
    let tale = tale.heard_by(&[2], 0, "a", "1").passes("last", "3");
    tale.is(Verdict::Reordered, &["room 0", "client 0", "client 2", "1 before 2"]);
}

#[test]
fn the_order_of_sending_is_not_guaranteed() {
    both_said().heard_by(&[0, 1, 2], 1, "b", "2").heard_by(&[0, 1, 2], 0, "a", "1").is_well();
}

#[test]
fn a_repeat_does_not_change_the_order() {
    let tale = both_said().heard_by(&[0, 1, 2], 0, "a", "1").heard_by(&[0, 1, 2], 1, "b", "2");
    tale.heard_by(&[1], 0, "a", "1").heard_by(&[1], 1, "b", "2").is_well();
}

#[test]
fn a_message_that_arrives_many_places_late_is_reordered() {
    let mut tale = Tale::in_a_phase(Kind::Harmless).puts(0, "late", "9").heard_by(&[0, 1], 0, "late", "9");
    for (text, id) in [("a", "1"), ("b", "2"), ("c", "3")] {
        tale = tale.passes(text, id);
    }
    let verdicts = tale.heard_by(&[2], 0, "late", "9").verdicts();
    assert!(!verdicts.is_empty() && verdicts.iter().all(|verdict| verdict == "Reordered"), "{verdicts:?}");
}

#[test]
fn each_room_has_its_own_order() {
    let tale = Tale::in_a_phase(Kind::Harmless).passes("a", "1").passes("b", "2");
    let tale = tale.puts(3, "d", "2").puts(3, "c", "1");
    tale.heard_by(&[3], 3, "d", "2").heard_by(&[3], 3, "c", "1").is_well();
}
