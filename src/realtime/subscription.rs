//! A session: the facts about one socket, kept by the runtime from `connect` to `disconnect`, and what a consumer may
//! ask of the layer in its name.

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

/// The facts about one socket.
pub struct Subscription {
    node: Arc<Context>,
    identity: Arc<Identity>,
    group: Option<Group>,
    start: Option<StartPosition>,
    /// What its client calls the group, if that is not its name.
    display_name: Option<Box<str>>,
    restricted: bool,
    /// When its request came.
    opened_at: Instant,
    /// When it may signal again, in milliseconds since it was opened_at.
    signal_at: AtomicU64,
}

impl Subscription {
    /// A socket on its own.
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

    /// A socket that gets the events of this group, from now on.
    pub fn in_group(request: &Request, group: Group) -> Self {
        Self { group: Some(group), ..Self::alone(request) }
    }

    /// The same socket, which is welcomed, and gets what the log holds from its start on.
    #[must_use]
    pub fn resuming(self, start: StartPosition) -> Self {
        Self { start: Some(start), ..self }
    }

    /// The same socket, in a group that is not for everybody: it has to come again when this node may not have heard
    /// that it may not be there any more.
    #[must_use]
    pub fn restricted(self) -> Self {
        Self { restricted: true, ..self }
    }

    /// The same socket, whose client calls the group so.
    #[must_use]
    pub fn display_name(self, name: &str) -> Self {
        let is_group = self.group.as_ref().is_some_and(|group| group.name() == name);
        Self { display_name: (!is_group).then(|| name.into()), ..self }
    }

    /// What the client calls the group; empty if the socket has none.
    pub fn name(&self) -> &str {
        let group = || self.group.as_ref().map_or("", Group::name);
        self.display_name.as_deref().unwrap_or_else(group)
    }

    pub(crate) fn is_restricted(&self) -> bool {
        self.restricted
    }

    /// Who the client is.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// The group whose events the socket gets.
    pub fn group(&self) -> Option<&Group> {
        self.group.as_ref()
    }

    /// The node that serves it.
    pub fn context(&self) -> &Arc<Context> {
        &self.node
    }

    pub(crate) fn opened_at(&self) -> Instant {
        self.opened_at
    }

    pub(crate) fn start(&self) -> Option<StartPosition> {
        self.start
    }

    /// The settings.
    pub fn config(&self) -> &crate::config::Config {
        self.node.config()
    }

    /// Writes an event of this client (its members `user` and `name`) to the log of the socket's group and publishes it on every
    /// node; under a name of the client's own choosing, once.
    ///
    /// # Errors
    /// [`LayerError`] when the layer did not take it, or the socket has no group.
    pub async fn append(&self, event: &Event, name: Option<&str>) -> Result<Appended, LayerError> {
        let group = self.group.as_ref().ok_or(LayerError::NoGroup)?;
        let (event, key) = self.identity.attribute(event, name);
        self.node.append(group, &event, key.as_ref()).await
    }

    /// Hands an event to the socket's group on every node of ours, unlogged, at most once per period: more is
    /// read over. It does not keep what the client says next waiting, and who does not hear of it misses nothing.
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

    /// Up to `limit` messages of the socket's group before this id, or the newest, the oldest first.
    ///
    /// # Errors
    /// [`LayerError`] when the layer does not answer.
    pub async fn history(&self, before: Option<Id>, limit: usize) -> Result<Page, LayerError> {
        let group = self.group.as_ref().ok_or(LayerError::NoGroup)?;
        self.node.layer().history(group, HistoryRange::Before(before, limit)).await
    }
}
