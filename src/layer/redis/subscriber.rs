//! The subscriber of a shard: keeps the connection on which this node receives the shard's groups.

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
use crate::layer::redis::command_queue::{LogEnds, PubSub, Subscribed};
use crate::layer::redis::commands::Commands;
use crate::layer::redis::decisions::DecisionLog;
use crate::layer::redis::follower::LogFollower;
use crate::layer::redis::heartbeat::MeasuredLag;
use crate::layer::redis::layout::{self, RenamedRecords};
use crate::layer::redis::member_view::PresenceEvent;
use crate::layer::redis::membership::LocalMembership;
use crate::layer::redis::pipeline::{Encoders, Pipeline, PipelineListener, Pushed};
use crate::layer::redis::shards::{Shard, ShardId};
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

/// What the subscribers of all shards have in common.
pub(super) struct SubscriberContext {
    pub(super) node: String,
    pub(super) encoders: Encoders,
    /// Whether the keys in Redis have this program's layout.
    pub(super) is_prepared: AtomicBool,
    pub(super) renamed: RenamedRecords,
    /// How long a probe took.
    pub(super) lag: MeasuredLag,
    pub(super) commands: Arc<Commands>,
    pub(super) follower: Arc<LogFollower>,
    pub(super) membership: Arc<LocalMembership>,
    pub(super) decisions: Arc<DecisionLog>,
    pub(super) listener: Arc<dyn LayerListener>,
    /// The shard whose subscriber has the channels of the whole node: that of decisions, and that
    /// of messages of other nodes.
    pub(super) node_channels: watch::Sender<Option<ShardId>>,
}

/// The subscriber of a shard.
pub(super) struct Subscriber {
    context: Arc<SubscriberContext>,
    shard: Arc<Shard>,
    control_channel: String,
    node_channel: String,
    probe_channel: String,
    /// The number of the last probe that arrived.
    received_probe: watch::Sender<u64>,
    /// How many messages of the node to itself have arrived on channels of groups.
    echoes: watch::Sender<usize>,
}

impl Subscriber {
    pub(super) fn new(context: Arc<SubscriberContext>, shard: Arc<Shard>) -> Self {
        let keys = context.commands.keys();
        Self {
            control_channel: keys.control_channel(),
            node_channel: keys.node_channel(&context.node),
            probe_channel: keys.probe_channel(&context.node, shard.id.index()),
            received_probe: watch::Sender::new(0),
            echoes: watch::Sender::new(0),
            context,
            shard,
        }
    }

    /// Keeps the connection. Never returns.
    pub(super) async fn run(self) {
        let SubscriberContext { commands, follower, membership, .. } = &*self.context;
        let (shard, shards) = (&self.shard, commands.shards());
        let mut pause = Duration::ZERO;
        loop {
            shard.until_slots(true).await;
            let cause = match self.connect().await {
                Ok((server, mut pipeline)) => {
                    // It may be another server behind the same address, or one with older data.
                    membership.on_connected(shard.id, Instant::now());
                    tokio::select! {
                        Err(error) = self.settle() => Chain(&error).to_string(),
                        cause = pipeline.run(&self) => cause,
                        cause = self.probe(&server) => cause.to_owned(),
                        cause = self.follow_decisions() => cause.to_owned(),
                        () = shard.until_slots(false) => "another shard has all its slots now".to_owned(),
                    }
                }
                Err(cause) => cause,
            };
            shards.doubt();
            self.lose_node_channels();
            membership.on_disconnected(shard.id);
            follower.on_disconnected(|group| shards.id_of(group) == shard.id);
            if shard.is_subscribed.send_replace(false) {
                pause = Duration::ZERO;
            }
            shard.health().on_disconnected(&cause);
            if pause.is_zero() {
                METRICS.redis_reconnects.inc();
            }
            let (shortest, longest) = RECONNECT_PAUSE;
            pause = (pause * 2).clamp(shortest, longest);
            sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
        }
    }

