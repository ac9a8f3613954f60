//! The layer of many nodes: the contract of [`layer`](super), kept in Redis 6.2 or newer.
//!
//! Events travel on `asgi__group__<group>`, the pub/sub wire of channels_redis: a Django process on
//! the same Redis exchanges events with Parlor unmodified. Pub/sub has neither databases nor
//! prefixes: nodes with others than the default ones share these channels only if they are set to,
//! and else send on channels of their own.
//!
//! A node has three connections. `pipeline` carries events both ways and presence, `commands` the
//! rest, the pages of logs on a connection of their own.

mod absent_records;
pub(crate) mod admin_client;
mod answer_time;
mod beat_watch;
mod belief;
mod broker;
mod cause_log;
mod channel_changes;
mod clock;
mod command_queue;
mod commands;
mod conditional_entry;
mod connection;
mod connections;
mod control;
mod cursor;
mod decision_cursor;
mod decisions;
mod diagnosis;
mod dial;
mod effects;
mod fault;
mod follower;
mod health;
mod heartbeat;
mod held_events;
mod history_reading;
#[cfg(test)]
mod interleavings;
mod job;
mod keys;
pub(crate) mod layout;
mod local_group;
mod log;
mod log_end;
mod member_view;
mod membership;
mod pipeline;
mod pool;
mod presence;
#[cfg(test)]
mod presence_model;
mod publish_batch;
mod publisher;
pub(crate) mod resp;
mod script_checks;
mod scripts;
mod seat_batch;
mod seat_call;
mod seat_id;
mod seating;
mod self_check;
mod shard_watch;
mod shards;
pub(crate) mod store;
mod subscriber;
mod tail_cache;
mod tls;
mod wrong_port;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use crate::config::redis_address::RedisAddress;
use crate::config::redis_url::RedisUrl;
use crate::layer::connect_error::ConnectError;
use crate::layer::error::LayerError;
use crate::layer::listener::LayerListener;
use crate::layer::log::Retention;
use crate::layer::node_info::NodeInfo;
use crate::layer::redis::absent_records::AbsentRecords;
use crate::layer::redis::clock::RedisClock;
use crate::layer::redis::commands::Commands;
use crate::layer::redis::decisions::{DecisionLog, DecisionWriter};
use crate::layer::redis::diagnosis::ServerInfo;
use crate::layer::redis::fault::{Fault, temporary};
use crate::layer::redis::follower::LogFollower;
use crate::layer::redis::heartbeat::{Heartbeat, MeasuredLag};
use crate::layer::redis::keys::Keys;
use crate::layer::redis::layout::{LayoutError, RenamedRecords};
use crate::layer::redis::log::LogReader;
use crate::layer::redis::log_end::LogEndEncoder;
use crate::layer::redis::membership::LocalMembership;
use crate::layer::redis::pipeline::Encoders;
use crate::layer::redis::publish_batch::BatchEncoder;
use crate::layer::redis::publisher::Publisher;
use crate::layer::redis::scripts::Scripts;
use crate::layer::redis::seat_batch::SeatEncoder;
use crate::layer::redis::shard_watch::ShardWatch;
use crate::layer::redis::shards::{Shard, Shards};
use crate::layer::redis::store::RedisStore;
use crate::layer::redis::subscriber::SubscriberContext;
use crate::layer::shared_store::SharedStore;
use crate::telemetry::{Chain, RedisVitals};
use crate::wire::group::Group;
use crate::wire::time::now;

/// Time in which the node has to be subscribed to a group.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time in which a node that lost its subscription normally has it again.
const RESUBSCRIBE_TIME: Duration = Duration::from_secs(1);
/// Time between two looks at whether a starting node can use Redis.
const USABLE_CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// This node's share of the layer.
pub struct RedisLayer {
    store: SharedStore,
    shards: Arc<Shards>,
    commands: Arc<Commands>,
    follower: Arc<LogFollower>,
    publisher: Publisher,
    membership: Arc<LocalMembership>,
    heartbeat: Arc<Heartbeat>,
    scripts: Arc<Scripts>,
    decisions: Arc<DecisionLog>,
    absent: Arc<AbsentRecords>,
    is_beating: watch::Receiver<bool>,
    /// The watch over the shards and the heartbeat, which run as long as the layer.
    tasks: Mutex<JoinSet<()>>,
}

