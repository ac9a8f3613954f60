//! Lost messages: who is entitled, what is told, what is forgiven.

use super::tale::Tale;
use crate::chaos::checker::Verdict;
use crate::chaos::record::{Kind, What};

#[test]
fn what_everybody_hears_once_and_in_order_is_well() {
    Tale::in_a_phase(Kind::Calm).passes("a", "1").passes("b", "2").passes("c", "3").is_well();
}

#[test]
fn an_acked_message_that_one_member_never_hears_is_lost() {
    let tale =
        Tale::in_a_phase(Kind::Harmless).passes("a", "1").puts(0, "b", "2").heard_by(&[0, 1], 0, "b", "2");
    tale.passes("c", "3").is(Verdict::Lost, &["client 2", "\"b\"", "2 others"]);
}

#[test]
fn an_acked_message_that_nobody_hears_is_lost_for_each() {
    let tale = Tale::in_a_phase(Kind::Harmless).puts(0, "a", "1");
    assert_eq!(tale.verdicts(), ["Lost", "Lost", "Lost"]);
}

#[test]
fn the_last_message_can_be_lost() {
    let tale = Tale::in_a_phase(Kind::Harmless).passes("a", "1").puts(1, "b", "2");
    tale.heard_by(&[0, 1], 1, "b", "2").is(Verdict::Lost, &["client 2"]);
}

#[test]
fn a_message_that_is_not_acked_may_reach_some_only() {
    let tale = Tale::in_a_phase(Kind::Harmless).says(0, "a").heard_by(&[1], 0, "a", "1");
    assert_eq!(tale.verdicts(), ["Unanswered"]);
}

#[test]
fn what_was_said_before_somebody_came_is_not_for_them() {
    let tale = Tale::of_nobody(Kind::Harmless).comes(0).puts(0, "a", "1").heard_by(&[0], 0, "a", "1");
    tale.comes(1).puts(0, "b", "2").heard_by(&[0, 1], 0, "b", "2").is_well();
}

#[test]
fn what_is_said_after_somebody_left_is_not_for_them() {
    let tale = Tale::in_a_phase(Kind::Harmless).passes("a", "1").then(2, What::Left);
    tale.puts(0, "b", "2").heard_by(&[0, 1], 0, "b", "2").is_well();
}

#[test]
fn who_left_should_have_heard_what_stands_before_something_they_heard() {
    let tale = Tale::in_a_phase(Kind::Harmless).puts(0, "a", "1").heard_by(&[0, 1], 0, "a", "1");
    tale.passes("b", "2").then(2, What::Left).is(Verdict::Lost, &["client 2", "\"a\""]);
}

#[test]
fn a_message_may_come_after_a_reconnect() {
    let tale =
        Tale::in_a_phase(Kind::Harmless).passes("a", "1").puts(0, "b", "2").heard_by(&[0, 1], 0, "b", "2");
    tale.welcomed(2, Some("1"), true).heard_by(&[2], 0, "b", "2").passes("c", "3").is_well();
}

/// Client 2 misses `b` between `a` and `c`.
fn missed(kind: Kind, notice: impl Fn(Tale) -> Tale) -> Tale {
    let tale = Tale::in_a_phase(kind).passes("a", "1").puts(0, "b", "2").heard_by(&[0, 1], 0, "b", "2");
    notice(tale).passes("c", "3")
}

#[test]
fn a_loss_that_is_told_is_forgiven_where_redis_lost_its_data() {
    assert_eq!(missed(Kind::Losing, |tale| tale.gap(2)).verdicts(), ["Lost told*"]);
    assert_eq!(missed(Kind::Losing, |tale| tale.welcomed(2, Some("1"), false)).verdicts(), ["Lost told*"]);
}

#[test]
fn a_loss_that_is_told_is_a_loss_under_any_other_fault() {
    assert_eq!(missed(Kind::Harmless, |tale| tale.gap(2)).verdicts(), ["Lost told"]);
    assert_eq!(missed(Kind::Doubling, |tale| tale.gap(2)).verdicts(), ["Lost told"]);
}

#[test]
fn a_loss_that_is_not_told_is_never_forgiven() {
    assert_eq!(missed(Kind::Losing, |tale| tale).verdicts(), ["Lost"]);
    assert_eq!(missed(Kind::Losing, |tale| tale.gap(1)).verdicts(), ["Lost"], "somebody else was told");
    assert_eq!(missed(Kind::Losing, |tale| tale.welcomed(2, Some("1"), true)).verdicts(), ["Lost"]);
    assert_eq!(missed(Kind::Losing, |tale| tale.welcomed(2, None, false)).verdicts(), ["Lost"], "no since");
}

#[test]
fn a_gap_at_another_place_tells_nothing() {
    let before = Tale::in_a_phase(Kind::Losing).gap(2);
    let before = before.passes("a", "1").puts(0, "b", "2").heard_by(&[0, 1], 0, "b", "2").passes("c", "3");
    assert_eq!(before.verdicts(), ["Lost"], "told before `a`, missed after it");
    let behind = missed(Kind::Losing, |tale| tale).gap(2).passes("d", "4");
    assert_eq!(behind.verdicts(), ["Lost"], "told after `c`, missed before it");
}

#[test]
fn a_message_that_nobody_heard_is_told_by_a_gap_at_its_time() {
    let lost = |tale: Tale| tale.passes("a", "1").puts(0, "b", "2");
    let told = lost(Tale::in_a_phase(Kind::Losing)).gap(0).gap(1).gap(2).passes("c", "3");
    assert_eq!(told.verdicts(), ["Lost told*", "Lost told*", "Lost told*"]);
    let late = lost(Tale::in_a_phase(Kind::Losing)).passes("c", "3").gap(0).gap(1).gap(2);
    assert_eq!(late.verdicts(), ["Lost", "Lost", "Lost"], "`c` was said after `b` was in the log");
}
