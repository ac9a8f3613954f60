//! Lost messages: entitlement, announcement, forgiveness.

use super::record_builder::RecordBuilder;
use crate::chaos::checker::Verdict;
use crate::chaos::record::{Action, PhaseKind};

#[test]
fn messages_received_once_and_in_order_are_no_finding() {
    RecordBuilder::in_a_phase(PhaseKind::Calm)
        .delivers_to_all("a", "1")
        .delivers_to_all("b", "2")
        .delivers_to_all("c", "3")
        .has_no_findings();
}

#[test]
fn an_acked_message_that_one_member_misses_is_lost() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless)
        .delivers_to_all("a", "1")
        .sends_acked(0, "b", "2")
        .received_by(&[0, 1], 0, "b", "2");
    builder.delivers_to_all("c", "3").is(Verdict::Lost, &["client 2", "\"b\"", "2 others"]);
}

#[test]
fn an_acked_message_that_no_client_receives_is_lost_for_each() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless).sends_acked(0, "a", "1");
    assert_eq!(builder.verdicts(), ["Lost", "Lost", "Lost"]);
}

#[test]
fn the_last_message_can_be_lost() {
    let builder =
        RecordBuilder::in_a_phase(PhaseKind::Harmless).delivers_to_all("a", "1").sends_acked(1, "b", "2");
    builder.received_by(&[0, 1], 1, "b", "2").is(Verdict::Lost, &["client 2"]);
}

#[test]
fn an_unacked_message_reaches_all_clients_or_none() {
    let builder =
        RecordBuilder::in_a_phase(PhaseKind::Harmless).sends(0, "a").received_by(&[1, 2], 0, "a", "1");
    builder.then(0, Action::Left).has_no_findings();
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless).sends(0, "a").received_by(&[1], 0, "a", "1");
    builder.then(0, Action::Left).is(Verdict::Lost, &["client 2", "acked: None"]);
}

#[test]
fn redis_may_discard_an_unacked_message_when_it_loses_data() {
    for kind in [PhaseKind::Losing, PhaseKind::Doubling] {
        let builder = RecordBuilder::in_a_phase(kind).sends(0, "a").received_by(&[1], 0, "a", "1");
        builder.then(0, Action::Left).has_no_findings();
    }
}

#[test]
fn a_text_that_was_logged_twice_says_nothing_of_the_order() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Losing).sends(0, "a").received_by(&[1], 0, "a", "1");
    // Redis discards "a", client 1 misses "b" and is informed of it, and "a" is sent again.
    let builder = builder.sends_acked(0, "b", "2").received_by(&[0, 2], 0, "b", "2").gap(1);
    let builder = builder.sends_acked(0, "a", "3").received_by(&[0, 1, 2], 0, "a", "3");
    assert_eq!(builder.verdicts(), ["Duplicated*", "Lost reported*"]);
}

#[test]
fn a_client_is_owed_what_is_behind_the_end_of_the_log_at_its_welcome() {
    let builder = RecordBuilder::without_clients(PhaseKind::Harmless).joins(0).sends(0, "a").joins(1);
    let builder = builder.acked(0, "a", "1").received_by(&[0], 0, "a", "1");
    builder.is(Verdict::Lost, &["client 1", "\"a\""]);
}

#[test]
fn a_gap_does_not_report_messages_sent_after_it() {
    let mut builder = RecordBuilder::in_a_phase(PhaseKind::Losing).delivers_to_all("a", "1").gap(2);
    for id in 2..=4 {
        let (text, id) = (format!("text {id}"), id.to_string());
        builder = builder.sends_acked(0, &text, &id).received_by(&[0, 1], 0, &text, &id);
    }
    assert_eq!(builder.verdicts(), ["Lost", "Lost", "Lost"]);
}

#[test]
fn a_new_client_is_not_owed_earlier_messages() {
    let builder = RecordBuilder::without_clients(PhaseKind::Harmless)
        .joins(0)
        .sends_acked(0, "a", "1")
        .received_by(&[0], 0, "a", "1");
    builder.joins(1).sends_acked(0, "b", "2").received_by(&[0, 1], 0, "b", "2").has_no_findings();
}

