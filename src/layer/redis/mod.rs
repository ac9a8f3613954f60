//! The layer of many nodes: the contract of [`super`], kept in Redis 6.2 or newer.
//!
//! Events travel on `asgi__group__<group>`, which is channels_redis' pub/sub wire: a Django process
//! on the same Redis exchanges events with us unmodified. Pub/sub knows no database numbers: nodes of
//! one Redis share their groups, whatever database their URLs name.

pub(crate) mod address;
mod command_queue;
mod commands;
pub(crate) mod control;
mod cursor;
mod follower;
mod heartbeat;
mod intervals;
mod keys;
mod log;
mod membership;
mod nodes;
mod pipeline;
mod publish_batch;
mod publisher;
mod redact;
pub(crate) mod resp;
pub mod store;
mod subscriber;
mod tail_cache;

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Script};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::warn;

use self::address::RedisAddress;
use self::commands::Commands;
use self::follower::LogFollower;
use self::keys::{channel, live};
use self::subscriber::Subscriber;
use super::store::Store;
use super::{Appended, Disconnect, IdempotencyKey, LayerListener, NodeInfo, Page, Presence, Retention};
use crate::layer::contract::MAX_LISTED_MEMBERS;
use crate::layer::error::LayerError;
use crate::layer::redis::command_queue::CommandQueue;
use crate::layer::redis::heartbeat::{Heartbeat, Lag};
use crate::layer::redis::membership::LocalMembership;
use crate::layer::redis::publish_batch::Appender;
use crate::layer::redis::publisher::Publisher;
use crate::layer::redis::store::RedisStore;
use crate::telemetry::Chain;
use crate::wire::error::StartError;
use crate::wire::event::Event;
use crate::wire::group::Group;
use crate::wire::id::Id;
use crate::wire::time::now;

/// How long a socket's handshake waits for its group to be heard.
const HEARD: Duration = Duration::from_secs(5);

/// This node's share of the layer.
pub struct RedisLayer {
    store: Store,
    commands: Arc<Commands>,
    follower: Arc<LogFollower>,
    writer: Publisher,
    roster: Arc<LocalMembership>,
    hears: watch::Receiver<bool>,
    lease: Heartbeat,
    lives: watch::Receiver<bool>,
    /// The subscriber and the lease, which run as long as the layer.
    tasks: Mutex<JoinSet<()>>,
    present: Script,
    members: Script,
    start_ticker: Script,
    tick: Script,
    redact: Script,
}

