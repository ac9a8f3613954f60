//! The members of this node in all groups, and what this node knows of the groups' users.
//!
//! Sockets change the membership, which never waits. The pipeline brings Redis in line with it:
//! it subscribes to channels and carries out seat calls, one a group at a time; changes that
//! come meanwhile go together. What else a call needs (a beat, a reaped id) is a job.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::mem::take;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::layer::member;
use crate::layer::presence::PresenceSnapshot;
use crate::layer::redis::belief::Belief;
use crate::layer::redis::channel_changes::ChannelChanges;
use crate::layer::redis::command_queue::CommandQueue;
use crate::layer::redis::job::Job;
use crate::layer::redis::local_group::{Link, LocalGroup, Waiting, tell_pause};
use crate::layer::redis::member_view::{Change, GroupState, Next, PresenceEvent};
use crate::layer::redis::seat_batch::{GroupCall, SeatBatch, SeatReply, SeatStatus};
use crate::layer::redis::seat_id::SeatId;
use crate::layer::redis::seating::{Outcome, Share};
use crate::wire::event::Event;
use crate::wire::group::Group;

/// Time after a reconnection in which no list is believed: the other nodes write again what a new
/// server has lost.
const BELIEF_PAUSE: Duration = Duration::from_secs(1);
/// Time after a repair in which the other nodes write their users.
const REPAIR_PAUSE: Duration = Duration::from_secs(1);
/// Time after which other nodes publish the state of a group in repair.
const FOREIGN_REPAIR_PAUSE: Duration = Duration::from_millis(2500);
/// Pause before a refused call is made again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Time for which a group that was left is remembered: older data may bring its users back.
const LEFT_WINDOW: Duration = Duration::from_mins(1);

pub(super) struct LocalMembership {
    node: String,
    queue: Arc<CommandQueue>,
    state: Mutex<MembershipState>,
    /// The number of the last presence event that sockets were sent, over all groups.
    version: AtomicU64,
    /// A group may have to be subscribed to or unsubscribed from.
    pub(super) channels_changed: Notify,
    /// The first of the timers changed.
    pub(super) timers_changed: Notify,
    /// There are jobs for the heartbeat.
    pub(super) jobs_changed: Notify,
}

#[derive(Default)]
struct MembershipState {
    groups: HashMap<Group, LocalGroup>,
    /// Groups whose subscription may differ from what they need.
    unsettled: HashSet<Group>,
    /// Groups that may have a call to make.
    callers: HashSet<Group>,
    timers: BinaryHeap<Reverse<(Instant, Group, Timer)>>,
    jobs: Vec<Job>,
    /// Groups that this node left lately, with the ids that it had there.
    left: VecDeque<(Instant, Group, SeatId)>,
    epochs: usize,
    calls: u32,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// The grace of a user ends.
    Grace(Arc<str>),
    Look,
    Tell,
}

impl LocalMembership {
    pub(super) fn new(node: &str, queue: Arc<CommandQueue>) -> Self {
        Self {
            node: node.to_owned(),
            queue,
            state: Mutex::default(),
            version: AtomicU64::new(0),
            channels_changed: Notify::new(),
            timers_changed: Notify::new(),
            jobs_changed: Notify::new(),
        }
    }

    /// Adds a socket to a group; with a member, its user has a seat there.
    pub(super) fn enter(&self, group: &Group, member: Option<&str>) {
        let mut state = self.state.lock();
        let MembershipState { groups, unsettled, callers, epochs, .. } = &mut *state;
        let local =
            groups.entry(group.clone()).or_insert_with(|| LocalGroup::new(SeatId::new(&self.node, *epochs)));
        local.sockets += 1;
        if local.link == Link::None {
            unsettled.insert(group.clone());
            self.channels_changed.notify_one();
        }
        if let Some(member) = member {
            let (user, name) = member::split(member);
            local.seating.enter(&user.into(), &name.into());
            if local.seating.is_unsettled() {
                callers.insert(group.clone());
                self.queue.changed.notify_one();
            }
        }
    }

    /// Removes a socket from a group.
    pub(super) fn leave(&self, group: &Group, member: Option<&str>, now: Instant) {
        let mut state = self.state.lock();
        let Some(local) = state.groups.get_mut(group) else { return };
        local.sockets = local.sockets.saturating_sub(1);
        let user = member.map(member::id);
        let leaves_at = user.and_then(|user| local.seating.leave(user, now));
        let is_over = local.is_over();
        if let (Some(user), Some(at)) = (user, leaves_at) {
            self.set_timer(&mut state, at, group, Timer::Grace(user.into()));
        }
        if is_over {
            state.unsettled.insert(group.clone());
            self.channels_changed.notify_one();
        }
    }

