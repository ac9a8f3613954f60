//! Positions of Centrifugo's protocol.

use super::record_builder::RecordBuilder;
use crate::chaos::checker::Verdict;
use crate::chaos::record::PhaseKind;

/// Clients 1 and 2 speak Centrifugo's protocol; client 0 sent "a", which both have received.
fn begun(kind: PhaseKind) -> RecordBuilder {
    let builder = RecordBuilder::without_clients(kind).joins(0).subscribed(1, ("e", 4), None);
    let builder = builder.subscribed(2, ("e", 4), None).sends_acked(0, "a", "1");
    builder.received_by(&[0], 0, "a", "1").published_to(&[1, 2], "a", "1", ("e", 5))
}

#[test]
fn offsets_that_count_on_are_right() {
    let builder = begun(PhaseKind::Harmless).sends_acked(0, "b", "2").received_by(&[0], 0, "b", "2");
    builder.published_to(&[1, 2], "b", "2", ("e", 6)).has_no_findings();
}

#[test]
fn a_position_with_two_messages_is_found() {
    let builder = begun(PhaseKind::Harmless).sends_acked(0, "b", "2").received_by(&[0], 0, "b", "2");
    let builder = builder.published_to(&[1], "b", "2", ("e", 6)).published_to(&[2], "b", "2", ("f", 1));
    builder.is(Verdict::Ambiguous, &["2 of room 0", "e", "f"]);
    let builder = begun(PhaseKind::Harmless).sends_acked(0, "b", "2").received_by(&[0], 0, "b", "2");
    let builder = builder.subscribed(2, ("e", 4), Some(("e", 5, false)));
    let builder = builder.published_to(&[1], "b", "2", ("e", 6)).published_to(&[2], "b", "2", ("e", 5));
    let verdicts = builder.verdicts();
    assert!(verdicts.iter().any(|verdict| verdict == "Ambiguous"), "{verdicts:?}");
}

#[test]
fn an_offset_that_comes_again_is_found() {
    let builder = begun(PhaseKind::Harmless).published_to(&[1], "a", "1", ("e", 5));
    builder.is(Verdict::NotRising, &["client 1", "e:5"]);
}

#[test]
fn an_offset_that_is_left_out_is_found() {
    let builder = begun(PhaseKind::Harmless).sends_acked(0, "b", "2").received_by(&[0], 0, "b", "2");
    builder.published_to(&[1, 2], "b", "2", ("e", 7)).is_among(Verdict::Unchained, &["client 1", "e:7"]);
    let builder = begun(PhaseKind::Harmless).sends_acked(0, "b", "2").received_by(&[0], 0, "b", "2");
    builder.published_to(&[1, 2], "b", "2", ("f", 2)).is_among(Verdict::Unchained, &["client 1", "f:2"]);
}

#[test]
fn a_recovery_goes_on_where_the_client_was() {
    let builder = begun(PhaseKind::Harmless).sends_acked(0, "b", "2").received_by(&[0], 0, "b", "2");
    let builder = builder.published_to(&[2], "b", "2", ("e", 6));
    let recovered = builder.subscribed(1, ("e", 5), Some(("e", 5, true)));
    recovered.published_to(&[1], "b", "2", ("e", 6)).has_no_findings();
}

#[test]
fn a_recovery_from_elsewhere_is_found() {
    let builder = begun(PhaseKind::Harmless).subscribed(1, ("e", 4), Some(("e", 5, true)));
    builder.is(Verdict::Unchained, &["client 1", "e:5", "e:4"]);
}

#[test]
fn what_is_missed_between_two_epochs_is_forgiven_if_it_is_reported() {
    for (kind, verdict) in [(PhaseKind::Restarting, "Lost reported*"), (PhaseKind::Harmless, "Lost reported")]
    {
        let builder = begun(kind).sends_acked(0, "b", "2").received_by(&[0], 0, "b", "2");
        let builder = builder.published_to(&[2], "b", "2", ("f", 1));
        let builder = builder.subscribed(1, ("f", 1), Some(("e", 5, false)));
        assert_eq!(builder.verdicts(), [verdict]);
    }
    let silent = begun(PhaseKind::Restarting).sends_acked(0, "b", "2").received_by(&[0], 0, "b", "2");
    assert_eq!(silent.published_to(&[2], "b", "2", ("f", 1)).verdicts(), ["Lost"]);
}

#[test]
fn a_new_epoch_is_no_loss_and_needs_a_reason() {
    let builder = begun(PhaseKind::Restarting).subscribed(1, ("f", 0), Some(("e", 5, false)));
    builder.has_no_findings();
    let builder = begun(PhaseKind::Harmless).subscribed(1, ("f", 0), Some(("e", 5, false)));
    builder.is(Verdict::Needless, &["client 1"]);
}
