//! The log on stderr, and metrics in the Prometheus text format.

mod labels;

use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::Ordering;

use clap::ValueEnum;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;

pub use self::labels::Recovery;
pub(crate) use self::labels::{DropReason, GapReason, LimitReason, RedisRefusal};
use crate::wire::close::{Close, CloseCode};

/// The metrics of this process.
pub(crate) static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// All metrics. The help text of each states its meaning.
pub(crate) struct Metrics {
    pub(crate) sockets: Gauge,
    pub(crate) groups: Gauge,
    pub(crate) published: Counter,
    pub(crate) delivered: Counter,
    pub(crate) acked: Counter,
    pub(crate) duplicates: Counter,
    pub(crate) repairs: Counter,
    pub(crate) log_reads: Counter,
    pub(crate) redis_reconnects: Counter,
    pub(crate) redis_round_trip: Histogram,
    pub(crate) subscription_lag: Histogram,
    outbox_high_water: Gauge,
    gaps: Family<GapLabels, Counter>,
    resumes: Family<RecoveryLabels, Counter>,
    dropped: Family<DropLabels, Counter>,
    closed: Family<Code, Counter>,
    refused: Family<LimitLabels, Counter>,
    redis_refusals: Family<RefusalLabels, Counter>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DropLabels {
    reason: DropReason,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct GapLabels {
    reason: GapReason,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LimitLabels {
    reason: LimitReason,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RefusalLabels {
    kind: RedisRefusal,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RecoveryLabels {
    outcome: Recovery,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Code {
    code: u32,
}

impl Metrics {
    fn new() -> Self {
        // From 0.1 ms to about 6 s.
        let seconds = || Histogram::new(exponential_buckets(0.0001, 3.0, 11));
        let metrics = Self {
            sockets: Gauge::default(),
            groups: Gauge::default(),
            published: Counter::default(),
            delivered: Counter::default(),
            acked: Counter::default(),
            duplicates: Counter::default(),
            repairs: Counter::default(),
            log_reads: Counter::default(),
            redis_reconnects: Counter::default(),
            redis_round_trip: seconds(),
            subscription_lag: seconds(),
            outbox_high_water: Gauge::default(),
            dropped: Family::default(),
            gaps: Family::default(),
            resumes: Family::default(),
            closed: Family::default(),
            refused: Family::default(),
            redis_refusals: Family::default(),
        };
        // Exposed from the start, so that the rate of the first count is known.
        for &reason in DropReason::ALL {
            drop(metrics.dropped.get_or_create(&DropLabels { reason }));
        }
        for &reason in GapReason::ALL {
            drop(metrics.gaps.get_or_create(&GapLabels { reason }));
        }
        for &reason in LimitReason::ALL {
            drop(metrics.refused.get_or_create(&LimitLabels { reason }));
        }
        for &kind in RedisRefusal::ALL {
            drop(metrics.redis_refusals.get_or_create(&RefusalLabels { kind }));
        }
        for code in CloseCode::ALL {
            drop(metrics.closed.get_or_create(&Code { code: code.number().into() }));
        }
        for &outcome in Recovery::ALL {
            drop(metrics.resumes.get_or_create(&RecoveryLabels { outcome }));
        }
        metrics
    }

    /// Returns the metrics under names that begin with `prefix`.
    fn registry(&self, prefix: &str) -> Registry {
        let mut registry = Registry::with_prefix(prefix);
        registry.register("sockets", "Open sockets of this node", self.sockets.clone());
        registry.register("groups", "Groups with sockets on this node", self.groups.clone());
        registry.register("published", "Events that this node published", self.published.clone());
        registry.register("delivered", "Frames handed to sockets", self.delivered.clone());
        registry.register("acked", "Messages of clients that are in the log", self.acked.clone());
        registry.register(
            "duplicates",
            "Messages that a client sent again and that were not logged again",
            self.duplicates.clone(),
        );
        registry.register(
            "gaps",
            "Times that messages of a group may be missing, by reason",
            self.gaps.clone(),
        );
        registry.register(
            "repairs",
            "Times that missing messages were looked for in a log",
            self.repairs.clone(),
        );
        registry.register("resumes", "How sockets began, by outcome", self.resumes.clone());
        registry.register(
            "log_reads",
            "Times that a part of a log was read from Redis",
            self.log_reads.clone(),
        );
        registry.register(
            "outbox_high_water_bytes",
            "Most bytes that ever waited for one socket",
            self.outbox_high_water.clone(),
        );
        registry.register(
            "redis_reconnects",
            "Times the subscribing connection was made again",
            self.redis_reconnects.clone(),
        );
        registry.register(
            "redis_round_trip_seconds",
            "From a command to Redis' answer",
            self.redis_round_trip.clone(),
        );
        registry.register(
            "subscription_lag_seconds",
            "From a publish of this node to its own subscription",
            self.subscription_lag.clone(),
        );
        registry.register(
            "events_dropped",
            "Events from the layer that were not delivered, by reason",
            self.dropped.clone(),
        );
        registry.register("closed", "Sockets closed, by close code", self.closed.clone());
        registry.register("refused", "Rejections by a limit, by reason", self.refused.clone());
        registry.register(
            "redis_refusals",
            "Commands that Redis answered with an error, by kind",
            self.redis_refusals.clone(),
        );
        registry
    }

    /// Counts an event that was not delivered; returns how many there were before for this reason.
    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped.get_or_create(&DropLabels { reason }).inc()
    }

    /// Counts a place in a group where messages may be missing.
    pub(crate) fn gap(&self, reason: GapReason) {
        self.gaps.get_or_create(&GapLabels { reason }).inc();
    }

    /// Counts a rejection by a limit.
    pub(crate) fn refused(&self, reason: LimitReason) {
        self.refused.get_or_create(&LimitLabels { reason }).inc();
    }

    /// Counts a command that Redis answered with an error.
    pub(crate) fn redis_refused(&self, kind: RedisRefusal) {
        self.redis_refusals.get_or_create(&RefusalLabels { kind }).inc();
    }

    /// Counts a subscription that began.
    pub(crate) fn resumed(&self, outcome: Recovery) {
        self.resumes.get_or_create(&RecoveryLabels { outcome }).inc();
    }

    /// Observes the bytes that wait for one socket.
    pub(crate) fn outbox(&self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.outbox_high_water.inner().fetch_max(bytes, Ordering::Relaxed);
    }

    /// Counts a closed socket; 1006 stands for a connection that ended without a close frame. Of
    /// the codes that peers choose, those outside of RFC 6455 are counted together as 0.
    pub(crate) fn closed(&self, code: u16, by_peer: bool) {
        let code = Close::label(code, by_peer);
        self.closed.get_or_create(&Code { code: code.into() }).inc();
    }

    /// Returns all metrics in Prometheus' text format. Their names begin with the application's.
    pub(crate) fn text(&self, application: &str) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry(application))
            .expect("writing to a String cannot fail");
        text
    }
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// One readable line each.
    Text,
    /// One JSON object each.
    Json,
}

/// Writes the log to stderr from now on. Only the first call counts.
pub(crate) fn init(filter: EnvFilter, format: LogFormat) {
    // A closed stderr must not make the node panic.
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    // A second start in one process, as in tests, keeps the first log.
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
            // Some libraries include the cause in their own text.
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            said = text;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn names_of_metrics_begin_with_the_application() {
        let metrics = Metrics::new();
        metrics.published.inc();
        let (echo, parlor) = (metrics.text("echo"), metrics.text("parlor"));
        assert!(echo.contains("\necho_published_total 1\n"), "{echo}");
        assert!(!echo.contains("parlor"), "{echo}");
        assert_eq!(echo.replace("echo_", "parlor_"), parlor);
    }
}
