//! Messages that arrive long after they were logged.

use std::time::Duration;

use super::record_builder::RecordBuilder;
use crate::chaos::checker::Verdict;
use crate::chaos::record::{Action, PhaseKind};

/// Client 2 receives `a` this much later than the others.
fn received_after(kind: PhaseKind, delay: Duration) -> RecordBuilder {
    let builder = RecordBuilder::in_a_phase(kind).sends_acked(0, "a", "1").received_by(&[0, 1], 0, "a", "1");
    builder.later(delay).received_by(&[2], 0, "a", "1")
}

#[test]
fn a_message_that_arrives_an_hour_later_is_late() {
    let late = received_after(PhaseKind::Harmless, Duration::from_hours(1));
    late.is(Verdict::Late, &["client 2", "\"a\""]);
}

#[test]
fn a_fault_delays_messages_for_less_than_a_minute() {
    received_after(PhaseKind::Harmless, Duration::from_secs(30)).has_no_findings();
    received_after(PhaseKind::Calm, Duration::from_secs(30)).is(Verdict::Late, &["client 2"]);
    received_after(PhaseKind::Calm, Duration::from_secs(2)).has_no_findings();
}

#[test]
fn a_client_that_was_away_or_did_not_read_receives_messages_then() {
    let missed = RecordBuilder::in_a_phase(PhaseKind::Harmless)
        .sends_acked(0, "a", "1")
        .received_by(&[0, 1], 0, "a", "1")
        .later(Duration::from_hours(1));
    missed.welcomed(2, Some("0"), true).received_by(&[2], 0, "a", "1").has_no_findings();
    let unread = RecordBuilder::in_a_phase(PhaseKind::Harmless)
        .then(2, Action::Stalled)
        .sends_acked(0, "a", "1")
        .received_by(&[0, 1], 0, "a", "1")
        .later(Duration::from_hours(1));
    unread.then(2, Action::Resumed).received_by(&[2], 0, "a", "1").has_no_findings();
}
