//! The options: which scenes, how often, for how long.

use std::time::Duration;

use clap::Parser;

use crate::scene::Scene;

/// Measures this program: starts nodes and a Redis of its own on 127.0.0.1, puts clients on them, counts every message,
/// and prints a table. Ends with 1 if a message was lost, doubled or out of order.
#[derive(Clone, Debug, Parser)]
#[command(name = "load", max_term_width = 100)]
pub(crate) struct Options {
    /// What to measure; without any, all but `picture`
    #[arg(value_enum)]
    scenes: Vec<Scene>,

    /// How often each scene runs; the table tells the medians
    #[arg(long, value_name = "COUNT", default_value = "3", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) runs: u32,

    /// For how long each run is measured
    #[arg(long, value_name = "SECONDS", default_value = "4", value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,

    /// Messages that are said each second in `fan-out`; with more than the CPU can do, delays are all that is measured
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) rate: u32,

    /// How many sockets `idle` and `reconnect` open; each is a file of this process and one of a node
    #[arg(long, value_name = "COUNT", default_value = "10000", value_parser = clap::value_parser!(u32).range(10..=50_000))]
    pub(crate) sockets: u32,

    /// Write the table into docs/performance.md, over the one that is there
    #[arg(long)]
    pub(crate) write: bool,

    /// What `cargo bench` says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// What to measure, in the order of the table.
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

    /// How long a run is measured.
    pub(crate) fn measured(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// The command that measures the same again.
    pub(crate) fn command(&self) -> String {
        let names: Vec<_> = self.scenes.iter().map(ToString::to_string).collect();
        let names = names.iter().fold(String::new(), |text, name| text + name + " ");
        let Self { runs, seconds, rate, sockets, .. } = self;
        format!(
            "cargo bench --bench load -- {names}--runs {runs} --seconds {seconds} --rate {rate} --sockets {sockets}"
        )
    }
}