impl RedisLayer {
    pub(super) async fn connect(
        url: &RedisUrl,
        prefix: &str,
        shared: Option<&str>,
        renamed: RenamedRecords,
        wait: bool,
        retention: Retention,
        listener: Arc<dyn LayerListener>,
    ) -> Result<Self, ConnectError> {
        let address = url.address().map_err(ConnectError::InvalidUrl)?;
        // channels_redis knows no Cluster.
        let shared = shared.filter(|_| !address.is_cluster());
        let keys = Keys::new(prefix, address.database(), shared, address.is_cluster());
        note_exchange(&keys, &address);
        let scripts = Arc::new(Scripts::new(address.is_cluster()));
        let shards = Arc::new(Shards::new(address));
        let commands = Arc::new(Commands::new(Arc::clone(&shards), keys.clone()));
        let checked = check_server(&commands, renamed, wait).await;
        let is_prepared = checked.is_ok().into();
        if let Err(error) = checked {
            if !wait {
                return Err(error);
            }
            warn!("{error}");
        }
        let node = NodeInfo::new_name();
        let membership = Arc::new(LocalMembership::new(&node, Arc::clone(&shards)));
        let (beat_sender, is_beating) = watch::channel(false);
        let lag = MeasuredLag::default();
        let follower = Arc::new(LogFollower {
            reader: LogReader::new(Arc::clone(&commands), Arc::clone(&scripts), retention.messages),
            listener: Arc::clone(&listener),
            retention,
            clock: RedisClock::new(),
            cursors: parking_lot::Mutex::default(),
        });
        let writer = DecisionWriter {
            commands: Arc::clone(&commands),
            scripts: Arc::clone(&scripts),
            replicas: retention.replicas,
        };
        let absent = Arc::<AbsentRecords>::default();
        let decisions = Arc::new(DecisionLog::new(writer, Arc::clone(&listener), Arc::clone(&absent)));
        let encoders = Encoders {
            scripts: Arc::clone(&scripts),
            batches: BatchEncoder::new(Arc::clone(&scripts), keys.clone(), retention),
            seats: SeatEncoder::new(&node, Arc::clone(&scripts), keys.clone()),
            log_ends: LogEndEncoder::new(Arc::clone(&scripts), keys),
        };
        let heartbeat = Arc::new(Heartbeat {
            node: node.clone(),
            since: now(),
            lag: Arc::clone(&lag),
            listener: Arc::clone(&listener),
            commands: Arc::clone(&commands),
            membership: Arc::clone(&membership),
            scripts: Arc::clone(&scripts),
            watch: parking_lot::Mutex::default(),
            has_beaten: false.into(),
            is_beating: beat_sender,
        });
        let context = SubscriberContext {
            node,
            encoders,
            is_prepared,
            renamed,
            lag,
            commands: Arc::clone(&commands),
            follower: Arc::clone(&follower),
            membership: Arc::clone(&membership),
            decisions: Arc::clone(&decisions),
            listener,
            node_channels: watch::Sender::new(None),
        };
        let watch = ShardWatch::new(context, Arc::clone(&scripts), retention.replicas);
        let mut tasks = JoinSet::new();
        tasks.spawn(watch.run());
        tasks.spawn(Arc::clone(&heartbeat).run());
        tasks.spawn(Heartbeat::run_timers(Arc::clone(&membership)));
        let layer = Self {
            store: SharedStore::Redis(RedisStore::new(
                Arc::clone(&commands),
                Arc::clone(&scripts),
                retention.replicas,
                Arc::clone(&absent),
            )),
            absent,
            decisions,
            publisher: Publisher {
                commands: Arc::clone(&commands),
                scripts: Arc::clone(&scripts),
                retention,
            },
            shards,
            commands,
            follower,
            membership,
            heartbeat,
            scripts,
            is_beating,
            tasks: Mutex::new(tasks),
        };
        if !wait {
            layer.until_usable().await?;
        }
        Ok(layer)
    }

