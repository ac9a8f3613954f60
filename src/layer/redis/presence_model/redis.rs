//! The model of Redis: what the scripts about users do.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::layer::contract::MAX_LISTED_MEMBERS;
use crate::layer::member;
use crate::layer::presence::MAX_SINGLE_CHANGES;
use crate::layer::redis::member_view::{Change, GroupState, PresenceEvent};
use crate::layer::redis::seat_batch::{GroupCall, SeatReply, SeatStatus};
use crate::layer::redis::seat_call::{Joining, SeatCall, Share};
use crate::layer::redis::seat_id::SeatId;

/// Fields that the model's reaper removes at a time.
const REAPED_AT_ONCE: usize = 3;

/// The users of one group, as the scripts keep them.
#[derive(Clone, Default)]
pub(super) struct ModelGroup {
    pub(super) users: BTreeMap<String, (Vec<SeatId>, String)>,
    pub(super) mark: u32,
    pub(super) digest: u64,
    pub(super) ids: Vec<SeatId>,
    pub(super) shares: HashMap<SeatId, Share>,
}

/// What Redis has.
#[derive(Clone, Default)]
pub(super) struct ModelRedis {
    pub(super) groups: BTreeMap<String, ModelGroup>,
    pub(super) beats: HashMap<String, String>,
    pub(super) published: Vec<(String, PresenceEvent)>,
}

fn weigh(text: &str) -> u64 {
    // FNV-1a: any function that distinguishes texts will do.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash >> 16
}

const WHOLE: u64 = 1 << 48;

impl ModelGroup {
    pub(super) fn members(&self) -> Option<Vec<String>> {
        let texts = self.users.iter().map(|(user, (_, name))| member::text(user, name));
        (self.users.len() <= MAX_LISTED_MEMBERS).then(|| texts.collect())
    }

    pub(super) fn state(&self) -> GroupState {
        GroupState { count: self.users.len(), mark: self.mark, digest: self.digest }
    }

    fn add(&mut self, text: &str) {
        self.digest = (self.digest + weigh(text)) % WHOLE;
    }

    fn subtract(&mut self, text: &str) {
        self.digest = (self.digest + WHOLE - weigh(text) % WHOLE) % WHOLE;
    }

    pub(super) fn seat_ids(&self) -> Vec<u8> {
        self.ids.iter().flat_map(|id| id.as_bytes().to_vec()).collect()
    }
}

impl ModelRedis {
    fn publish(&mut self, group: &str, change: Change, from: u64) {
        let of = self.groups.get(group).map(ModelGroup::state).unwrap_or_default();
        let event = PresenceEvent { change, count: of.count, from, to: of.digest };
        self.published.push((group.to_owned(), event));
    }

    fn publish_change(
        &mut self,
        group: &str,
        before: usize,
        from: u64,
        joined: Vec<String>,
        left: Vec<String>,
    ) {
        let of = self.groups.get_mut(group).expect("a group that changed");
        let count = of.users.len();
        if count > MAX_LISTED_MEMBERS {
            of.mark = of.mark.max(1);
        } else if before > MAX_LISTED_MEMBERS || joined.len() > MAX_SINGLE_CHANGES {
            if of.mark < 2 {
                of.mark = 0;
                let members = of.members();
                self.publish(group, Change::State(members), from);
            }
        } else {
            self.publish(group, Change::Users { joined, left }, from);
        }
    }

    pub(super) fn seat(&mut self, call: &GroupCall) -> SeatReply {
        let GroupCall { group, call, looks, .. } = call;
        let name = group.name();
        let of = self.groups.entry(name.to_owned()).or_default();
        let share = of.shares.get(&call.id).copied().unwrap_or_default();
        if !share.is(call.share) {
            self.forget_if_empty(name);
            return SeatReply { status: SeatStatus::Differs(share), members: None };
        }
        let share = self.write(name, call, share);
        let of = self.groups.get(name).cloned().unwrap_or_default();
        let members = if *looks { of.members() } else { None };
        SeatReply { status: SeatStatus::Seated(of.state(), of.seat_ids(), share), members }
    }

