//! The subscriber: keeps the connection on which this node receives its groups.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use redis::Cmd;
use tokio::sync::watch;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use crate::layer::error::LayerError;
use crate::layer::listener::LayerListener;
use crate::layer::redis::command_queue::{CommandQueue, LogEnds};
use crate::layer::redis::decisions::DecisionLog;
use crate::layer::redis::dial::{current_server, has_moved};
use crate::layer::redis::follower::LogFollower;
use crate::layer::redis::heartbeat::MeasuredLag;
use crate::layer::redis::keys::{GROUP_PREFIX, Keys, channel};
use crate::layer::redis::layout::{self, RenamedRecords};
use crate::layer::redis::log::LogEndEncoder;
use crate::layer::redis::member_view::PresenceEvent;
use crate::layer::redis::membership::LocalMembership;
use crate::layer::redis::pipeline::{Pipeline, Pushed};
use crate::layer::redis::publish_batch::BatchEncoder;
use crate::layer::redis::seat_batch::SeatEncoder;
use crate::telemetry::{Chain, DropReason, METRICS};
use crate::wire::event::{Event, INTERVAL, PRESENCE};
use crate::wire::group::Group;

/// Time in which Redis has to accept a connection, and to confirm a subscription.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(2);
/// Time between two probes: messages of the node to itself.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// Time in which a probe has to arrive; a busy machine is not a lost connection.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// Shortest and longest pause before a new connection, of which a random half is used.
const RECONNECT_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(400));
/// Groups of one `SUBSCRIBE`.
const MAX_COMMAND_GROUPS: usize = 1000;

/// What a message of another node begins with, on the channel of the node's probes.
pub(super) const NODE_MESSAGE: &[u8] = b"m";

pub(super) struct Subscriber {
    pub(super) queue: Arc<CommandQueue>,
    pub(super) encoder: BatchEncoder,
    pub(super) seats: SeatEncoder,
    pub(super) log_ends: LogEndEncoder,
    pub(super) keys: Keys,
    /// Whether the keys in Redis have this program's layout.
    pub(super) is_prepared: AtomicBool,
    pub(super) renamed: RenamedRecords,
    pub(super) control_channel: String,
    pub(super) probe_channel: String,
    /// The number of the last probe that arrived.
    pub(super) received_probe: watch::Sender<u64>,
    /// How long a probe took.
    pub(super) lag: MeasuredLag,
    pub(super) follower: Arc<LogFollower>,
    pub(super) membership: Arc<LocalMembership>,
    pub(super) decisions: Arc<DecisionLog>,
    pub(super) listener: Arc<dyn LayerListener>,
    /// Whether the node is subscribed to every group of its members but the newest.
    pub(super) is_subscribed: watch::Sender<bool>,
}

impl Subscriber {
    /// Keeps the connection. Never returns.
    pub(super) async fn run(self) {
        let mut pause = Duration::ZERO;
        loop {
            let cause = match self.connect().await {
                Ok((server, mut pipeline)) => {
                    // It may be another server behind the same address, or one with older data.
                    self.membership.on_connected(Instant::now());
                    let on_told = |group: &Group, told| self.follower.on_events(group.name(), told);
                    tokio::select! {
                        Err(error) = self.settle() => Chain(&error).to_string(),
                        cause = pipeline.run(|pushed| self.on_turn(pushed), on_told) => cause,
                        cause = self.probe(&server) => cause.to_owned(),
                        cause = self.decisions.follow() => cause.to_owned(),
                    }
                }
                Err(cause) => cause,
            };
            self.decisions.on_disconnected();
            self.membership.on_disconnected();
            self.follower.on_disconnected();
            if self.is_subscribed.send_replace(false) {
                pause = Duration::ZERO;
            }
            self.follower.commands.health().on_disconnected(&cause);
            if pause.is_zero() {
                METRICS.redis_reconnects.inc();
            }
            let (shortest, longest) = RECONNECT_PAUSE;
            pause = (pause * 2).clamp(shortest, longest);
            sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
        }
    }

