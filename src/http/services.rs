//! The node: one running instance, and what its parts need of each other.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cookie::Key as CookieKey;
use once_cell::sync::OnceCell;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::app::Application;
use crate::auth::audit;
use crate::auth::audit::Entry;
use crate::realtime::backlog::Limits;
use crate::config::Config;
use crate::realtime::consumer::{Consumer, Kind};
use crate::realtime::listener::Ears;
use crate::wire::error::{StartError, Unavailable};
use crate::wire::event::Event;
use crate::wire::group::Group;
use crate::realtime::hub::Hub;
use crate::auth::secret;
use crate::auth::jwt::Verifier;
use crate::layer::{Appended, Key, Layer, Listener, Order, Store};
use crate::limits;
use crate::http::pages::Pages;
use crate::realtime::subscription::Session;
use crate::realtime::socket::Socket;
use crate::telemetry::{Chain, METRICS};
use crate::realtime::intervals::Tickers;

/// One running instance.
pub struct Node {
    config: Config,
    application: Application,
    pages: Pages,
    hub: Arc<Hub>,
    layer: Layer,
    tickers: Tickers,
    limits: Arc<limits::Limits>,
    tasks: TaskTracker,
    ending: AtomicBool,
    born: Instant,
    tokens: Option<Verifier>,
    key: OnceCell<CookieKey>,
}

impl Node {
    /// A node that is connected to its layer.
    ///
    /// # Errors
    /// [`StartError`] when the layer cannot be reached, or the keys of tokens are none.
    pub(crate) async fn new(config: Config, application: Application) -> Result<Arc<Self>, StartError> {
        let tokens = Verifier::new(&config.tokens)?;
        let limits = Arc::new(limits::Limits::new(config.rates));
        let hub = Arc::new(Hub::default());
        let ears = Arc::new(Ears { hub: Arc::clone(&hub), node: OnceCell::new() });
        let listener = Arc::clone(&ears) as Arc<dyn Listener>;
        let layer = match config.redis_url() {
            None => Layer::memory(config.keep(), listener),
            Some(url) => Layer::redis(url, config.wait_for_redis, config.keep(), listener).await?,
        };
        let key = config.identities.secret().map(|secret| CookieKey::derive_from(secret.bytes()));
        let node = Arc::new(Self {
            key: key.map_or_else(OnceCell::new, OnceCell::with_value),
            pages: Pages::new(application, config.assets.clone(), config.max_name_chars),
            config,
            application,
            hub,
            layer,
            tickers: Tickers::default(),
            tokens,
            limits,
            tasks: TaskTracker::new(),
            ending: AtomicBool::new(false),
            born: Instant::now(),
        });
        let _ = ears.node.set(Arc::downgrade(&node)); // nobody else sets it
        if let Err(error) = node.key().await {
            debug!(error = %Chain(&error), "guests are given cookies when the layer is there");
        }
        Ok(node)
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The node's name, which is another one after each start.
    pub fn name(&self) -> &str {
        self.layer.node()
    }

    /// Writes an event to a group's log and publishes it on every node; with a key, once.
    ///
    /// # Errors
    /// [`Unavailable`] when the layer did not take it.
    pub async fn append(
        &self,
        group: &Group,
        event: &Event,
        key: Option<&Key>,
    ) -> Result<Appended, Unavailable> {
        let appended = self.layer.append(group, event, key).await?;
        match appended {
            Appended::New(_) => {
                METRICS.published.inc();
                METRICS.acked.inc();
            }
            Appended::Known(_) => {
                METRICS.duplicates.inc();
                METRICS.acked.inc();
            }
            Appended::Conflict => {}
        }
        Ok(appended)
    }

    /// Publishes an event to a group, on every node, unlogged.
    ///
    /// # Errors
    /// [`Unavailable`] when the layer did not take it.
    pub async fn publish(&self, group: &Group, event: &Event) -> Result<(), Unavailable> {
        self.layer.publish(group, event).await?;
        METRICS.published.inc();
        Ok(())
    }

    /// Closes the sockets that the order is about, on every node.
    ///
    /// # Errors
    /// [`Unavailable`] when the layer did not take it.
    pub async fn order(&self, order: &Order) -> Result<(), Unavailable> {
        self.layer.order(order).await
    }

    /// Writes a line into the audit log: who did what, and about whom or what. Call it before it is done.
    ///
    /// # Errors
    /// [`Unavailable`] when the layer does not answer.
    pub async fn audit(&self, who: &str, what: &str, about: &str) -> Result<(), Unavailable> {
        audit::write(self.store(), who, what, about).await
    }

    /// The newest lines of the audit log, the newest first.
    ///
    /// # Errors
    /// [`Unavailable`] when the layer does not answer.
    pub async fn audited(&self, limit: usize) -> Result<Vec<Entry>, Unavailable> {
        audit::read(self.store(), limit).await
    }

    /// Turns the ticker of this consumer on for a group. It ends a minute after the group's last
    /// socket left.
    ///
    /// # Errors
    /// [`Unavailable`] when the layer did not take it.
    pub async fn start_ticker<C: Consumer>(&self, group: &Group) -> Result<(), Unavailable> {
        match C::TICKER {
            Some(ticker) => self.layer.start_ticker(group, ticker.period).await,
            None => Ok(()),
        }
    }

    /// Turns a group's ticker off.
    ///
    /// # Errors
    /// [`Unavailable`] when the layer did not take it.
    pub async fn stop_ticker(&self, group: &Group) -> Result<(), Unavailable> {
        self.layer.stop_ticker(group).await
    }

    /// Whether the node can serve: which layer it has, or what is wrong.
    ///
    /// # Errors
    /// [`Unavailable`] while the layer is away, and when the node ends.
    pub fn ready(&self) -> Result<&'static str, Unavailable> {
        if self.is_ending() {
            return Err(Unavailable::new("this node ends: its sockets are sent away"));
        }
        self.layer.ready()
    }