impl RedisLayer {
    pub(super) async fn connect(
        url: &str,
        wait: bool,
        keep: Retention,
        listener: Arc<dyn LayerListener>,
    ) -> Result<Self, StartError> {
        let no_url = |error| StartError::new("`REDIS_URL` (--redis-url) is no Redis URL").because(error);
        let commands = Arc::new(Commands::new(RedisAddress::parse(url).map_err(no_url)?));
        if let Err(error) = commands.ping().await {
            let what = format!(
                "could not connect to Redis at {}: {}; start Redis, set REDIS_URL (--redis-url), or give --wait-for-redis",
                commands.address().text(),
                commands::reason(&error),
            );
            if !wait {
                return Err(StartError::new(what));
            }
            warn!("{what}");
        }
        let roster = Arc::new(LocalMembership::default());
        let (hearing, mut hears) = watch::channel(false);
        let (living, lives) = watch::channel(true);
        let lag = Lag::default();
        let lease = Heartbeat {
            node: NodeInfo::new_name(),
            since: now(),
            lag: Arc::clone(&lag),
            commands: Arc::clone(&commands),
            roster: Arc::clone(&roster),
            scripts: Arc::default(),
            lives: living,
        };
        let follower = Arc::new(LogFollower {
            commands: Arc::clone(&commands),
            listener: Arc::clone(&listener),
            keep,
            groups: parking_lot::Mutex::default(),
        });
        let line = Arc::new(CommandQueue::default());
        let subscriber = Subscriber {
            line: Arc::clone(&line),
            appender: Appender::new(keep),
            probe: crate::layer::redis::heartbeat::key(&lease.node),
            probed: watch::channel(0).0,
            lag,
            follower: Arc::clone(&follower),
            roster: Arc::clone(&roster),
            listener,
            hears: hearing,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(subscriber.run());
        tasks.spawn(lease.clone().run());
        if !wait && !matches!(timeout(HEARD, hears.wait_for(|hears| *hears)).await, Ok(Ok(_))) {
            return Err(StartError::new(
                "Redis answers, but lets this node subscribe to nothing: see its ACL",
            ));
        }
        Ok(Self {
            store: Store::Redis(RedisStore::new(Arc::clone(&commands))),
            writer: Publisher::new(line, Arc::clone(&commands), keep),
            commands,
            follower,
            roster,
            hears,
            lives,
            lease,
            tasks: Mutex::new(tasks),
            present: Script::new(concat!(
                include_str!("scripts/presence.lua"),
                include_str!("scripts/present.lua")
            )),
            members: Script::new(include_str!("scripts/members.lua")),
            start_ticker: Script::new(include_str!("scripts/start_ticker.lua")),
            tick: Script::new(include_str!("scripts/tick.lua")),
            redact: crate::layer::redis::redact::script(),
        })
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn enter(&self, group: &Group, user: &Arc<str>) {
        self.roster.enter(group, user);
    }

    pub(super) fn leave(&self, group: &Group, user: &Arc<str>) {
        self.roster.leave(group, user);
    }

    pub(super) async fn heard(&self, group: &Group) -> Result<(), LayerError> {
        self.ready()?;
        let Some(heard) = self.roster.wait_for(group) else { return Ok(()) };
        match timeout(HEARD, heard).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(LayerError::TimedOut("confirm a subscription")),
        }
    }

    pub(super) async fn publish(&self, group: &Group, event: &Event) -> Result<(), LayerError> {
        self.commands.publish(&channel(group), &event.encode()).await
    }

    pub(super) async fn signal(&self, group: &Group, event: &Event) -> Result<(), LayerError> {
        self.commands.publish(&live(group), &event.encode()).await
    }

    pub(super) async fn order(&self, order: &Disconnect) -> Result<(), LayerError> {
        crate::layer::redis::control::order(&self.commands, order).await
    }

    pub(super) async fn append(
        &self,
        group: &Group,
        event: &Event,
        key: Option<&IdempotencyKey>,
    ) -> Result<Appended, LayerError> {
        self.writer.append(group, event, key).await
    }

    pub(super) async fn after(&self, group: &Group, id: Id) -> Result<Page, LayerError> {
        self.follower.after(group, id).await
    }

    pub(super) async fn before(
        &self,
        group: &Group,
        id: Option<Id>,
        limit: usize,
    ) -> Result<Page, LayerError> {
        self.follower.before(group, id, limit).await
    }

    pub(super) async fn log_size(&self, group: &Group) -> Result<usize, LayerError> {
        self.commands.command(Cmd::new().arg("XLEN").arg(log::key(group))).await
    }

    pub(super) async fn presence(&self, group: &Group) -> Result<Presence, LayerError> {
        let followed = self.follower.followed(group.name());
        let known = || followed.as_ref().and_then(|followed| followed.state.lock().presence.clone());
        if let Some(presence) = known() {
            return Ok(presence);
        }
        let _turn = match &followed {
            Some(followed) => Some(followed.reading.lock().await),
            None => None,
        };
        if let Some(presence) = known() {
            return Ok(presence);
        }
        let mut script = self.present.prepare_invoke();
        let (count, members) = self.commands.script(script.arg(group.name()).arg(MAX_LISTED_MEMBERS)).await?;
        let presence = Presence { count, members };
        if let Some(followed) = &followed {
            followed.state.lock().presence = Some(presence.clone());
        }
        Ok(presence)
    }

    pub(super) fn node(&self) -> &str {
        &self.lease.node
    }

    pub(super) fn ready(&self) -> Result<(), LayerError> {
        if !*self.hears.borrow() {
            return Err(LayerError::Unreachable("this node is not subscribed".into()));
        }
        if !*self.lives.borrow() {
            return Err(LayerError::Unreachable("the lease of this node has expired".into()));
        }
        Ok(())
    }

    /// Returns when a task of the layer ended, which only a panic does.
    pub(super) async fn broken(&self) {
        self.tasks.lock().await.join_next().await;
    }

    pub(super) async fn close(&self) {
        self.tasks.lock().await.shutdown().await;
        if let Err(error) = self.lease.end().await {
            warn!(error = %Chain(&error), "could not leave the groups; the lease will run out");
        }
    }
}
