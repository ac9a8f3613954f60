//! The members of this node in all groups, and what this node knows of the groups' users.
//!
//! Sockets change the membership, which never waits. The pipeline brings Redis in line with it:
//! it subscribes to channels and carries out seat calls, one a group at a time; changes that
//! come meanwhile go together. What else a call needs (a beat, a reaped id) is a job.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::layer::contract::leave_grace;
use crate::layer::member::{self, Member};
use crate::layer::presence::PresenceSnapshot;
use crate::layer::redis::belief::Belief;
use crate::layer::redis::channel_changes::ChannelChanges;
use crate::layer::redis::conditional_entry::ConditionalEntry;
use crate::layer::redis::effects::{Effects, Timer};
use crate::layer::redis::job::Job;
use crate::layer::redis::local_group::{Link, LocalGroup, RETRY_PAUSE, Waiting};
use crate::layer::redis::member_view::{GroupState, PresenceEvent};
use crate::layer::redis::seat_batch::{GroupCall, SeatBatch, SeatReply, Unless};
use crate::layer::redis::seat_call::Share;
use crate::layer::redis::seat_id::SeatId;
use crate::layer::redis::shards::{ShardId, Shards};
use crate::wire::event::Event;
use crate::wire::group::Group;

/// Time after a reconnection in which no list is believed: the other nodes write again what a new
/// server has lost.
const BELIEF_PAUSE: Duration = Duration::from_secs(1);
/// Time for which a group that was left is remembered: older data may bring its users back.
const LEFT_WINDOW: Duration = Duration::from_mins(1);

pub(super) struct LocalMembership {
    node: String,
    shards: Arc<Shards>,
    state: Mutex<MembershipState>,
    /// The first of the timers changed.
    pub(super) timers_changed: Notify,
    /// There are jobs for the heartbeat.
    pub(super) jobs_changed: Notify,
}

/// Ordered, so that a run of the search in `presence_model` can be repeated.
#[derive(Default)]
struct MembershipState {
    groups: BTreeMap<Group, LocalGroup>,
    /// What there is to do for the groups of each shard.
    work: BTreeMap<ShardId, ShardWork>,
    timers: BinaryHeap<Reverse<(Instant, Group, Timer)>>,
    jobs: BTreeSet<Job>,
    /// Groups that this node left lately, with the ids that it had there.
    left: VecDeque<(Instant, Group, SeatId)>,
    epochs: usize,
    calls: u32,
    /// The number of the last presence event that sockets were sent, over all groups.
    version: u64,
}

/// What there is to do for the groups of a shard.
#[derive(Default)]
struct ShardWork {
    /// Groups whose subscription may differ from what they need.
    unsettled: BTreeSet<Group>,
    /// Groups that may have a call to make.
    callers: BTreeSet<Group>,
}

impl MembershipState {
    fn work_of(&mut self, shard: ShardId) -> &mut ShardWork {
        self.work.entry(shard).or_default()
    }
}

impl LocalMembership {
    pub(super) fn new(node: &str, shards: Arc<Shards>) -> Self {
        Self {
            node: node.to_owned(),
            shards,
            state: Mutex::default(),
            timers_changed: Notify::new(),
            jobs_changed: Notify::new(),
        }
    }

    /// Adds a socket to a group; with a member, its user has a seat there.
    pub(super) fn enter(&self, group: &Group, member: Option<&Arc<str>>) {
        self.add_socket(&mut self.state.lock(), group, member);
    }

    fn add_socket(&self, state: &mut MembershipState, group: &Group, member: Option<&Arc<str>>) {
        let MembershipState { groups, work, epochs, .. } = state;
        let local = groups
            .entry(group.clone())
            .or_insert_with(|| LocalGroup::new(SeatId::new(&self.node, *epochs), self.shards.id_of(group)));
        let (shard, work) = (self.shards.get(local.shard), work.entry(local.shard).or_default());
        local.sockets += 1;
        if local.link == Link::None {
            work.unsettled.insert(group.clone());
            shard.channels_changed.notify_one();
        }
        if let Some(member) = member {
            local.seating.enter(&Member::new(member));
            if local.seating.is_unsettled() {
                work.callers.insert(group.clone());
                shard.queue.changed.notify_one();
            }
        }
    }

    /// Removes a socket from a group.
    pub(super) fn leave(&self, group: &Group, member: Option<&Arc<str>>, now: Instant) {
        self.step(&mut self.state.lock(), group, now, |local, effects| {
            local.sockets = local.sockets.saturating_sub(1);
            if let Some(member) = member.map(Member::new)
                && let Some(at) = local.seating.leave(member.user(), leave_grace(group), now)
            {
                effects.set_timer(at, Timer::Grace(member));
            }
        });
    }