    /// Whether it takes no more sockets.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// From now on the node takes no sockets.
    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
        self.hub.end();
    }

    pub(crate) fn application(&self) -> &Application {
        &self.application
    }

    pub(crate) fn pages(&self) -> &Pages {
        &self.pages
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// What all nodes share.
    pub fn layer(&self) -> &Layer {
        &self.layer
    }

    pub(crate) fn tickers(&self) -> &Tickers {
        &self.tickers
    }

    /// How fast and how many.
    pub(crate) fn limits(&self) -> &Arc<limits::Limits> {
        &self.limits
    }

    /// Seconds since the node was made: the clock of silence.
    pub(crate) fn seconds(&self) -> u32 {
        self.born.elapsed().as_secs().try_into().unwrap_or(u32::MAX)
    }

    /// A new socket.
    pub(crate) fn socket(&self, session: &Session, kind: Kind) -> Arc<Socket> {
        let limits =
            Limits { bytes: self.config.max_outbox_bytes, messages: self.config.max_outbox_messages };
        Arc::new(Socket::of(session, kind, limits))
    }

    /// This much after now, on the clock of [`seconds`](Self::seconds), rounded up.
    pub(crate) fn seconds_after(&self, time: Option<Duration>) -> u32 {
        let then = time.and_then(|time| self.born.elapsed().checked_add(time));
        then.map_or(u32::MAX, |then| u32::try_from(then.as_millis().div_ceil(1000)).unwrap_or(u32::MAX))
    }

    /// Records and indexes that all nodes share.
    pub fn store(&self) -> &Store {
        self.layer.store()
    }

    /// For how long a login lasts that is not used.
    pub(crate) fn login_lasts(&self) -> Duration {
        Duration::from_hours(24) * self.config.identities.session_days
    }

    /// Who reads tokens, if the settings say how.
    pub(crate) fn tokens(&self) -> Option<&Verifier> {
        self.tokens.as_ref()
    }

    /// What signs guests' cookies: the setting, or what the first node has put into the store for all.
    ///
    /// # Errors
    /// [`Unavailable`] when the layer does not answer.
    pub(crate) async fn key(&self) -> Result<&CookieKey, Unavailable> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let store = self.store();
        store.create("secret", &secret::new(), None).await?;
        let shared = store.get("secret").await?.ok_or(Unavailable::new("the shared secret is gone"))?;
        Ok(self.key.get_or_init(|| CookieKey::derive_from(shared.as_bytes())))
    }

    /// The same, if it is known yet.
    pub(crate) fn known_key(&self) -> Option<&CookieKey> {
        self.key.get()
    }

    /// Runs a task that the end of the node waits for.
    pub(crate) fn track(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Waits for every tracked task.
    pub(crate) async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
