//! The heartbeat: says that this node lives, finds nodes that do not, and does what seat calls
//! need beside them.
//!
//! | key | type | value |
//! |---|---|---|
//! | `parlor:beats` | hash | for each node a number that rises every two seconds, or `end` |
//! | `parlor:facts` | hash | for each node what it reports of itself (JSON) |
//! | `parlor:top:<node>` | string, 30 s | the node's largest groups with their users there (JSON) |
//! | `parlor:group:{<group>}` | set | names of nodes with sockets in the group |
//! | `parlor:m:{<group>}` | hash | the users of the group, see `group.lua` |

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join;
use parking_lot::Mutex;
use redis::{Cmd, Value};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::{debug, info, warn};

use crate::layer::contract::{MAX_LISTED_GROUPS, MAX_LISTED_MEMBERS};
use crate::layer::error::LayerError;
use crate::layer::listener::LayerListener;
use crate::layer::node_info::NodeInfo;
use crate::layer::presence::{MAX_SINGLE_CHANGES, largest};
use crate::layer::redis::beat_watch::{BeatWatch, ENDED};
use crate::layer::redis::belief::Belief;
use crate::layer::redis::commands::{Commands, command, read_next, read_one};
use crate::layer::redis::job::Job;
use crate::layer::redis::keys::GROUP_LIFETIME_MILLIS;
use crate::layer::redis::membership::LocalMembership;
use crate::layer::redis::scripts::{Script, ScriptCall, Scripts};
use crate::layer::redis::seat_batch::{group_state, parse_share, seat_ids};
use crate::layer::redis::seat_id::SeatId;
use crate::telemetry::Chain;
use crate::wire::group::Group;

/// Time between two beats, and between two readings of the others'.
const BEAT_INTERVAL: Duration = Duration::from_secs(2);
/// Time between two attempts at the first beat.
const FIRST_BEAT_PAUSE: Duration = Duration::from_millis(200);
/// Time without a beat after which this node takes itself for dead.
const BEAT_TIMEOUT: Duration = Duration::from_secs(8);
/// Beats in which each group is compared once with what Redis has.
const COMPARISON_BEATS: u64 = 13;
/// Beats between two lists of the largest groups.
const TOP_BEATS: u64 = 2;
/// Lifetime of the list of the largest groups.
const TOP_LIFETIME_SECONDS: u64 = 30;
/// Beats between two renewals of the lifetime of what Redis has of this node's groups: an hour.
const RENEWAL_BEATS: u64 = 1800;
/// Groups of one pipeline.
const MAX_PIPELINE_GROUPS: usize = 500;
/// Fields that one call scans; Redis does nothing else meanwhile.
const MAX_SCANNED_FIELDS: usize = 500;
/// Calls that reap at a time.
const MAX_REAPERS: usize = 16;

/// Time from a publish of this node to its own subscription; `None` before the first measurement.
pub(super) type MeasuredLag = Arc<Mutex<Option<Duration>>>;

pub(super) struct Heartbeat {
    /// The name of this node.
    pub(super) node: String,
    /// Time of the node's start, in Unix milliseconds.
    pub(super) since: u64,
    pub(super) lag: MeasuredLag,
    pub(super) listener: Arc<dyn LayerListener>,
    pub(super) commands: Arc<Commands>,
    pub(super) membership: Arc<LocalMembership>,
    pub(super) scripts: Arc<Scripts>,
    pub(super) watch: Mutex<BeatWatch>,
    /// Whether there was a beat, and the last one is not too old.
    pub(super) is_beating: watch::Sender<bool>,
    /// Whether there was a beat.
    pub(super) has_beaten: AtomicBool,
}

/// The fields of a group's users that say how many there are, and what one id has of them.
type StateAndShare = (Option<Vec<u8>>, Option<Vec<u8>>);

/// How many users a group has, who they are unless they are too many, and the ids that have them.
pub(super) type List = (usize, Option<Vec<String>>, Vec<u8>);

