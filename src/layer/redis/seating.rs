//! This node's users in one group, as Redis should have them. Pure: time and replies are passed in.
//!
//! A call states the share that the node believes to have in Redis. If Redis has another one (it
//! lost data, went back to older data, or other nodes took this one for dead), nothing was written,
//! and the share is not repaired: each user gets a seat under a new id, and the old id is reaped.
//! So no user is ever missing meanwhile, and what is left under the old id are users that have
//! gone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::time::Instant;

use crate::layer::contract::LEAVE_GRACE;
use crate::layer::member;
use crate::layer::redis::seat_id::SeatId;

/// Users of one call: Redis does nothing else meanwhile.
pub(super) const MAX_CALL_USERS: usize = 500;

/// How often a node writes the name of a user again that another node overwrites.
const MAX_INSISTED: u8 = 3;

/// The part of a group's users that Redis has under one id: how many, and the number of the call
/// that wrote it last. No number is used twice by a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) users: u32,
    pub(super) number: u32,
}

/// The users of this node in one group.
pub(super) struct Seating {
    id: SeatId,
    share: Share,
    users: HashMap<Arc<str>, LocalUser>,
    /// Users whose seat may differ from what it should be.
    unsettled: HashSet<Arc<str>>,
    in_flight: Option<SeatCall>,
    /// A call whose reply was lost: Redis may have carried it out.
    unanswered: Option<SeatCall>,
    repair: Repair,
    /// Ids under which Redis may have users that have gone.
    stale: Vec<SeatId>,
}

struct LocalUser {
    sockets: usize,
    name: Arc<str>,
    /// When a user without sockets leaves.
    leaves_at: Option<Instant>,
    /// The name with which this node gave the user a seat under the current id.
    seat: Option<Arc<str>>,
    /// The name is written even if it is that of the seat: another node may have written another
    /// one.
    renews_name: bool,
    /// How often the name was written again because Redis had another one. Two nodes with different
    /// names of a user would do it for ever.
    insisted: u8,
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

/// A call for one group: who joins and who leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SeatCall {
    pub(super) id: SeatId,
    pub(super) share: Share,
    pub(super) number: u32,
    /// Other nodes know these users already.
    pub(super) is_quiet: bool,
    pub(super) joins: Vec<Joining>,
    pub(super) leaves: Vec<Arc<str>>,
}

/// A user that joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Joining {
    pub(super) user: Arc<str>,
    pub(super) name: Arc<str>,
    /// The user has no socket here any more: a name that it has elsewhere counts.
    pub(super) is_away: bool,
}

/// What follows from a reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Redis has what the call said.
    Seated,
    /// Nothing was written, but what Redis has is known now: call again.
    Again,
    /// A repair began: see [`Seating::awaits_beat`].
    Differs,
    /// Each user has a seat under a new id. The group's state has to be published.
    Reseated,
}

impl Share {
    /// Returns whether both are one. Without users there is no share, whatever was written last.
    pub(super) fn is(self, other: Self) -> bool {
        self == other || (self.users == 0 && other.users == 0)
    }
}

