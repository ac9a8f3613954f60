//! The subscriber: the one connection on which this node hears its groups.

use std::sync::Arc;
use std::time::Duration;

use redis::Cmd;
use tokio::sync::watch;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use super::follower::LogFollower;
use super::keys::{GROUP_PREFIX, LIVE_PREFIX, ORDERS, TICKERS};
use crate::layer::error::LayerError;
use crate::layer::redis::command_queue::CommandQueue;
use crate::layer::redis::heartbeat::Lag;
use crate::layer::redis::membership::LocalMembership;
use crate::layer::redis::pipeline::{Pipeline, Pushed};
use crate::layer::redis::publish_batch::Appender;
use crate::layer::{Disconnect, LayerListener};
use crate::telemetry::{Chain, METRICS};
use crate::wire::event::Event;
use crate::wire::group::Group;

/// How long Redis may take to confirm something.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a node says something to itself, to know that it hears.
const PROBE: Duration = Duration::from_secs(1);
/// How long that may take; a machine that is short of time is not deaf.
const PROBE_PATIENCE: Duration = Duration::from_secs(3);

/// Channels in one SUBSCRIBE.
const AT_ONCE: usize = 1000;

pub(super) struct Subscriber {
    pub(super) line: Arc<CommandQueue>,
    pub(super) appender: Appender,
    /// The channel on which this node hears itself.
    pub(super) probe: String,
    /// The number of the last probe that was heard.
    pub(super) probed: watch::Sender<u64>,
    /// How long it took.
    pub(super) lag: Lag,
    pub(super) follower: Arc<LogFollower>,
    pub(super) roster: Arc<LocalMembership>,
    pub(super) listener: Arc<dyn LayerListener>,
    /// Every group of the roster that is older than a moment is heard.
    pub(super) hears: watch::Sender<bool>,
}

impl Subscriber {
    /// Keeps the connection, for ever.
    pub(super) async fn run(self) {
        let mut pause = Duration::ZERO;
        let mut master: Option<String> = None;
        loop {
            let cause = match self.connect().await {
                Ok((server, mut connection)) => {
                    // It may not have what the one before it was told last of who is here.
                    if master.replace(server.clone()).is_some_and(|before| before != server) {
                        self.roster.forgotten();
                    }
                    tokio::select! {
                        Err(error) = self.settle() => Chain(&error).to_string(),
                        cause = connection.run(|pushed| self.turn(pushed)) => cause,
                        cause = self.probe(&server) => cause.to_owned(),
                    }
                }
                Err(cause) => cause,
            };
            self.roster.deaf();
            self.follower.deaf();
            if self.hears.send_replace(false) {
                pause = Duration::ZERO;
            }
            if pause.is_zero() {
                warn!(cause, "this node hears nothing; trying again until Redis is back");
                METRICS.redis_reconnects.inc();
            }
            pause = (pause * 2).clamp(Duration::from_millis(50), Duration::from_millis(400));
            sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
        }
    }

    async fn connect(&self) -> Result<(String, Pipeline<'_>), String> {
        let address = self.follower.commands.address();
        let server = address.server().await.map_err(|error| Chain(&error).to_string())?;
        let name = server.addr().to_string();
        match timeout(PATIENCE, Pipeline::open(&self.line, &self.appender, &server)).await {
            // It may have taken until there was another master.
            Ok(Ok(_)) if address.has_moved(&name).await => Err("Redis has another master now".to_owned()),
            Ok(Ok(connection)) => {
                self.line.open();
                Ok((name, connection))
            }
            Ok(Err(error)) => Err(Chain(&error).to_string()),
            Err(_) => Err("Redis does not answer".to_owned()),
        }
    }

