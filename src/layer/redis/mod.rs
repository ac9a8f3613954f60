//! The layer of many nodes: the contract of [`layer`](super), kept in Redis 6.2 or newer.
//!
//! Events travel on `asgi__group__<group>`, the pub/sub wire of channels_redis: a Django process on
//! the same Redis exchanges events with Parlor unmodified. Pub/sub has no database numbers: nodes
//! of one Redis share these channels, whatever database or prefix they have.
//!
//! A node has three connections. `pipeline` carries events both ways, `commands` everything else,
//! the pages of logs on a connection of their own.

pub(crate) mod admin_client;
mod broker;
mod clock;
mod command_queue;
mod commands;
mod control;
mod cursor;
mod decision_cursor;
mod decisions;
mod diagnosis;
mod dial;
mod follower;
mod health;
mod heartbeat;
mod held_events;
#[cfg(test)]
mod interleavings;
mod keys;
mod log;
mod membership;
mod pipeline;
mod presence;
mod publish_batch;
mod publisher;
pub(crate) mod resp;
mod scripts;
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

use crate::config::redis_address::RedisAddress;
use crate::layer::connect_error::ConnectError;
use crate::layer::error::LayerError;
use crate::layer::listener::LayerListener;
use crate::layer::log::Retention;
use crate::layer::node_info::NodeInfo;
use crate::layer::redis::clock::RedisClock;
use crate::layer::redis::command_queue::CommandQueue;
use crate::layer::redis::commands::Commands;
use crate::layer::redis::decisions::{DecisionLog, DecisionWriter};
use crate::layer::redis::diagnosis::{Fault, ServerInfo};
use crate::layer::redis::follower::LogFollower;
use crate::layer::redis::heartbeat::{Heartbeat, MeasuredLag};
use crate::layer::redis::keys::Keys;
use crate::layer::redis::log::LogReader;
use crate::layer::redis::membership::LocalMembership;
use crate::layer::redis::publish_batch::BatchEncoder;
use crate::layer::redis::publisher::Publisher;
use crate::layer::redis::scripts::Scripts;
use crate::layer::redis::self_check::SelfCheck;
use crate::layer::redis::store::RedisStore;
use crate::layer::redis::subscriber::Subscriber;
use crate::layer::shared_store::SharedStore;
use crate::telemetry::Chain;
use crate::wire::time::now;

/// Time in which the node has to be subscribed to a group.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time between two looks at whether a starting node can use Redis.
const USABLE_CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// This node's share of the layer.
pub struct RedisLayer {
    store: SharedStore,
    commands: Arc<Commands>,
    follower: Arc<LogFollower>,
    publisher: Publisher,
    membership: Arc<LocalMembership>,
    heartbeat: Heartbeat,
    scripts: Arc<Scripts>,
    decisions: Arc<DecisionLog>,
    is_subscribed: watch::Receiver<bool>,
    has_lease: watch::Receiver<bool>,
    /// The subscriber and the heartbeat, which run as long as the layer.
    tasks: Mutex<JoinSet<()>>,
}

impl RedisLayer {
    pub(super) async fn connect(
        url: &str,
        prefix: &str,
        wait: bool,
        retention: Retention,
        listener: Arc<dyn LayerListener>,
    ) -> Result<Self, ConnectError> {
        let address = parse_url(url)?;
        let keys = Keys::new(prefix, address.database());
        let commands = Arc::new(Commands::new(address, keys.clone()));
        match diagnosis::ask(commands.address()).await {
            Ok(server) => warn_of_eviction(&server),
            Err(fault) => {
                let address = commands.address().text();
                let Fault { cause, is_permanent } = fault;
                let unreachable = ConnectError::Unreachable { address, cause, is_permanent };
                if !wait {
                    return Err(unreachable);
                }
                warn!("{unreachable}");
            }
        }
        let scripts = Arc::new(Scripts::new(&keys));
        let membership = Arc::new(LocalMembership::default());
        let (subscription_sender, is_subscribed) = watch::channel(false);
        let (lease_sender, has_lease) = watch::channel(true);
        let lag = MeasuredLag::default();
        let heartbeat = Heartbeat {
            node: NodeInfo::new_name(),
            since: now(),
            lag: Arc::clone(&lag),
            listener: Arc::clone(&listener),
            commands: Arc::clone(&commands),
            membership: Arc::clone(&membership),
            scripts: Arc::clone(&scripts),
            has_lease: lease_sender,
        };
        let clock = Arc::new(RedisClock::new());
        let follower = Arc::new(LogFollower {
            commands: Arc::clone(&commands),
            reader: LogReader::new(Arc::clone(&commands), Arc::clone(&scripts)),
            listener: Arc::clone(&listener),
            retention,
            clock: Arc::clone(&clock),
            cursors: parking_lot::Mutex::default(),
        });
        let queue = Arc::new(CommandQueue::default());
        let writer = DecisionWriter {
            commands: Arc::clone(&commands),
            scripts: Arc::clone(&scripts),
            replicas: retention.replicas,
        };
        let decisions = Arc::new(DecisionLog::new(writer, Arc::clone(&listener)));
        let subscriber = Subscriber {
            decisions: Arc::clone(&decisions),
            queue: Arc::clone(&queue),
            encoder: BatchEncoder::new(keys.clone(), retention),
            control_channel: keys.control_channel(),
            probe_channel: keys.probe_channel(&heartbeat.node),
            keys,
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
        tasks.spawn(heartbeat.clone().run());
        let layer = Self {
            store: SharedStore::Redis(RedisStore::new(
                Arc::clone(&commands),
                Arc::clone(&scripts),
                retention.replicas,
            )),
            decisions,
            publisher: Publisher::new(queue, Arc::clone(&commands), Arc::clone(&scripts), retention, clock),
            commands,
            follower,
            membership,
            heartbeat,
            scripts,
            is_subscribed,
            has_lease,
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

    /// Returns whether the node is subscribed, and whether it has its lease.
    pub(super) fn state(&self) -> (bool, bool) {
        (*self.is_subscribed.borrow(), *self.has_lease.borrow())
    }

    /// Returns the time of the last proof that messages of this node reach it.
    pub(super) fn contact(&self) -> Instant {
        self.commands.health().contact()
    }

    /// Returns an error while the node is not subscribed, or its lease has expired.
    fn check_connected(&self) -> Result<(), LayerError> {
        if !*self.is_subscribed.borrow() {
            return Err(LayerError::Unreachable("this node is not subscribed".into()));
        }
        if !*self.has_lease.borrow() {
            return Err(LayerError::Unreachable("this node has no lease".into()));
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

/// Parses the URL of the settings.
fn parse_url(url: &str) -> Result<RedisAddress, ConnectError> {
    RedisAddress::parse(url).map_err(ConnectError::InvalidUrl)
}