impl Seating {
    pub(super) fn new(id: SeatId) -> Self {
        Self {
            id,
            share: Share::default(),
            users: HashMap::new(),
            unsettled: HashSet::new(),
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

    /// Adds a member that is this user.
    pub(super) fn enter(&mut self, user: &Arc<str>, name: &Arc<str>) {
        let absent = || LocalUser {
            sockets: 0,
            name: Arc::clone(name),
            leaves_at: None,
            seat: None,
            renews_name: false,
            insisted: 0,
        };
        let local = self.users.entry(Arc::clone(user)).or_insert_with(absent);
        local.sockets += 1;
        if local.leaves_at.take().is_some() {
            (local.renews_name, local.insisted) = (true, 0);
        }
        if local.name != *name {
            (local.name, local.insisted) = (Arc::clone(name), 0);
        }
        if local.renews_name || local.seat.as_ref() != Some(name) {
            self.unsettled.insert(Arc::clone(user));
        }
    }

    /// Redis has this name of a user. If the user's sockets here have another one, which may be
    /// newer, it is written again.
    pub(super) fn on_name(&mut self, user: &str, name: &str) {
        if let Some((user, _)) = self.users.get_key_value(user)
            && let user = Arc::clone(user)
            && let Some(local) = self.users.get_mut(&user)
            && local.sockets > 0
            && *local.name != *name
            && local.insisted < MAX_INSISTED
        {
            local.insisted += 1;
            local.renews_name = true;
            self.unsettled.insert(user);
        }
    }

    /// Removes a member; returns when its user leaves, if it was the user's last.
    pub(super) fn leave(&mut self, user: &str, now: Instant) -> Option<Instant> {
        let local = self.users.get_mut(user).filter(|local| local.sockets > 0)?;
        local.sockets -= 1;
        if local.sockets > 0 {
            return None;
        }
        local.leaves_at = Some(now + LEAVE_GRACE);
        local.leaves_at
    }

    /// Ends the grace of a user, if it is over; returns whether it was.
    pub(super) fn end_grace(&mut self, user: &Arc<str>, now: Instant) -> bool {
        let Some(local) = self.users.get_mut(user) else { return false };
        if local.leaves_at.is_none_or(|at| at > now) {
            return false;
        }
        local.leaves_at = None;
        self.unsettled.insert(Arc::clone(user));
        true
    }

    /// Returns the members with sockets here that Redis has.
    pub(super) fn seated(&self) -> impl Iterator<Item = String> {
        let seated = self.users.iter().filter(|(_, local)| local.sockets > 0 && local.seat.is_some());
        seated.map(|(user, local)| member::text(user, &local.name))
    }

    /// Returns whether Redis has the user under the current id.
    pub(super) fn is_seated(&self, user: &str) -> bool {
        self.users.get(user).is_some_and(|local| local.seat.is_some())
    }

    /// Returns whether nothing of the group is left to keep or to write.
    pub(super) fn is_over(&self) -> bool {
        self.users.is_empty() && self.settled_share().is_some() && self.stale.is_empty()
    }

    /// Returns the number of users, with those in their grace.
    pub(super) fn user_count(&self) -> usize {
        self.users.len()
    }

    /// Returns whether a call is on its way.
    pub(super) fn is_calling(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Returns whether the node has to beat before the group can go on.
    pub(super) fn awaits_beat(&self) -> bool {
        self.repair == Repair::AwaitsBeat
    }

    /// Returns whether there is a seat to write.
    pub(super) fn is_unsettled(&self) -> bool {
        !self.unsettled.is_empty()
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
                let Some(local) = self.users.get_mut(user) else { continue };
                if local.is_wanted(is_quiet) {
                    local.renews_name = false;
                    joins.push(Joining {
                        user: Arc::clone(user),
                        name: Arc::clone(&local.name),
                        is_away: local.sockets == 0,
                    });
                } else if local.seat.is_some() {
                    leaves.push(Arc::clone(user));
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
        if let Some(call) = self.in_flight.take() {
            self.apply(&call);
        }
        self.share = share;
        self.settle();
        if self.repair == Repair::Reseats && self.unsettled.is_empty() {
            self.repair = Repair::None;
            return Outcome::Reseated;
        }
        Outcome::Seated
    }

    /// Takes the reply of a call that Redis did not carry out because it has this share.
    pub(super) fn on_differs(&mut self, share: Share) -> Outcome {
        self.in_flight = None;
        if let Some(call) = self.unanswered.take()
            && (share.users > 0 && share.number == call.number || share.users == 0 && self.after(&call) == 0)
        {
            self.apply(&call);
            self.share = share;
            self.settle();
            return Outcome::Again;
        }
        self.repair = Repair::AwaitsBeat;
        Outcome::Differs
    }

    /// The call was refused: it is made again later.
    pub(super) fn on_refused(&mut self) {
        self.in_flight = None;
    }

    /// The connection was lost: a call that was on its way may have been carried out, or may be
    /// later.
    pub(super) fn on_disconnected(&mut self) {
        // Until the lost one is known to be carried out or not, calls have no changes.
        if let Some(call) = self.in_flight.take()
            && !(call.joins.is_empty() && call.leaves.is_empty())
        {
            for Joining { user, .. } in &call.joins {
                if let Some(local) = self.users.get_mut(user) {
                    local.renews_name = true;
                }
            }
            self.unanswered = Some(call);
        }
    }

    /// The node has beaten: each user gets a seat under the next id.
    pub(super) fn on_beat(&mut self, next: impl FnOnce() -> SeatId) {
        if self.repair != Repair::AwaitsBeat {
            return;
        }
        self.repair = Repair::Reseats;
        self.unanswered = None;
        self.in_flight = None;
        self.stale.push(self.id);
        self.id = next();
        self.share = Share::default();
        for (user, local) in &mut self.users {
            local.seat = None;
            self.unsettled.insert(Arc::clone(user));
        }
        self.settle();
        if self.unsettled.is_empty() {
            self.repair = Repair::None; // what is left under the old id are users that have gone
        }
    }

    /// Returns the ids to reap, once no user depends on them.
    pub(super) fn take_stale(&mut self) -> Vec<SeatId> {
        if self.repair == Repair::None { std::mem::take(&mut self.stale) } else { Vec::new() }
    }

    /// Returns how many users Redis has after this call.
    fn after(&self, call: &SeatCall) -> usize {
        let joined = call.joins.iter().filter(|joining| !self.is_seated(&joining.user)).count();
        (self.share.users as usize + joined).saturating_sub(call.leaves.len())
    }

    fn apply(&mut self, call: &SeatCall) {
        for Joining { user, name, .. } in &call.joins {
            if let Some(local) = self.users.get_mut(user) {
                local.seat = Some(Arc::clone(name));
            }
        }
        for user in &call.leaves {
            if let Some(local) = self.users.get_mut(user) {
                local.seat = None;
            }
        }
    }

    /// Forgets users that are gone, and settles those whose seat is as it should be.
    fn settle(&mut self) {
        let (users, reseats) = (&mut self.users, self.repair == Repair::Reseats);
        self.unsettled.retain(|user| {
            let Some(local) = users.get(user) else { return false };
            if local.is_wanted(reseats) {
                return !local.is_settled();
            }
            if local.seat.is_none() {
                users.remove(user);
                return false;
            }
            true
        });
    }
}

impl LocalUser {
    /// Returns whether the user should have a seat. A user that left before its join was written
    /// was never there, unless `reseats`: then it has a seat under another id.
    fn is_wanted(&self, reseats: bool) -> bool {
        self.sockets > 0 || self.leaves_at.is_some() && (self.seat.is_some() || reseats)
    }

    fn is_settled(&self) -> bool {
        let has_name = !self.renews_name && self.seat.as_ref() == Some(&self.name);
        if self.sockets > 0 { has_name } else { self.seat.is_some() }
    }
}
