//! A figure: the numbers of one run, reduced to medians over all runs and printed as table cells.

use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Figure {
    numbers: Vec<f64>,
    words: fn(&[f64]) -> String,
}

impl Figure {
    /// Numbers, and the function that formats them.
    pub(crate) fn new(numbers: impl IntoIterator<Item = f64>, words: fn(&[f64]) -> String) -> Self {
        Self { numbers: numbers.into_iter().collect(), words }
    }

    /// Not measured by this scene.
    pub(crate) fn none() -> Self {
        Self::new([], |_| "–".to_owned())
    }

    /// Latency from samples in microseconds: median, 99th percentile and maximum.
    pub(crate) fn delays(mut micros: Vec<u32>) -> Self {
        micros.sort_unstable();
        let at = |share: usize| micros.get((micros.len() * share / 100).min(micros.len().saturating_sub(1)));
        let millis = [50, 99, 100].map(|share| at(share).map_or(0.0, |micros| f64::from(*micros) / 1e3));
        Self::new(millis, |n| format!("{} / {} / {} ms", short(n[0]), short(n[1]), short(n[2])))
    }

    /// Returns the median of each number.
    pub(crate) fn median(runs: &[&Self]) -> Self {
        let median = |place: usize| {
            let mut numbers: Vec<f64> = runs.iter().map(|run| run.numbers[place]).collect();
            numbers.sort_unstable_by(f64::total_cmp);
            let half = numbers.len() / 2;
            if numbers.len() % 2 == 1 {
                numbers[half]
            } else {
                f64::midpoint(numbers[half - 1], numbers[half])
            }
        };
        Self { numbers: (0..runs[0].numbers.len()).map(median).collect(), words: runs[0].words }
    }

    pub(crate) fn first(&self) -> f64 {
        self.numbers.first().copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn text(&self) -> String {
        (self.words)(&self.numbers)
    }
}

/// Formats three significant digits, the precision of such a measurement; whole numbers with
/// commas.
pub(crate) fn short(number: f64) -> String {
    match number.abs() {
        size if size >= 99.95 => whole(number),
        size if size >= 9.995 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// `1,234,567`.
pub(crate) fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// So many microseconds each.
pub(crate) fn micros_each(time: Duration, count: f64) -> f64 {
    time.as_secs_f64() * 1e6 / count
}
