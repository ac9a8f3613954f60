//! The log on stderr, and metrics for Prometheus.

mod exposition;
mod labels;
mod log;
mod process;
mod throttle;

use std::sync::LazyLock;
use std::sync::atomic::Ordering;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub use self::exposition::MetricsFormat;
pub use self::labels::Recovery;
pub(crate) use self::labels::{DropReason, FailureReason, GapReason, LimitReason, RedisRefusal, StatusClass};
pub(crate) use self::log::{Chain, LogFormat, init};
pub(crate) use self::throttle::{LogThrottle, LogThrottles};
use crate::wire::close::{Close, CloseCode};

/// Upper bounds of the buckets of times.
const BUCKETS_SECONDS: [f64; 11] = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

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
    pub(crate) handshakes: Histogram,
    outbox_high_water: Gauge,
    gaps: Family<GapLabels, Counter>,
    resumes: Family<RecoveryLabels, Counter>,
    dropped: Family<DropLabels, Counter>,
    closed: Family<Code, Counter>,
    refused: Family<LimitLabels, Counter>,
    redis_refusals: Family<RefusalLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
}

/// Figures that are asked for when they are shown.
#[derive(Clone, Debug)]
pub(crate) struct Vitals {
    /// Whether the node can serve sockets.
    pub(crate) is_ready: bool,
    /// `None` without Redis.
    pub(crate) redis: Option<RedisVitals>,
}

