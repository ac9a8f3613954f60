//! What the node tells about itself: log lines on stderr, and metrics in Prometheus' text format.

use std::fmt;
use std::sync::LazyLock;

use clap::ValueEnum;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;

/// The metrics of this process.
pub static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// Why an event reached nobody: its bytes are no event; no consumer of its group lists its type; the
/// consumer failed on it; this node was too slow for what Redis sent.
const DROPS: [&str; 4] = ["malformed", "unknown_type", "consumer_failed", "overflow"];

/// Everything that is counted, each with its meaning in its help text.
pub struct Metrics {
    registry: Registry,
    pub(crate) sockets: Gauge,
    pub(crate) groups: Gauge,
    pub(crate) published: Counter,
    pub(crate) delivered: Counter,
    pub(crate) redis_reconnects: Counter,
    dropped: Family<Reason, Counter>,
    closed: Family<Code, Counter>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Code {
    code: u32,
}

impl Metrics {
    fn new() -> Self {
        let mut registry = Registry::with_prefix("parlor");
        let metrics = Self {
            sockets: Gauge::default(),
            groups: Gauge::default(),
            published: Counter::default(),
            delivered: Counter::default(),
            redis_reconnects: Counter::default(),
            dropped: Family::default(),
            closed: Family::default(),
            registry: Registry::default(),
        };
        registry.register("sockets", "Open sockets of this node", metrics.sockets.clone());
        registry.register("groups", "Groups with sockets on this node", metrics.groups.clone());
        registry.register("published", "Events that this node published", metrics.published.clone());
        registry.register("delivered", "Frames handed to sockets", metrics.delivered.clone());
        registry.register(
            "redis_reconnects",
            "Times the subscribing connection was made again",
            metrics.redis_reconnects.clone(),
        );
        registry.register(
            "events_dropped",
            "Events from the layer that reached nobody, by reason",
            metrics.dropped.clone(),
        );
        registry.register("closed", "Sockets closed, by close code", metrics.closed.clone());
        // Shown from the start, so that a rate can be taken of the first one.
        for reason in DROPS {
            drop(metrics.dropped.get_or_create(&Reason { reason }));
        }
        Self { registry, ..metrics }
    }

    /// Counts an event that reached nobody, by one of [`DROPS`]; returns how many there were before.
    pub(crate) fn dropped(&self, reason: &'static str) -> u64 {
        self.dropped.get_or_create(&Reason { reason }).inc()
    }

    /// Counts a closed socket; 1006 stands for a connection that ended without a close frame. Of the
    /// codes that peers choose, those outside of RFC 6455 are counted together as 0.
    pub(crate) fn closed(&self, code: u16, by_peer: bool) {
        let code = if by_peer && !(1000..=1015).contains(&code) { 0 } else { code };
        self.closed.get_or_create(&Code { code: code.into() }).inc();
    }

    /// All metrics in Prometheus' text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)
            .expect("writing to a String cannot fail");
        text
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// One readable line each.
    Text,
    /// One JSON object each.
    Json,
}

/// Writes the log to stderr from now on. Only the first call counts.
pub(crate) fn init(filter: EnvFilter, format: LogFormat) {
    // Whoever reads stderr may go away; the node stays, and must not panic over it.
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    // A second start in one process, as tests do, keeps the first log.
    let _ = match format {
        LogFormat::Text => log.with_ansi(false).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
}

/// An error with its causes on one line: `what: why: why`.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some libraries put the cause into their own words already.
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            said = text;
            cause = error.source();
        }
        Ok(())
    }
}
