//! An outcome: what one run of a scene tells, one figure for each column of the table.

use crate::figure::Figure;
use crate::ledger::Wrongs;

#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// How much was done.
    pub(crate) done: Figure,
    /// What it cost the nodes.
    pub(crate) cpu: Figure,
    /// How late it was.
    pub(crate) delay: Figure,
    /// What it cost Redis.
    pub(crate) redis: Figure,
    /// What the nodes hold.
    pub(crate) memory: Figure,
    pub(crate) wrongs: Wrongs,
    /// The clients were as busy as they can be: the program could do more.
    pub(crate) breathless: bool,
}

impl Outcome {
    /// Heads of the columns.
    pub(crate) const HEADS: [&str; 5] =
        ["done", "CPU of the nodes", "delay: median / 99 % / longest", "Redis", "memory of the nodes"];

    /// A run in which nothing went wrong, and of which nothing is told yet.
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

    /// The medians of some runs, and whatever went wrong in any of them.
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

    /// The cells of its row.
    pub(crate) fn cells(&self) -> Vec<String> {
        self.figures().iter().map(|figure| figure.text()).chain([self.wrongs.to_string()]).collect()
    }
}
