//! The state of one socket from `connect` to `disconnect`, and the layer operations of its client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing::debug;

use crate::auth::identity::Identity;
use crate::http::context::Context;
use crate::http::request::Request;
use crate::layer::LayerError;
use crate::layer::{Appended, Broker, HistoryRange, Page};
use crate::realtime::welcome::StartPosition;
use crate::telemetry::Chain;
use crate::wire::event::Event;
use crate::wire::group::Group;
use crate::wire::id::Id;
use crate::wire::time::millis;

/// One socket and its group, from `connect` to `disconnect`.
pub struct Subscription {
    node: Arc<Context>,
    identity: Arc<Identity>,
    group: Option<Group>,
    start: Option<StartPosition>,
    /// The client's name for the group, if it differs from the group's name.
    display_name: Option<Box<str>>,
    restricted: bool,
    /// When its request arrived.
    opened_at: Instant,
    /// When the next signal is allowed, in milliseconds after `opened_at`.
    signal_at: AtomicU64,
}

impl Subscription {
    /// Creates a subscription without a group.
    pub fn alone(request: &Request) -> Self {
        Self {
            node: Arc::clone(&request.context),
            identity: Arc::clone(request.identity()),
            restricted: false,
            group: None,
            start: None,
            display_name: None,
            opened_at: request.received_at,
            signal_at: AtomicU64::new(0),
        }
    }

    /// Creates a subscription to the events of this group, from now on.
    pub fn in_group(request: &Request, group: Group) -> Self {
        Self { group: Some(group), ..Self::alone(request) }
    }

    /// Sends a welcome first, then the logged events from this start position.
    #[must_use]
    pub fn resuming(self, start: StartPosition) -> Self {
        Self { start: Some(start), ..self }
    }

    /// Marks a group with access control. The socket is closed, and has to reconnect, when this
    /// node may have missed that its access was revoked.
    #[must_use]
    pub fn restricted(self) -> Self {
        Self { restricted: true, ..self }
    }

    /// Sets the client's name for the group.
    #[must_use]
    pub fn display_name(self, name: &str) -> Self {
        let is_group = self.group.as_ref().is_some_and(|group| group.name() == name);
        Self { display_name: (!is_group).then(|| name.into()), ..self }
    }

    /// Returns the client's name for the group; empty if the socket has no group.
    pub fn name(&self) -> &str {
        let group = || self.group.as_ref().map_or("", Group::name);
        self.display_name.as_deref().unwrap_or_else(group)
    }

    pub(crate) fn is_restricted(&self) -> bool {
        self.restricted
    }

    /// Returns the client's identity.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// Returns the group whose events the socket receives.
    pub fn group(&self) -> Option<&Group> {
        self.group.as_ref()
    }

    /// Returns the node that serves the socket.
    pub fn context(&self) -> &Arc<Context> {
        &self.node
    }

    pub(crate) fn opened_at(&self) -> Instant {
        self.opened_at
    }

    pub(crate) fn start(&self) -> Option<StartPosition> {
        self.start
    }

    /// Returns the settings.
    pub fn config(&self) -> &crate::config::Config {
        self.node.config()
    }

    /// Appends an event of this client to the log of the socket's group, and publishes it on every
    /// node. Sets the members `user` and `name` to the client. `name` is the client's idempotency
    /// key.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not accept it, or when the socket has no group.
    pub async fn append(&self, event: &Event, name: Option<&str>) -> Result<Appended, LayerError> {
        let group = self.group.as_ref().ok_or(LayerError::NoGroup)?;
        let (event, key) = self.identity.attribute(event, name);
        self.node.append(group, &event, key.as_ref()).await
    }

    /// Publishes an unlogged event to the socket's group on every node, at most once per period;
    /// further calls are ignored. Does not wait for the layer, and delivery is not guaranteed.
    pub fn signal(&self, event: Event, period: Duration) {
        let now = millis(self.opened_at.elapsed());
        let Some(group) = self.group.clone() else { return };
        if now < self.signal_at.load(Ordering::Relaxed) {
            return;
        }
        self.signal_at.store(now + millis(period), Ordering::Relaxed);
        let node = Arc::clone(&self.node);
        self.node.track(async move {
            if let Err(error) = node.layer().publish_ephemeral(&group, &event).await {
                debug!(error = %Chain(&error), "could not pass a signal on");
            }
        });
    }

    /// Returns up to `limit` messages of the socket's group before this id, or the newest; the
    /// oldest first.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn history(&self, before: Option<Id>, limit: usize) -> Result<Page, LayerError> {
        let group = self.group.as_ref().ok_or(LayerError::NoGroup)?;
        self.node.layer().history(group, HistoryRange::Before(before, limit)).await
    }
}
