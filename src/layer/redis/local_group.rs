//! What this node has of one group: its sockets, its users, and its view of all users.

use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::layer::contract::{MAX_LISTED_MEMBERS, leave_grace};
use crate::layer::member::{self, Member};
use crate::layer::presence::PresenceSnapshot;
use crate::layer::redis::belief::Belief;
use crate::layer::redis::effects::{Effects, Timer};
use crate::layer::redis::job::Job;
use crate::layer::redis::member_view::{Change, GroupState, MemberView, Next, PresenceEvent};
use crate::layer::redis::seat_batch::{GroupCall, SeatReply, SeatStatus, Unless};
use crate::layer::redis::seat_call::Share;
use crate::layer::redis::seat_id::SeatId;
use crate::layer::redis::seating::{Outcome, Seating};
use crate::layer::redis::shards::ShardId;
use crate::wire::group::Group;

/// Time after which a node publishes a group's pending state, unless another one did.
const TELL_PAUSE: Duration = Duration::from_millis(930);
/// The longest such time: large groups are reported less often.
const MAX_TELL_PAUSE: Duration = Duration::from_secs(10);
/// Time after a repair in which the other nodes write their users.
const REPAIR_PAUSE: Duration = Duration::from_secs(1);
/// Time after which other nodes publish the state of a group in repair.
const FOREIGN_REPAIR_PAUSE: Duration = Duration::from_millis(2500);
/// Pause before a refused call is made again, or a look after an event that was not taken.
pub(super) const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Time between two calls of a large group: what changes meanwhile is written together. Its sockets
/// are sent its count about once a second.
const LARGE_GROUP_PAUSE: Duration = Duration::from_millis(25);

/// A group of this node.
pub(super) struct LocalGroup {
    /// The shard that has its keys and channels.
    pub(super) shard: ShardId,
    /// Sockets here, with those that are no members.
    pub(super) sockets: usize,
    pub(super) seating: Seating,
    pub(super) view: MemberView,
    pub(super) link: Link,
    pub(super) next_call: NextCall,
    /// Redis refused the last call. Sockets do not wait for a seat meanwhile.
    is_refused: bool,
    /// No call is made until a timer is due.
    is_pausing: bool,
    /// Ids in use, as of the last reply.
    pub(super) seats: Box<[u8]>,
    /// When this node publishes the pending state, and up to which mark.
    pub(super) tell: Option<(Instant, u32)>,
    pub(super) waiting: Vec<Waiting>,
    record: Record,
}

/// What is known of the record that keeps users out of a group.
enum Record {
    Unknown,
    /// It was absent, and is unless something was forgotten since.
    Absent(Box<Unless>),
    /// There was one: what it says decides who may enter.
    Present,
}

/// What the next call of a group asks, beside what its users need.
#[derive(Default)]
pub(super) struct NextCall {
    pub(super) looks: bool,
    /// The lifetime of what Redis has is renewed.
    pub(super) renews: bool,
    /// Other nodes are asked whether they have members under the ids that the look shows.
    pub(super) asks: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) enum Link {
    None,
    /// `SUBSCRIBE` was written: calls may follow it.
    Requested,
    /// The node is subscribed, and knows the end of the log.
    Located,
}

/// A socket that waits until its user has a seat, and the node is subscribed to the group.
pub(super) struct Waiting {
    pub(super) user: Option<Arc<str>>,
    /// It is not admitted if there is such a record, which is not known yet.
    pub(super) unless: Option<Box<Unless>>,
    /// Receives whether it is admitted.
    pub(super) done: oneshot::Sender<bool>,
}

impl LocalGroup {
    pub(super) fn new(id: SeatId, shard: ShardId) -> Self {
        Self {
            shard,
            sockets: 0,
            seating: Seating::new(id),
            view: MemberView::default(),
            link: Link::None,
            next_call: NextCall { looks: true, ..NextCall::default() },
            is_refused: false,
            is_pausing: false,
            seats: Box::default(),
            tell: None,
            waiting: Vec::new(),
            record: Record::Unknown,
        }
    }

    /// Returns whether there is no such record, as far as anything is known of it.
    pub(super) fn lacks(&self, unless: &Unless) -> bool {
        let is_it =
            |absent: &Unless| absent.record == unless.record && absent.reading.is_as_good_as(unless.reading);
        matches!(&self.record, Record::Absent(absent) if is_it(absent))
    }

