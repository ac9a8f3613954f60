//! The subscriber: the one connection on which this node hears its groups.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, Msg, RedisResult, Value};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::inbox::{Inbox, inbox};
use super::roster::Roster;
use super::{GROUP_PREFIX, TICKERS};
use crate::event::Event;
use crate::group::Group;
use crate::layer::Listener;
use crate::telemetry::{Chain, METRICS};

/// How long Redis may take to confirm something, and how often a quiet connection is asked.
const PATIENCE: Duration = Duration::from_secs(2);

/// Channels in one SUBSCRIBE.
const AT_ONCE: usize = 1000;

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
            let cause = match self.connect().await {
                Ok((connection, mut inbox)) => tokio::select! {
                    Err(error) = self.settle(connection) => Chain(&error).to_string(),
                    () = self.hear(&mut inbox) => "Redis closed the connection".to_owned(),
                },
                Err(error) => Chain(&error).to_string(),
            };
            self.roster.deaf();
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

    async fn connect(&self) -> RedisResult<(MultiplexedConnection, Inbox)> {
        let (put, inbox) = inbox();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_push_sender(put);
        Ok((self.client.get_multiplexed_async_connection_with_config(&config).await?, inbox))
    }

    /// Subscribes to what the roster wants, and makes sure that Redis still answers. Ends when it
    /// does not.
    async fn settle(&self, mut connection: MultiplexedConnection) -> RedisResult<()> {
        connection.subscribe(TICKERS).await?;
        loop {
            let channels = self.roster.channels();
            for groups in channels.part.chunks(AT_ONCE) {
                connection.unsubscribe(names(groups)).await?;
            }
            for groups in channels.join.chunks(AT_ONCE) {
                connection.subscribe(names(groups)).await?;
                self.roster.heard(groups);
            }
            if !self.hears.send_replace(true) {
                info!(groups = channels.join.len(), "hearing Redis");
                self.listener.recovered();
            }
            if timeout(PATIENCE, self.roster.channels_changed.notified()).await.is_err() {
                Cmd::new().arg("PING").query_async::<Value>(&mut connection).await?;
            }
        }
    }

    /// Hands on what comes in, until the connection ends.
    async fn hear(&self, inbox: &mut Inbox) {
        while let Some(messages) = inbox.turn().await {
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

fn names(groups: &[Group]) -> Vec<String> {
    groups.iter().map(|group| format!("{GROUP_PREFIX}{group}")).collect()
}
