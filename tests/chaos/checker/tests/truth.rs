//! Duplicates, invented messages, rejections.

use super::record_builder::{RecordBuilder, user};
use crate::chaos::checker::Verdict;
use crate::chaos::record::{Action, PhaseKind};

#[test]
fn one_text_under_two_ids_is_a_duplicate() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless).delivers_to_all("a", "1").received_by(
        &[0, 1, 2],
        0,
        "a",
        "2",
    );
    builder.is(Verdict::Duplicated, &["\"a\"", "{\"1\", \"2\"}"]);
}

#[test]
fn an_ack_with_another_id_is_a_duplicate() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless).sends_acked(0, "a", "1").received_by(
        &[0, 1, 2],
        0,
        "a",
        "2",
    );
    builder.is(Verdict::Duplicated, &["\"a\""]);
}

#[test]
fn a_duplicate_is_forgiven_when_redis_lost_the_first_copy() {
    let double = |kind| RecordBuilder::in_a_phase(kind).sends(0, "a").received_by(&[0, 1, 2], 0, "a", "1");
    let again = |kind| double(kind).sends_acked(0, "a", "2").received_by(&[0, 1, 2], 0, "a", "2").verdicts();
    assert_eq!(again(PhaseKind::Losing), ["Duplicated*"]);
    assert_eq!(again(PhaseKind::Doubling), ["Duplicated*"]);
    assert_eq!(again(PhaseKind::Harmless), ["Duplicated"]);
    // The node has sent it again.
    let once = |kind| double(kind).acked(0, "a", "2").received_by(&[0, 1, 2], 0, "a", "2").verdicts();
    assert_eq!(once(PhaseKind::Losing), ["Duplicated*"]);
    assert_eq!(once(PhaseKind::Harmless), ["Duplicated"]);
}

#[test]
fn a_resent_message_that_is_delivered_once_is_no_finding() {
    let builder =
        RecordBuilder::in_a_phase(PhaseKind::Harmless).sends(0, "a").received_by(&[0, 1, 2], 0, "a", "1");
    builder.sends_acked(0, "a", "1").has_no_findings();
}

#[test]
fn a_repeat_is_a_finding_only_without_a_fault() {
    let again =
        |kind| RecordBuilder::in_a_phase(kind).delivers_to_all("a", "1").received_by(&[1], 0, "a", "1");
    again(PhaseKind::Harmless).has_no_findings();
    again(PhaseKind::Calm).is(Verdict::Repeated, &["client 1", "\"a\""]);
}

#[test]
fn a_message_repeated_again_and_again_is_a_finding() {
    let again = |times| {
        let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless).delivers_to_all("a", "1");
        (0..times).fold(builder, |builder, _| builder.received_by(&[1], 0, "a", "1"))
    };
    again(3).has_no_findings();
    again(1000).is(Verdict::Repeated, &["client 1", "\"a\""]);
}

#[test]
fn a_message_that_no_client_sent_is_invented() {
    RecordBuilder::in_a_phase(PhaseKind::Harmless)
        .received_by(&[1], 0, "a", "1")
        .is(Verdict::Invented, &["no client sent"]);
}

#[test]
fn a_message_received_before_it_was_sent_is_invented() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless)
        .received_by(&[0, 1, 2], 0, "a", "1")
        .sends_acked(0, "a", "1");
    assert_eq!(builder.verdicts(), ["Invented", "Invented", "Invented"]);
}

#[test]
fn a_message_of_another_room_is_invented() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless).delivers_to_all("a", "1").received_by(
        &[3],
        0,
        "a",
        "1",
    );
    builder.is(Verdict::Invented, &["room 1", "sent in room 0"]);
}

#[test]
fn a_message_with_another_sender_is_invented() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless).sends_acked(0, "a", "1").received_by(
        &[0, 1],
        0,
        "a",
        "1",
    );
    builder.received_by(&[2], 1, "a", "1").is(Verdict::Invented, &["user user1", "client 0 sent"]);
}

#[test]
fn a_message_without_an_id_is_invented() {
    let received =
        Action::Received { id: None, prev: None, position: None, text: "a".to_owned(), user: user(0) };
    let builder =
        RecordBuilder::in_a_phase(PhaseKind::Harmless).sends(0, "a").rejected(0, "a", true).then(1, received);
    assert_eq!(builder.verdicts(), ["Unanswered", "Invented"]);
}

#[test]
fn one_id_with_two_texts_is_a_finding() {
    let builder =
        RecordBuilder::in_a_phase(PhaseKind::Harmless).delivers_to_all("a", "1").sends_acked(0, "b", "1");
    assert_eq!(builder.verdicts(), ["Lost", "Lost", "Lost", "TwoTexts"]);
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless).sends_acked(0, "a", "1").received_by(
        &[0, 1],
        0,
        "a",
        "1",
    );
    let builder = builder.sends(0, "b").received_by(&[2], 0, "b", "1").rejected(0, "b", true);
    assert_eq!(builder.verdicts(), ["Lost", "Lost", "Lost", "Unanswered", "TwoTexts"]);
}

#[test]
fn two_rooms_may_use_the_same_id() {
    let builder =
        RecordBuilder::in_a_phase(PhaseKind::Harmless).delivers_to_all("a", "1").sends_acked(3, "b", "1");
    builder.received_by(&[3], 3, "b", "1").has_no_findings();
}

#[test]
fn a_message_rejected_without_retry_must_not_be_delivered() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless).sends(0, "a").rejected(0, "a", false);
    builder.has_no_findings();
    let verdicts = builder.received_by(&[0, 1, 2], 0, "a", "1").verdicts();
    assert_eq!(verdicts, ["RejectedAndDelivered", "RejectedAndDelivered", "RejectedAndDelivered"]);
}

#[test]
fn a_message_rejected_with_retry_may_be_delivered() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless)
        .sends(0, "a")
        .rejected(0, "a", true)
        .delivers_to_all("a", "1");
    builder.has_no_findings();
}

#[test]
fn a_message_without_a_reply_is_a_finding() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless).sends(0, "a").rejected(0, "a", true);
    builder.is(Verdict::Unanswered, &["\"a\"", "sent 1 times"]);
    builder.then(0, Action::Left).has_no_findings();
}