    /// Returns whether a call finds out if there is such a record before a socket of this user is
    /// admitted: not if the user has a seat already, or if sockets do not wait for one.
    pub(super) fn finds_out(&self, user: &str, unless: &Unless) -> bool {
        !matches!(self.record, Record::Present)
            && !self.view.is_large()
            && !self.is_refused
            && !self.seating.knows(user)
            && self.conditions().all(|asked| asked.record == unless.record)
    }

    fn conditions(&self) -> impl Iterator<Item = &Unless> {
        self.waiting.iter().filter_map(|waiting| waiting.unless.as_deref())
    }

    /// There is no such record, which was asked for after its reading began.
    fn on_absent(&mut self, absent: &Unless) {
        for waiting in &mut self.waiting {
            waiting.unless.take_if(|unless| unless.reading.is_as_good_as(absent.reading));
        }
        self.record = Record::Absent(Box::new(absent.clone()));
    }

    /// Rejects the sockets that depend on a record: there is one, or Redis does not say.
    fn reject_conditional(&mut self, group: &Group, effects: &mut Effects) {
        for Waiting { user, unless, done } in take(&mut self.waiting) {
            match (unless, &user) {
                (Some(_), Some(user)) => {
                    self.withdraw(group, user, effects);
                    let _ = done.send(false); // the caller may have given up
                }
                (unless, _) => self.waiting.push(Waiting { user, unless, done }),
            }
        }
    }

    /// Removes a socket that was not admitted.
    pub(super) fn withdraw(&mut self, group: &Group, user: &str, effects: &mut Effects) {
        self.sockets = self.sockets.saturating_sub(1);
        if let Some(at) = self.seating.withdraw(user, leave_grace(group), effects.now) {
            effects.set_timer(at, Timer::Grace(Member::new(&user.into())));
        }
    }

    /// Returns the next call, if there is something to ask; see [`Seating::begin_call`].
    pub(super) fn begin_call(&mut self, group: &Group, number: u32) -> Option<GroupCall> {
        if self.link == Link::None || !self.has_call() {
            return None;
        }
        let call = self.seating.begin_call(number)?;
        let (looks, renews) = (take(&mut self.next_call.looks), take(&mut self.next_call.renews));
        let unless = self.conditions().next().cloned().map(Box::new);
        Some(GroupCall { group: group.clone(), call, looks, renews, unless })
    }

    /// Returns whether there is something to ask Redis now.
    pub(super) fn has_call(&self) -> bool {
        let next = &self.next_call;
        !self.is_pausing && (self.seating.is_unsettled() || next.looks || next.renews)
    }

    /// The connection was lost.
    pub(super) fn on_disconnected(&mut self) {
        self.link = Link::None;
        self.is_pausing = false;
        self.seating.on_disconnected();
        self.next_call.looks = true;
        self.next_call.asks = true;
    }

    /// Takes the reply of a call.
    pub(super) fn on_reply(&mut self, call: &GroupCall, reply: Option<SeatReply>, effects: &mut Effects) {
        if !self.seating.is_calling(call.call.number) {
            return;
        }
        match reply {
            Some(SeatReply { status: SeatStatus::Seated(state, seats, share), members }) => {
                let outcome = self.seating.on_seated(share);
                self.is_refused = false;
                if let Some(unless) = &call.unless {
                    self.on_absent(unless);
                }
                self.on_seats(&call.group, &seats, effects);
                self.on_seated(call, &state, members, effects);
                self.on_outcome(&outcome, &call.group, effects);
                if self.view.is_large() {
                    self.is_pausing = true;
                    effects.set_timer(effects.now + LARGE_GROUP_PAUSE, Timer::Call);
                }
            }
            Some(SeatReply { status: SeatStatus::Differs(share), .. }) => {
                self.next_call.looks = true;
                let outcome = self.seating.on_differs(share);
                self.on_outcome(&outcome, &call.group, effects);
            }
            Some(SeatReply { status: SeatStatus::Recorded, .. }) => {
                self.seating.on_refused();
                self.next_call.looks |= call.looks;
                self.next_call.renews |= call.renews;
                self.record = Record::Present;
                self.reject_conditional(&call.group, effects);
            }
            Some(SeatReply { status: SeatStatus::Refused, .. }) | None => {
                self.call_later(&call.group, effects);
            }
        }
        self.wake();
    }