    /// Returns `None` if the node is subscribed to the group and the user has a seat, else what
    /// completes then.
    pub(super) fn subscription(&self, group: &Group, member: Option<&str>) -> Option<oneshot::Receiver<()>> {
        let mut state = self.state.lock();
        let local = state.groups.get_mut(group)?;
        let user = member.map(member::id);
        if local.is_ready_for(user) {
            return None;
        }
        let (done, wait) = oneshot::channel();
        local.waiting.push(Waiting { user: user.map(Into::into), done });
        Some(wait)
    }

    /// Takes what the subscriber has to do. From here on a channel that it leaves does not count as
    /// subscribed: a member that joins meanwhile waits for the next subscription.
    pub(super) fn take_channel_changes(&self, now: Instant) -> ChannelChanges {
        let mut state = self.state.lock();
        let mut changes = ChannelChanges::default();
        for group in take(&mut state.unsettled) {
            let Some(local) = state.groups.get(&group) else { continue };
            let (link, id) = (local.link, local.seating.id());
            match (local.is_over(), link) {
                (false, Link::None) => changes.subscribe.push(group),
                (false, _) => {}
                (true, _) => {
                    state.groups.remove(&group);
                    state.left.push_back((now, group.clone(), id));
                    let gone =
                        if link == Link::None { &mut changes.abandoned } else { &mut changes.unsubscribe };
                    gone.push(group);
                }
            }
        }
        while state.left.front().is_some_and(|(at, ..)| *at + LEFT_WINDOW < now) {
            state.left.pop_front();
        }
        changes
    }

    /// `SUBSCRIBE` of these groups was written: their calls follow it.
    pub(super) fn on_subscribe_sent(&self, groups: &[Group]) {
        let mut state = self.state.lock();
        let MembershipState { groups: locals, callers, .. } = &mut *state;
        for group in groups {
            let Some(local) = locals.get_mut(group) else { continue };
            local.link = Link::Requested;
            callers.insert(group.clone());
        }
    }

    /// The node is subscribed to these groups, and knows the ends of their logs.
    pub(super) fn on_located(&self, groups: &[Group]) {
        let mut state = self.state.lock();
        for group in groups {
            // Members that left meanwhile have made the group unsettled again; its entry is still
            // there.
            let Some(local) = state.groups.get_mut(group) else { continue };
            if local.link == Link::Requested {
                local.link = Link::Located;
                local.wake();
            }
        }
    }

    /// The connection was lost.
    pub(super) fn on_disconnected(&self) {
        let mut state = self.state.lock();
        let MembershipState { groups, unsettled, callers, .. } = &mut *state;
        callers.clear();
        for (group, local) in groups {
            local.link = Link::None;
            local.seating.on_disconnected();
            local.next_call.looks = true;
            local.next_call.asks = true;
            unsettled.insert(group.clone());
        }
        self.channels_changed.notify_one();
    }

    /// There is a connection again, maybe to another server, which may have older data.
    pub(super) fn on_connected(&self, now: Instant) {
        let mut state = self.state.lock();
        for local in state.groups.values_mut() {
            local.view.believe_from(now + BELIEF_PAUSE);
        }
        self.reap_left(&mut state);
    }

    /// Makes the node look at all groups: Redis lost something, or may have.
    pub(super) fn look_at_all(&self, now: Instant) {
        let mut state = self.state.lock();
        let MembershipState { groups, callers, .. } = &mut *state;
        for (group, local) in groups {
            local.view.believe_from(now + BELIEF_PAUSE);
            local.next_call.looks = true;
            local.next_call.asks = true;
            callers.insert(group.clone());
        }
        self.reap_left(&mut state);
        self.queue.changed.notify_one();
    }

    /// Older data may have users of this node in groups that it left.
    fn reap_left(&self, state: &mut MembershipState) {
        let left: Vec<Job> = state.left.iter().map(|(_, group, id)| Job::Reap(group.clone(), *id)).collect();
        state.jobs.extend(left);
        self.jobs_changed.notify_one();
    }