    async fn connect(&self) -> Result<(String, Pipeline<'_>), String> {
        let address = self.follower.commands.address();
        let server = current_server(address).await.map_err(|error| Chain(&error).to_string())?;
        let name = server.addr().to_string();
        let opened = Pipeline::open(
            &self.queue,
            &self.encoder,
            &self.seats,
            &self.log_ends,
            &self.membership,
            address,
            &server,
        );
        match timeout(CONFIRM_TIMEOUT, opened).await {
            // The master may have changed meanwhile.
            Ok(Ok(_)) if has_moved(address, &name).await => {
                Err("another server is the master now".to_owned())
            }
            Ok(Ok(pipeline)) => {
                if !self.is_prepared.load(Ordering::Relaxed) {
                    layout::prepare(&self.follower.commands, self.renamed)
                        .await
                        .map_err(|error| error.to_string())?;
                    self.is_prepared.store(true, Ordering::Relaxed);
                }
                // Before the first append, which must not be carried out late.
                self.learn_time().await.map_err(|error| Chain(&error).to_string())?;
                self.queue.open();
                Ok((name, pipeline))
            }
            Ok(Err(error)) => Err(Chain(&error).to_string()),
            Err(_) => Err("Redis did not accept the connection in time".to_owned()),
        }
    }

    /// Asks Redis for its time.
    async fn learn_time(&self) -> Result<(), LayerError> {
        let (seconds, micros): (u64, u64) = self.follower.commands.command(&redis::cmd("TIME")).await?;
        self.follower.clock.learn(seconds * 1000 + micros / 1000);
        Ok(())
    }

