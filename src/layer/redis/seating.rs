//! This node's users in one group, as Redis should have them. Pure: time and replies are passed in.
//!
//! A call states the share that the node believes to have in Redis. If Redis has another one (it
//! lost data, went back to older data, or other nodes took this one for dead), nothing was written,
//! and the share is not repaired: each user gets a seat under a new id, and the old id is reaped.
//! So no user is ever missing meanwhile, and what is left under the old id are users that have
//! gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::layer::member::{self, Member};
use crate::layer::redis::seat_call::{Joining, MAX_CALL_USERS, SeatCall, Share};
use crate::layer::redis::seat_id::SeatId;

/// How often a node writes the name of a user again at once when Redis has another one.
const MAX_INSTANT_WRITES: u32 = 3;

/// The users of this node in one group. Ordered, so that a run of the search in `presence_model`
/// can be repeated.
pub(super) struct Seating {
    id: SeatId,
    share: Share,
    users: BTreeMap<Member, LocalUser>,
    /// Users whose seat may differ from what it should be.
    unsettled: BTreeSet<Member>,
    disputes: BTreeMap<Member, Dispute>,
    /// When users without sockets leave.
    leaving: BTreeMap<Member, Instant>,
    in_flight: Option<SeatCall>,
    /// A call whose reply was lost: Redis may have carried it out.
    unanswered: Option<SeatCall>,
    repair: Repair,
    /// Ids under which Redis may have users that have gone.
    stale: Vec<SeatId>,
}

/// There is one for each user of each group: it is kept small.
#[derive(Default)]
struct LocalUser {
    sockets: u32,
    /// This node gave the user a seat under the current id.
    is_seated: bool,
    /// The name of the seat is another one, or may be: another node may have written it.
    renews_name: bool,
}

/// A user whose name in Redis was another than that of its sockets here. It may be an old one,
/// which is written over; or that of sockets of another node, which does the same. So after some
/// times the name is written at comparisons only, less and less often.
#[derive(Default)]
struct Dispute {
    writes: u32,
    /// Redis has the other name, and the name was not written since.
    is_lost: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Repair {
    None,
    /// Redis has another share. The node has to beat before it writes: other nodes reap an id only
    /// if they saw it before they saw the node dead.
    AwaitsBeat,
    /// Users get a seat under a new id.
    Reseats,
}

/// What follows from a reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// What Redis has is known.
    Known,
    /// A repair began: see [`Seating::awaits_beat`].
    Differs,
    /// Each user has a seat under a new id. The group's state has to be published.
    Reseated,
}

impl Seating {
    pub(super) fn new(id: SeatId) -> Self {
        Self {
            id,
            share: Share::default(),
            users: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            disputes: BTreeMap::new(),
            leaving: BTreeMap::new(),
            in_flight: None,
            unanswered: None,
            repair: Repair::None,
            stale: Vec::new(),
        }
    }

    pub(super) fn id(&self) -> SeatId {
        self.id
    }

    /// Returns the share that Redis is believed to have; `None` while a call is on its way.
    pub(super) fn settled_share(&self) -> Option<Share> {
        let is_settled = self.in_flight.is_none() && self.unanswered.is_none() && self.repair == Repair::None;
        is_settled.then_some(self.share)
    }

    /// Adds a member.
    pub(super) fn enter(&mut self, member: &Member) {
        let known = self.users.remove_entry(member.user());
        let (mut kept, mut local) = known.unwrap_or_else(|| (member.clone(), LocalUser::default()));
        // While there was no socket here, other nodes' sockets named the user.
        local.renews_name |= local.sockets == 0;
        self.leaving.remove(member.user());
        local.sockets += 1;
        if kept.name() != member.name() {
            kept = member.clone();
            local.renews_name = true;
            self.disputes.remove(member.user());
        }
        if !local.is_settled() {
            self.unsettled.insert(kept.clone());
        }
        self.users.insert(kept, local);
    }

