//! The client of a subscription, as a channel sees it, and the operations of the layer that it may
//! do.

use std::sync::Arc;
use std::time::Duration;

use crate::auth::identity::Identity;
use crate::http::context::Context;
use crate::layer::{Appended, Broker, HistoryRange, LayerError, Page, Presence};
use crate::realtime::command::{Reply, StreamPosition};
use crate::realtime::ephemeral_rate::EphemeralRate;
use crate::realtime::log_position::{self, Kept, LogPage};
use crate::wire::event::Event;
use crate::wire::group::Group;
use crate::wire::id::Id;

/// A client in a channel.
#[derive(Clone, Copy)]
pub struct Client<'a> {
    pub(crate) context: &'a Arc<Context>,
    pub(crate) identity: &'a Identity,
    pub(crate) group: &'a Group,
    pub(crate) ephemerals: &'a EphemeralRate,
    pub(crate) kept: Kept,
    pub(crate) lists_connections: bool,
    /// The id of the connection and the info of the subscription, in protocols that have them.
    pub(crate) connection: Option<(&'a str, Option<&'a str>)>,
}

impl<'a> Client<'a> {
    /// Returns the node that serves the client.
    pub fn context(self) -> &'a Arc<Context> {
        self.context
    }

    /// Returns the client's identity.
    pub fn identity(self) -> &'a Identity {
        self.identity
    }

    /// Returns the group of its subscription.
    pub fn group(self) -> &'a Group {
        self.group
    }

    /// Returns the event with what other clients learn of the connection that sends it: its id, and
    /// what a backend has them know of its subscription. Other protocols have neither.
    fn with_connection(self, event: Event) -> Event {
        let Some((client, info)) = self.connection else { return event };
        let event = event.with("client", client);
        match info {
            Some(info) => event.with("chan_info", info),
            None => event,
        }
    }

    /// Appends an event of this client to the log of its group, and publishes it on every node.
    /// Sets the members `user` and `name` to the client, and `client` to its connection if that has
    /// an id. `id` is the client's idempotency key.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not accept it.
    pub async fn append(self, event: &Event, id: Option<&str>) -> Result<Appended, LayerError> {
        let (event, key) = self.identity.attribute(event, id);
        // Not in the digest of the key: a retry comes by another connection.
        let event = self.with_connection(event);
        self.context.append(self.group(), &event, key.as_ref()).await
    }

    /// Publishes an unlogged event to the client's group on every node, at most once per period;
    /// further calls are ignored. It precedes what the client sends next. Delivery is not
    /// guaranteed.
    pub async fn publish_ephemeral(self, event: Event, period: Duration) {
        if self.ephemerals.take(period) {
            self.context.publish_ephemeral(self.group(), &event).await;
        }
    }

    /// Returns messages of the client's group by their numbers, as
    /// [`Command::Log`](crate::Command::Log) asks for them.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn log(
        self,
        since: Option<StreamPosition>,
        limit: usize,
        reverse: bool,
    ) -> Result<Reply, LayerError> {
        let layer = self.context.layer();
        let page = log_position::read(layer, self.group(), since, limit, reverse, self.kept).await?;
        Ok(page.map_or(Reply::Unrecoverable, |LogPage { events, end }| Reply::Log(events, end)))
    }

    /// Returns the connections that have joined the client's channel, if it lists them.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn connections(self) -> Result<Reply, LayerError> {
        if !self.lists_connections {
            return Ok(Reply::Unsupported);
        }
        self.context.layer().presence(&self.group().connections()).await.map(Reply::Connections)
    }

    /// Returns up to `limit` messages of the client's group before this id, or the newest; the
    /// oldest first.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn history(self, before: Option<Id>, limit: usize) -> Result<Page, LayerError> {
        self.context.layer().history(self.group(), HistoryRange::Before(before, limit)).await
    }
}
