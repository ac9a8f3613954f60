//! The outcome of one run of a scene: one figure per column of the table.

use crate::figure::Figure;
use crate::ledger::Wrongs;

#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Throughput.
    pub(crate) done: Figure,
    /// CPU of the nodes.
    pub(crate) cpu: Figure,
    /// Latency.
    pub(crate) delay: Figure,
    /// CPU of Redis.
    pub(crate) redis: Figure,
    /// Memory of the nodes.
    pub(crate) memory: Figure,
    pub(crate) wrongs: Wrongs,
    /// The clients were saturated: the server could do more.
    pub(crate) breathless: bool,
}

impl Outcome {
    /// Column headings.
    pub(crate) const HEADS: [&str; 5] =
        ["done", "CPU of the nodes", "delay: median / 99 % / longest", "Redis", "memory of the nodes"];

    /// Creates an outcome without violations and without figures.
    pub(crate) fn new() -> Self {
        Self {
            done: Figure::none(),
            cpu: Figure::none(),
            delay: Figure::none(),
            redis: Figure::none(),
            memory: Figure::none(),
            wrongs: Wrongs::default(),
            breathless: false,
        }
    }

    fn figures(&self) -> [&Figure; 5] {
        [&self.done, &self.cpu, &self.delay, &self.redis, &self.memory]
    }

    /// Combines runs: the medians of their figures and the sum of their violations.
    pub(crate) fn median(runs: &[Self]) -> Self {
        let figure = |column: usize| {
            let figures: Vec<_> = runs.iter().map(|run| run.figures()[column]).collect();
            Figure::median(&figures)
        };
        let mut wrongs = Wrongs::default();
        for run in runs {
            wrongs += run.wrongs;
        }
        Self {
            done: figure(0),
            cpu: figure(1),
            delay: figure(2),
            redis: figure(3),
            memory: figure(4),
            wrongs,
            breathless: runs.iter().any(|run| run.breathless),
        }
    }

    /// Returns the cells of the row.
    pub(crate) fn cells(&self) -> Vec<String> {
        self.figures().iter().map(|figure| figure.text()).chain([self.wrongs.to_string()]).collect()
    }
}
