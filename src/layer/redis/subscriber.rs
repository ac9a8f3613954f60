//! The subscriber: the one connection on which this node hears its groups.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::{PubSubSink, PubSubStream};
use redis::{Client, Msg, RedisResult};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::roster::Roster;
use super::{GROUP_PREFIX, TICKERS};
use crate::event::Event;
use crate::layer::Listener;
use crate::telemetry::{Chain, METRICS};

/// How long Redis may take to confirm something, and how often a quiet connection is asked.
const PATIENCE: Duration = Duration::from_secs(2);

/// Channels in one SUBSCRIBE.
const AT_ONCE: usize = 1000;

/// Most events of one turn: what came in while the last turn was on its way goes out together.
const TURN: usize = 1024;

pub(super) struct Subscriber {
    pub(super) client: Client,
    pub(super) roster: Arc<Roster>,
    pub(super) listener: Arc<dyn Listener>,
    /// Every group of the roster that is older than a moment is heard.
    pub(super) hears: watch::Sender<bool>,
}

impl Subscriber {
    /// Keeps the connection, for ever.
    pub(super) async fn run(self) {
        let mut pause = Duration::ZERO;
        loop {
            let connected = timeout(PATIENCE, self.client.get_async_pubsub()).await;
            let cause = match connected {
                Ok(Ok(connection)) => {
                    pause = Duration::ZERO;
                    let (sink, stream) = connection.split();
                    tokio::select! {
                        result = self.settle(sink) => match result {
                            Ok(()) => "Redis did not confirm in time".to_owned(),
                            Err(error) => Chain(&error).to_string(),
                        },
                        () = self.hear(stream) => "Redis closed the connection".to_owned(),
                    }
                }
                Ok(Err(error)) => Chain(&error).to_string(),
                Err(_) => "Redis did not answer in time".to_owned(),
            };
            self.roster.deaf();
            if self.hears.send_replace(false) || pause.is_zero() {
                warn!(cause, "this node hears nothing; trying again until Redis is back");
                METRICS.redis_reconnects.inc();
            }
            pause = (pause * 2).clamp(Duration::from_millis(50), Duration::from_millis(400));
            sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
        }
    }

    /// Subscribes to what the roster wants, and makes sure that Redis still answers. Ends when it
    /// does not; `Ok` means that it was silent.
    async fn settle(&self, mut sink: PubSubSink) -> RedisResult<()> {
        let Ok(confirmed) = timeout(PATIENCE, sink.subscribe(TICKERS)).await else { return Ok(()) };
        confirmed?;
        loop {
            let channels = self.roster.channels();
            for groups in channels.part.chunks(AT_ONCE) {
                let names: Vec<String> =
                    groups.iter().map(|group| format!("{GROUP_PREFIX}{group}")).collect();
                let Ok(confirmed) = timeout(PATIENCE, sink.unsubscribe(names)).await else { return Ok(()) };
                confirmed?;
            }
            for groups in channels.join.chunks(AT_ONCE) {
                let names: Vec<String> =
                    groups.iter().map(|group| format!("{GROUP_PREFIX}{group}")).collect();
                let Ok(confirmed) = timeout(PATIENCE, sink.subscribe(names)).await else { return Ok(()) };
                confirmed?;
                self.roster.heard(groups);
            }
            if !self.hears.send_replace(true) {
                info!(groups = channels.join.len(), "hearing Redis");
                self.listener.recovered();
            }
            if timeout(PATIENCE, self.roster.channels_changed.notified()).await.is_err() {
                let Ok(answer) = timeout(PATIENCE, sink.ping::<redis::Value>()).await else { return Ok(()) };
                answer?;
            }
        }
    }

    /// Hands on what comes in, until the connection ends.
    async fn hear(&self, stream: PubSubStream) {
        let mut turns = stream.ready_chunks(TURN);
        while let Some(messages) = turns.next().await {
            self.turn(&messages);
        }
    }

    /// Everything that was there at once, by group, each group's events in their order.
    fn turn(&self, messages: &[Msg]) {
        let mut groups: Vec<(&str, Vec<Event>)> = Vec::new();
        for message in messages {
            let channel = message.get_channel_name();
            let payload = message.get_payload_bytes();
            if channel == TICKERS {
                self.listener.ticker_started(&String::from_utf8_lossy(payload));
                continue;
            }
            let Some(group) = channel.strip_prefix(GROUP_PREFIX) else { continue };
            match Event::decode(payload) {
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
            self.listener.deliver(group, &events);
        }
    }
}