    async fn connect(&self) -> Result<(String, Pipeline<'_>), String> {
        let SubscriberContext { commands, encoders, membership, renamed, is_prepared, .. } = &*self.context;
        let place = self.shard.place();
        let server = place.server().await.map_err(|error| Chain(&error).to_string())?;
        let name = server.addr().to_string();
        let opened = Pipeline::open(commands.shards(), &self.shard, encoders, membership, &server);
        match timeout(CONFIRM_TIMEOUT, opened).await {
            // The master may have changed meanwhile.
            Ok(Ok(_)) if place.has_moved(&name).await => Err("another server is the master now".to_owned()),
            Ok(Ok(pipeline)) => {
                if !is_prepared.load(Ordering::Relaxed) {
                    layout::prepare(commands, renamed).await.map_err(|error| error.to_string())?;
                    is_prepared.store(true, Ordering::Relaxed);
                }
                // Before the first append, which must not be carried out late.
                self.learn_time().await.map_err(|error| Chain(&error).to_string())?;
                self.shard.queue.open();
                Ok((name, pipeline))
            }
            Ok(Err(error)) => Err(Chain(&error).to_string()),
            Err(_) => Err("Redis did not accept the connection in time".to_owned()),
        }
    }

    /// Asks the server for its time.
    async fn learn_time(&self) -> Result<(), LayerError> {
        let (seconds, micros): (u64, u64) = self.shard.connections.command(&redis::cmd("TIME")).await?;
        let millis = seconds * 1000 + micros / 1000;
        self.shard.clock.learn(millis);
        self.context.follower.clock.learn(millis);
        Ok(())
    }