    /// Publishes something to itself again and again, on the connection for commands; returns why the connection has
    /// to be made again: it does not come back, or another server is the master. A Redis that was demoted or is frozen starves its subscribers without an error.
    async fn probe(&self, server: &str) -> &'static str {
        let mut probed = self.probed.subscribe();
        let mut number = *probed.borrow();
        loop {
            if self.follower.commands.address().has_moved(server).await {
                return "Redis has another master now";
            }
            self.follower.commands.check_master().await;
            sleep(PROBE).await;
            self.follower.sweep();
            number += 1;
            let sent = Instant::now();
            let mut publish = Cmd::new();
            publish.arg("PUBLISH").arg(&self.probe).arg(number);
            let heard = async {
                let _: Result<i64, LayerError> = self.follower.commands.command(&publish).await;
                probed.wait_for(|heard| *heard >= number).await.is_ok()
            };
            if timeout(PROBE_PATIENCE, heard).await != Ok(true) {
                return "this node does not hear what it says to itself";
            }
            let lag = sent.elapsed();
            METRICS.subscription_lag.observe(lag.as_secs_f64());
            *self.lag.lock() = Some(lag);
        }
    }

    /// Subscribes to what the roster wants. Ends when Redis does not do it.
    async fn settle(&self) -> Result<(), LayerError> {
        self.subscribe(vec![TICKERS.to_owned(), ORDERS.to_owned(), self.probe.clone()]).await?;
        loop {
            let channels = self.roster.channels();
            self.follower.end(&channels.part);
            self.follower.end(&channels.gone);
            for groups in channels.part.chunks(AT_ONCE) {
                timeout(PATIENCE, self.line.unsubscribe(names(groups))).await.map_err(late)??;
            }
            for groups in channels.join.chunks(AT_ONCE) {
                self.follower.begin(groups);
                self.subscribe(names(groups)).await?;
                self.follower.locate(groups).await?;
                if !*self.hears.borrow() {
                    self.ask_who_is_there(groups).await?;
                }
                self.roster.heard(groups);
            }
            if !self.hears.send_replace(true) {
                info!(groups = channels.join.len(), "hearing Redis");
                self.listener.recovered();
            }
            self.roster.channels_changed.notified().await;
        }
    }

    /// Who came or left meanwhile was told, and not heard here: all nodes are told again at the next sweep.
    async fn ask_who_is_there(&self, groups: &[Group]) -> Result<(), LayerError> {
        let mut ask = Cmd::new();
        ask.arg("SADD").arg("parlor:counting");
        for group in groups {
            ask.arg(group.name());
        }
        self.follower.commands.command(&ask).await
    }

    async fn subscribe(&self, channels: Vec<String>) -> Result<(), LayerError> {
        timeout(PATIENCE, self.line.subscribe(channels)).await.map_err(late)?
    }

    /// Everything that was there at once, by group, each group's events in their order.
    fn turn(&self, pushed: &[Pushed<'_>]) {
        let mut groups: Vec<(&str, Vec<Event>)> = Vec::new();
        for &(channel, payload) in pushed {
            if channel == TICKERS {
                self.listener.ticker_started(&String::from_utf8_lossy(payload));
                continue;
            }
            if channel == ORDERS {
                if let Some(order) = Disconnect::read(payload) {
                    self.listener.ordered(order);
                } else {
                    METRICS.dropped("malformed");
                    debug!("dropped what is no order");
                }
                continue;
            }
            if channel == self.probe {
                let number = std::str::from_utf8(payload).ok().and_then(|number| number.parse().ok());
                self.probed.send_replace(number.unwrap_or_default());
                continue;
            }
            let live = channel.strip_prefix(LIVE_PREFIX);
            let Some(group) = live.or_else(|| channel.strip_prefix(GROUP_PREFIX)) else { continue };
            let event = if live.is_some() { Event::decode_ours(payload) } else { Event::decode(payload) };
            match event {
                // What tells that a text is redacted is little, and nobody would tell it again.
                Ok(event) if self.listener.is_full() && event.covers().is_none() => {
                    if event.stamp().is_none() && METRICS.dropped("overflow") == 0 {
                        warn!(
                            "this node is too slow for what Redis sends: events that are not logged are dropped \
                             (logged once, counted always)"
                        );
                    }
                    self.follower.miss(group, &event);
                }
                Ok(event) => match groups.iter_mut().rev().find(|(name, _)| *name == group) {
                    Some((_, events)) => events.push(event),
                    None => groups.push((group, vec![event])),
                },
                Err(malformed) => {
                    METRICS.dropped("malformed");
                    debug!(group, %malformed, "dropped what is no event");
                }
            }
        }
        for (group, events) in groups {
            self.follower.hear(group, events);
        }
    }
}

fn late(_: Elapsed) -> LayerError {
    LayerError::TimedOut("confirm a subscription")
}

/// The two channels of each group: the one of channels_redis, and the one of our own nodes.
fn names(groups: &[Group]) -> Vec<String> {
    groups.iter().flat_map(|group| [super::keys::channel(group), super::keys::live(group)]).collect()
}