/// Figures of the node's use of Redis.
#[derive(Clone, Debug)]
pub(crate) struct RedisVitals {
    /// Whether the node writes its heartbeat in time.
    pub(crate) is_beating: bool,
    /// The address of each shard's server, and whether the node is subscribed there. A single Redis
    /// is one shard.
    pub(crate) shards: Vec<(String, bool)>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ShardLabels {
    shard: String,
}

/// The route of requests that match none.
const NO_ROUTE: &str = "none";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    code: StatusClass,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FailureLabels {
    reason: FailureReason,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VersionLabels {
    version: &'static str,
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

/// Shows these series of a family from now on, before their first count.
fn expose<L>(family: &Family<L, Counter>, series: impl Iterator<Item = L>)
where
    L: Clone + Eq + std::hash::Hash,
{
    for labels in series {
        drop(family.get_or_create(&labels));
    }
}

impl Metrics {
    fn new() -> Self {
        let seconds = || Histogram::new(BUCKETS_SECONDS);
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
            handshakes: seconds(),
            outbox_high_water: Gauge::default(),
            dropped: Family::default(),
            gaps: Family::default(),
            resumes: Family::default(),
            closed: Family::default(),
            refused: Family::default(),
            redis_refusals: Family::default(),
            failures: Family::default(),
            requests: Family::default(),
        };
        process::start();
        // Exposed from the start, so that the rate of the first count is known.
        expose(&metrics.dropped, DropReason::ALL.iter().map(|&reason| DropLabels { reason }));
        expose(&metrics.gaps, GapReason::ALL.iter().map(|&reason| GapLabels { reason }));
        expose(&metrics.refused, LimitReason::ALL.iter().map(|&reason| LimitLabels { reason }));
        expose(&metrics.failures, FailureReason::ALL.iter().map(|&reason| FailureLabels { reason }));
        expose(&metrics.redis_refusals, RedisRefusal::ALL.iter().map(|&kind| RefusalLabels { kind }));
        expose(&metrics.resumes, Recovery::ALL.iter().map(|&outcome| RecoveryLabels { outcome }));
        let codes = CloseCode::ALL.iter().map(|code| code.number()).chain(Close::FOREIGN);
        expose(&metrics.closed, codes.map(|code| Code { code: code.into() }));
        metrics.add_route(NO_ROUTE);
        metrics
    }

    /// Returns the metrics under names that begin with `prefix`.
    fn registry(&self, prefix: &str, vitals: Vitals) -> Registry {
        let mut registry = Registry::with_prefix(prefix);
        let is_ready = vitals.is_ready;
        register_state(
            &mut registry,
            "ready",
            "Whether this node can serve sockets, as /readyz says",
            is_ready,
        );
        if let Some(redis) = vitals.redis {
            register_redis(&mut registry, redis);
        }
        let build = Family::<VersionLabels, Gauge>::default();
        build.get_or_create(&VersionLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("build_info", "The version of this node", build);
        registry.register(
            "http_requests",
            "Requests, by the route that served them and the class of the status",
            self.requests.clone(),
        );
        registry.register(
            "handshake_seconds",
            "From the head of a request to the answer that opens a socket or event stream",
            self.handshakes.clone(),
        );
        registry.register(
            "layer_failures",
            "Requests of clients that failed because of Redis or what it holds, by reason",
            self.failures.clone(),
        );
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

    /// Shows the series of a route from now on.
    pub(crate) fn add_route(&self, route: &'static str) {
        expose(&self.requests, StatusClass::ALL.iter().map(|&code| RequestLabels { route, code }));
    }

    /// Counts a request that this route answered with this status.
    pub(crate) fn requested(&self, route: Option<&'static str>, status: u16) {
        let route = route.unwrap_or(NO_ROUTE);
        self.requests.get_or_create(&RequestLabels { route, code: StatusClass::from_status(status) }).inc();
    }

    /// Counts a client's request that failed because of the layer.
    pub(crate) fn failed(&self, reason: FailureReason) {
        self.failures.get_or_create(&FailureLabels { reason }).inc();
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

    /// Returns all metrics in this format. Their names begin with the application's; those of the
    /// process have the names that every program gives them.
    pub(crate) fn text(&self, application: &str, vitals: Vitals, format: MetricsFormat) -> String {
        let mut text = String::new();
        let encoded = encode_registry(&mut text, &self.registry(application, vitals))
            .and_then(|()| encode(&mut text, &process::registry()));
        encoded.expect("writing to a String cannot fail");
        format.convert(text)
    }
}

/// Registers whether something is so.
fn register_state(registry: &mut Registry, name: &str, help: &str, is: bool) {
    let gauge: Gauge = Gauge::default();
    gauge.set(is.into());
    registry.register(name, help, gauge);
}

/// Registers the figures of the node's use of Redis.
fn register_redis(registry: &mut Registry, RedisVitals { is_beating, shards }: RedisVitals) {
    let is_up = shards.iter().all(|(_, is_subscribed)| *is_subscribed);
    register_state(registry, "redis_up", "Whether this node is subscribed to its groups in Redis", is_up);
    let up = Family::<ShardLabels, Gauge>::default();
    for (shard, is_subscribed) in shards {
        up.get_or_create(&ShardLabels { shard }).set(is_subscribed.into());
    }
    let help = "Whether this node is subscribed to its groups at this server of Redis";
    registry.register("redis_shard_up", help, up);
    let help = "Whether this node has written its heartbeat to Redis in time";
    register_state(registry, "redis_heartbeat", help, is_beating);
}

#[cfg(test)]
mod tests {
    use super::{Metrics, MetricsFormat, RedisVitals, Vitals};

    #[test]
    fn names_of_metrics_begin_with_the_application() {
        let metrics = Metrics::new();
        metrics.published.inc();
        let redis = RedisVitals { is_beating: false, shards: vec![("10.0.0.1:6379".to_owned(), true)] };
        let vitals = Vitals { is_ready: true, redis: Some(redis) };
        for format in [MetricsFormat::Prometheus, MetricsFormat::OpenMetrics] {
            let text = |name| {
                let text = metrics.text(name, vitals.clone(), format);
                text.split("# HELP process_").next().unwrap().to_owned()
            };
            let (echo, parlor) = (text("echo"), text("parlor"));
            assert!(echo.contains("\necho_published_total 1\n"), "{echo}");
            assert!(!echo.contains("parlor"), "{echo}");
            assert_eq!(echo.replace("echo_", "parlor_"), parlor);
        }
    }
}