    /// Publishes probes on the connection for commands; returns why the subscribing connection has
    /// to be made again.
    ///
    /// A Redis that was demoted or is frozen starves its subscribers without an error.
    async fn probe(&self, server: &str) -> &'static str {
        let mut received = self.received_probe.subscribe();
        let mut number = *received.borrow();
        let (place, connections) = (self.shard.place(), &self.shard.connections);
        loop {
            if place.has_moved(server).await {
                return "another server is the master now";
            }
            connections.check_master().await;
            sleep(PROBE_INTERVAL).await;
            number += 1;
            let sent_at = Instant::now();
            let mut publish = Cmd::new();
            publish.arg("PUBLISH").arg(&self.probe_channel).arg(number);
            let arrival = async {
                let _: Result<i64, LayerError> = connections.command(&publish).await;
                received.wait_for(|arrived| *arrived >= number).await.is_ok()
            };
            if timeout(PROBE_TIMEOUT, arrival).await != Ok(true) {
                return "a probe did not arrive in time";
            }
            self.shard.health().on_contact();
            let lag = sent_at.elapsed();
            if let Err(error) = self.learn_time().await {
                debug!(error = %Chain(&error), "redis did not return its time");
            }
            METRICS.subscription_lag.observe(lag.as_secs_f64());
            *self.context.lag.lock() = Some(lag);
        }
    }

    /// Subscribes to what the members need, again and again. Returns when Redis does not do it.
    async fn settle(&self) -> Result<(), LayerError> {
        let SubscriberContext { commands, follower, membership, listener, .. } = &*self.context;
        let (keys, kind) = (commands.keys(), self.kind());
        let channels = |groups: &[Group]| groups.iter().flat_map(|group| keys.channels_of(group)).collect();
        // At once: one round trip.
        tokio::try_join!(self.subscribe_to_each_kind(), self.subscribe_for_node())?;
        loop {
            // Before any group: no socket receives what its client lost the right to meanwhile.
            self.subscribe_for_node().await?;
            let changes = membership.take_channel_changes(self.shard.id, Instant::now());
            follower.remove(&changes.unsubscribe);
            follower.remove(&changes.abandoned);
            for groups in changes.unsubscribe.chunks(MAX_COMMAND_GROUPS) {
                let unsubscribed = self.shard.queue.unsubscribe(kind, channels(groups), groups);
                timeout(CONFIRM_TIMEOUT, unsubscribed).await.map_err(timed_out)??;
            }
            for groups in changes.subscribe.chunks(MAX_COMMAND_GROUPS) {
                follower.add(groups);
                let ends = self.subscribe(kind, channels(groups), groups).await?;
                let displaced =
                    groups.iter().zip(&ends).filter(|(_, end)| matches!(end, Subscribed::Displaced));
                for (group, _) in displaced {
                    membership.on_displaced(self.shard.id, group);
                    commands.shards().doubt();
                }
                follower.locate(groups, ends).await?;
                membership.on_located(self.shard.id, groups);
            }
            if !self.shard.is_subscribed.send_replace(true) {
                self.shard.health().on_subscribed();
                info!(groups = changes.subscribe.len(), "subscribed to redis");
                listener.on_resubscribed();
            }
            self.shard.channels_changed.notified().await;
        }
    }

    /// Returns the kind of pub/sub of all channels but that of probes.
    fn kind(&self) -> PubSub {
        if self.context.commands.shards().is_cluster() { PubSub::Sharded } else { PubSub::Plain }
    }

    /// Subscribes to the channels of the whole node if the shard has them, and applies what the
    /// node has missed there; else waits until another shard's subscriber has done so once.
    async fn subscribe_for_node(&self) -> Result<(), LayerError> {
        let SubscriberContext { commands, decisions, node_channels, .. } = &*self.context;
        if commands.shards().of_key(self.control_channel.as_bytes()).id != self.shard.id {
            decisions.until_begun().await;
        } else if *node_channels.borrow() != Some(self.shard.id) {
            let channels = vec![self.control_channel.clone(), self.node_channel.clone()];
            self.subscribe(self.kind(), channels, &[]).await?;
            decisions.catch_up().await?;
            node_channels.send_replace(Some(self.shard.id));
        }
        Ok(())
    }

    /// Keeps the node in line with the log of decisions as long as this shard has its channel.
    /// Returns why the shard has to be connected to again.
    async fn follow_decisions(&self) -> &'static str {
        let mut holder = self.context.node_channels.subscribe();
        let own = Some(self.shard.id);
        loop {
            let _ = holder.wait_for(|holder| *holder == own).await; // the sender is this node's own
            tokio::select! {
                cause = self.context.decisions.follow() => return cause,
                _ = holder.wait_for(|holder| *holder != own) => {}
            }
        }
    }

    /// The channels of the whole node are lost, if this shard still had them.
    fn lose_node_channels(&self) {
        let holder = &self.context.node_channels;
        if holder.send_if_modified(|holder| holder.take_if(|shard| *shard == self.shard.id).is_some()) {
            self.context.decisions.on_disconnected();
        }
    }

    /// Subscribes to the channel of probes, and for a moment to the channels of a group that is the
    /// node's own, on which it sends itself messages: an ACL may refuse one kind of them, or
    /// another server may take what the node publishes, which is known before a client asks for
    /// one.
    async fn subscribe_to_each_kind(&self) -> Result<(), LayerError> {
        let commands = &self.context.commands;
        let group = match self.kind() {
            PubSub::Plain => self.probe_channel.clone(),
            // Only the tag counts for the slot.
            PubSub::Sharded => format!("{}}}{}", commands.shards().tag_of(self.shard.id), self.probe_channel),
        };
        let of_group = commands.keys().channels_of(&Group::new(&group));
        let kinds = of_group.iter().map(|channel| (self.kind(), channel));
        let subscribed = kinds.chain([(PubSub::Plain, &self.probe_channel)]).map(async |(kind, channel)| {
            let subscribed = self.subscribe(kind, vec![channel.clone()], &[]).await;
            subscribed.map_err(|error| match error {
                LayerError::Refused { kind, message } => {
                    LayerError::Refused { kind, message: format!("{message} (SUBSCRIBE {channel})") }
                }
                error => error,
            })
        });
        try_join_all(subscribed).await?;
        // Once: from then on probes show whether the server delivers.
        let mut echoes = self.echoes.subscribe();
        if *echoes.borrow_and_update() < of_group.len() {
            for channel in &of_group {
                commands.publish(channel, b"").await?;
            }
            let arrived = timeout(PROBE_TIMEOUT, echoes.wait_for(|count| *count >= of_group.len())).await;
            arrived.map_err(|_| LayerError::TimedOut("deliver this node's messages to itself"))?.ok();
        }
        let unsubscribed = self.shard.queue.unsubscribe(self.kind(), of_group.clone(), &[]);
        timeout(CONFIRM_TIMEOUT, unsubscribed).await.map_err(timed_out)?
    }

    async fn subscribe(
        &self,
        kind: PubSub,
        channels: Vec<String>,
        groups: &[Group],
    ) -> Result<LogEnds, LayerError> {
        let subscribed = self.shard.queue.subscribe(kind, channels, groups);
        timeout(CONFIRM_TIMEOUT, subscribed).await.map_err(timed_out)?
    }
}