    /// Takes the calls that can be made now.
    pub(super) fn take_calls(&self) -> Vec<SeatBatch> {
        let mut state = self.state.lock();
        if state.callers.is_empty() {
            return Vec::new();
        }
        let mut batches = vec![SeatBatch::default()];
        for group in take(&mut state.callers) {
            let MembershipState { groups, calls, .. } = &mut *state;
            let Some(local) = groups.get_mut(&group) else { continue };
            let has_work = local.seating.is_unsettled() || local.next_call.looks || local.next_call.renews;
            if local.link == Link::None || !has_work {
                continue;
            }
            *calls = calls.wrapping_add(1);
            let Some(call) = local.seating.begin_call(*calls) else { continue };
            let (looks, renews) = (take(&mut local.next_call.looks), take(&mut local.next_call.renews));
            let call = GroupCall { group, call, looks, renews };
            let last = batches.last_mut().expect("one at least");
            if let Err(call) = last.push(call) {
                let mut batch = SeatBatch::default();
                let _ = batch.push(call); // an empty one takes any call
                batches.push(batch);
            }
        }
        batches.retain(|batch| !batch.calls.is_empty());
        batches
    }

    /// Takes the reply of one call; returns what the group's sockets have to be sent.
    pub(super) fn on_reply(&self, call: &GroupCall, reply: Option<SeatReply>, now: Instant) -> Vec<Event> {
        let mut state = self.state.lock();
        let mut told = Vec::new();
        let Some(local) = state.groups.get_mut(&call.group).filter(|local| local.seating.is_calling()) else {
            return told;
        };
        let Some(SeatReply { status, members }) = reply else {
            drop(state);
            self.on_refused(std::slice::from_ref(call), now);
            return told;
        };
        let mut jobs = Vec::new();
        match status {
            SeatStatus::Refused => {
                drop(state);
                self.on_refused(std::slice::from_ref(call), now);
                return told;
            }
            SeatStatus::Differs(share) => {
                local.next_call.looks = true;
                if local.seating.on_differs(share) == Outcome::Differs {
                    jobs.push(Job::Beat);
                }
            }
            SeatStatus::Seated(group_state, seats, share) => {
                local.is_refused = false;
                let outcome = local.seating.on_seated(share);
                if *local.seats != *seats {
                    local.seats = seats.into();
                    jobs.push(local.see(&call.group));
                }
                let joined: Vec<String> = call
                    .call
                    .joins
                    .iter()
                    .map(|joining| member::text(&joining.user, &joining.name))
                    .collect();
                local.view.on_seated(&joined, &mut || self.next_version(), &mut told);
                let next = if call.looks {
                    local.on_names(members.as_deref().unwrap_or_default());
                    let (members, _) = local.with_own(members);
                    if take(&mut local.next_call.asks) {
                        let ids = SeatId::parse_all(&local.seats).filter(|id| id.node() != self.node);
                        jobs.extend(ids.map(|id| Job::Ask(call.group.clone(), id)));
                    }
                    let mut versions = || self.next_version();
                    local.view.on_look(&group_state, members, now, &mut versions, &mut told)
                } else {
                    local.view.on_state(&group_state)
                };
                if outcome == Outcome::Reseated {
                    jobs.push(Job::Enlist(call.group.clone()));
                    local.next_call.looks = true;
                    local.tell = Some((now + REPAIR_PAUSE, 2));
                    self.set_timer(&mut state, now + REPAIR_PAUSE, &call.group, Timer::Tell);
                }
                self.follow(&mut state, &call.group, next, &group_state, now);
            }
        }
        let local = state.groups.get_mut(&call.group).expect("it was there");
        jobs.extend(local.seating.take_stale().into_iter().map(|id| Job::Reap(call.group.clone(), id)));
        local.wake();
        if local.is_over() {
            state.unsettled.insert(call.group.clone());
            self.channels_changed.notify_one();
        } else {
            state.callers.insert(call.group.clone());
            self.queue.changed.notify_one();
        }
        self.add_jobs(&mut state, jobs);
        told
    }

    /// Redis refused these calls, or sent something else as their reply: they are made again later.
    /// Sockets do not wait for a seat meanwhile.
    pub(super) fn on_refused(&self, calls: &[GroupCall], now: Instant) {
        let mut state = self.state.lock();
        for call in calls {
            let Some(local) = state.groups.get_mut(&call.group) else { continue };
            local.seating.on_refused();
            local.is_refused = true;
            local.next_call.looks = true;
            local.wake();
            self.set_timer(&mut state, now + RETRY_PAUSE, &call.group, Timer::Look);
        }
    }

