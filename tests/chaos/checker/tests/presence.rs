//! The members at rest.

use super::record_builder::RecordBuilder;
use crate::chaos::checker::Verdict;
use crate::chaos::record::{Action, PhaseKind};

#[test]
fn a_new_client_receives_the_list_of_members() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless).counted(0, &[0, 1, 2]).counted(3, &[3]);
    builder.then(1, Action::Left).counted(0, &[0, 2]).has_no_findings();
}

#[test]
fn a_listed_user_who_left_is_a_ghost() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless).then(1, Action::Left).counted(0, &[0, 1, 2]);
    builder.is(Verdict::Presence, &["ghosts [\"user1\"]"]);
}

#[test]
fn a_member_absent_from_the_list_is_missing() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless).counted(0, &[0, 1]);
    builder.is(Verdict::Presence, &["missing [\"user2\"]"]);
}

#[test]
fn the_list_of_each_member_is_judged() {
    let builder = RecordBuilder::in_a_phase(PhaseKind::Harmless).knows(0, &[0, 1, 2]);
    builder.knows(2, &[0, 2]).is(Verdict::Presence, &["seen by client 2", "missing [\"user1\"]"]);
}

#[test]
fn a_client_that_never_connected_is_not_expected() {
    RecordBuilder::without_clients(PhaseKind::Harmless)
        .joins(0)
        .then(1, Action::HandshakeStarted { since: None })
        .counted(0, &[0])
        .has_no_findings();
}
