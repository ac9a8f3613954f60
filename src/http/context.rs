//! One running instance, and the services that its parts share.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cookie::Key as CookieKey;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::auth::audit;
use crate::auth::audit::AuditEntry;
use crate::auth::authenticator::Authenticator;
use crate::auth::identity::Identity;
use crate::config::Config;
use crate::http::client_streams::{ClientStreams, ID_BYTES};
use crate::http::pages::Pages;
use crate::http::site::Site;
use crate::layer::{
    Appended, Broker, Control, Disconnect, DisconnectSender, IdempotencyKey, Layer, LayerError, Presence,
    RightsChange, SharedStore,
};
use crate::limits;
use crate::telemetry::{Chain, METRICS, MetricsFormat, Vitals};
use crate::wire::event::Event;
use crate::wire::group::Group;
use crate::wire::time::millis;

/// How long a client waits for an ephemeral event at most.
const EPHEMERAL_TIMEOUT: Duration = Duration::from_millis(500);

/// Why a node rejects sockets.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// The node drains its sockets before it stops.
    #[error("this node is stopping")]
    Draining,
    /// The layer is unreachable.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

/// One running instance.
pub struct Context {
    config: Config,
    site: Site,
    pages: Pages,
    layer: Arc<Layer>,
    auth: Authenticator,
    limits: Arc<limits::Limits>,
    client_streams: ClientStreams,
    tasks: TaskTracker,
    published: AtomicU64,
    ending: AtomicBool,
    started_at: Instant,
    /// When the last request came that is no probe, in milliseconds since the start.
    requested_at: AtomicU64,
}

impl Context {
    /// Creates the services of a node on this layer.
    pub(crate) fn new(
        config: Config,
        site: Site,
        layer: Arc<Layer>,
        limits: Arc<limits::Limits>,
        auth: Authenticator,
    ) -> Self {
        Self {
            pages: Pages::new(site.clone(), config.assets.clone()),
            config,
            site,
            layer,
            auth,
            limits,
            client_streams: ClientStreams::default(),
            tasks: TaskTracker::new(),
            published: AtomicU64::new(0),
            ending: AtomicBool::new(false),
            started_at: Instant::now(),
            requested_at: AtomicU64::new(0),
        }
    }

    pub(crate) fn auth(&self) -> &Authenticator {
        &self.auth
    }

    /// Writes the path of a route. Arguments that are no parameter of the path become the query.
    ///
    /// # Panics
    /// Panics when there is no route of this name, or when the argument of a parameter is missing.
    pub fn url(&self, route: &str, arguments: &[(&str, &str)]) -> String {
        let url = self.site.urls.url(route, arguments);
        url.unwrap_or_else(|| panic!("no route `{route}` with the arguments {arguments:?}"))
    }

