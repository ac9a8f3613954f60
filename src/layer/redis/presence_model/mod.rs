//! A search for wrong lists: several nodes' memberships over a small model of Redis, driven through
//! seeded interleavings of deliveries, lost replies, cuts, freezes, kills, evictions, failovers and
//! rollbacks, and held against the contract.
//!
//! Runs have faults of different kinds ([`Faults`]); the milder they are, the more is promised and
//! the sooner every list has to be right. Always: sockets are sent no leave of a user with a socket
//! at their node, no join of one they know, and what their node says to newcomers.
//!
//! The model carries out what the scripts do; black-box tests run the scripts themselves.

mod node;
mod redis;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::Instant;

use crate::layer::contract::LEAVE_GRACE;
use crate::layer::member;
use crate::layer::redis::beat_watch::ENDED;
use crate::layer::redis::job::Job;
use crate::layer::redis::member_view::Change;
use crate::layer::redis::presence_model::node::{COMPARISON, Inbound, Outbound, SimNode, SimSocket, split};
use crate::layer::redis::presence_model::redis::ModelRedis;
use crate::layer::redis::seat_batch::{SeatReply, SeatStatus};
use crate::layer::redis::shards::ShardId;
use crate::seeds::search;
use crate::wire::group::Group;

const TICK: Duration = Duration::from_millis(100);
const BEAT: Duration = Duration::from_secs(2);
/// Time without a beat after which a node looks at all groups.
const BEAT_TIMEOUT: Duration = Duration::from_secs(8);

/// What may happen in a run beside sockets that open and close.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Faults {
    None,
    /// Connections are cut; nodes start, end and die.
    Nodes,
    /// Redis loses data or has older data, nodes freeze, and what is published is not taken.
    Data,
}

impl Faults {
    fn of(seed: u64) -> Self {
        [Self::None, Self::Nodes, Self::Data, Self::Data, Self::Data][(seed % 5) as usize]
    }

    /// Returns the time in which every list has to become right.
    fn settling(self) -> Duration {
        match self {
            Self::None => LEAVE_GRACE + Duration::from_secs(3),
            Self::Nodes => Duration::from_secs(20),
            // Two comparisons, as a reply to a question may be lost, too.
            Self::Data => Duration::from_mins(1),
        }
    }

    /// Comparisons find what nothing else shows, which without lost data is nothing.
    fn has_comparisons(self) -> bool {
        self == Self::Data
    }
}

