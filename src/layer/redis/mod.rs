//! The layer of many nodes: the contract of [`layer`](super), kept in Redis 6.2 or newer.
//!
//! Events travel on `asgi__group__<group>`, the pub/sub wire of channels_redis: a Django process on
//! the same Redis exchanges events with Parlor unmodified. Pub/sub has no database numbers: nodes
//! of one Redis share these channels, whatever database or prefix they have.
//!
//! A node has three connections. `pipeline` carries events both ways and presence, `commands` the
//! rest, the pages of logs on a connection of their own.

mod absent_records;
pub(crate) mod admin_client;
mod answer_time;
mod beat_watch;
mod belief;
mod broker;
mod channel_changes;
mod clock;
mod command_queue;
mod commands;
mod control;
mod cursor;
mod decision_cursor;
mod decisions;
mod diagnosis;
mod dial;
mod effects;
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
mod member_view;
mod membership;
mod pipeline;
mod presence;
#[cfg(test)]
mod presence_model;
mod publish_batch;
mod publisher;
pub(crate) mod resp;
mod scripts;
mod seat_batch;
mod seat_id;
mod seating;
mod self_check;
pub(crate) mod store;
mod subscriber;
mod tail_cache;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::config::redis_url::RedisUrl;
use crate::layer::connect_error::ConnectError;
use crate::layer::error::LayerError;
use crate::layer::listener::LayerListener;
use crate::layer::log::Retention;
use crate::layer::node_info::NodeInfo;
use crate::layer::redis::absent_records::AbsentRecords;
use crate::layer::redis::clock::RedisClock;
use crate::layer::redis::command_queue::CommandQueue;
use crate::layer::redis::commands::Commands;
use crate::layer::redis::decisions::{DecisionLog, DecisionWriter};
use crate::layer::redis::diagnosis::{Fault, ServerInfo};
use crate::layer::redis::follower::LogFollower;
use crate::layer::redis::heartbeat::{Heartbeat, MeasuredLag};
use crate::layer::redis::keys::Keys;
use crate::layer::redis::layout::{LayoutError, RenamedRecords};
use crate::layer::redis::log::{LogEndEncoder, LogReader};
use crate::layer::redis::membership::LocalMembership;
use crate::layer::redis::publish_batch::BatchEncoder;
use crate::layer::redis::publisher::Publisher;
use crate::layer::redis::scripts::Scripts;
use crate::layer::redis::seat_batch::SeatEncoder;
use crate::layer::redis::self_check::SelfCheck;
use crate::layer::redis::store::RedisStore;
use crate::layer::redis::subscriber::Subscriber;
use crate::layer::shared_store::SharedStore;
use crate::telemetry::Chain;
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
    commands: Arc<Commands>,
    follower: Arc<LogFollower>,
    publisher: Publisher,
    membership: Arc<LocalMembership>,
    heartbeat: Arc<Heartbeat>,
    scripts: Arc<Scripts>,
    decisions: Arc<DecisionLog>,
    is_subscribed: watch::Receiver<bool>,
    is_beating: watch::Receiver<bool>,
    /// The subscriber and the heartbeat, which run as long as the layer.
    tasks: Mutex<JoinSet<()>>,
}

