//! Figures of the process, under the names that every Prometheus client gives them.

use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeValLike as _;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// When the process started, or this was first asked.
static STARTED_AT: LazyLock<SystemTime> = LazyLock::new(SystemTime::now);

type FloatCounter = Counter<f64, AtomicU64>;
type FloatGauge = Gauge<f64, AtomicU64>;

/// Records the time of the start.
pub(super) fn start() {
    LazyLock::force(&STARTED_AT);
}

/// Returns the figures as they are now. What the system does not say is left out.
pub(super) fn registry() -> Registry {
    let mut registry = Registry::default();
    let started = STARTED_AT.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let started_at = FloatGauge::default();
    started_at.set(started);
    registry.register("process_start_time_seconds", "Time of the start, in seconds since 1970", started_at);
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
        let microseconds = (usage.user_time() + usage.system_time()).num_microseconds();
        let cpu = FloatCounter::default();
        #[expect(clippy::cast_precision_loss, reason = "exact for 285 years of CPU time")]
        cpu.inc_by(microseconds.max(0) as f64 / 1e6);
        registry.register("process_cpu_seconds", "CPU time of the process, in seconds", cpu);
    }
    let mut gauge = |name: &'static str, help: &'static str, value: Option<u64>| {
        if let Some(value) = value {
            let gauge: Gauge = Gauge::default();
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            registry.register(name, help, gauge);
        }
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bytes = |field: &str| {
        let kilobytes = status.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next());
        kilobytes.and_then(|text| text.parse::<u64>().ok()).map(|kilobytes| kilobytes * 1024)
    };
    gauge("process_resident_memory_bytes", "Resident memory, in bytes", bytes("VmRSS:"));
    gauge("process_virtual_memory_bytes", "Virtual memory, in bytes", bytes("VmSize:"));
    // One of them is that of the folder itself.
    let open = std::fs::read_dir("/proc/self/fd").map(|files| files.count().saturating_sub(1) as u64);
    gauge("process_open_fds", "Open file descriptors", open.ok());
    let limit = getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft);
    gauge("process_max_fds", "Limit of open file descriptors", limit);
    registry
}