struct Simulation {
    rng: StdRng,
    now: Instant,
    redis: ModelRedis,
    snapshot: ModelRedis,
    nodes: Vec<SimNode>,
    started: usize,
    groups: Vec<Group>,
    users: Vec<String>,
    names: HashMap<String, String>,
    /// When a socket closed whose user had a seat, by group and user.
    closed: HashMap<(String, String), Instant>,
    faults: Faults,
    changes_told: usize,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let now = Instant::now();
        // Some have one group that grows beyond what is listed.
        let is_big = seed % 16 == 3;
        let users = if is_big { 230 } else { rng.random_range(3..60) };
        let groups = if is_big { 1 } else { rng.random_range(1..4) };
        let mut simulation = Self {
            rng,
            now,
            redis: ModelRedis::default(),
            snapshot: ModelRedis::default(),
            nodes: Vec::new(),
            started: 0,
            groups: (0..groups).map(|number| Group::new(&format!("group{number}"))).collect(),
            users: (0..users).map(|number| format!("user{number:03}")).collect(),
            names: HashMap::new(),
            closed: HashMap::new(),
            faults: Faults::of(seed),
            changes_told: 0,
        };
        for _ in 0..3 {
            simulation.start();
        }
        simulation
    }

    fn start(&mut self) {
        let node = SimNode::new(self.started, self.now);
        self.nodes.push(node);
        self.started += 1;
    }

    fn chance(&mut self, of: u32) -> bool {
        self.rng.random_ratio(1, of)
    }

    fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            self.now += Duration::from_millis(self.rng.random_range(0..400));
            self.act();
            if self.chance(25) {
                self.fail();
            }
            for index in 0..self.nodes.len() {
                for _ in 0..self.rng.random_range(0..4) {
                    self.step(index);
                }
            }
        }
        if self.faults == Faults::Data {
            self.fail_unseen();
        }
        self.settle();
    }

    /// The users of groups are lost, or older ones come back, and no connection or beat shows it.
    fn fail_unseen(&mut self) {
        for group in self.groups.clone() {
            let name = group.name();
            match (self.rng.random_range(0..3), self.snapshot.groups.get(name).cloned()) {
                (0, _) => drop(self.redis.groups.remove(name)),
                (1, Some(older)) => drop(self.redis.groups.insert(name.to_owned(), older)),
                _ => {}
            }
        }
    }

    /// A socket opens or closes, or a user takes another name.
    fn act(&mut self) {
        let node = self.rng.random_range(0..self.nodes.len());
        let crowd = if self.chance(15) { 50 } else { 1 };
        for _ in 0..crowd {
            let user = self.users.choose(&mut self.rng).expect("users").clone();
            let group = self.groups.choose(&mut self.rng).expect("groups").clone();
            match self.rng.random_range(0..10) {
                0..6 => self.open(node, &group, &user),
                6..9 if !self.nodes[node].sockets.is_empty() => {
                    let at = self.rng.random_range(0..self.nodes[node].sockets.len());
                    self.close(node, at);
                }
                9 if self.chance(3) => self.nodes[node].open(&group, None),
                _ => self.rename(&user),
            }
        }
    }

    fn open(&mut self, node: usize, group: &Group, user: &str) {
        let name = self.names.get(user).cloned().unwrap_or_else(|| "first".to_owned());
        let text: Arc<str> = member::text(user, &name).into();
        self.nodes[node].open(group, Some(text));
    }

    fn close(&mut self, node: usize, at: usize) {
        let now = self.now;
        let node = &mut self.nodes[node];
        let socket = node.sockets.swap_remove(at);
        node.membership.leave(&socket.group, socket.member.as_ref(), now);
        node.welcome();
        self.note_close(&socket);
    }

    fn note_close(&mut self, socket: &SimSocket) {
        if let Some(user) = socket.user().filter(|_| socket.is_seated) {
            self.closed.insert((socket.group.name().to_owned(), user.to_owned()), self.now);
        }
    }

    /// All sockets of the user close, and open again under another name.
    fn rename(&mut self, user: &str) {
        let name = format!("name{}", self.rng.random_range(0..100_000));
        self.names.insert(user.to_owned(), name);
        for node in 0..self.nodes.len() {
            let sockets = &self.nodes[node].sockets;
            let own: Vec<usize> = (0..sockets.len()).filter(|at| sockets[*at].user() == Some(user)).collect();
            for at in own.into_iter().rev() {
                let group = self.nodes[node].sockets[at].group.clone();
                self.close(node, at);
                let to =
                    if self.rng.random_bool(0.8) { node } else { self.rng.random_range(0..self.nodes.len()) };
                self.open(to, &group, user);
            }
        }
    }

    fn fail(&mut self) {
        let node = self.rng.random_range(0..self.nodes.len());
        let fault = match self.faults {
            Faults::None => return,
            Faults::Nodes => self.rng.random_range(0..4),
            Faults::Data => self.rng.random_range(0..9),
        };
        match fault {
            0 | 1 => self.cut(node),
            2 if self.nodes.len() > 2 => self.end(node),
            3 if self.nodes.len() < 5 => self.start(),
            4 => {
                let pause = self.rng.random_range(100..25_000);
                self.nodes[node].frozen_until = self.now + Duration::from_millis(pause);
            }
            5 => {
                let group = self.groups.choose(&mut self.rng).expect("groups").name().to_owned();
                self.redis.groups.remove(&group);
            }
            6 => self.redis = ModelRedis::default(),
            7 => self.snapshot = self.redis.clone(),
            8 => {
                // A replica takes over, or the same server comes back with older data. Nodes may
                // not see it.
                self.redis = ModelRedis { published: Vec::new(), ..self.snapshot.clone() };
                if self.rng.random_bool(0.7) {
                    for node in 0..self.nodes.len() {
                        self.cut(node);
                    }
                }
            }
            _ => {}
        }
    }

    /// A node says that it ends, or dies.
    fn end(&mut self, node: usize) {
        let mut node = self.nodes.swap_remove(node);
        if self.rng.random_bool(0.3) {
            self.redis.beats.insert(node.name.clone(), ENDED.to_owned());
        } else {
            self.lose(&mut node);
        }
        node.sockets.iter().for_each(|socket| self.note_close(socket));
    }

    fn cut(&mut self, node: usize) {
        let pause = Duration::from_millis(self.rng.random_range(0..1500));
        let mut lost = std::mem::replace(&mut self.nodes[node], SimNode::new(9999, self.now));
        self.lose(&mut lost);
        lost.cut(self.now + pause);
        self.nodes[node] = lost;
    }

    /// Of what is on its way to Redis a part is carried out, with replies that no node reads.
    fn lose(&mut self, node: &mut SimNode) {
        let carried_out = self.rng.random_range(0..=node.to_redis.len());
        for outbound in node.to_redis.drain(..).take(carried_out) {
            if let Outbound::Seats(call) = outbound {
                self.redis.seat(&call);
            }
        }
        node.to_redis.clear();
        self.deliver();
    }

    /// One node does one thing.
    fn step(&mut self, index: usize) {
        let now = self.now;
        let node = &mut self.nodes[index];
        if now < node.frozen_until {
            return;
        }
        if !node.is_connected && now >= node.reconnects_at {
            node.is_connected = true;
            node.membership.on_connected(ShardId::default(), now);
        }
        node.membership.on_time(now);
        node.jobs.extend(node.membership.take_jobs());
        match self.rng.random_range(0..4) {
            0 => self.send(index),
            1 => self.execute(index),
            2 => self.receive(index),
            _ => self.work(index),
        }
        self.beat(index);
        self.compare(index);
    }

    fn send(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if !node.is_connected {
            return;
        }
        let changes = node.membership.take_channel_changes(ShardId::default(), self.now);
        if !changes.unsubscribe.is_empty() {
            node.to_redis.push_back(Outbound::Unsubscribe(changes.unsubscribe));
        }
        if !changes.subscribe.is_empty() {
            node.membership.on_subscribe_sent(ShardId::default(), &changes.subscribe);
            node.to_redis.push_back(Outbound::Subscribe(changes.subscribe));
        }
        for batch in node.membership.take_calls(ShardId::default()) {
            node.to_redis.extend(batch.calls.into_iter().map(Outbound::Seats));
        }
    }

    fn execute(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        match node.to_redis.pop_front() {
            None => {}
            Some(Outbound::Subscribe(groups)) => {
                node.subscriptions.extend(groups.iter().map(|group| group.name().to_owned()));
                node.from_redis.push_back(Inbound::Subscribed(groups));
            }
            Some(Outbound::Unsubscribe(groups)) => {
                for group in groups {
                    node.subscriptions.remove(group.name());
                }
            }
            Some(Outbound::Seats(call)) => {
                let is_refused = self.faults == Faults::Data && self.rng.random_ratio(1, 500);
                let reply = if is_refused {
                    SeatReply { status: SeatStatus::Refused, members: None }
                } else {
                    self.redis.seat(&call)
                };
                self.deliver();
                self.nodes[index].from_redis.push_back(Inbound::Reply(call, reply));
            }
        }
    }

    /// Puts what was published on its way to the nodes.
    fn deliver(&mut self) {
        for (group, event) in std::mem::take(&mut self.redis.published) {
            if let Change::Users { left, .. } = &event.change
                && self.faults != Faults::Data
            {
                for user in left {
                    self.check_leave(&group, user);
                }
            }
            for node in self.nodes.iter_mut().filter(|node| node.subscriptions.contains(&group)) {
                node.from_redis.push_back(Inbound::Event(group.clone(), event.clone()));
            }
        }
    }

    /// No user leaves before its grace is over.
    fn check_leave(&self, group: &str, user: &str) {
        let mut sockets = self.nodes.iter().flat_map(|node| node.sockets_of(group, user));
        assert!(!sockets.any(|socket| socket.is_seated), "{user} is in {group}, and left");
        let closed = self.closed.get(&(group.to_owned(), user.to_owned()));
        assert!(closed.is_none_or(|at| self.now >= *at + LEAVE_GRACE), "the grace of {user} in {group}");
    }

    fn receive(&mut self, index: usize) {
        let now = self.now;
        let skips = self.faults == Faults::Data && self.rng.random_ratio(1, 200);
        let node = &mut self.nodes[index];
        let (group, told) = match node.from_redis.pop_front() {
            None => return,
            Some(Inbound::Subscribed(groups)) => {
                node.membership.on_located(ShardId::default(), &groups);
                return;
            }
            Some(Inbound::Asked(asked)) => {
                node.membership.on_asked(&asked, now);
                return;
            }
            Some(Inbound::Event(group, _)) if skips => {
                node.membership.on_skipped(&group, now);
                return;
            }
            Some(Inbound::Event(group, event)) => {
                let told = node.membership.on_event(&group, event, now);
                (group, told)
            }
            Some(Inbound::Reply(call, reply)) => {
                if let SeatStatus::Seated(..) = reply.status {
                    node.seat(&call);
                }
                let told = node.membership.on_reply(&call, Some(reply), now);
                (call.group.name().to_owned(), told)
            }
        };
        self.changes_told += told.len();
        node.tell(&group, &told);
        node.welcome();
    }

    fn work(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if !node.found.is_empty() {
            // As of this reading: a node that comes back after it loses its users.
            let found = std::mem::take(&mut node.found).into_iter();
            let dead = found.filter(|(_, id)| node.watch.is_still_dead(id.node(), &self.redis.beats));
            node.jobs.extend(dead.map(|(group, id)| Job::Reap(group, id)));
        }
        let Some(job) = node.jobs.pop_front() else { return };
        match job {
            Job::Enlist(_) => {}
            Job::Beat => node.beats_at = self.now,
            Job::Tell(group, mark) => self.redis.tell(group.name(), mark),
            Job::Reap(group, id) => {
                if self.redis.reap(group.name(), id) > 0 {
                    node.jobs.push_front(Job::Reap(group, id));
                }
            }
            Job::See(group, ids) => {
                for id in ids {
                    if node.watch.see_in(&group, id.node()) {
                        node.suspects.insert(group.clone());
                    }
                }
            }
            Job::Ask(group, id) => {
                let asked = [(group.name().to_owned(), id.as_str().to_owned())];
                let is_asked = |other: &&mut SimNode| other.is_connected && other.name == id.node();
                if let Some(other) = self.nodes.iter_mut().find(is_asked) {
                    other.from_redis.push_back(Inbound::Asked(asked.into()));
                }
            }
        }
        self.deliver();
    }

    fn beat(&mut self, index: usize) {
        let (now, redis) = (self.now, &mut self.redis);
        let node = &mut self.nodes[index];
        if now < node.beats_at {
            return;
        }
        let is_late = now >= node.beats_at + BEAT_TIMEOUT - BEAT;
        node.beats_at = now + BEAT;
        node.beats += 1;
        let written = node.beats.to_string();
        let before = redis.beats.insert(node.name.clone(), written.clone());
        if node.written.is_some() && (is_late || before != node.written) {
            node.membership.look_at_all(now);
        }
        node.written = Some(written);
        node.membership.on_beat(now);
        let reading = node.watch.on_reading(&redis.beats, now);
        if !reading.dead.is_empty() || !reading.ended.is_empty() {
            node.suspects.extend(node.membership.groups());
        }
        node.suspects.extend(reading.groups);
        for group in std::mem::take(&mut node.suspects) {
            let ids = redis.groups.get(group.name()).map(|of| of.ids.clone()).unwrap_or_default();
            for id in ids.into_iter().filter(|id| id.node() != node.name) {
                node.watch.see(id.node());
                if node.watch.is_dead(id.node()) {
                    node.found.push((group.clone(), id));
                }
            }
        }
    }

    fn compare(&mut self, index: usize) {
        let now = self.now;
        let node = &mut self.nodes[index];
        if now < node.compares_at || !self.faults.has_comparisons() {
            return;
        }
        node.compares_at = now + COMPARISON;
        for belief in node.membership.beliefs(|_| true) {
            let of = self.redis.groups.get(belief.group.name()).cloned().unwrap_or_default();
            let share = of.shares.get(&belief.id).copied().unwrap_or_default();
            node.membership.on_compared(&belief, &of.state(), &of.seat_ids(), share, now);
        }
    }

    /// Without further faults every list becomes right.
    fn settle(&mut self) {
        for node in &mut self.nodes {
            node.frozen_until = self.now;
        }
        let end = self.now + self.faults.settling();
        while self.now < end {
            self.now += TICK;
            for index in 0..self.nodes.len() {
                let node = &mut self.nodes[index];
                if !node.is_connected {
                    node.is_connected = true;
                    node.membership.on_connected(ShardId::default(), self.now);
                }
                node.membership.on_time(self.now);
                self.send(index);
                while !self.nodes[index].to_redis.is_empty() {
                    self.execute(index);
                }
                while !self.nodes[index].from_redis.is_empty() {
                    self.receive(index);
                }
                let jobs = self.nodes[index].membership.take_jobs();
                self.nodes[index].jobs.extend(jobs);
                while !self.nodes[index].jobs.is_empty() || !self.nodes[index].found.is_empty() {
                    self.work(index);
                }
                self.beat(index);
                self.compare(index);
            }
        }
        self.check();
    }

    fn check(&self) {
        self.redis.check();
        for group in &self.groups {
            let sockets = self.nodes.iter().flat_map(|node| &node.sockets);
            let members =
                sockets.filter(|socket| socket.group == *group).filter_map(|of| of.member.as_deref());
            let truth: BTreeMap<String, String> = members.map(split).collect();
            for node in &self.nodes {
                if !node.is_in(group) {
                    continue;
                }
                let snapshot = node.membership.snapshot(group).expect("a view of a group with members");
                assert_eq!(snapshot.count, truth.len(), "the count of {group} at {}", node.name);
                if let Some(members) = snapshot.members {
                    let listed: BTreeMap<String, String> = members.iter().map(|text| split(text)).collect();
                    assert_eq!(listed, truth, "the list of {group} at {}", node.name);
                }
                node.check_told(group.name());
                let told = &node.told[group.name()];
                assert_eq!(told.1, truth.len(), "the count that sockets of {group} know at {}", node.name);
            }
            let has_business = self.nodes.iter().any(|node| node.is_in(group));
            let users = self.redis.groups.get(group.name()).map_or(0, |of| of.users.len());
            assert!(!has_business || users == truth.len(), "{users} users of {group} in Redis");
        }
    }
}

const SEEDS: u64 = 150;

#[test]
fn every_list_becomes_right_whatever_happens() {
    search(SEEDS, 5, |seed| {
        let mut simulation = Simulation::new(seed);
        simulation.run(150);
        simulation.changes_told
    });
}

/// A node's users in a group, and older data with a user more, under an id of before a repair.
#[test]
fn users_under_a_former_id_are_removed_by_their_node() {
    let mut simulation = Simulation::new(0);
    let group = simulation.groups[0].clone();
    simulation.nodes.truncate(1);
    for user in ["user000", "user001", "user002"] {
        simulation.open(0, &group, user);
    }
    simulation.settle();
    let older = simulation.redis.groups.clone();
    simulation.close(0, 2);
    simulation.settle();
    // Lost, so that each user gets a seat under the next id; then the older data is there as well.
    simulation.redis.groups.clear();
    simulation.nodes[0].membership.look_at_all(simulation.now);
    simulation.settle();
    simulation.redis.groups = older;
    simulation.nodes[0].membership.look_at_all(simulation.now);
    simulation.settle();
}