    /// Redis has this name of a user. If the user's sockets here have another one, which may be
    /// newer, it is written again.
    pub(super) fn on_name(&mut self, user: &str, name: &str) {
        let Some((member, _)) = self.users.get_key_value(user).filter(|(_, local)| local.sockets > 0) else {
            return;
        };
        if member.name() == name {
            if let Some(dispute) = self.disputes.get_mut(user) {
                dispute.is_lost = false;
            }
            return;
        }
        let member = member.clone();
        let dispute = self.disputes.entry(member.clone()).or_default();
        dispute.is_lost = dispute.writes >= MAX_INSTANT_WRITES;
        if !dispute.is_lost {
            dispute.writes += 1;
            self.renew_name(member);
        }
    }

    /// The group was compared with what Redis has.
    pub(super) fn on_compared(&mut self) {
        let users = &self.users;
        self.disputes.retain(|member, dispute| {
            dispute.is_lost && users.get(member).is_some_and(|local| local.sockets > 0)
        });
        let mut renewed = Vec::new();
        for (member, dispute) in &mut self.disputes {
            dispute.writes += 1;
            if dispute.writes.is_power_of_two() {
                renewed.push(member.clone());
            }
        }
        for member in renewed {
            self.renew_name(member);
        }
    }

    fn renew_name(&mut self, member: Member) {
        if let Some(local) = self.users.get_mut(&member) {
            local.renews_name = true;
            self.unsettled.insert(member);
        }
    }

    /// Removes a member; returns when its user leaves, if it was the user's last.
    pub(super) fn leave(&mut self, user: &str, grace: Duration, now: Instant) -> Option<Instant> {
        let local = self.users.get_mut(user).filter(|local| local.sockets > 0)?;
        local.sockets -= 1;
        if local.sockets > 0 {
            return None;
        }
        let (member, at) = (self.users.get_key_value(user)?.0.clone(), now + grace);
        self.leaving.insert(member, at);
        Some(at)
    }

    /// Removes a member that was not admitted. If it was its user's only one and Redis gets no seat
    /// for the user, the user was never there; else returns when the user leaves, as
    /// [`leave`](Self::leave).
    pub(super) fn withdraw(&mut self, user: &str, grace: Duration, now: Instant) -> Option<Instant> {
        let is_only = self.users.get(user).is_some_and(|local| local.sockets == 1 && !local.is_seated);
        let mut calls = self.in_flight.iter().chain(&self.unanswered);
        if is_only && !calls.any(|call| call.joins.iter().any(|joining| joining.member.user() == user)) {
            self.users.remove(user);
            self.unsettled.remove(user);
            return None;
        }
        self.leave(user, grace, now)
    }

    /// Returns whether the user has sockets here, or had them lately.
    pub(super) fn knows(&self, user: &str) -> bool {
        self.users.contains_key(user)
    }

    /// Ends the grace of a user, if it is over.
    pub(super) fn end_grace(&mut self, member: &Member, now: Instant) {
        if self.leaving.get(member).is_some_and(|at| *at <= now) {
            self.leaving.remove(member);
            self.unsettled.insert(member.clone());
        }
    }

    /// Returns the member of this text: that of the user's sockets here, if theirs is the same.
    pub(super) fn member(&self, text: &str) -> Member {
        let own = self.users.get_key_value(member::id(text)).map(|(own, _)| own);
        own.filter(|own| own.text() == text).cloned().unwrap_or_else(|| Member::new(&text.into()))
    }

    /// Returns the members whose users have sockets here.
    pub(super) fn present(&self) -> impl Iterator<Item = &Member> {
        let present = self.users.iter().filter(|(_, local)| local.sockets > 0);
        present.map(|(member, _)| member)
    }

    /// Returns whether Redis has the user under the current id.
    pub(super) fn is_seated(&self, user: &str) -> bool {
        self.users.get(user).is_some_and(|local| local.is_seated)
    }

    /// Returns whether the user has sockets here.
    pub(super) fn has_sockets(&self, user: &str) -> bool {
        self.users.get(user).is_some_and(|local| local.sockets > 0)
    }

    /// Returns whether nothing of the group is left to keep or to write.
    pub(super) fn is_over(&self) -> bool {
        self.users.is_empty() && self.settled_share().is_some() && self.stale.is_empty()
    }