    /// Takes an event about the users of a group; returns what its sockets have to be sent.
    pub(super) fn on_event(&self, group: &str, mut event: PresenceEvent, now: Instant) -> Vec<Event> {
        let mut state = self.state.lock();
        let mut told = Vec::new();
        let group = Group::new(group);
        let Some(local) = state.groups.get_mut(&group) else { return told };
        let group_state = GroupState { count: event.count, mark: 0, digest: event.to };
        match &mut event.change {
            Change::Users { joined, .. } => local.on_names(joined),
            Change::State(members) => {
                local.tell = None;
                local.on_names(members.as_deref().unwrap_or_default());
                let is_short;
                (*members, is_short) = local.with_own(take(members));
                // Redis lost the users of this node, which a look finds.
                local.next_call.looks |= is_short;
            }
            Change::Look => {}
        }
        let next = local.view.on_event(event, now, &mut || self.next_version(), &mut told);
        if local.seating.is_unsettled() || local.next_call.looks {
            state.callers.insert(group.clone());
            self.queue.changed.notify_one();
        }
        self.follow(&mut state, &group, next, &group_state, now);
        told
    }

    /// An event about the users of a group was not taken: too many events wait.
    pub(super) fn on_skipped(&self, group: &str, now: Instant) {
        let mut state = self.state.lock();
        let Some((group, _)) = state.groups.get_key_value(group) else { return };
        let group = group.clone();
        self.set_timer(&mut state, now + RETRY_PAUSE, &group, Timer::Look);
    }

    fn follow(
        &self,
        state: &mut MembershipState,
        group: &Group,
        next: Next,
        group_state: &GroupState,
        now: Instant,
    ) {
        let Some(local) = state.groups.get_mut(group) else { return };
        match next {
            Next::Nothing => {}
            Next::Look => {
                local.next_call.looks = true;
                state.callers.insert(group.clone());
                self.queue.changed.notify_one();
            }
            Next::LookLater => {
                let at = local.view.believes_at().unwrap_or(now);
                self.set_timer(state, at, group, Timer::Look);
            }
            Next::Tell => {
                let (pause, mark) = if group_state.mark == 2 {
                    (FOREIGN_REPAIR_PAUSE, 2)
                } else {
                    (tell_pause(group_state.count), 1)
                };
                if local.tell.is_none() {
                    local.tell = Some((now + pause, mark));
                    self.set_timer(state, now + pause, group, Timer::Tell);
                }
            }
        }
    }

    /// Returns the users of a group as the sockets of this node know them; `None` without a view.
    pub(super) fn snapshot(&self, group: &Group) -> Option<PresenceSnapshot> {
        self.state.lock().groups.get(group)?.view.snapshot()
    }

    fn next_version(&self) -> u64 {
        self.version.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Returns a snapshot of what another one reads from Redis.
    pub(super) fn foreign_snapshot(&self, count: usize, members: Option<Vec<String>>) -> PresenceSnapshot {
        PresenceSnapshot { count, members, version: self.version.load(Ordering::Relaxed) }
    }

    fn set_timer(&self, state: &mut MembershipState, at: Instant, group: &Group, timer: Timer) {
        if state.timers.peek().is_none_or(|Reverse((first, ..))| at < *first) {
            self.timers_changed.notify_one();
        }
        state.timers.push(Reverse((at, group.clone(), timer)));
    }

    /// Returns when the first timer is due.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.state.lock().timers.peek().map(|Reverse((at, ..))| *at)
    }

    /// Runs the timers that are due.
    pub(super) fn on_time(&self, now: Instant) {
        let mut state = self.state.lock();
        while let Some(Reverse((at, ..))) = state.timers.peek()
            && *at <= now
            && let Some(Reverse((_, group, timer))) = state.timers.pop()
        {
            let Some(local) = state.groups.get_mut(&group) else { continue };
            match timer {
                Timer::Grace(user) if local.seating.end_grace(&user, now) => {}
                Timer::Grace(_) => continue,
                Timer::Look => local.next_call.looks = true,
                Timer::Tell => {
                    if let Some((_, mark)) = local.tell.take_if(|(at, _)| *at <= now) {
                        self.add_jobs(&mut state, vec![Job::Tell(group, mark)]);
                    }
                    continue;
                }
            }
            state.callers.insert(group);
            self.queue.changed.notify_one();
        }
    }

    /// Gives the heartbeat a job.
    pub(super) fn add_job(&self, job: Job) {
        self.add_jobs(&mut self.state.lock(), vec![job]);
    }