impl RedisLayer {
    pub(super) async fn connect(
        url: &RedisUrl,
        prefix: &str,
        renamed: RenamedRecords,
        wait: bool,
        retention: Retention,
        listener: Arc<dyn LayerListener>,
    ) -> Result<Self, ConnectError> {
        let address = url.address().map_err(ConnectError::InvalidUrl)?;
        let keys = Keys::new(prefix, address.database());
        let commands = Arc::new(Commands::new(address, keys.clone()));
        let checked = check_server(&commands, renamed, wait).await;
        let is_prepared = checked.is_ok().into();
        if let Err(error) = checked {
            if !wait {
                return Err(error);
            }
            warn!("{error}");
        }
        let scripts = Arc::new(Scripts::new());
        let node = NodeInfo::new_name();
        let queue = Arc::new(CommandQueue::default());
        let membership = Arc::new(LocalMembership::new(&node, Arc::clone(&queue)));
        let (subscription_sender, is_subscribed) = watch::channel(false);
        let (beat_sender, is_beating) = watch::channel(true);
        let lag = MeasuredLag::default();
        let heartbeat = Arc::new(Heartbeat {
            node,
            since: now(),
            lag: Arc::clone(&lag),
            listener: Arc::clone(&listener),
            commands: Arc::clone(&commands),
            membership: Arc::clone(&membership),
            scripts: Arc::clone(&scripts),
            watch: parking_lot::Mutex::default(),
            is_beating: beat_sender,
        });
        let clock = Arc::new(RedisClock::new());
        let follower = Arc::new(LogFollower {
            commands: Arc::clone(&commands),
            reader: LogReader::new(Arc::clone(&commands), Arc::clone(&scripts), retention.messages),
            listener: Arc::clone(&listener),
            retention,
            clock: Arc::clone(&clock),
            cursors: parking_lot::Mutex::default(),
        });
        let writer = DecisionWriter {
            commands: Arc::clone(&commands),
            scripts: Arc::clone(&scripts),
            replicas: retention.replicas,
        };
        let absent = Arc::<AbsentRecords>::default();
        let decisions = Arc::new(DecisionLog::new(writer, Arc::clone(&listener), Arc::clone(&absent)));
        let subscriber = Subscriber {
            decisions: Arc::clone(&decisions),
            queue: Arc::clone(&queue),
            encoder: BatchEncoder::new(keys.clone(), retention),
            seats: SeatEncoder::new(&heartbeat.node, keys.clone()),
            log_ends: LogEndEncoder::new(keys.clone()),
            control_channel: keys.control_channel(),
            probe_channel: keys.probe_channel(&heartbeat.node),
            keys,
            is_prepared,
            renamed,
            received_probe: watch::channel(0).0,
            lag,
            follower: Arc::clone(&follower),
            membership: Arc::clone(&membership),
            listener,
            is_subscribed: subscription_sender,
        };
        let self_check = SelfCheck {
            node: heartbeat.node.clone(),
            commands: Arc::clone(&commands),
            scripts: Arc::clone(&scripts),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(self_check.run());
        tasks.spawn(subscriber.run());
        tasks.spawn(Arc::clone(&heartbeat).run());
        tasks.spawn(Heartbeat::run_timers(Arc::clone(&membership)));
        let layer = Self {
            store: SharedStore::Redis(RedisStore::new(
                Arc::clone(&commands),
                Arc::clone(&scripts),
                retention.replicas,
                absent,
            )),
            decisions,
            publisher: Publisher::new(queue, Arc::clone(&commands), Arc::clone(&scripts), retention, clock),
            commands,
            follower,
            membership,
            heartbeat,
            scripts,
            is_subscribed,
            is_beating,
            tasks: Mutex::new(tasks),
        };
        if !wait {
            layer.until_usable().await?;
        }
        Ok(layer)
    }

    /// Waits until the node is subscribed and has written to Redis.
    ///
    /// # Errors
    /// Returns [`ConnectError::Unusable`] after [`SUBSCRIBE_TIMEOUT`].
    async fn until_usable(&self) -> Result<(), ConnectError> {
        let end = Instant::now() + SUBSCRIBE_TIMEOUT;
        loop {
            let Err(error) = self.check_usable() else { return Ok(()) };
            if Instant::now() >= end {
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

    /// Returns an error while Redis does not do everything that the node needs.
    fn check_usable(&self) -> Result<(), LayerError> {
        self.commands.health().check().and_then(|()| self.check_connected())
    }

    /// Returns whether the node is subscribed, and whether it beats.
    pub(super) fn state(&self) -> (bool, bool) {
        (*self.is_subscribed.borrow(), *self.is_beating.borrow())
    }

    /// Returns the time of the last proof that messages of this node reach it.
    pub(super) fn contact(&self) -> Instant {
        self.commands.health().contact()
    }

    /// Returns how long a socket waits for its subscription. One that comes while a short loss is
    /// repaired waits with those that came before it.
    fn subscribe_patience(&self) -> Result<Duration, LayerError> {
        let Err(error) = self.check_connected() else { return Ok(SUBSCRIBE_TIMEOUT) };
        let lost_for = self.commands.health().lost_for().unwrap_or_default();
        let time_left = RESUBSCRIBE_TIME.checked_sub(lost_for).filter(|_| *self.is_beating.borrow());
        time_left.ok_or(error)
    }

    /// Returns an error while the node is not subscribed, or cannot say that it lives.
    fn check_connected(&self) -> Result<(), LayerError> {
        if !*self.is_subscribed.borrow() {
            return Err(LayerError::Unreachable("this node is not subscribed".into()));
        }
        if !*self.is_beating.borrow() {
            return Err(LayerError::Unreachable("this node cannot write its heartbeat".into()));
        }
        Ok(())
    }
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
    match diagnosis::ask(commands.address()).await {
        Ok(server) => warn_of_eviction(&server),
        Err(Fault { cause, is_permanent }) => {
            let address = commands.address().text();
            return Err(ConnectError::Unreachable { address, cause, is_permanent, waits });
        }
    }
    layout::prepare(commands, renamed).await.map_err(|error| {
        let cause = error.to_string();
        match error {
            LayoutError::Layer(_) => {
                let (address, is_permanent) = (commands.address().text(), diagnosis::is_permanent(&cause));
                ConnectError::Unusable { address, cause, is_permanent }
            }
            LayoutError::OldNodes(_) => ConnectError::Layout { cause, is_permanent: false },
            LayoutError::Unknown(_) => ConnectError::Layout { cause, is_permanent: true },
        }
    })
}