    /// Returns the settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the application's own settings.
    ///
    /// # Panics
    /// Panics when `S` is not the type that [`AppSettings`](crate::AppSettings) was made of.
    pub fn settings<S: 'static>(&self) -> &S {
        self.config.application.get()
    }

    /// Returns the metrics of this process in this format. Their names begin with the
    /// application's.
    pub fn metrics(&self, format: MetricsFormat) -> String {
        let vitals = Vitals { is_ready: self.ready().is_ok(), redis: self.layer.redis_vitals() };
        METRICS.text(self.config.name.as_str(), vitals, format)
    }

    /// Returns the node's name, which differs after each start.
    pub fn name(&self) -> &str {
        self.layer.node_name()
    }

    /// Appends an event to a group's log and publishes it on every node; at most once for a key.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not accept it.
    pub async fn append(
        &self,
        group: &Group,
        event: &Event,
        key: Option<&IdempotencyKey>,
    ) -> Result<Appended, LayerError> {
        let appended = self.layer.append(group, event, key).await?;
        match appended {
            Appended::New(..) => {
                self.count_published();
                METRICS.acked.inc();
            }
            Appended::Duplicate(..) => {
                METRICS.duplicates.inc();
                METRICS.acked.inc();
            }
            Appended::Conflict => {}
        }
        Ok(appended)
    }

    /// Appends an event of this client to a group's log, and publishes it on every node. Sets the
    /// members `user` and `name` to the client. `id` is the client's idempotency key.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not accept it.
    pub async fn append_from(
        &self,
        identity: &Identity,
        group: &Group,
        event: &Event,
        id: Option<&str>,
    ) -> Result<Appended, LayerError> {
        let (event, key) = identity.attribute(event, id);
        self.append(group, &event, key.as_ref()).await
    }

    /// Publishes an unlogged event. Returns once it precedes all that is published later, or after
    /// [`EPHEMERAL_TIMEOUT`]. Delivery is not guaranteed.
    pub(crate) async fn publish_ephemeral(&self, group: &Group, event: &Event) {
        match timeout(EPHEMERAL_TIMEOUT, self.layer.publish_ephemeral(group, event)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(error = %Chain(&error), "could not publish an ephemeral event"),
            Err(_) => debug!("could not publish an ephemeral event in time"),
        }
    }

    /// Publishes an event to a group, on every node, unlogged.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not accept it.
    pub async fn publish(&self, group: &Group, event: &Event) -> Result<(), LayerError> {
        self.layer.publish(group, event).await?;
        self.count_published();
        Ok(())
    }

    fn count_published(&self) {
        self.published.fetch_add(1, Ordering::Relaxed);
        METRICS.published.inc();
    }

    /// Returns the number of events that this node has published.
    pub(crate) fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// Closes the sockets that the command matches, on every node.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not accept it.
    pub async fn disconnect(&self, command: &Disconnect) -> Result<(), LayerError> {
        self.layer.disconnect(std::slice::from_ref(command)).await
    }

    /// Changes records on which rights rest, and closes the sockets that the commands match, on
    /// every node. Returns what the change returns: `None` where it was not made, and then no
    /// socket closes. A node that ends in between, or does not know whether the change was made,
    /// leaves no socket with a right that has ended: the change is made within some seconds or
    /// never, and then every node asks these sockets again. A change that only grants rights has no
    /// commands.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not accept the commands, and as the change does.
    pub async fn change_rights<'a, T: Send, F: Future<Output = Result<Option<T>, LayerError>> + Send>(
        &'a self,
        commands: &[Disconnect],
        change: impl FnOnce(RightsChange<'a>) -> F + Send,
    ) -> Result<Option<T>, LayerError> {
        self.layer.change_rights(commands, change).await
    }

    /// Writes an entry into the audit log: the actor, the action and its subject. Call it before
    /// the action.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn audit(&self, who: &str, what: &str, about: &str) -> Result<(), LayerError> {
        audit::write(self.store(), who, what, about).await
    }

    /// Returns the newest entries of the audit log, the newest first.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn audited(&self, limit: usize) -> Result<Vec<AuditEntry>, LayerError> {
        audit::read(self.store(), limit).await
    }

    /// Checks whether the node can serve, and returns the name of its layer.
    ///
    /// # Errors
    /// Returns [`NotReady`] while the layer is unreachable, and when the node drains.
    pub fn ready(&self) -> Result<Cow<'static, str>, NotReady> {
        if self.is_stopping() {
            return Err(NotReady::Draining);
        }
        Ok(self.layer.ready()?)
    }

    /// Returns whether the node rejects sockets because it stops.
    pub(crate) fn is_stopping(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// Makes the node reject sockets from now on.
    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
    }

    /// Records a request that is no probe.
    pub(crate) fn record_request(&self) {
        self.requested_at.store(millis(self.started_at.elapsed()), Ordering::Relaxed);
    }

    /// Returns the time since the last request that is no probe.
    pub(crate) fn since_request(&self) -> Duration {
        let last = Duration::from_millis(self.requested_at.load(Ordering::Relaxed));
        self.started_at.elapsed().saturating_sub(last)
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    pub(crate) fn pages(&self) -> &Pages {
        &self.pages
    }

    /// Returns the layer, which all nodes share.
    pub fn layer(&self) -> &Layer {
        &self.layer
    }

    /// Returns the clients of this node that send by further requests.
    pub(crate) fn client_streams(&self) -> &ClientStreams {
        &self.client_streams
    }

    /// Passes a message of a client to the node and the stream that it names. Returns whether they
    /// exist, as far as that is known.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub async fn send_to_stream(&self, node: &str, id: &str, message: Bytes) -> Result<bool, LayerError> {
        if node == self.name() {
            return Ok(self.client_streams.send(id, message));
        }
        if id.len() != ID_BYTES {
            return Ok(false);
        }
        self.layer.send_to_node(node, &[id.as_bytes(), &message].concat()).await
    }

    /// Passes on a message that another node has sent here.
    pub(crate) fn on_node_message(&self, message: &[u8]) {
        let Some((id, message)) = message.split_at_checked(ID_BYTES) else { return };
        if let Ok(id) = std::str::from_utf8(id) {
            self.client_streams.send(id, Bytes::copy_from_slice(message));
        }
    }

    /// Returns the limiters.
    pub(crate) fn limits(&self) -> &Arc<limits::Limits> {
        &self.limits
    }

    /// Returns the seconds since the node was created: the clock of keepalives.
    pub(crate) fn seconds(&self) -> u32 {
        self.started_at.elapsed().as_secs().try_into().unwrap_or(u32::MAX)
    }

    /// Returns the time after `time`, on the clock of [`seconds`](Self::seconds), rounded up.
    pub(crate) fn seconds_after(&self, time: Option<Duration>) -> u32 {
        let then = time.and_then(|time| self.started_at.elapsed().checked_add(time));
        then.map_or(u32::MAX, |then| u32::try_from(then.as_millis().div_ceil(1000)).unwrap_or(u32::MAX))
    }

    /// Returns the records and indexes that all nodes share.
    pub fn store(&self) -> &SharedStore {
        self.layer.store()
    }

    /// Returns the time after which an unused session expires.
    pub(crate) fn session_ttl(&self) -> Duration {
        self.auth.session_ttl()
    }

    /// Returns the key of guests' cookies: the setting, or the key that the first node stored for
    /// all nodes.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) async fn key(&self) -> Result<Arc<CookieKey>, LayerError> {
        self.auth.key().await
    }

    /// Compares the key of guests' cookies with the one that all nodes share. Redis may have lost
    /// it, and another node may have made another one.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) async fn compare_key(&self) -> Result<(), LayerError> {
        self.auth.compare_key().await.map(|_| ())
    }

    /// Returns the key of guests' cookies, if it has been read.
    pub(crate) fn known_key(&self) -> Option<Arc<CookieKey>> {
        self.auth.known_key()
    }

    /// Runs a task beside the caller. A node that stops does not wait for it.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }

    /// Runs a task that the stop of the node waits for.
    pub(crate) fn track(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Waits for every tracked task.
    pub(crate) async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
