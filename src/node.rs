//! The node: one running instance, and what its parts need of each other.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use once_cell::sync::OnceCell;
use rust_embed::EmbeddedFile;
use tokio::time::MissedTickBehavior;
use tokio_util::task::TaskTracker;

use crate::backlog::Limits;
use crate::config::Config;
use crate::consumer::{Consumer, Kind};
use crate::error::{StartError, Unavailable};
use crate::event::Event;
use crate::group::Group;
use crate::hub::Hub;
use crate::identity::token::Verifier;
use crate::layer::{Appended, Key, Layer, Listener};
use crate::limits;
use crate::pages::Pages;
use crate::route::Route;
use crate::socket::Socket;
use crate::telemetry::METRICS;
use crate::ticker::Tickers;

/// What an application brings.
#[derive(Clone, Copy)]
pub struct Application {
    /// One sentence for `--help`.
    pub about: &'static str,
    /// The route of a path, given as its segments: `/a/b/` is `["a", "b", ""]`.
    pub routes: fn(&[&str]) -> Option<Route>,
    /// A file of the binary by its path, as `templates/error.html`.
    pub assets: fn(&str) -> Option<EmbeddedFile>,
    /// The languages of `locales/`, the first for clients that name none, the last for all others.
    pub languages: &'static [&'static str],
    /// The path of a route by its name, for templates.
    pub url: fn(&str, &HashMap<String, String>) -> Option<String>,
}

/// One running instance.
pub struct Node {
    config: Config,
    application: Application,
    pages: Pages,
    hub: Arc<Hub>,
    layer: Layer,
    tickers: Tickers,
    tokens: Option<Verifier>,
    limits: Arc<limits::Limits>,
    tasks: TaskTracker,
    name: String,
    ending: AtomicBool,
    born: Instant,
}

/// What the layer tells this node.
struct Ears {
    hub: Arc<Hub>,
    /// Set once the node is made: the layer is made before it.
    node: OnceCell<Weak<Node>>,
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
        let node = Arc::new(Self {
            pages: Pages::new(application, config.assets.clone(), config.max_name_chars),
            config,
            application,
            hub,
            layer,
            tickers: Tickers::default(),
            tokens,
            limits,
            tasks: TaskTracker::new(),
            name: format!("{:016x}", rand::random::<u64>()),
            ending: AtomicBool::new(false),
            born: Instant::now(),
        });
        let _ = ears.node.set(Arc::downgrade(&node)); // nobody else sets it
        Ok(node)
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The node's name, which is another one after each start.
    pub fn name(&self) -> &str {
        self.layer.node().unwrap_or(&self.name)
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

    pub(crate) fn layer(&self) -> &Layer {
        &self.layer
    }

    pub(crate) fn tickers(&self) -> &Tickers {
        &self.tickers
    }

    /// How fast and how many.
    pub(crate) fn limits(&self) -> &Arc<limits::Limits> {
        &self.limits
    }

    /// Who checks tokens, if the settings have a key.
    #[expect(dead_code, reason = "tokens will be looked at where identities are decided")]
    pub(crate) fn tokens(&self) -> Option<&Verifier> {
        self.tokens.as_ref()
    }

    /// Seconds since the node was made: the clock of silence.
    pub(crate) fn seconds(&self) -> u32 {
        self.born.elapsed().as_secs().try_into().unwrap_or(u32::MAX)
    }

    /// A new socket.
    pub(crate) fn socket(&self, kind: Kind) -> Arc<Socket> {
        let limits =
            Limits { bytes: self.config.max_outbox_bytes, messages: self.config.max_outbox_messages };
        Arc::new(Socket::new(kind, limits, self.seconds()))
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

    /// Looks after every socket once a second, for ever: see [`Socket::pulse`].
    pub(crate) async fn pulse(&self) {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = self.seconds();
        loop {
            second.tick().await;
            let now = self.seconds();
            // After the process was frozen, nobody was silent: nobody was heard.
            let frozen = now - last > 3;
            last = now;
            self.hub.each_socket(|socket| socket.pulse(now, frozen)).await;
        }
    }
}

impl Listener for Ears {
    fn deliver(&self, group: &str, events: &[Arc<Event>]) {
        self.hub.deliver(group, events);
    }

    fn is_full(&self) -> bool {
        self.hub.is_full()
    }

    fn ticker_started(&self, group: &str) {
        if let Some(node) = self.node.get().and_then(Weak::upgrade) {
            node.tickers.look(&node, &Group::new(group));
        }
    }

    fn recovered(&self) {
        if let Some(node) = self.node.get().and_then(Weak::upgrade) {
            for group in node.hub.ticking() {
                node.tickers.look(&node, &group);
            }
        }
    }
}