    fn on_outcome(&mut self, outcome: &Outcome, group: &Group, effects: &mut Effects) {
        match outcome {
            Outcome::Known => {}
            Outcome::Differs => {
                self.next_call.looks = true;
                effects.jobs.push(Job::Beat);
            }
            Outcome::Reseated => {
                self.next_call.looks = true;
                effects.jobs.push(Job::Enlist(group.clone()));
                self.tell_at(effects.now + REPAIR_PAUSE, 2, effects);
            }
        }
    }

    fn on_seated(
        &mut self,
        call: &GroupCall,
        state: &GroupState,
        members: Option<Vec<String>>,
        effects: &mut Effects,
    ) {
        for joining in &call.call.joins {
            self.view.on_seated(&joining.member, effects);
        }
        if !call.looks {
            let next = self.view.on_state(state);
            return self.follow(next, state, effects);
        }
        self.on_names(members.as_deref().unwrap_or_default());
        if take(&mut self.next_call.asks) {
            let others = SeatId::parse_all(&self.seats).filter(|id| !self.seating.is_own(*id));
            effects.jobs.extend(others.map(|id| Job::Ask(call.group.clone(), id)));
        }
        let (members, _) = self.with_own(members);
        let next = self.view.on_look(state, members, &self.seating, effects);
        self.follow(next, state, effects);
    }

    /// Redis refused a call.
    pub(super) fn on_refused(&mut self, call: &GroupCall, effects: &mut Effects) {
        if self.seating.is_calling(call.call.number) {
            self.call_later(&call.group, effects);
        }
    }

    /// Redis refused a call, or sent something else as its reply: it is made again later.
    fn call_later(&mut self, group: &Group, effects: &mut Effects) {
        self.seating.on_refused();
        (self.is_refused, self.is_pausing) = (true, true);
        self.next_call.looks = true;
        effects.set_timer(effects.now + RETRY_PAUSE, Timer::Look);
        self.reject_conditional(group, effects);
        self.wake();
    }

    /// Takes an event about the users of the group.
    pub(super) fn on_event(&mut self, mut event: PresenceEvent, effects: &mut Effects) {
        let state = GroupState { count: event.count, mark: 0, digest: event.to };
        // Redis lost users of this node, which a look finds.
        let is_short;
        match &mut event.change {
            Change::Users { joined, left } => {
                self.on_names(joined);
                let before = left.len();
                left.retain(|user| !self.seating.has_sockets(user));
                is_short = left.len() < before;
            }
            Change::State(members) => {
                self.tell = None;
                self.on_names(members.as_deref().unwrap_or_default());
                (*members, is_short) = self.with_own(take(members));
            }
            Change::Look => is_short = false,
        }
        self.next_call.looks |= is_short;
        let next = self.view.on_event(event, &self.seating, effects);
        self.follow(next, &state, effects);
    }

    /// Returns what is believed of Redis, if it can be compared.
    pub(super) fn belief(&self, group: &Group) -> Option<Belief> {
        (self.link == Link::Located).then_some(())?;
        let (share, digest) = (self.seating.settled_share()?, self.view.digest()?);
        Some(Belief { group: group.clone(), id: self.seating.id(), share, digest })
    }

    /// Compares a belief with what Redis had after it; looks if they differ.
    pub(super) fn on_compared(
        &mut self,
        belief: &Belief,
        redis: &GroupState,
        seats: &[u8],
        share: Share,
        effects: &mut Effects,
    ) {
        self.seating.on_compared();
        self.on_seats(&belief.group, seats, effects);
        if let Some(next) = self.next_seat().filter(|id| !self.seating.is_own(*id)) {
            effects.jobs.push(Job::Ask(belief.group.clone(), next));
        }
        let is_unchanged =
            self.seating.settled_share() == Some(belief.share) && self.view.digest() == Some(belief.digest);
        let differs = !share.is(belief.share) || redis.digest != belief.digest;
        if is_unchanged && differs {
            self.next_call.looks = true;
            self.next_call.asks = true;
        }
        if redis.mark > 0 {
            // The node that was to publish it may be dead.
            self.follow(Next::Tell, redis, effects);
        }
    }

