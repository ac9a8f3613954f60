//! The broker in Redis: pub/sub and streams.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::{Instant, timeout};

use crate::layer::broker::Broker;
use crate::layer::contract::{EPOCH_LIFETIME, READ_PATIENCE};
use crate::layer::error::LayerError;
use crate::layer::log::{Appended, HistoryRange, IdempotencyKey, Page};
use crate::layer::redis::RedisLayer;
use crate::layer::redis::seat_batch::Unless;
use crate::wire::delivery::Delivery;
use crate::wire::event::{Event, Position};
use crate::wire::group::Group;
use crate::wire::id::Id;
use crate::wire::offset::Offset;
use crate::wire::time::millis;

impl Broker for RedisLayer {
    fn subscribe(
        &self,
        group: &Group,
        member: Option<&Arc<str>>,
    ) -> impl Future<Output = Result<(), LayerError>> + Send {
        self.membership.enter(group, member);
        let patience = self.subscribe_patience(group);
        let subscription = patience.map(|patience| (patience, self.membership.subscription(group, member)));
        async move {
            let (patience, Some(subscribed)) = subscription? else { return Ok(()) };
            match timeout(patience, subscribed).await {
                Ok(Ok(_)) => Ok(()),
                _ => Err(LayerError::TimedOut("confirm a subscription")),
            }
        }
    }

    async fn subscribe_unless(
        &self,
        group: &Group,
        member: &Arc<str>,
        record: &str,
    ) -> Result<bool, LayerError> {
        let reading = self.absent.begin(record, Instant::now());
        // Of a Cluster, the slot of records is not that of the group's keys.
        if reading.is_some() && self.shards.is_cluster() {
            return Ok(false);
        }
        let patience = self.subscribe_patience(group)?;
        let unless = reading.map(|reading| Box::new(Unless { record: record.into(), reading }));
        let Some(entry) = self.membership.enter_unless(group, member, unless) else { return Ok(false) };
        let entered = timeout(patience, entry.complete()).await;
        let is_admitted = entered.map_err(|_| LayerError::TimedOut("confirm a subscription"))?;
        if is_admitted && let Some(reading) = reading {
            self.absent.learn(record, reading);
        }
        Ok(is_admitted)
    }

    fn unsubscribe(&self, group: &Group, member: Option<&Arc<str>>) {
        self.membership.leave(group, member, Instant::now());
    }

    async fn append(
        &self,
        group: &Group,
        event: &Event,
        key: Option<&IdempotencyKey>,
    ) -> Result<Appended, LayerError> {
        self.publisher.append(group, event, key).await
    }

    async fn publish(&self, group: &Group, event: &Event) -> Result<(), LayerError> {
        self.commands.publish(&self.commands.keys().channel(group), &event.encode()).await.map(|_| ())
    }

    async fn publish_ephemeral(&self, group: &Group, event: &Event) -> Result<(), LayerError> {
        self.commands.publish(&self.commands.keys().own_channel(group), &event.encode()).await.map(|_| ())
    }

    async fn history(&self, group: &Group, range: HistoryRange) -> Result<Page, LayerError> {
        timeout(READ_PATIENCE, self.follower.history(group, range))
            .await
            .map_err(|_| LayerError::TimedOut("read a log"))?
    }

    async fn find(&self, group: &Group, offset: Offset) -> Result<Option<Position>, LayerError> {
        self.follower.reader.find(group, offset).await
    }

    async fn next_offset(&self, group: &Group) -> Result<Option<Offset>, LayerError> {
        let mut script = self.scripts.next_offset.key(self.commands.keys().log(group));
        script.arg(millis(EPOCH_LIFETIME)).arg(rand::random::<u32>());
        let offset: String = self.commands.script(&script).await?;
        Ok(offset.parse().ok())
    }

    async fn redact(&self, group: &Group, id: Id) -> Result<bool, LayerError> {
        let retention = self.follower.retention;
        let mut script = self.scripts.redact.key(self.commands.keys().log(group));
        script.key(self.commands.keys().redactions(group));
        script.arg(id.to_string()).arg(id.millis()).arg(millis(retention.age));
        script.arg(self.commands.keys().own_channel(group)).arg(Event::redaction(id).encode());
        // As for an append: what a failover can lose is not done.
        let is_redacted = self.commands.written(&script, retention.replicas).await?;
        if is_redacted && let Some(cursor) = self.follower.cursor(group.name()) {
            // The redaction event is on its way; the caller reads the log without the text at once.
            cursor.state.lock().tail_cache.redact_text(id);
        }
        Ok(is_redacted)
    }

    async fn clear_log(&self, group: &Group) -> Result<bool, LayerError> {
        let mut script = self.scripts.clear.key(self.commands.keys().log(group));
        script.key(self.commands.keys().redactions(group));
        script.arg(self.commands.keys().own_channel(group)).arg(Event::open_clearing());
        let had_events = self.commands.written(&script, self.follower.retention.replicas).await?;
        if let Some(cursor) = self.follower.cursor(group.name()) {
            // The event is on its way; the caller reads the empty log at once.
            cursor.state.lock().tail_cache.on_cleared();
        }
        Ok(had_events)
    }

    /// While the node is subscribed to the group, these are all redactions.
    fn redacted(&self, group: &Group) -> BTreeSet<Id> {
        let cursor = self.follower.cursor(group.name());
        cursor.map(|cursor| cursor.state.lock().tail_cache.redactions().clone()).unwrap_or_default()
    }

    fn redact_texts(&self, group: &Group, events: &mut [Arc<Delivery>]) {
        if let Some(cursor) = self.follower.cursor(group.name()) {
            cursor.state.lock().tail_cache.redact_texts(events);
        }
    }
}