#[test]
fn a_client_that_left_is_not_owed_later_messages() {
    let builder =
        RecordBuilder::in_a_phase(PhaseKind::Harmless).delivers_to_all("a", "1").then(2, Action::Left);
    builder.sends_acked(0, "b", "2").received_by(&[0, 1], 0, "b", "2").has_no_findings();
}

#[test]
fn a_client_that_left_is_owed_messages_before_its_last_one() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless).sends_acked(0, "a", "1").received_by(
        &[0, 1],
        0,
        "a",
        "1",
    );
    builder.delivers_to_all("b", "2").then(2, Action::Left).is(Verdict::Lost, &["client 2", "\"a\""]);
}

#[test]
fn a_message_may_arrive_after_a_reconnect() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless)
        .delivers_to_all("a", "1")
        .sends_acked(0, "b", "2")
        .received_by(&[0, 1], 0, "b", "2");
    builder
        .welcomed(2, Some("1"), true)
        .received_by(&[2], 0, "b", "2")
        .delivers_to_all("c", "3")
        .has_no_findings();
}

/// Client 2 misses `b` between `a` and `c`.
fn missed(kind: PhaseKind, notice: impl Fn(RecordBuilder) -> RecordBuilder) -> RecordBuilder {
    let builder = RecordBuilder::in_a_phase(kind)
        .delivers_to_all("a", "1")
        .sends_acked(0, "b", "2")
        .received_by(&[0, 1], 0, "b", "2");
    notice(builder).delivers_to_all("c", "3")
}

#[test]
fn a_reported_loss_is_forgiven_when_redis_lost_data() {
    assert_eq!(missed(PhaseKind::Losing, |builder| builder.gap(2)).verdicts(), ["Lost reported*"]);
    assert_eq!(
        missed(PhaseKind::Losing, |builder| builder.welcomed(2, Some("1"), false)).verdicts(),
        ["Lost reported*"]
    );
}

#[test]
fn a_reported_loss_counts_unless_redis_lost_data() {
    assert_eq!(missed(PhaseKind::Harmless, |builder| builder.gap(2)).verdicts(), ["Lost reported"]);
    assert_eq!(missed(PhaseKind::Doubling, |builder| builder.gap(2)).verdicts(), ["Lost reported"]);
}

#[test]
fn an_unreported_loss_is_never_forgiven() {
    assert_eq!(missed(PhaseKind::Losing, |builder| builder).verdicts(), ["Lost"]);
    assert_eq!(
        missed(PhaseKind::Losing, |builder| builder.gap(1)).verdicts(),
        ["Lost"],
        "another client received the gap"
    );
    assert_eq!(
        missed(PhaseKind::Losing, |builder| builder.welcomed(2, Some("1"), true)).verdicts(),
        ["Lost"]
    );
    assert_eq!(
        missed(PhaseKind::Losing, |builder| builder.welcomed(2, None, false)).verdicts(),
        ["Lost"],
        "no since"
    );
}

#[test]
fn a_gap_at_another_position_does_not_report_a_loss() {
    let before = RecordBuilder::in_a_phase(PhaseKind::Losing).gap(2);
    let before = before
        .delivers_to_all("a", "1")
        .sends_acked(0, "b", "2")
        .received_by(&[0, 1], 0, "b", "2")
        .delivers_to_all("c", "3");
    assert_eq!(before.verdicts(), ["Lost"], "reported before `a`, missed after it");
    let behind = missed(PhaseKind::Losing, |builder| builder).gap(2).delivers_to_all("d", "4");
    assert_eq!(behind.verdicts(), ["Lost"], "reported after `c`, missed before it");
}

#[test]
fn a_gap_at_its_time_reports_a_message_no_client_received() {
    let lost = |builder: RecordBuilder| builder.delivers_to_all("a", "1").sends_acked(0, "b", "2");
    let reported =
        lost(RecordBuilder::in_a_phase(PhaseKind::Losing)).gap(0).gap(1).gap(2).delivers_to_all("c", "3");
    assert_eq!(reported.verdicts(), ["Lost reported*", "Lost reported*", "Lost reported*"]);
    let late =
        lost(RecordBuilder::in_a_phase(PhaseKind::Losing)).delivers_to_all("c", "3").gap(0).gap(1).gap(2);
    assert_eq!(late.verdicts(), ["Lost", "Lost", "Lost"], "`c` was sent after `b` was in the log");
}