    fn add_jobs(&self, state: &mut MembershipState, jobs: Vec<Job>) {
        if !jobs.is_empty() {
            state.jobs.extend(jobs);
            self.jobs_changed.notify_one();
        }
    }

    /// Takes the jobs of the heartbeat.
    pub(super) fn take_jobs(&self) -> Vec<Job> {
        take(&mut self.state.lock().jobs)
    }

    /// Returns a job to the heartbeat, which could not be done.
    pub(super) fn put_back(&self, job: Job) {
        self.state.lock().jobs.push(job);
    }

    /// The node has beaten: groups that await it go on under new ids.
    pub(super) fn on_beat(&self) {
        let mut state = self.state.lock();
        let MembershipState { groups, callers, epochs, jobs, .. } = &mut *state;
        for (group, local) in groups.iter_mut().filter(|(_, local)| local.seating.awaits_beat()) {
            local.seating.on_beat(|| {
                *epochs += 1;
                SeatId::new(&self.node, *epochs)
            });
            jobs.extend(local.seating.take_stale().into_iter().map(|id| Job::Reap(group.clone(), id)));
            callers.insert(group.clone());
        }
        if !jobs.is_empty() {
            self.jobs_changed.notify_one();
        }
        self.queue.changed.notify_one();
    }

    /// Returns every group of this node.
    pub(super) fn groups(&self) -> Vec<Group> {
        self.state.lock().groups.keys().cloned().collect()
    }

    /// Another node asks whether this node still has members under these ids: what it does not have
    /// any more, older data has brought back.
    pub(super) fn on_asked(&self, asked: &[(String, String)]) {
        let mut state = self.state.lock();
        let mut jobs = Vec::new();
        for (group, id) in asked {
            let Some(id) = SeatId::parse_all(id.as_bytes()).find(|id| id.node() == self.node) else {
                continue;
            };
            if state.groups.get(group.as_str()).is_none_or(|local| local.seating.id() != id) {
                jobs.push(Job::Reap(Group::new(group), id));
            }
        }
        self.add_jobs(&mut state, jobs);
    }

    /// Returns the groups of this node with their numbers of users here.
    pub(super) fn user_counts(&self) -> Vec<(Group, usize)> {
        let state = self.state.lock();
        state.groups.iter().map(|(group, local)| (group.clone(), local.seating.user_count())).collect()
    }

    /// Returns what the node believes of the groups of this part.
    pub(super) fn beliefs(&self, is_in_part: impl Fn(&Group) -> bool) -> Vec<Belief> {
        let state = self.state.lock();
        let part = state.groups.iter().filter(|(group, _)| is_in_part(group));
        part.filter_map(|(group, local)| {
            (local.link == Link::Located).then_some(())?;
            let (share, digest) = (local.seating.settled_share()?, local.view.digest()?);
            Some(Belief { group: group.clone(), id: local.seating.id(), share, digest })
        })
        .collect()
    }

    /// Compares a belief with what Redis had after it; looks if they differ.
    pub(super) fn on_compared(
        &self,
        belief: &Belief,
        redis: &GroupState,
        seats: &[u8],
        share: Share,
        now: Instant,
    ) {
        let mut state = self.state.lock();
        let MembershipState { groups, callers, jobs, .. } = &mut *state;
        let Some(local) = groups.get_mut(&belief.group) else { return };
        if *local.seats != *seats {
            local.seats = seats.into();
            jobs.push(local.see(&belief.group));
            self.jobs_changed.notify_one();
        }
        let is_unchanged =
            local.seating.settled_share() == Some(belief.share) && local.view.digest() == Some(belief.digest);
        let differs = !share.is(belief.share) || redis.digest != belief.digest;
        if is_unchanged && differs {
            local.next_call.looks = true;
            local.next_call.asks = true;
            callers.insert(belief.group.clone());
            self.queue.changed.notify_one();
        }
        if redis.mark > 0 {
            // The node that was to publish it may be dead.
            self.follow(&mut state, &belief.group, Next::Tell, redis, now);
        }
    }

    /// Renews the lifetime of everything that Redis has of this node's groups.
    pub(super) fn renew_all(&self) {
        let mut state = self.state.lock();
        let MembershipState { groups, callers, .. } = &mut *state;
        for (group, local) in groups {
            local.next_call.renews = true;
            callers.insert(group.clone());
        }
        self.queue.changed.notify_one();
    }
}