    /// Waits until the node is subscribed and has written to Redis; of a Cluster to some shards at
    /// least.
    ///
    /// # Errors
    /// Returns [`ConnectError::Unusable`] after [`SUBSCRIBE_TIMEOUT`].
    async fn until_usable(&self) -> Result<(), ConnectError> {
        let end = Instant::now() + SUBSCRIBE_TIMEOUT;
        loop {
            let away = self.shards_away();
            if away.is_empty() {
                return Ok(());
            }
            if Instant::now() >= end {
                let Err(error) = self.check_usable() else {
                    for (shard, error) in away {
                        warn!(shard, error = %Chain(&error), "a shard of redis cannot be used");
                    }
                    return Ok(());
                };
                let address = self.commands.address().text();
                let cause = Chain(&error).to_string();
                let is_permanent = diagnosis::is_permanent(&cause);
                return Err(ConnectError::Unusable { address, cause, is_permanent });
            }
            sleep(USABLE_CHECK_INTERVAL).await;
        }
    }

    pub(super) fn store(&self) -> &SharedStore {
        &self.store
    }

    /// Returns when a task of the layer has ended, which only a panic does.
    pub(super) async fn failed(&self) {
        self.tasks.lock().await.join_next().await;
    }

    /// Returns an error while no shard does everything that the node needs, or this node alone is
    /// cut off from the log of decisions.
    fn check_usable(&self) -> Result<(), LayerError> {
        self.check_decisions()?;
        let (shards, away) = (self.shards.all().len(), self.shards_away());
        if away.len() < shards {
            return Ok(());
        }
        let away = away.into_iter().next();
        Err(away.map_or(LayerError::Unreachable("no shard is known".into()), |(_, error)| error))
    }

    /// Returns an error while the node may have missed decisions that others have made.
    fn check_decisions(&self) -> Result<(), LayerError> {
        let shard = self.shards.of_key(self.commands.keys().control_channel().as_bytes());
        if self.decisions.is_away_from_all() { Ok(()) } else { self.check_shard(&shard) }
    }

    fn check_shard(&self, shard: &Shard) -> Result<(), LayerError> {
        shard.health().check().and_then(|()| self.check_connected(shard))
    }

    /// Returns the addresses of the shards that do not do everything that the node needs, and why.
    fn shards_away(&self) -> Vec<(String, LayerError)> {
        let away =
            |shard: Arc<Shard>| self.check_shard(&shard).err().map(|error| (shard.place().text(), error));
        self.shards.all().into_iter().filter_map(away).collect()
    }

    /// Returns the figures of the node's use of Redis.
    pub(super) fn vitals(&self) -> RedisVitals {
        let shards = self.shards.all();
        let shards = shards.iter().map(|shard| (shard.place().text(), *shard.is_subscribed.borrow()));
        RedisVitals { is_beating: *self.is_beating.borrow(), shards: shards.collect() }
    }

    /// Returns the time of the last proof that messages of this node reach it.
    pub(super) fn contact(&self) -> Instant {
        let control = self.shards.of_key(self.commands.keys().control_channel().as_bytes());
        if !self.decisions.is_away_from_all() {
            return control.health().contact();
        }
        let contacts = self.shards.known().into_iter().map(|shard| shard.health().contact());
        contacts.fold(control.health().contact(), Instant::max)
    }

    /// Returns how long a socket waits for its subscription. One that comes while a short loss is
    /// repaired waits with those that came before it.
    fn subscribe_patience(&self, group: &Group) -> Result<Duration, LayerError> {
        let shard = self.shards.of(group);
        let Err(error) = self.check_connected(&shard) else { return Ok(SUBSCRIBE_TIMEOUT) };
        let lost_for = shard.health().lost_for().unwrap_or_default();
        let time_left = RESUBSCRIBE_TIME.checked_sub(lost_for).filter(|_| self.may_be_alive());
        time_left.ok_or(error)
    }

