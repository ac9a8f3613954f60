//! Lost messages: who is entitled, what is told, what is forgiven.

use super::tale::Tale;
use crate::chaos::checker::Verdict;
use crate::chaos::record::{Kind, What};

#[test]
fn messages_received_once_and_in_order_are_no_finding() {
    Tale::in_a_phase(Kind::Calm).passes("a", "1").passes("b", "2").passes("c", "3").is_well();
}

#[test]
fn an_acked_message_that_one_member_misses_is_lost() {
    let tale =
        Tale::in_a_phase(Kind::Harmless).passes("a", "1").puts(0, "b", "2").heard_by(&[0, 1], 0, "b", "2");
    tale.passes("c", "3").is(Verdict::Lost, &["client 2", "\"b\"", "2 others"]);
}

#[test]
fn an_acked_message_that_no_client_receives_is_lost_for_each() {
    let tale = Tale::in_a_phase(Kind::Harmless).puts(0, "a", "1");
    assert_eq!(tale.verdicts(), ["Lost", "Lost", "Lost"]);
}

#[test]
fn the_last_message_can_be_lost() {
    let tale = Tale::in_a_phase(Kind::Harmless).passes("a", "1").puts(1, "b", "2");
    tale.heard_by(&[0, 1], 1, "b", "2").is(Verdict::Lost, &["client 2"]);
}

#[test]
fn an_unacked_message_may_reach_only_some_clients() {
    let tale = Tale::in_a_phase(Kind::Harmless).says(0, "a").heard_by(&[1], 0, "a", "1");
    assert_eq!(tale.verdicts(), ["Unanswered"]);
}

#[test]
fn a_new_client_is_not_owed_earlier_messages() {
    let tale = Tale::of_nobody(Kind::Harmless).comes(0).puts(0, "a", "1").heard_by(&[0], 0, "a", "1");
    tale.comes(1).puts(0, "b", "2").heard_by(&[0, 1], 0, "b", "2").is_well();
}

#[test]
fn a_client_that_left_is_not_owed_later_messages() {
    let tale = Tale::in_a_phase(Kind::Harmless).passes("a", "1").then(2, What::Left);
    tale.puts(0, "b", "2").heard_by(&[0, 1], 0, "b", "2").is_well();
}

#[test]
fn a_client_that_left_is_owed_messages_before_its_last_one() {
    let tale = Tale::in_a_phase(Kind::Harmless).puts(0, "a", "1").heard_by(&[0, 1], 0, "a", "1");
    tale.passes("b", "2").then(2, What::Left).is(Verdict::Lost, &["client 2", "\"a\""]);
}

#[test]
fn a_message_may_arrive_after_a_reconnect() {
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
fn an_announced_loss_is_forgiven_when_redis_lost_data() {
    assert_eq!(missed(Kind::Losing, |tale| tale.gap(2)).verdicts(), ["Lost told*"]);
    assert_eq!(missed(Kind::Losing, |tale| tale.welcomed(2, Some("1"), false)).verdicts(), ["Lost told*"]);
}

#[test]
fn an_announced_loss_counts_unless_redis_lost_data() {
    assert_eq!(missed(Kind::Harmless, |tale| tale.gap(2)).verdicts(), ["Lost told"]);
    assert_eq!(missed(Kind::Doubling, |tale| tale.gap(2)).verdicts(), ["Lost told"]);
}

#[test]
fn an_unannounced_loss_is_never_forgiven() {
    assert_eq!(missed(Kind::Losing, |tale| tale).verdicts(), ["Lost"]);
    assert_eq!(missed(Kind::Losing, |tale| tale.gap(1)).verdicts(), ["Lost"], "somebody else was told");
    assert_eq!(missed(Kind::Losing, |tale| tale.welcomed(2, Some("1"), true)).verdicts(), ["Lost"]);
    assert_eq!(missed(Kind::Losing, |tale| tale.welcomed(2, None, false)).verdicts(), ["Lost"], "no since");
}

#[test]
fn a_gap_at_another_position_does_not_announce_a_loss() {
    let before = Tale::in_a_phase(Kind::Losing).gap(2);
    let before = before.passes("a", "1").puts(0, "b", "2").heard_by(&[0, 1], 0, "b", "2").passes("c", "3");
    assert_eq!(before.verdicts(), ["Lost"], "told before `a`, missed after it");
    let behind = missed(Kind::Losing, |tale| tale).gap(2).passes("d", "4");
    assert_eq!(behind.verdicts(), ["Lost"], "told after `c`, missed before it");
}

#[test]
fn a_gap_at_its_time_announces_a_message_no_client_received() {
    let lost = |tale: Tale| tale.passes("a", "1").puts(0, "b", "2");
    let told = lost(Tale::in_a_phase(Kind::Losing)).gap(0).gap(1).gap(2).passes("c", "3");
    assert_eq!(told.verdicts(), ["Lost told*", "Lost told*", "Lost told*"]);
    let late = lost(Tale::in_a_phase(Kind::Losing)).passes("c", "3").gap(0).gap(1).gap(2);
    assert_eq!(late.verdicts(), ["Lost", "Lost", "Lost"], "`c` was said after `b` was in the log");
}