    fn on_seats(&mut self, group: &Group, seats: &[u8], effects: &mut Effects) {
        if *self.seats != *seats {
            self.seats = seats.into();
            effects.jobs.push(Job::See(group.clone(), SeatId::parse_all(seats).collect()));
        }
        for id in SeatId::parse_all(seats) {
            self.seating.on_found(id);
        }
    }

    /// Returns the id behind this node's: that whose node it asks at each comparison. So each is
    /// asked about by some node, and a comparison costs one question however many nodes there are.
    fn next_seat(&self) -> Option<SeatId> {
        let ids: Vec<SeatId> = SeatId::parse_all(&self.seats).collect();
        let own = ids.iter().position(|id| *id == self.seating.id());
        ids.get(own.map_or(0, |own| (own + 1) % ids.len())).copied()
    }

    fn follow(&mut self, next: Next, state: &GroupState, effects: &mut Effects) {
        match next {
            Next::Nothing => {}
            Next::Look => (self.next_call.looks, self.next_call.asks) = (true, true),
            Next::LookLater => effects.set_timer(self.view.believes_at().unwrap_or(effects.now), Timer::Look),
            Next::Tell if self.tell.is_some() => {}
            Next::Tell if state.mark == 2 => self.tell_at(effects.now + FOREIGN_REPAIR_PAUSE, 2, effects),
            Next::Tell => self.tell_at(effects.now + tell_pause(state.count), 1, effects),
        }
    }

    fn tell_at(&mut self, at: Instant, mark: u32, effects: &mut Effects) {
        self.tell = Some((at, mark));
        effects.set_timer(at, Timer::Tell);
    }

    /// A timer is due.
    pub(super) fn on_time(&mut self, group: &Group, timer: &Timer, effects: &mut Effects) {
        match timer {
            Timer::Grace(member) => self.seating.end_grace(member, effects.now),
            Timer::Look => (self.next_call.looks, self.is_pausing) = (true, false),
            Timer::Call => self.is_pausing = false,
            Timer::Tell => {
                if let Some((_, mark)) = self.tell.take_if(|(at, _)| *at <= effects.now) {
                    effects.jobs.push(Job::Tell(group.clone(), mark));
                }
            }
        }
    }

    /// Returns the list with the users of this node that its sockets know, and whether it lacked
    /// some: what Redis lost is no reason to report that they left.
    fn with_own(&self, members: Option<Vec<String>>) -> (Option<Vec<String>>, bool) {
        let Some(mut members) = members else { return (None, false) };
        let before = members.len();
        for member in self.seating.present() {
            let user = member.user();
            let is_known = self.seating.is_seated(user) || self.view.lists(user);
            if is_known && member::find(&members, user).is_none() {
                members.push(member.text().to_owned());
            }
        }
        let is_short = members.len() > before;
        (Some(members), is_short)
    }

    /// Redis has these members.
    fn on_names(&mut self, members: &[String]) {
        for text in members {
            let (user, name) = member::split(text);
            self.seating.on_name(user, name);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.sockets == 0 && self.seating.is_over()
    }

    /// Returns whether a socket of this user waits for nothing. In a large group it does not wait
    /// for a seat: no list would lack it.
    pub(super) fn is_ready_for(&self, user: Option<&str>) -> bool {
        let is_seated = || self.view.is_large() || user.is_none_or(|user| self.seating.is_seated(user));
        self.link == Link::Located && (self.is_refused || self.view.is_known() && is_seated())
    }

    /// Returns the users of the group as the sockets of this node know them; `None` without a view.
    pub(super) fn snapshot(&self) -> Option<PresenceSnapshot> {
        let mut snapshot = self.view.snapshot()?;
        if self.view.is_large() {
            snapshot.count += self.seating.joining_count();
        }
        Some(snapshot)
    }

    /// Completes those that wait for nothing more.
    pub(super) fn wake(&mut self) {
        for waiting in take(&mut self.waiting) {
            if waiting.unless.is_none() && self.is_ready_for(waiting.user.as_deref()) {
                let _ = waiting.done.send(true); // the caller may have given up
            } else {
                self.waiting.push(waiting);
            }
        }
    }
}

/// Returns the time between two reports of a group of this many users.
pub(super) fn tell_pause(count: usize) -> Duration {
    if count <= MAX_LISTED_MEMBERS {
        return TELL_PAUSE;
    }
    Duration::from_millis(count as u64).clamp(TELL_PAUSE, MAX_TELL_PAUSE)
}