impl PipelineListener for Subscriber {
    /// Passes on what arrived in one turn by group, the events of each group in their order.
    fn on_pushed(&self, pushed: &[Pushed<'_>]) {
        let SubscriberContext { commands, follower, membership, decisions, listener, .. } = &*self.context;
        let mut groups: Vec<(&str, Vec<Event>)> = Vec::new();
        for &(channel, payload) in pushed {
            if channel == self.control_channel {
                decisions.on_pushed(payload);
                continue;
            }
            if channel == self.probe_channel {
                let number = std::str::from_utf8(payload).ok().and_then(|number| number.parse().ok());
                if let Some(number) = number {
                    self.received_probe.send_replace(number);
                }
                continue;
            }
            if channel == self.node_channel {
                if let Some(message) = payload.strip_prefix(NODE_MESSAGE) {
                    listener.on_node_message(message);
                } else if let Ok(asked) = serde_json::from_slice::<Vec<_>>(payload) {
                    membership.on_asked(&asked, Instant::now());
                }
                continue;
            }
            let own = commands.keys().group_of(channel);
            let Some(group) = own.or_else(|| commands.keys().group_of_shared(channel)) else { continue };
            if group.ends_with(&self.probe_channel) {
                self.echoes.send_modify(|count| *count += 1);
                continue;
            }
            let event = if own.is_some() { Event::decode_ours(payload) } else { Event::decode(payload) };
            match event {
                Ok(event) if event.is_own() && event.kind() == INTERVAL => {
                    listener.on_interval_started(group);
                }
                Ok(event) if event.is_own() && event.kind() == PRESENCE => {
                    let Some(change) = PresenceEvent::decode(&event) else { continue };
                    if listener.is_full() {
                        membership.on_skipped(group, Instant::now());
                        continue;
                    }
                    let told = membership.on_event(group, change, Instant::now());
                    match groups.iter_mut().rev().find(|(name, _)| *name == group) {
                        Some((_, events)) => events.extend(told),
                        None if told.is_empty() => {}
                        None => groups.push((group, told)),
                    }
                }
                // A redaction is small, and is not repeated: it is delivered nevertheless, as is
                // the removal of a log.
                Ok(event) if listener.is_full() && event.redacts().is_none() && event.clears().is_none() => {
                    if event.position().is_none() && METRICS.dropped(DropReason::Overflow) == 0 {
                        warn!(
                            "node too slow for redis: events that are not logged are dropped \
                             (logged once, counted always)"
                        );
                    }
                    follower.on_skipped(group, &event);
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
            follower.on_events(group, events);
        }
    }

    fn on_presence(&self, group: &Group, events: Vec<Event>) {
        self.context.follower.on_events(group.name(), events);
    }

    fn on_displaced(&self, channel: &str) {
        let SubscriberContext { commands, follower, membership, .. } = &*self.context;
        if channel == self.control_channel || channel == self.node_channel {
            self.lose_node_channels();
        } else if let Some(group) = commands.keys().group_of(channel).map(Group::new) {
            membership.on_displaced(self.shard.id, &group);
            follower.on_disconnected(|lost| *lost == group);
        }
    }
}

fn timed_out(_: Elapsed) -> LayerError {
    LayerError::TimedOut("confirm a subscription")
}