    /// Publishes probes on the connection for commands; returns why the subscribing connection has
    /// to be made again.
    ///
    /// A Redis that was demoted or is frozen starves its subscribers without an error.
    async fn probe(&self, server: &str) -> &'static str {
        let mut received = self.received_probe.subscribe();
        let mut number = *received.borrow();
        let commands = &self.follower.commands;
        loop {
            if has_moved(commands.address(), server).await {
                return "another server is the master now";
            }
            commands.check_master().await;
            sleep(PROBE_INTERVAL).await;
            self.follower.sweep();
            number += 1;
            let sent_at = Instant::now();
            let mut publish = Cmd::new();
            publish.arg("PUBLISH").arg(&self.probe_channel).arg(number);
            let arrival = async {
                let _: Result<i64, LayerError> = commands.command(&publish).await;
                received.wait_for(|arrived| *arrived >= number).await.is_ok()
            };
            if timeout(PROBE_TIMEOUT, arrival).await != Ok(true) {
                return "a probe did not arrive in time";
            }
            commands.health().on_contact();
            let lag = sent_at.elapsed();
            if let Err(error) = self.learn_time().await {
                debug!(error = %Chain(&error), "redis did not return its time");
            }
            METRICS.subscription_lag.observe(lag.as_secs_f64());
            *self.lag.lock() = Some(lag);
        }
    }

    /// Subscribes to what the members need, again and again. Returns when Redis does not do it.
    async fn settle(&self) -> Result<(), LayerError> {
        self.subscribe_to_each_kind().await?;
        // Before any group: no socket receives what its client lost the right to meanwhile.
        self.decisions.catch_up().await?;
        loop {
            let changes = self.membership.take_channel_changes(Instant::now());
            self.follower.remove(&changes.unsubscribe);
            self.follower.remove(&changes.abandoned);
            for groups in changes.unsubscribe.chunks(MAX_COMMAND_GROUPS) {
                let unsubscribed = self.queue.unsubscribe(self.channels_of(groups), groups);
                timeout(CONFIRM_TIMEOUT, unsubscribed).await.map_err(timed_out)??;
            }
            for groups in changes.subscribe.chunks(MAX_COMMAND_GROUPS) {
                self.follower.add(groups);
                let ends = self.subscribe(self.channels_of(groups), groups).await?;
                self.follower.locate(groups, ends).await?;
                self.membership.on_located(groups);
            }
            if !self.is_subscribed.send_replace(true) {
                self.follower.commands.health().on_subscribed();
                info!(groups = changes.subscribe.len(), "subscribed to redis");
                self.listener.on_resubscribed();
            }
            self.membership.channels_changed.notified().await;
        }
    }

    /// Returns the two channels of each group: that of channels_redis, and that of the
    /// nodes themselves.
    fn channels_of(&self, groups: &[Group]) -> Vec<String> {
        groups.iter().flat_map(|group| [channel(group), self.keys.own_channel(group)]).collect()
    }

    /// Subscribes to the node's own channels, and for a moment to the channels of a group that has
    /// its name: an ACL may refuse one kind of them, which is known before a client asks for one.
    async fn subscribe_to_each_kind(&self) -> Result<(), LayerError> {
        let of_group = self.channels_of(&[Group::new(&self.probe_channel)]);
        let mut channels = vec![self.control_channel.clone(), self.probe_channel.clone()];
        channels.extend_from_slice(&of_group);
        let subscribed = channels.into_iter().map(async |channel| {
            let subscribed = self.subscribe(vec![channel.clone()], &[]).await;
            subscribed.map_err(|error| match error {
                LayerError::Refused { kind, message } => {
                    LayerError::Refused { kind, message: format!("{message} (SUBSCRIBE {channel})") }
                }
                error => error,
            })
        });
        try_join_all(subscribed).await?;
        timeout(CONFIRM_TIMEOUT, self.queue.unsubscribe(of_group, &[])).await.map_err(timed_out)?
    }

    async fn subscribe(&self, channels: Vec<String>, groups: &[Group]) -> Result<LogEnds, LayerError> {
        timeout(CONFIRM_TIMEOUT, self.queue.subscribe(channels, groups)).await.map_err(timed_out)?
    }

    /// Passes on what arrived in one turn by group, the events of each group in their order.
    fn on_turn(&self, pushed: &[Pushed<'_>]) {
        let mut groups: Vec<(&str, Vec<Event>)> = Vec::new();
        for &(channel, payload) in pushed {
            if channel == self.control_channel {
                self.decisions.on_pushed(payload);
                continue;
            }
            if channel == self.probe_channel {
                if let Some(message) = payload.strip_prefix(NODE_MESSAGE) {
                    self.listener.on_node_message(message);
                    continue;
                }
                let number = std::str::from_utf8(payload).ok().and_then(|number| number.parse().ok());
                if let Some(number) = number {
                    self.received_probe.send_replace(number);
                } else if let Ok(asked) = serde_json::from_slice::<Vec<_>>(payload) {
                    self.membership.on_asked(&asked, Instant::now());
                }
                continue;
            }
            let own = self.keys.group_of(channel);
            let Some(group) = own.or_else(|| channel.strip_prefix(GROUP_PREFIX)) else { continue };
            let event = if own.is_some() { Event::decode_ours(payload) } else { Event::decode(payload) };
            match event {
                Ok(event) if event.is_own() && event.kind() == INTERVAL => {
                    self.listener.on_interval_started(group);
                }
                Ok(event) if event.is_own() && event.kind() == PRESENCE => {
                    let Some(change) = PresenceEvent::decode(&event) else { continue };
                    if self.listener.is_full() {
                        self.membership.on_skipped(group, Instant::now());
                        continue;
                    }
                    let told = self.membership.on_event(group, change, Instant::now());
                    match groups.iter_mut().rev().find(|(name, _)| *name == group) {
                        Some((_, events)) => events.extend(told),
                        None if told.is_empty() => {}
                        None => groups.push((group, told)),
                    }
                }
                // A redaction is small, and is not repeated: it is delivered nevertheless, as is
                // the removal of a log.
                Ok(event)
                    if self.listener.is_full() && event.redacts().is_none() && event.clears().is_none() =>
                {
                    if event.position().is_none() && METRICS.dropped(DropReason::Overflow) == 0 {
                        warn!(
                            "node too slow for redis: events that are not logged are dropped \
                             (logged once, counted always)"
                        );
                    }
                    self.follower.on_skipped(group, &event);
                }
                Ok(event) => match groups.iter_mut().rev().find(|(name, _)| *name == group) {
                    Some((_, events)) => events.push(event),
                    None => groups.push((group, vec![event])),
                },
                Err(malformed) => {
                    METRICS.dropped(DropReason::Malformed);
                    debug!(group, %malformed, "malformed event dropped");
                }
            }
        }
        for (group, events) in groups {
            self.follower.on_events(group, events);
        }
    }
}

fn timed_out(_: Elapsed) -> LayerError {
    LayerError::TimedOut("confirm a subscription")
}
