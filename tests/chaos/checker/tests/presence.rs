//! Who is there at rest.

use super::tale::Tale;
use crate::chaos::checker::Verdict;
use crate::chaos::record::{Kind, What};

#[test]
fn a_new_client_receives_the_list_of_members() {
    let tale = Tale::in_a_phase(Kind::Harmless).counted(0, &[0, 1, 2]).counted(3, &[3]);
    tale.then(1, What::Left).counted(0, &[0, 2]).is_well();
}

#[test]
fn a_listed_user_who_left_is_a_ghost() {
    let tale = Tale::in_a_phase(Kind::Harmless).then(1, What::Left).counted(0, &[0, 1, 2]);
    tale.is(Verdict::Presence, &["ghosts [\"user1\"]"]);
}

#[test]
fn a_member_absent_from_the_list_is_missing() {
    let tale = Tale::in_a_phase(Kind::Harmless).counted(0, &[0, 1]);
    tale.is(Verdict::Presence, &["missing [\"user2\"]"]);
}

#[test]
fn a_client_that_never_connected_is_not_expected() {
    Tale::of_nobody(Kind::Harmless)
        .comes(0)
        .then(1, What::Knocked { since: None })
        .counted(0, &[0])
        .is_well();
}
