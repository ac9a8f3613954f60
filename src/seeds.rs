//! The seeds of the tests that search random interleavings for a wrong outcome.

use std::panic::{RefUnwindSafe, catch_unwind};

/// Wrong outcomes after which a search ends.
const MAX_FAILURES: usize = 10;

/// Runs `run` with each of the first `count` seeds, or with those of `SEEDS=from..to`, and panics
/// with the seeds whose run panicked. A run returns how much it checked: at least `checks` on
/// average.
pub(crate) fn search(count: u64, checks: usize, run: impl Fn(u64) -> usize + RefUnwindSafe) {
    let chosen = std::env::var("SEEDS").ok();
    let seeds = chosen.as_deref().map_or(0..count, |range| {
        let (from, to) = range.split_once("..").expect("SEEDS is a range like 403..404");
        from.parse().expect("a first seed")..to.parse().expect("a last seed")
    });
    let (mut checked, mut failed) = (0, Vec::new());
    for seed in seeds.clone() {
        match catch_unwind(|| run(seed)) {
            Ok(checks) => checked += checks,
            Err(_) => failed.push(seed),
        }
        if failed.len() == MAX_FAILURES {
            break;
        }
    }
    assert!(failed.is_empty(), "seeds that fail: {failed:?} of {seeds:?}");
    let average = checked as u64 / count;
    assert!(chosen.is_some() || average >= checks as u64, "{average} checks a seed");
}