    /// Adds a socket to a group, as [`enter`](Self::enter), unless there is a record; `None` if it
    /// is known to be absent. Returns `None` if that has to be asked first.
    pub(super) fn enter_unless(
        &self,
        group: &Group,
        member: &Arc<str>,
        unless: Option<Box<Unless>>,
    ) -> Option<ConditionalEntry<'_>> {
        let mut state = self.state.lock();
        let user = member::id(member);
        let local = state.groups.get(group);
        let unless = unless.filter(|unless| !local.is_some_and(|local| local.lacks(unless)));
        let is_found_out = |unless: &Unless| local.is_none_or(|local| local.finds_out(user, unless));
        if !unless.as_deref().is_none_or(is_found_out) {
            return None;
        }
        let (done, outcome) = oneshot::channel();
        self.add_socket(&mut state, group, Some(member));
        if let Some(local) = state.groups.get_mut(group) {
            local.waiting.push(Waiting { user: Some(user.into()), unless, done });
            local.wake();
        }
        let (group, member) = (group.clone(), Arc::clone(member));
        Some(ConditionalEntry { membership: self, group, member, outcome: Some(outcome) })
    }

    /// The caller of an entry has given up: undoes what came of it.
    pub(super) fn cancel_entry(
        &self,
        group: &Group,
        member: &Arc<str>,
        mut outcome: oneshot::Receiver<bool>,
        now: Instant,
    ) {
        let mut state = self.state.lock(); // under which outcomes are sent
        if outcome.try_recv() == Ok(false) {
            return; // the socket was removed
        }
        drop(outcome);
        self.step(&mut state, group, now, |local, effects| {
            local.waiting.retain(|waiting| !waiting.done.is_closed());
            local.withdraw(group, member::id(member), effects);
        });
    }

    /// Carries out a step of a group, and what follows from it; returns what the group's sockets
    /// have to be sent.
    fn step(
        &self,
        state: &mut MembershipState,
        group: &Group,
        now: Instant,
        step: impl FnOnce(&mut LocalGroup, &mut Effects),
    ) -> Vec<Event> {
        let Some(local) = state.groups.get_mut(group) else { return Vec::new() };
        let mut effects = Effects::new(now, state.version);
        step(local, &mut effects);
        effects.jobs.extend(local.seating.take_stale().into_iter().map(|id| Job::Reap(group.clone(), id)));
        let (is_over, has_call, shard) = (local.is_over(), local.has_call(), local.shard);
        if is_over {
            state.work_of(shard).unsettled.insert(group.clone());
            self.shards.get(shard).channels_changed.notify_one();
        } else if has_call {
            state.work_of(shard).callers.insert(group.clone());
            self.shards.get(shard).queue.changed.notify_one();
        }
        for (at, timer) in take(&mut effects.timers) {
            if state.timers.peek().is_none_or(|Reverse((first, ..))| at < *first) {
                self.timers_changed.notify_one();
            }
            state.timers.push(Reverse((at, group.clone(), timer)));
        }
        self.add_jobs(state, take(&mut effects.jobs));
        let (version, told) = effects.finish();
        state.version = version;
        told
    }

    /// Returns `None` if the node is subscribed to the group and the user has a seat, else what
    /// completes then.
    pub(super) fn subscription(
        &self,
        group: &Group,
        member: Option<&Arc<str>>,
    ) -> Option<oneshot::Receiver<bool>> {
        let mut state = self.state.lock();
        let local = state.groups.get_mut(group)?;
        let user = member.map(|member| member::id(member));
        if local.is_ready_for(user) {
            return None;
        }
        let (done, wait) = oneshot::channel();
        local.waiting.push(Waiting { user: user.map(Into::into), unless: None, done });
        Some(wait)
    }

    /// Takes what the subscriber of a shard has to do. From here on a channel that it leaves does
    /// not count as subscribed: a member that joins meanwhile waits for the next subscription.
    pub(super) fn take_channel_changes(&self, shard: ShardId, now: Instant) -> ChannelChanges {
        let mut state = self.state.lock();
        let mut changes = ChannelChanges::default();
        for group in take(&mut state.work_of(shard).unsettled) {
            let Some(local) = state.groups.get(&group).filter(|local| local.shard == shard) else { continue };
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
    pub(super) fn on_subscribe_sent(&self, shard: ShardId, groups: &[Group]) {
        let mut state = self.state.lock();
        let MembershipState { groups: locals, work, .. } = &mut *state;
        let work = work.entry(shard).or_default();
        for group in groups {
            let Some(local) = locals.get_mut(group).filter(|local| local.shard == shard) else { continue };
            local.link = Link::Requested;
            work.callers.insert(group.clone());
        }
    }

    /// The node is subscribed to these groups, and knows the ends of their logs.
    pub(super) fn on_located(&self, shard: ShardId, groups: &[Group]) {
        let mut state = self.state.lock();
        for group in groups {
            // Members that left meanwhile have made the group unsettled again; its entry is still
            // there.
            let Some(local) = state.groups.get_mut(group).filter(|local| local.shard == shard) else {
                continue;
            };
            if local.link == Link::Requested {
                local.link = Link::Located;
                local.wake();
            }
        }
    }

    /// The connection to a shard was lost.
    pub(super) fn on_disconnected(&self, shard: ShardId) {
        let mut state = self.state.lock();
        let MembershipState { groups, work, .. } = &mut *state;
        let work = work.entry(shard).or_default();
        work.callers.clear();
        for (group, local) in groups.iter_mut().filter(|(_, local)| local.shard == shard) {
            local.on_disconnected();
            work.unsettled.insert(group.clone());
        }
        self.shards.get(shard).channels_changed.notify_one();
    }

    /// There is a connection to a shard again, maybe to another server, which may have older data.
    pub(super) fn on_connected(&self, shard: ShardId, now: Instant) {
        let mut state = self.state.lock();
        for local in state.groups.values_mut().filter(|local| local.shard == shard) {
            local.view.believe_from(now + BELIEF_PAUSE);
        }
        self.reap_left(&mut state, now);
    }

    /// The shard ended the subscription to a group, or refused it, because the group's slot moves.
    /// It is tried again once the map of the Cluster was read.
    pub(super) fn on_displaced(&self, shard: ShardId, group: &Group) {
        let mut state = self.state.lock();
        let Some(local) = state.groups.get_mut(group).filter(|local| local.shard == shard) else { return };
        local.on_disconnected();
        state.work_of(shard).unsettled.insert(group.clone());
    }

    /// The map of the Cluster was read: groups go where their slots are if it has changed, and what
    /// was displaced is tried again. Returns the groups that have another shard now.
    pub(super) fn on_map_read(&self, is_changed: bool) -> Vec<Group> {
        let mut state = self.state.lock();
        let MembershipState { groups, work, .. } = &mut *state;
        let mut moved = Vec::new();
        for (group, local) in groups.iter_mut().filter(|_| is_changed) {
            let owner = self.shards.id_of(group);
            if local.shard != owner {
                local.on_disconnected();
                local.shard = owner;
                work.entry(owner).or_default().unsettled.insert(group.clone());
                moved.push(group.clone());
            }
        }
        drop(state);
        for shard in self.shards.known() {
            shard.channels_changed.notify_one();
        }
        moved
    }

    /// Makes the node look at all groups: Redis lost something, or may have.
    pub(super) fn look_at_all(&self, now: Instant) {
        let mut state = self.state.lock();
        let MembershipState { groups, work, .. } = &mut *state;
        for (group, local) in groups {
            local.view.believe_from(now + BELIEF_PAUSE);
            local.next_call.looks = true;
            local.next_call.asks = true;
            work.entry(local.shard).or_default().callers.insert(group.clone());
        }
        self.reap_left(&mut state, now);
        self.notify_queues();
    }

    fn notify_queues(&self) {
        for shard in self.shards.known() {
            shard.queue.changed.notify_one();
        }
    }

    /// Older data may have users of this node in groups that it left.
    fn reap_left(&self, state: &mut MembershipState, now: Instant) {
        for (_, group, id) in state.left.clone() {
            self.reap_own(state, &group, id, now);
        }
    }

    /// Removes the users of an id of this node, unless the node has the group under it. No group
    /// gets the id from then on.
    fn reap_own(&self, state: &mut MembershipState, group: &Group, id: SeatId, now: Instant) {
        if state.groups.contains_key(group) {
            self.step(state, group, now, |local, _| local.seating.on_found(id));
            return;
        }
        if id == SeatId::new(&self.node, state.epochs) {
            state.epochs += 1;
        }
        self.add_jobs(state, [Job::Reap(group.clone(), id)]);
    }

    /// Takes the calls that can be made now at a shard. In a Cluster each is a batch of its own:
    /// two groups are hardly ever in one slot.
    pub(super) fn take_calls(&self, shard: ShardId) -> Vec<SeatBatch> {
        let mut state = self.state.lock();
        let callers = take(&mut state.work_of(shard).callers);
        let mut batches: Vec<SeatBatch> = Vec::new();
        for group in callers {
            let MembershipState { groups, calls, .. } = &mut *state;
            let Some(local) = groups.get_mut(&group).filter(|local| local.shard == shard) else { continue };
            *calls = calls.wrapping_add(1);
            let Some(call) = local.begin_call(&group, *calls) else { continue };
            let rejected = match batches.last_mut().filter(|_| !self.shards.is_cluster()) {
                Some(batch) => batch.push(call).err(),
                None => Some(call),
            };
            batches.extend(rejected.map(SeatBatch::new));
        }
        batches
    }

    /// Takes the reply of one call; returns what the group's sockets have to be sent.
    pub(super) fn on_reply(&self, call: &GroupCall, reply: Option<SeatReply>, now: Instant) -> Vec<Event> {
        self.step(&mut self.state.lock(), &call.group, now, |local, effects| {
            local.on_reply(call, reply, effects);
        })
    }

    /// Redis refused these calls.
    pub(super) fn on_refused(&self, calls: &[GroupCall], now: Instant) {
        let mut state = self.state.lock();
        for call in calls {
            self.step(&mut state, &call.group, now, |local, effects| local.on_refused(call, effects));
        }
    }

    /// Takes an event about the users of a group; returns what its sockets have to be sent.
    pub(super) fn on_event(&self, group: &str, event: PresenceEvent, now: Instant) -> Vec<Event> {
        self.step(&mut self.state.lock(), &Group::new(group), now, |local, effects| {
            local.on_event(event, effects);
        })
    }

    /// An event about the users of a group was not taken: too many events wait.
    pub(super) fn on_skipped(&self, group: &str, now: Instant) {
        self.step(&mut self.state.lock(), &Group::new(group), now, |_, effects| {
            effects.set_timer(now + RETRY_PAUSE, Timer::Look);
        });
    }

    /// Returns the users of a group as the sockets of this node know them; `None` without a view.
    pub(super) fn snapshot(&self, group: &Group) -> Option<PresenceSnapshot> {
        self.state.lock().groups.get(group)?.snapshot()
    }

    /// Returns a snapshot of what another one reads from Redis.
    pub(super) fn foreign_snapshot(&self, count: usize, members: Option<Vec<String>>) -> PresenceSnapshot {
        PresenceSnapshot { count, members, version: self.state.lock().version }
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
            self.step(&mut state, &group, now, |local, effects| local.on_time(&group, &timer, effects));
        }
    }

    /// Gives the heartbeat a job.
    pub(super) fn add_job(&self, job: Job) {
        self.add_jobs(&mut self.state.lock(), [job]);
    }

    fn add_jobs(&self, state: &mut MembershipState, jobs: impl IntoIterator<Item = Job>) {
        let before = state.jobs.len();
        state.jobs.extend(jobs);
        if state.jobs.len() > before {
            self.jobs_changed.notify_one();
        }
    }

    /// Takes the jobs of the heartbeat.
    pub(super) fn take_jobs(&self) -> BTreeSet<Job> {
        take(&mut self.state.lock().jobs)
    }

    /// Returns a job to the heartbeat, which could not be done.
    pub(super) fn put_back(&self, job: Job) {
        self.state.lock().jobs.insert(job);
    }

    /// The node has beaten: groups that await it go on under new ids.
    pub(super) fn on_beat(&self, now: Instant) {
        let mut state = self.state.lock();
        let awaiting = state.groups.iter().filter(|(_, local)| local.seating.awaits_beat());
        for group in awaiting.map(|(group, _)| group.clone()).collect::<Vec<_>>() {
            state.epochs += 1;
            let id = SeatId::new(&self.node, state.epochs);
            self.step(&mut state, &group, now, |local, _| local.seating.on_beat(id));
        }
    }

    /// Returns every group of this node.
    pub(super) fn groups(&self) -> Vec<Group> {
        self.state.lock().groups.keys().cloned().collect()
    }

    /// Another node asks whether this node still has members under these ids: what it does not have
    /// any more, older data has brought back.
    pub(super) fn on_asked(&self, asked: &[(String, String)], now: Instant) {
        let mut state = self.state.lock();
        for (group, id) in asked {
            for id in SeatId::parse_all(id.as_bytes()).filter(|id| id.node() == self.node) {
                self.reap_own(&mut state, &Group::new(group), id, now);
            }
        }
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
        part.filter_map(|(group, local)| local.belief(group)).collect()
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
        self.step(&mut self.state.lock(), &belief.group, now, |local, effects| {
            local.on_compared(belief, redis, seats, share, effects);
        });
    }

    /// Renews the lifetime of everything that Redis has of this node's groups.
    pub(super) fn renew_all(&self) {
        let mut state = self.state.lock();
        let MembershipState { groups, work, .. } = &mut *state;
        for (group, local) in groups {
            local.next_call.renews = true;
            work.entry(local.shard).or_default().callers.insert(group.clone());
        }
        self.notify_queues();
    }
}