    fn write(&mut self, group: &str, call: &SeatCall, share: Share) -> Share {
        let of = self.groups.get_mut(group).expect("a group");
        let (before, from) = (of.users.len(), of.digest);
        let (mut own, mut joined, mut left, mut is_changed) = (share.users, Vec::new(), Vec::new(), false);
        for Joining { member, is_away } in &call.joins {
            let (user, name) = (member.user(), member.name());
            if let Some((seats, known)) = of.users.get(user).cloned() {
                let mut seats = seats;
                if !seats.contains(&call.id) {
                    seats.push(call.id);
                    own += 1;
                    is_changed = true;
                }
                let name = if *is_away { known.clone() } else { name.to_string() };
                if name != known {
                    of.subtract(&member::text(user, &known));
                    of.add(&member::text(user, &name));
                    joined.push(member::text(user, &name));
                    is_changed = true;
                }
                of.users.insert(user.to_string(), (seats, name));
            } else {
                of.users.insert(user.to_string(), (vec![call.id], name.to_string()));
                of.add(&member::text(user, name));
                joined.push(member::text(user, name));
                own += 1;
                is_changed = true;
            }
        }
        for member in &call.leaves {
            let user = member.user();
            let Some((seats, name)) = of.users.get_mut(user) else { continue };
            if !seats.contains(&call.id) {
                continue;
            }
            seats.retain(|id| *id != call.id);
            own -= 1;
            is_changed = true;
            if seats.is_empty() {
                let text = member::text(user, name);
                of.users.remove(user);
                of.subtract(&text);
                left.push(user.to_string());
            }
        }
        if before > 0 && of.users.is_empty() {
            self.groups.insert(group.to_owned(), ModelGroup::default());
            self.publish(group, Change::Users { joined: Vec::new(), left }, from);
            self.forget_if_empty(group);
            return Share::default();
        }
        if !is_changed {
            self.forget_if_empty(group);
            return share;
        }
        let share = Share { users: own, number: if own == 0 { 0 } else { call.number } };
        of.ids.retain(|id| *id != call.id);
        if own > 0 {
            of.ids.push(call.id);
            of.shares.insert(call.id, share);
        } else {
            of.shares.remove(&call.id);
        }
        if call.is_quiet {
            if std::mem::replace(&mut of.mark, 2) < 2 {
                self.publish(group, Change::Look, from);
            }
        } else if !joined.is_empty() || !left.is_empty() {
            self.publish_change(group, before, from, joined, left);
        }
        share
    }

    fn forget_if_empty(&mut self, group: &str) {
        if self.groups.get(group).is_some_and(|of| of.users.is_empty()) {
            self.groups.remove(group);
        }
    }

    pub(super) fn tell(&mut self, group: &str, mark: u32) {
        let Some(of) = self.groups.get_mut(group).filter(|of| of.mark > 0 && of.mark <= mark) else { return };
        of.mark = 0;
        let (members, digest) = (of.members(), of.digest);
        self.publish(group, Change::State(members), digest);
    }

    /// Returns how many users the id still has.
    pub(super) fn reap(&mut self, group: &str, id: SeatId) -> u32 {
        let Some(of) = self.groups.get_mut(group) else { return 0 };
        let Some(share) = of.shares.get(&id).copied() else { return 0 };
        let (before, from) = (of.users.len(), of.digest);
        let seated = of.users.iter().filter(|(_, (seats, _))| seats.contains(&id));
        let seated: Vec<String> = seated.map(|(user, _)| user.clone()).take(REAPED_AT_ONCE).collect();
        let mut left = Vec::new();
        for user in &seated {
            let (seats, name) = of.users.get_mut(user).expect("a user");
            seats.retain(|seat| *seat != id);
            if seats.is_empty() {
                let text = member::text(user, name);
                of.users.remove(user);
                of.subtract(&text);
                left.push(user.clone());
            }
        }
        let own = share.users.saturating_sub(u32::try_from(seated.len()).expect("few"));
        let own = if seated.is_empty() { 0 } else { own };
        if own == 0 {
            of.shares.remove(&id);
            of.ids.retain(|other| *other != id);
        } else {
            of.shares.insert(id, Share { users: own, ..share });
        }
        if of.users.is_empty() {
            self.groups.insert(group.to_owned(), ModelGroup::default());
            self.publish(group, Change::Users { joined: Vec::new(), left }, from);
            self.groups.remove(group);
            return 0;
        }
        if !left.is_empty() {
            self.publish_change(group, before, from, Vec::new(), left);
        }
        own
    }

    pub(super) fn check(&self) {
        for (group, of) in &self.groups {
            let digest = of
                .users
                .iter()
                .fold(0, |sum, (user, (_, name))| (sum + weigh(&member::text(user, name))) % WHOLE);
            assert_eq!(of.digest, digest, "the digest of {group}");
            let ids: BTreeSet<SeatId> = of.users.values().flat_map(|(seats, _)| seats.clone()).collect();
            assert_eq!(of.ids.iter().copied().collect::<BTreeSet<_>>(), ids, "the ids of {group}");
            for id in &ids {
                let users = of.users.values().filter(|(seats, _)| seats.contains(id)).count();
                assert_eq!(
                    of.shares.get(id).map(|share| share.users as usize),
                    Some(users),
                    "{id:?}'s share"
                );
            }
        }
    }
}