/// What changes from beat to beat.
struct Beats {
    count: u64,
    /// What this node wrote last.
    written: Option<String>,
    beaten_at: Instant,
    /// Groups in which dead nodes may have a seat.
    suspects: HashSet<Group>,
}

impl Heartbeat {
    /// Returns whether there was a beat since the start.
    pub(super) fn has_beaten(&self) -> bool {
        self.has_beaten.load(Ordering::Relaxed)
    }

    /// Beats. Never returns.
    pub(super) async fn run(self: Arc<Self>) {
        let mut ticks = interval(BEAT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beats =
            Beats { count: 0, written: None, beaten_at: Instant::now(), suspects: HashSet::new() };
        loop {
            let (is_beat, done) = tokio::select! {
                _ = ticks.tick() => (true, self.beat(&mut beats, true).await),
                () = self.membership.jobs_changed.notified() => (false, self.work(&mut beats).await),
            };
            match done {
                Ok(()) => {}
                Err(error) if is_beat => {
                    if !self.has_beaten() {
                        ticks.reset_after(FIRST_BEAT_PAUSE); // the node is not ready before it
                    }
                    if beats.beaten_at.elapsed() > BEAT_TIMEOUT && self.is_beating.send_replace(false) {
                        warn!(error = %Chain(&error), "no heartbeat; other nodes take this node for dead");
                    }
                }
                Err(error) => debug!(error = %Chain(&error), "presence could not be written"),
            }
        }
    }

    /// Runs the timers of the membership. Never returns.
    pub(super) async fn run_timers(membership: Arc<LocalMembership>) {
        loop {
            match membership.next_timer() {
                Some(at) => tokio::select! {
                    () = sleep_until(at) => membership.on_time(Instant::now()),
                    () = membership.timers_changed.notified() => {}
                },
                None => membership.timers_changed.notified().await,
            }
        }
    }

    /// Writes the next number and reads those of all nodes; with `counts`, as a reading.
    async fn beat(&self, beats: &mut Beats, counts: bool) -> Result<(), LayerError> {
        let keys = self.commands.keys();
        beats.count += 1;
        let number = beats.count.to_string();
        let (node, key) = (self.node.as_bytes(), keys.beats());
        let commands = [
            command([b"HGET", key.as_bytes(), node]),
            command([b"HSET", key.as_bytes(), node, number.as_bytes()]),
            command([b"HGETALL", key.as_bytes()]),
        ];
        // Another shard of a Cluster has it, which may be away.
        let facts = command([b"HSET", keys.facts().as_bytes(), node, self.facts().as_bytes()]);
        let (replies, reported) = join(self.commands.all(&commands), self.commands.command(&facts)).await;
        let (mut replies, reported): (_, Result<(), LayerError>) = (replies?.into_iter(), reported);
        let before: Option<String> = read_next(&mut replies)?;
        replies.next();
        let all: HashMap<String, String> = read_next(&mut replies)?;
        let is_late = beats.beaten_at.elapsed() > BEAT_TIMEOUT;
        beats.beaten_at = Instant::now();
        if !self.is_beating.send_replace(true) && self.has_beaten.swap(true, Ordering::Relaxed) {
            info!("heartbeat resumed");
        }
        if let Err(error) = reported {
            debug!(error = %Chain(&error), "the figures of this node could not be written");
        }
        // Redis lost or forgot it, or other nodes took this one for dead.
        let is_lost = beats.written.is_some() && before != beats.written;
        beats.written = Some(number);
        if is_late || is_lost {
            self.membership.look_at_all(Instant::now());
        }
        self.membership.on_beat(beats.beaten_at);
        if counts {
            self.on_reading(&all, beats).await?;
        }
        self.do_jobs(beats).await?;
        self.find_dead(beats).await
    }

    /// Does what a reading asks for: dead nodes, comparisons, the list of the largest groups.
    async fn on_reading(&self, all: &HashMap<String, String>, beats: &mut Beats) -> Result<(), LayerError> {
        let keys = self.commands.keys();
        let reading = self.watch.lock().on_reading(all, Instant::now());
        for node in reading.dead.iter().filter(|node| **node != self.node) {
            info!(node, "dead node found");
            beats.suspects.extend(self.membership.groups());
        }
        for node in reading.ended.iter().filter(|node| **node != self.node) {
            debug!(node, "node has ended");
            beats.suspects.extend(self.membership.groups());
        }
        beats.suspects.extend(reading.groups);
        // A shard of a Cluster that is away keeps no other from what follows.
        let mut outcome = Ok(());
        if !reading.removable.is_empty() {
            let of_others = reading.removable.iter().filter(|node| **node != self.node);
            let removals = of_others.flat_map(|node| {
                [keys.beats(), keys.facts()].map(|key| command([b"HDEL", key.as_bytes(), node.as_bytes()]))
            });
            outcome = self.commands.all(&removals.collect::<Vec<_>>()).await.map(|_| ());
        }
        if beats.count.is_multiple_of(TOP_BEATS) {
            let json = serde_json::to_string(&self.largest_groups()).expect("texts and numbers become JSON");
            let mut set = Cmd::new();
            set.arg("SET").arg(keys.top(&self.node)).arg(json).arg("EX").arg(TOP_LIFETIME_SECONDS);
            outcome = outcome.and(self.commands.command::<()>(&set).await);
        }
        if beats.count.is_multiple_of(RENEWAL_BEATS) {
            self.membership.renew_all();
        }
        let part = beats.count % COMPARISON_BEATS;
        self.compare(|group| part_of(group) == part, beats.count.is_multiple_of(RENEWAL_BEATS)).await;
        outcome
    }

    fn largest_groups(&self) -> Vec<(String, usize)> {
        let counts = self.membership.user_counts().into_iter();
        let mut groups = largest(counts.map(|(group, users)| (group.name().to_owned(), users)).collect());
        groups.truncate(MAX_LISTED_GROUPS);
        groups
    }

    /// Compares what the node believes of some groups with what Redis has.
    async fn compare(&self, is_in_part: impl Fn(&Group) -> bool, renews: bool) {
        let keys = self.commands.keys();
        let beliefs = self.membership.beliefs(is_in_part);
        for beliefs in beliefs.chunks(MAX_PIPELINE_GROUPS) {
            let questions = beliefs.iter().map(|Belief { group, id, .. }| {
                let share = [b" n", id.as_bytes()].concat();
                command([b"HMGET", keys.members(group).as_bytes(), b" m", &share])
            });
            let mut commands: Vec<Cmd> = questions.collect();
            commands.extend(beliefs.iter().flat_map(|belief| self.enlist(&belief.group, renews)));
            let replies: Vec<Result<Value, LayerError>> = self.commands.each(&commands).await;
            for (belief, reply) in beliefs.iter().zip(replies) {
                let read: Result<StateAndShare, LayerError> = reply.and_then(read_one);
                let Ok((state, share)) = read else { continue }; // the next comparison asks again
                let (state, share) = (state.unwrap_or_default(), share.unwrap_or_default());
                if let (Some(read), Some(share)) = (group_state(&state), parse_share(&share)) {
                    self.membership.on_compared(belief, &read, seat_ids(&state), share, Instant::now());
                }
            }
        }
    }

    /// Returns what puts this node into the set of a group.
    fn enlist(&self, group: &Group, renews: bool) -> Vec<Cmd> {
        let set = self.commands.keys().nodes_of_group(group);
        let mut commands = vec![command([b"SADD", set.as_bytes(), self.node.as_bytes()])];
        if renews {
            let lifetime = GROUP_LIFETIME_MILLIS.to_string();
            commands.push(command([b"PEXPIRE", set.as_bytes(), lifetime.as_bytes()]));
        }
        commands
    }

    /// Does the jobs of the membership.
    async fn work(&self, beats: &mut Beats) -> Result<(), LayerError> {
        if self.do_jobs(beats).await? { self.beat(beats, false).await } else { self.find_dead(beats).await }
    }

    /// Does all jobs but a beat; returns whether one is wanted.
    async fn do_jobs(&self, beats: &mut Beats) -> Result<bool, LayerError> {
        let keys = self.commands.keys();
        // A job that fails does not keep the others from being done; the next comparison finds it.
        let mut outcome = Ok(());
        let mut reaped = Vec::new();
        // Groups and ids, by node.
        let mut asked: HashMap<String, Vec<(String, String)>> = HashMap::new();
        let mut wants_beat = false;
        for job in self.membership.take_jobs() {
            let done = match job {
                Job::Beat => {
                    wants_beat = true;
                    continue;
                }
                Job::See(group, ids) => {
                    let mut watch = self.watch.lock();
                    for id in ids {
                        if watch.see_in(&group, id.node()) {
                            beats.suspects.insert(group.clone());
                        }
                    }
                    continue;
                }
                Job::Tell(group, mark) => {
                    let mut script = presence_script(&self.commands, &self.scripts.publish_state, &group);
                    script.arg(mark);
                    self.commands.script::<()>(&script).await
                }
                Job::Enlist(group) => self.commands.all(&self.enlist(&group, true)).await.map(|_| ()),
                Job::Reap(group, id) => {
                    reaped.push((group, id));
                    continue;
                }
                Job::Ask(group, id) => {
                    let question = (group.name().to_owned(), id.as_str().to_owned());
                    asked.entry(id.node().to_owned()).or_default().push(question);
                    continue;
                }
            };
            outcome = outcome.and(done);
        }
        for (node, asked) in asked {
            let json = serde_json::to_vec(&asked).expect("texts become JSON");
            outcome = outcome.and(self.commands.publish(&keys.node_channel(&node), &json).await.map(|_| ()));
        }
        self.reap(reaped).await.and(outcome)?;
        Ok(wants_beat)
    }

    /// Removes the users of dead nodes from the groups that may have them.
    ///
    /// The order counts: a node that lives again beats before it writes, and writes under a new id.
    /// So an id that was seen before a reading that still shows its node dead is not that one.
    async fn find_dead(&self, beats: &mut Beats) -> Result<(), LayerError> {
        if beats.suspects.is_empty() {
            return Ok(());
        }
        let keys = self.commands.keys();
        let suspects: Vec<Group> = beats.suspects.iter().cloned().collect();
        let (mut found, mut unread) = (Vec::new(), HashSet::new());
        for groups in suspects.chunks(MAX_PIPELINE_GROUPS) {
            let states = groups.iter().map(|group| command([b"HGET", keys.members(group).as_bytes(), b" m"]));
            let read: Vec<Result<Option<Vec<u8>>, LayerError>> =
                self.commands.each(&states.collect::<Vec<_>>()).await;
            let mut watch = self.watch.lock();
            for (group, state) in groups.iter().zip(read) {
                let Ok(state) = state else {
                    unread.insert(group.clone());
                    continue;
                };
                for id in SeatId::parse_all(seat_ids(&state.unwrap_or_default())) {
                    watch.see(id.node());
                    if watch.is_dead(id.node()) && id.node() != self.node {
                        found.push((group.clone(), id));
                    }
                }
            }
        }
        if !found.is_empty() {
            let mut read = Cmd::new();
            read.arg("HGETALL").arg(keys.beats());
            let all: HashMap<String, String> = self.commands.command(&read).await?;
            let watch = self.watch.lock();
            found.retain(|(_, id)| watch.is_still_dead(id.node(), &all));
        }
        let leave = |group: &Group, node: &str| {
            command([b"SREM", keys.nodes_of_group(group).as_bytes(), node.as_bytes()])
        };
        let leaves: Vec<Cmd> = found.iter().map(|(group, id)| leave(group, id.node())).collect();
        self.reap(found).await?;
        self.commands.all(&leaves).await?;
        // What was found meanwhile stays, too.
        let suspects: HashSet<Group> = suspects.into_iter().collect();
        beats.suspects.retain(|group| unread.contains(group) || !suspects.contains(group));
        Ok(())
    }

    /// Removes all users of these ids, some in each call.
    async fn reap(&self, ids: Vec<(Group, SeatId)>) -> Result<(), LayerError> {
        let mut running = JoinSet::new();
        let mut ids = ids.into_iter();
        let mut outcome = Ok(());
        loop {
            while running.len() < MAX_REAPERS
                && let Some((group, id)) = ids.next()
            {
                let (commands, scripts) = (Arc::clone(&self.commands), Arc::clone(&self.scripts));
                running.spawn(async move {
                    let done = reap_all(&commands, &scripts, &group, id).await;
                    (group, id, done)
                });
            }
            match running.join_next().await {
                None => return outcome,
                Some(Ok((group, id, Err(error)))) => {
                    if id.node() == self.node {
                        self.membership.put_back(Job::Reap(group, id));
                    }
                    outcome = Err(error);
                }
                // It is done, or was cancelled with the heartbeat.
                Some(Ok(_) | Err(_)) => {}
            }
        }
    }

    /// Returns the users of a group as Redis has them, and the ids that have them.
    pub(super) async fn list(&self, group: &Group) -> Result<List, LayerError> {
        let mut script = self.scripts.list.key(self.commands.keys().members(group));
        script.arg(MAX_LISTED_MEMBERS).arg(MAX_SINGLE_CHANGES);
        self.commands.script(&script).await
    }

    /// Says that this node ends: its users leave after their grace.
    pub(super) async fn end(&self) -> Result<(), LayerError> {
        let keys = self.commands.keys();
        let node = self.node.as_bytes();
        let mut commands = vec![
            command([b"HSET", keys.beats().as_bytes(), node, ENDED.as_bytes()]),
            command([b"HDEL", keys.facts().as_bytes(), node]),
            command([b"DEL", keys.top(&self.node).as_bytes()]),
        ];
        let groups = self.membership.groups();
        let leave = |group| command([b"SREM", keys.nodes_of_group(group).as_bytes(), node]);
        commands.extend(groups.iter().map(leave));
        self.commands.all(&commands).await.map(|_| ())
    }

    /// Returns whether a node is neither dead nor has ended, as far as this node knows.
    pub(super) fn is_alive(&self, node: &str, beat: Option<&String>) -> bool {
        beat.is_some_and(|beat| beat != ENDED) && !self.watch.lock().is_dead(node)
    }

    /// Returns what the node reports of itself, as JSON.
    fn facts(&self) -> String {
        let lag = self.lag.lock().map(|lag| lag.as_secs_f64() * 1000.0);
        let info = NodeInfo::new(&self.node, self.since, lag, self.listener.figures());
        serde_json::to_string(&info).expect("texts and numbers become JSON")
    }
}

/// Removes all users of an id from a group.
async fn reap_all(
    commands: &Commands,
    scripts: &Scripts,
    group: &Group,
    id: SeatId,
) -> Result<(), LayerError> {
    loop {
        let mut script = presence_script(commands, &scripts.reap, group);
        script.arg(id.as_bytes()).arg(MAX_SCANNED_FIELDS);
        if commands.script::<usize>(&script).await? == 0 {
            return Ok(());
        }
    }
}

/// Begins a call of a script about the users of a group.
fn presence_script<'a>(commands: &Commands, script: &'a Script, group: &Group) -> ScriptCall<'a> {
    let keys = commands.keys();
    let mut script = script.key(keys.members(group));
    script.arg(MAX_LISTED_MEMBERS).arg(MAX_SINGLE_CHANGES).arg(keys.own_channel(group));
    script
}

/// Returns the part in which a group is compared.
fn part_of(group: &Group) -> u64 {
    let sum = group.name().bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    sum % COMPARISON_BEATS
}