    /// Returns the number of users, with those in their grace.
    pub(super) fn user_count(&self) -> usize {
        self.users.len()
    }

    /// Returns whether the call of this number is on its way: the connection of another one may
    /// have been lost meanwhile, or the group have moved to another shard.
    pub(super) fn is_calling(&self, number: u32) -> bool {
        self.in_flight.as_ref().is_some_and(|call| call.number == number)
    }

    /// Returns whether the node has to beat before the group can go on.
    pub(super) fn awaits_beat(&self) -> bool {
        self.repair == Repair::AwaitsBeat
    }

    /// Returns whether there is a seat to write.
    pub(super) fn is_unsettled(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// Returns how many users join, roughly: those that leave or are renamed count, too.
    pub(super) fn joining_count(&self) -> usize {
        if self.repair == Repair::None { self.unsettled.len() } else { 0 }
    }

    /// Begins the next call: up to [`MAX_CALL_USERS`] changes, or none for a look. Returns `None`
    /// while another is on its way, or a beat has to come first. `number` has to be a new one.
    pub(super) fn begin_call(&mut self, number: u32) -> Option<SeatCall> {
        if self.in_flight.is_some() || self.repair == Repair::AwaitsBeat {
            return None;
        }
        let is_quiet = self.repair == Repair::Reseats;
        let (mut joins, mut leaves) = (Vec::new(), Vec::new());
        // What a lost call said is not known to be written or not: only a look shows it.
        if self.unanswered.is_none() {
            for user in &self.unsettled {
                if joins.len() + leaves.len() == MAX_CALL_USERS {
                    break;
                }
                let Some((member, local)) = self.users.get_key_value(user) else { continue };
                if local.is_wanted(self.leaving.contains_key(member), is_quiet) {
                    joins.push(Joining { member: member.clone(), is_away: local.sockets == 0 });
                } else if local.is_seated {
                    leaves.push(member.clone());
                }
            }
            for Joining { member, .. } in &joins {
                if let Some(local) = self.users.get_mut(member) {
                    local.renews_name = false;
                }
            }
        }
        let call = SeatCall { id: self.id, share: self.share, number, is_quiet, joins, leaves };
        self.in_flight = Some(call.clone());
        Some(call)
    }

    /// Takes the reply of a call that Redis carried out, with the share that it has now.
    pub(super) fn on_seated(&mut self, share: Share) -> Outcome {
        self.unanswered = None;
        let Some(call) = self.in_flight.take() else { return Outcome::Known };
        if share.users != self.share_after(&call).users {
            return self.begin_repair();
        }
        self.apply(&call, share);
        if self.repair == Repair::Reseats && self.unsettled.is_empty() {
            self.repair = Repair::None;
            return Outcome::Reseated;
        }
        Outcome::Known
    }

    /// Takes the reply of a call that Redis did not carry out because it has this share.
    pub(super) fn on_differs(&mut self, share: Share) -> Outcome {
        self.in_flight = None;
        if let Some(call) = self.unanswered.take()
            && share.is(self.share_after(&call))
        {
            self.apply(&call, share);
            return Outcome::Known;
        }
        self.begin_repair()
    }

    fn begin_repair(&mut self) -> Outcome {
        self.repair = Repair::AwaitsBeat;
        Outcome::Differs
    }

    /// The call was refused: it is made again later.
    pub(super) fn on_refused(&mut self) {
        if let Some(call) = self.in_flight.take() {
            self.renew_names(&call);
        }
    }

    /// It is not known which names Redis has of those that this call wrote.
    fn renew_names(&mut self, call: &SeatCall) {
        for Joining { member, .. } in &call.joins {
            if let Some(local) = self.users.get_mut(member) {
                local.renews_name = true;
            }
        }
    }

    /// The connection was lost: a call that was on its way may have been carried out, or may be
    /// later.
    pub(super) fn on_disconnected(&mut self) {
        // Until the lost one is known to be carried out or not, calls have no changes.
        if let Some(call) = self.in_flight.take()
            && !(call.joins.is_empty() && call.leaves.is_empty())
        {
            self.renew_names(&call);
            self.unanswered = Some(call);
        }
    }

    /// The node has beaten: each user gets a seat under the next id.
    pub(super) fn on_beat(&mut self, next: SeatId) {
        if self.repair != Repair::AwaitsBeat {
            return;
        }
        self.repair = Repair::Reseats;
        self.unanswered = None;
        self.in_flight = None;
        let old = std::mem::replace(&mut self.id, next);
        self.on_found(old);
        self.share = Share::default();
        for (member, local) in &mut self.users {
            local.is_seated = false;
            self.unsettled.insert(member.clone());
        }
        self.settle();
        if self.unsettled.is_empty() {
            self.repair = Repair::None; // what is left under the old id are users that have gone
        }
    }

    /// Returns whether the id is one of this node.
    pub(super) fn is_own(&self, id: SeatId) -> bool {
        id.node() == self.id.node()
    }

    /// Redis has users under this id. A former one of this node is to be reaped.
    pub(super) fn on_found(&mut self, id: SeatId) {
        if self.is_own(id) && id != self.id && !self.stale.contains(&id) {
            self.stale.push(id);
        }
    }

    /// Returns the ids to reap, once no user depends on them.
    pub(super) fn take_stale(&mut self) -> Vec<SeatId> {
        if self.repair == Repair::None { std::mem::take(&mut self.stale) } else { Vec::new() }
    }

    /// Returns the share that Redis has after this call, if the call changed something.
    fn share_after(&self, call: &SeatCall) -> Share {
        let joined = call.joins.iter().filter(|joining| !self.is_seated(joining.member.user())).count();
        let count = |users: usize| u32::try_from(users).expect("users of one call");
        let users = (self.share.users + count(joined)).saturating_sub(count(call.leaves.len()));
        Share { users, number: call.number }
    }

    /// Redis carried this call out, and has this share since.
    fn apply(&mut self, call: &SeatCall, share: Share) {
        for Joining { member, .. } in &call.joins {
            if let Some(local) = self.users.get_mut(member) {
                local.is_seated = true;
            }
        }
        for member in &call.leaves {
            if let Some(local) = self.users.get_mut(member) {
                local.is_seated = false;
            }
        }
        self.share = share;
        self.settle();
    }

    /// Forgets users that are gone, and settles those whose seat is as it should be.
    fn settle(&mut self) {
        let (users, leaving, reseats) = (&mut self.users, &mut self.leaving, self.repair == Repair::Reseats);
        self.unsettled.retain(|member| {
            let Some(local) = users.get(member) else { return false };
            if local.is_wanted(leaving.contains_key(member), reseats) {
                return !local.is_settled();
            }
            if !local.is_seated {
                users.remove(member);
                leaving.remove(member);
                return false;
            }
            true
        });
    }
}

impl LocalUser {
    /// Returns whether the user should have a seat. A user that left before its join was written
    /// was never there, unless `reseats`: then it has a seat under another id.
    fn is_wanted(&self, is_leaving: bool, reseats: bool) -> bool {
        self.sockets > 0 || is_leaving && (self.is_seated || reseats)
    }

