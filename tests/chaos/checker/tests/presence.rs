//! Who is there at rest.

use super::tale::Tale;
use crate::chaos::checker::Verdict;
use crate::chaos::record::{Kind, What};

#[test]
fn a_newcomer_is_told_of_those_who_are_there() {
    let tale = Tale::in_a_phase(Kind::Harmless).counted(0, &[0, 1, 2]).counted(3, &[3]);
    tale.then(1, What::Left).counted(0, &[0, 2]).is_well();
}

#[test]
fn who_left_and_is_still_named_is_a_ghost() {
    let tale = Tale::in_a_phase(Kind::Harmless).then(1, What::Left).counted(0, &[0, 1, 2]);
    tale.is(Verdict::Presence, &["ghosts [\"user1\"]"]);
}

#[test]
fn who_is_there_and_not_named_is_missing() {
    let tale = Tale::in_a_phase(Kind::Harmless).counted(0, &[0, 1]);
    tale.is(Verdict::Presence, &["missing [\"user2\"]"]);
}

#[test]
fn who_never_came_in_is_not_there() {
    Tale::of_nobody(Kind::Harmless)
        .comes(0)
        .then(1, What::Knocked { since: None })
        .counted(0, &[0])
        .is_well();
}