    /// Returns an error while the node is not subscribed at a shard, or cannot say that it lives.
    fn check_connected(&self, shard: &Shard) -> Result<(), LayerError> {
        if !*shard.is_subscribed.borrow() {
            return Err(LayerError::Unreachable("this node is not subscribed".into()));
        }
        if !self.may_be_alive() {
            return Err(LayerError::Unreachable("this node cannot write its heartbeat".into()));
        }
        Ok(())
    }

    /// Returns `false` before the first heartbeat, and if other nodes take this one for dead. Where
    /// the heartbeats of all are away with their shard of a Cluster, none is taken for dead; a node
    /// that starts waits for that shard as long as a short loss takes.
    fn may_be_alive(&self) -> bool {
        let are_away = || {
            let shard = self.shards.of_key(self.commands.keys().beats().as_bytes());
            let shortest = if self.heartbeat.has_beaten() { Duration::ZERO } else { RESUBSCRIBE_TIME };
            let is_away = !*shard.is_subscribed.borrow();
            is_away && shard.health().lost_for().unwrap_or_default() >= shortest
        };
        *self.is_beating.borrow() || (self.shards.is_cluster() && are_away())
    }
}

/// Logs that there is no exchange with channels_redis.
fn note_exchange(keys: &Keys, address: &RedisAddress) {
    if keys.has_exchange() {
        return;
    }
    if address.is_cluster() {
        info!("not exchanging events with Django: channels_redis does not know Redis Cluster");
        return;
    }
    info!(
        database = address.database(),
        prefix = keys.prefix(),
        "not exchanging events with Django: all sites on this Redis would share its channels; see \
         --channels-prefix"
    );
}

/// Warns of a server that discards keys: accounts, keys and secrets are keys like the logs.
fn warn_of_eviction(server: &ServerInfo) {
    if let Some(policy) = &server.eviction {
        warn!(
            policy,
            "redis discards keys when its memory is full, accounts and logins too: set maxmemory-policy to \
             noeviction"
        );
    }
}

/// Asks whether there is a Redis that this node can use, and makes sure of the layout of its keys.
async fn check_server(commands: &Commands, renamed: RenamedRecords, waits: bool) -> Result<(), ConnectError> {
    let (shards, address) = (commands.shards(), commands.address().text());
    if let Err(Fault { cause, is_permanent }) = find_shards(shards).await {
        return Err(ConnectError::Unreachable { address, cause, is_permanent, waits });
    }
    layout::prepare(commands, renamed).await.map_err(|error| {
        let cause = error.to_string();
        match error {
            LayoutError::Layer(_) => {
                let is_permanent = diagnosis::is_permanent(&cause);
                ConnectError::Unusable { address, cause, is_permanent }
            }
            LayoutError::OldNodes(_) => ConnectError::Layout { cause, is_permanent: false },
            LayoutError::Unknown(_) => ConnectError::Layout { cause, is_permanent: true },
        }
    })
}

/// Finds the shards, and asks their servers who they are.
async fn find_shards(shards: &Shards) -> Result<(), Fault> {
    if shards.is_cluster() {
        diagnosis::ask_any(shards.address(), &shards.address().seeds).await?;
        shards.read_map().await.map_err(|error| temporary(Chain(&error).to_string()))?;
    }
    let asked: Vec<_> =
        shards.all().into_iter().map(async |shard| diagnosis::ask(shard.place()).await).collect();
    let mut fault = None;
    for answer in join_all(asked).await {
        match answer {
            Ok(server) => warn_of_eviction(&server),
            Err(found) if shards.is_cluster() && !found.is_permanent => {
                debug!(found.cause, "a shard is away");
            }
            Err(found) => fault = Some(found),
        }
    }
    fault.map_or(Ok(()), Err)
}