    fn is_settled(&self) -> bool {
        self.is_seated && (self.sockets == 0 || !self.renews_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::contract::LEAVE_GRACE;
    use crate::layer::member;

    /// A user's seating, as Redis has it after call 1.
    fn seated(users: &[&str]) -> Seating {
        let mut seating = Seating::new(SeatId::new("node0000", 0));
        for user in users {
            seating.enter(&member(user));
        }
        seating.begin_call(1).expect("a call");
        seating.on_seated(share(users.len(), 1));
        assert!(!seating.is_unsettled());
        seating
    }

    fn member(user: &str) -> Member {
        Member::new(&member::text(user, "first").into())
    }

    fn share(users: usize, number: u32) -> Share {
        Share { users: users.try_into().expect("few"), number }
    }

    #[test]
    fn a_user_with_a_seat_takes_at_most_48_bytes_of_a_group() {
        let members: Vec<_> = (0..MAX_CALL_USERS).map(|n| member(&format!("user{n}"))).collect();
        let mut seating = seated(&[]);
        let taken = allocation_counter::measure(|| {
            for member in &members {
                seating.enter(member);
            }
            seating.begin_call(2).expect("a call");
            seating.on_seated(share(members.len(), 2));
        });
        assert!(!seating.is_unsettled());
        let each = usize::try_from(taken.bytes_current).unwrap() / members.len();
        assert!(each <= 48, "{each} bytes for each");
    }

    fn lose_a_join(seating: &mut Seating, user: &str, number: u32) {
        seating.enter(&member(user));
        seating.begin_call(number).expect("a call");
        seating.on_disconnected();
        assert!(seating.begin_call(number + 1).expect("a look").joins.is_empty());
    }

    #[test]
    fn a_lost_call_that_was_carried_out_is_known_by_its_share() {
        let mut seating = seated(&["ann", "bob"]);
        lose_a_join(&mut seating, "eve", 2);
        assert_eq!(seating.on_differs(share(3, 2)), Outcome::Known);
        assert!(seating.is_seated("eve"));
    }

    #[test]
    fn a_share_that_was_reaped_since_the_lost_call_is_repaired() {
        let mut seating = seated(&["ann", "bob"]);
        lose_a_join(&mut seating, "eve", 2);
        assert_eq!(seating.on_differs(share(2, 2)), Outcome::Differs);
    }

    #[test]
    fn a_reply_with_another_number_of_users_is_repaired() {
        let mut seating = seated(&["ann", "bob"]);
        seating.enter(&member("eve"));
        seating.begin_call(2).expect("a call");
        assert_eq!(seating.on_seated(share(2, 2)), Outcome::Differs);
    }

    #[test]
    fn a_former_id_is_reaped_once_no_user_depends_on_it() {
        let mut seating = seated(&["ann"]);
        let (old, new) = (seating.id(), SeatId::new("node0000", 1));
        seating.begin_call(2).expect("a look");
        assert_eq!(seating.on_differs(share(0, 0)), Outcome::Differs);
        seating.on_beat(new);
        seating.on_found(old);
        assert!(seating.take_stale().is_empty(), "ann has no other seat");
        seating.begin_call(3).expect("a call");
        assert_eq!(seating.on_seated(share(1, 3)), Outcome::Reseated);
        assert_eq!(seating.take_stale(), [old]);
        // Older data brings it back.
        for id in [new, old, SeatId::new("node0001", 0)] {
            seating.on_found(id);
        }
        assert_eq!(seating.take_stale(), [old]);
    }

    #[test]
    fn a_contested_name_is_written_at_once_and_then_less_and_less_often() {
        let mut seating = seated(&["ann"]);
        let write = |seating: &mut Seating| {
            let call = seating.begin_call(2).expect("a call");
            seating.on_seated(share(1, 2));
            call.joins.len()
        };
        let mut rounds = Vec::new();
        for _ in 0..14 {
            let mut writes = 0;
            for _ in 0..5 {
                seating.on_name("ann", "old");
                writes += write(&mut seating);
            }
            seating.on_compared();
            rounds.push(writes + write(&mut seating));
        }
        assert_eq!(rounds, [4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    }

    #[test]
    fn a_user_that_returns_before_its_seat_is_removed_writes_its_name_again() {
        let mut seating = seated(&["ann"]);
        let at = seating.leave("ann", LEAVE_GRACE, Instant::now()).expect("the last socket");
        seating.begin_call(2).expect("a look");
        seating.end_grace(&member("ann"), at);
        seating.enter(&member("ann"));
        seating.on_seated(share(1, 2));
        assert_eq!(seating.begin_call(3).expect("a call").joins.len(), 1);
    }

    #[test]
    fn a_grace_ends_in_its_time_only() {
        let mut seating = seated(&["ann"]);
        let now = Instant::now();
        let at = seating.leave("ann", LEAVE_GRACE, now).expect("the last socket");
        seating.end_grace(&member("ann"), at - Duration::from_millis(1));
        assert!(!seating.is_unsettled());
        seating.end_grace(&member("ann"), at);
        assert_eq!(seating.begin_call(2).expect("a call").leaves, [member("ann")]);
    }
}
