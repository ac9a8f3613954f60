//! The options: which scenes, how often, for how long.

use std::time::Duration;

use clap::Parser;

use crate::scene::Scene;

/// Measures this program: starts nodes and a private Redis on 127.0.0.1, connects clients, counts
/// every message, and prints a table. Exits with 1 if a message was lost, duplicated or out of
/// order.
#[derive(Clone, Debug, Parser)]
#[command(name = "load", max_term_width = 100)]
pub(crate) struct Options {
    /// Scenes to measure; all but `picture` by default
    #[arg(value_enum)]
    scenes: Vec<Scene>,

    /// Runs of each scene; the table shows the medians
    #[arg(long, value_name = "COUNT", default_value = "3", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) runs: u32,

    /// Seconds that each run is measured
    #[arg(long, value_name = "SECONDS", default_value = "4", value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,

    /// Messages per second in `fan-out`; above what the CPU can carry, only queueing delay is
    /// measured
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) rate: u32,

    /// Sockets that `idle` and `reconnect` open; each takes one file descriptor here and one in a
    /// node
    #[arg(long, value_name = "COUNT", default_value = "10000", value_parser = clap::value_parser!(u32).range(10..=50_000))]
    pub(crate) sockets: u32,

    /// Replace the table in docs/performance.md
    #[arg(long)]
    pub(crate) write: bool,

    /// Passed by `cargo bench` to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// Returns the scenes to measure, in the order of the table.
    pub(crate) fn scenes(&self) -> Vec<Scene> {
        if self.scenes.is_empty() {
            return Scene::USUAL.to_vec();
        }
        let mut scenes = self.scenes.clone();
        if scenes.contains(&Scene::Picture) {
            scenes.push(Scene::Floor); // the picture shows it
        }
        scenes.sort_unstable();
        scenes.dedup();
        scenes
    }

    /// Returns how long a run is measured.
    pub(crate) fn measured(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Returns the command that repeats this measurement.
    pub(crate) fn command(&self) -> String {
        let names: Vec<_> = self.scenes.iter().map(ToString::to_string).collect();
        let names = names.iter().fold(String::new(), |text, name| text + name + " ");
        let Self { runs, seconds, rate, sockets, .. } = self;
        format!(
            "cargo bench --bench load -- {names}--runs {runs} --seconds {seconds} --rate {rate} --sockets {sockets}"
        )
    }
}
