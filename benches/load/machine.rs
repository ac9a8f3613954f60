//! Describes the machine and the date of a measurement, without which figures mean nothing.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use jiff::Zoned;

use crate::Result;
use crate::options::Options;

/// Returns one paragraph with everything besides the program that the figures depend on.
pub(crate) fn describe(options: &Options) -> Result<String> {
    let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("`{path}`: {error}"));
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':'))
            .map_or("unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let model = field(&read("/proc/cpuinfo")?, "model name");
    let memory = field(&read("/proc/meminfo")?, "MemTotal");
    let memory: f64 = memory.trim_end_matches(" kB").parse().unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease")?;
    let redis = Command::new("redis-server").arg("--version").output();
    let redis = redis.map_err(|error| format!("`redis-server` (Debian: redis-server): {error}"))?.stdout;
    let redis = String::from_utf8_lossy(&redis);
    let redis = redis.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or("unknown");
    Ok(format!(
        "{model}, {} cores, {:.1} GiB; Linux {}; Redis {redis}; Parlor {}, {}. Median of {}, by `{}`.",
        available_parallelism()?,
        memory / 1024.0 / 1024.0,
        kernel.trim(),
        env!("CARGO_PKG_VERSION"),
        Zoned::now().date(),
        if options.runs == 1 { "1 run".to_owned() } else { format!("{} runs", options.runs) },
        options.command(),
    ))
}
