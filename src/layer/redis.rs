//! The layer of many nodes: the contract of [`super`], kept in Redis 6.2 or newer.
//!
//! Events travel on `asgi__group__<group>`, which is channels_redis' pub/sub wire: a Django process
//! on the same Redis exchanges events with us unmodified. Pub/sub knows no database numbers: nodes of
//! one Redis share their groups, whatever database their URLs name.

mod commands;
mod inbox;
mod lease;
mod roster;
mod subscriber;

use std::sync::Arc;
use std::time::Duration;

use redis::{Client, Cmd, IntoConnectionInfo, ProtocolVersion, Script};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::warn;

use self::commands::Commands;
use self::lease::Lease;
use self::roster::Roster;
use self::subscriber::Subscriber;
use super::{LINGER, Listener};
use crate::error::{StartError, Unavailable};
use crate::event::Event;
use crate::group::Group;
use crate::telemetry::Chain;

/// channels_redis' channel of a group is this and the group's name.
const GROUP_PREFIX: &str = "asgi__group__";
/// The channel on which every node hears which ticker was started.
const TICKERS: &str = "parlor:tickers";

/// How long a socket's handshake waits for its group to be heard.
const HEARD: Duration = Duration::from_secs(5);

/// This node's share of the layer.
pub struct RedisLayer {
    commands: Arc<Commands>,
    roster: Arc<Roster>,
    hears: watch::Receiver<bool>,
    lease: Lease,
    lives: watch::Receiver<bool>,
    /// The subscriber and the lease, which run as long as the layer.
    tasks: Mutex<JoinSet<()>>,
    members: Script,
    start_ticker: Script,
    tick: Script,
}

impl RedisLayer {
    pub(super) async fn connect(
        url: &str,
        wait: bool,
        listener: Arc<dyn Listener>,
    ) -> Result<Self, StartError> {
        let no_url = |error| StartError::new("`REDIS_URL` (--redis-url) is no Redis URL").because(error);
        let info = url.into_connection_info().map_err(no_url)?;
        // RESP3: the library hands pushes to a function, and says when a connection has ended.
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let info = info.set_redis_settings(settings);
        let client = Client::open(info.clone()).map_err(no_url)?;
        let commands = Arc::new(Commands::new(info)?);
        if let Err(error) = commands.ping().await {
            let what = format!(
                "could not connect to Redis at {}: {}; start Redis, set REDIS_URL (--redis-url), or give --wait-for-redis",
                client.get_connection_info().addr(),
                reason(&error),
            );
            if !wait {
                return Err(StartError::new(what));
            }
            warn!("{what}");
        }
        let roster = Arc::new(Roster::default());
        let (hearing, mut hears) = watch::channel(false);
        let (living, lives) = watch::channel(true);
        let lease = Lease {
            node: format!("{:016x}", rand::random::<u64>()),
            commands: Arc::clone(&commands),
            roster: Arc::clone(&roster),
            reap: Arc::new(Script::new(include_str!("redis/reap.lua"))),
            lives: living,
        };
        let subscriber = Subscriber { client, roster: Arc::clone(&roster), listener, hears: hearing };
        let mut tasks = JoinSet::new();
        tasks.spawn(subscriber.run());
        tasks.spawn(lease.clone().run());
        if !wait && !matches!(timeout(HEARD, hears.wait_for(|hears| *hears)).await, Ok(Ok(_))) {
            return Err(StartError::new(
                "Redis answers, but lets this node subscribe to nothing: see its ACL",
            ));
        }
        Ok(Self {
            commands,
            roster,
            hears,
            lives,
            lease,
            tasks: Mutex::new(tasks),
            members: Script::new(include_str!("redis/members.lua")),
            start_ticker: Script::new(include_str!("redis/start_ticker.lua")),
            tick: Script::new(include_str!("redis/tick.lua")),
        })
    }

    pub(super) fn enter(&self, group: &Group, member: u64) {
        self.roster.enter(group, member);
    }

    pub(super) fn leave(&self, group: &Group, member: u64) {
        self.roster.leave(group, member);
    }

    pub(super) async fn heard(&self, group: &Group) -> Result<(), Unavailable> {
        self.ready()?;
        let Some(heard) = self.roster.wait_for(group) else { return Ok(()) };
        match timeout(HEARD, heard).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Unavailable::new("Redis did not confirm a subscription in time")),
        }
    }

    pub(super) async fn members(&self, group: &Group) -> Result<usize, Unavailable> {
        self.commands.script(&self.members.key(format!("parlor:group:{group}"))).await
    }

    pub(super) async fn publish(&self, group: &Group, event: &Event) -> Result<(), Unavailable> {
        let mut publish = Cmd::new();
        publish.arg("PUBLISH").arg(format!("{GROUP_PREFIX}{group}")).arg(event.encode());
        self.commands.command(&publish).await
    }

    pub(super) async fn start_ticker(&self, group: &Group, period: Duration) -> Result<(), Unavailable> {
        let mut script = self.start_ticker.key(ticker_key(group));
        script.arg(group.name()).arg(millis(period)).arg(millis(LINGER)).arg(TICKERS);
        self.commands.script(&script).await
    }

    pub(super) async fn stop_ticker(&self, group: &Group) -> Result<(), Unavailable> {
        self.commands.command(Cmd::new().arg("DEL").arg(ticker_key(group))).await
    }

    pub(super) async fn tick(
        &self,
        group: &Group,
        event: &Event,
        period: Duration,
    ) -> Result<Option<Duration>, Unavailable> {
        let mut script = self.tick.key(ticker_key(group));
        script
            .arg(format!("{GROUP_PREFIX}{group}"))
            .arg(event.encode())
            .arg(millis(period))
            .arg(millis(LINGER));
        let next: Option<u64> = self.commands.script(&script).await?;
        Ok(next.map(Duration::from_millis))
    }

    pub(super) fn ready(&self) -> Result<(), Unavailable> {
        if !*self.hears.borrow() {
            return Err(Unavailable::new("Redis is away: this node hears nothing"));
        }
        if !*self.lives.borrow() {
            return Err(Unavailable::new("Redis takes no writes: this node has lost its lease"));
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

fn ticker_key(group: &Group) -> String {
    format!("parlor:ticker:{group}")
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

/// The innermost cause in the words of the operating system: `connection refused`.
fn reason(error: &deadpool_redis::PoolError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}
