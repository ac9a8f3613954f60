//! Doubles, inventions, refusals.

use super::tale::{Tale, user};
use crate::chaos::checker::Verdict;
use crate::chaos::record::{Kind, What};

#[test]
fn one_text_under_two_ids_is_a_duplicate() {
    let tale = Tale::in_a_phase(Kind::Harmless).passes("a", "1").heard_by(&[0, 1, 2], 0, "a", "2");
    tale.is(Verdict::Duplicated, &["\"a\"", "{\"1\", \"2\"}"]);
}

#[test]
fn an_ack_with_another_id_is_a_duplicate() {
    let tale = Tale::in_a_phase(Kind::Harmless).puts(0, "a", "1").heard_by(&[0, 1, 2], 0, "a", "2");
    tale.is(Verdict::Duplicated, &["\"a\""]);
}

#[test]
fn a_duplicate_is_forgiven_when_redis_lost_the_first_copy() {
    let double = |kind| Tale::in_a_phase(kind).says(0, "a").heard_by(&[0, 1, 2], 0, "a", "1");
    let again = |kind| double(kind).puts(0, "a", "2").heard_by(&[0, 1, 2], 0, "a", "2").verdicts();
    assert_eq!(again(Kind::Losing), ["Duplicated*"]);
    assert_eq!(again(Kind::Doubling), ["Duplicated*"]);
    assert_eq!(again(Kind::Harmless), ["Duplicated"]);
    let once = double(Kind::Losing).acked(0, "a", "2").heard_by(&[0, 1, 2], 0, "a", "2");
    assert_eq!(once.verdicts(), ["Duplicated"]);
}

#[test]
fn a_resent_message_that_is_delivered_once_is_no_finding() {
    let tale = Tale::in_a_phase(Kind::Harmless).says(0, "a").heard_by(&[0, 1, 2], 0, "a", "1");
    tale.puts(0, "a", "1").is_well();
}

#[test]
fn a_repeat_is_a_finding_only_without_a_fault() {
    let again = |kind| Tale::in_a_phase(kind).passes("a", "1").heard_by(&[1], 0, "a", "1");
    again(Kind::Harmless).is_well();
    again(Kind::Calm).is(Verdict::Repeated, &["client 1", "\"a\""]);
}

#[test]
fn a_message_that_no_client_sent_is_invented() {
    Tale::in_a_phase(Kind::Harmless).heard_by(&[1], 0, "a", "1").is(Verdict::Invented, &["nobody said"]);
}

#[test]
fn a_message_received_before_it_was_sent_is_invented() {
    let tale = Tale::in_a_phase(Kind::Harmless).heard_by(&[0, 1, 2], 0, "a", "1").puts(0, "a", "1");
    assert_eq!(tale.verdicts(), ["Invented", "Invented", "Invented"]);
}

#[test]
fn a_message_of_another_room_is_invented() {
    let tale = Tale::in_a_phase(Kind::Harmless).passes("a", "1").heard_by(&[3], 0, "a", "1");
    tale.is(Verdict::Invented, &["room 1", "said in room 0"]);
}

#[test]
fn a_message_with_another_sender_is_invented() {
    let tale = Tale::in_a_phase(Kind::Harmless).puts(0, "a", "1").heard_by(&[0, 1], 0, "a", "1");
    tale.heard_by(&[2], 1, "a", "1").is(Verdict::Invented, &["user user1", "client 0 said"]);
}

#[test]
fn a_message_without_an_id_is_invented() {
    let heard = What::Heard { id: None, prev: None, text: "a".to_owned(), user: user(0) };
    let tale = Tale::in_a_phase(Kind::Harmless).says(0, "a").refused(0, "a", true).then(1, heard);
    assert_eq!(tale.verdicts(), ["Unanswered", "Invented"]);
}

#[test]
fn one_id_with_two_texts_is_a_finding() {
    let tale = Tale::in_a_phase(Kind::Harmless).passes("a", "1").puts(0, "b", "1");
    assert_eq!(tale.verdicts(), ["Lost", "Lost", "Lost", "TwoTexts"]);
    let tale = Tale::in_a_phase(Kind::Harmless).puts(0, "a", "1").heard_by(&[0, 1], 0, "a", "1");
    let tale = tale.says(0, "b").heard_by(&[2], 0, "b", "1").refused(0, "b", true);
    assert_eq!(tale.verdicts(), ["Lost", "Unanswered", "TwoTexts"]);
}

#[test]
fn two_rooms_may_use_the_same_id() {
    let tale = Tale::in_a_phase(Kind::Harmless).passes("a", "1").puts(3, "b", "1");
    tale.heard_by(&[3], 3, "b", "1").is_well();
}

#[test]
fn a_message_rejected_without_retry_must_not_be_delivered() {
    let tale = Tale::in_a_phase(Kind::Harmless).says(0, "a").refused(0, "a", false);
    tale.is_well();
    tale.heard_by(&[1], 0, "a", "1").is(Verdict::RefusedAndHeard, &["some_code"]);
}

#[test]
fn a_message_rejected_with_retry_may_be_delivered() {
    let tale = Tale::in_a_phase(Kind::Harmless).says(0, "a").refused(0, "a", true).passes("a", "1");
    tale.is_well();
}

#[test]
fn a_message_without_a_reply_is_a_finding() {
    let tale = Tale::in_a_phase(Kind::Harmless).says(0, "a").refused(0, "a", true);
    tale.is(Verdict::Unanswered, &["\"a\"", "sent 1 times"]);
    tale.then(0, What::Left).is_well();
}
