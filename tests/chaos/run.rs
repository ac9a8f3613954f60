//! A whole run: everybody comes and talks, one fault follows another, all is quiet, and the record is judged.

use std::env;
use std::fmt::Write;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use tokio::time::sleep;

use super::cast::Cast;
use super::checker::check;
use super::fault::{Fault, Pace};
use super::orders::{Stay, Voice};
use super::record::Kind;
use super::stage::Stage;
use super::table::{AT_REST, Table};

/// How long everybody may take to be well again after a fault.
const HEALING: Duration = Duration::from_secs(45);
/// A node's death is seen within 15 s, and its people leave 5 s later.
const COUNTING: Duration = Duration::from_secs(30);

/// What is to happen, the same for the same seed but for what the machine's own timing adds.
pub struct Script {
    /// For the file with the record of a run that failed.
    pub name: &'static str,
    pub seed: u64,
    pub clients: usize,
    pub rooms: usize,
    /// All of them strike in each round, in an order of the seed's.
    pub faults: Vec<Fault>,
    pub pace: Pace,
    /// After the first round there are more until so much time has passed.
    pub least: Duration,
}

impl Script {
    /// Plays it and fails if the checker finds what must not be; prints the table in any case.
    pub async fn play(&self, mut stage: Stage) {
        println!("CHAOS_SEED={}", self.seed);
        let cast = Cast::gather(self.clients, self.rooms, stage.gate.address(), self.seed).await;
        let mut problems = Vec::new();
        if let Err(problem) = self.storm(&mut stage, &cast).await {
            problems.push(problem);
        }
        rest(&mut stage, &cast, &mut problems).await;
        problems.append(&mut stage.surprises);

        let record = cast.pen.read();
        // The story below tells it better than the last lines of everybody's log.
        drop(stage);
        let findings = check(&record);
        println!("{}", Table::of(&record, &findings));
        let mut wrong: Vec<_> = findings.iter().filter(|finding| !finding.forgiven).collect();
        let count = problems.len() + wrong.len();
        // One message that twenty clients lack is told once.
        wrong.dedup_by_key(|finding| (finding.verdict, finding.at));
        problems.extend(wrong.into_iter().map(ToString::to_string));
        let mut story = String::new();
        if !problems.is_empty() {
            writeln!(
                story,
                "- all of it is in {}",
                record.keep(&format!("chaos-{}-{}.txt", self.name, self.seed)).display()
            )
            .expect("writing to a text");
        }
        for problem in problems.iter().take(12) {
            writeln!(story, "- {problem}").expect("writing to a text");
        }
        assert!(problems.is_empty(), "CHAOS_SEED={}: {count} problems, first:\n{story}", self.seed);
    }

    async fn storm(&self, stage: &mut Stage, cast: &Cast) -> Result<(), String> {
        let mut dice = StdRng::seed_from_u64(self.seed);
        cast.pen.begin("none", Kind::Calm);
        cast.order(cast.everybody(), |orders| orders.voice = Voice::Plain);
        sleep(Duration::from_secs(2)).await;
        let (mut faults, mut rounds) = (self.faults.clone(), 0);
        while rounds == 0 || cast.pen.elapsed() < self.least {
            faults.shuffle(&mut dice);
            for &fault in &faults {
                if rounds > 0 && cast.pen.elapsed() >= self.least {
                    return Ok(());
                }
                // What the fault before did is over; what is said just before this one may feel it.
                cast.pen.begin(fault.name(), fault.kind());
                println!("{:>8.1?} {}", cast.pen.elapsed(), fault.name());
                sleep(Duration::from_millis(300)).await;
                fault.strike(stage, cast, &self.pace, &mut dice).await;
                let healed = Fault::heal(stage, cast, HEALING).await;
                healed.map_err(|problem| format!("after {}: {problem}", fault.name()))?;
                sleep(Duration::from_millis(dice.random_range(500..900))).await;
            }
            rounds += 1;
        }
        Ok(())
    }
}

/// Nobody speaks any more; all get what they lack; some leave, in every way there is; who is left is counted.
async fn rest(stage: &mut Stage, cast: &Cast, problems: &mut Vec<String>) {
    cast.pen.begin(AT_REST, Kind::Harmless);
    cast.order(cast.everybody(), |orders| orders.voice = Voice::Silent);
    let healed = Fault::heal(stage, cast, HEALING).await;
    let level = cast.in_step(HEALING / 3).await;
    problems
        .extend([healed, level].into_iter().filter_map(|result| Some(format!("at rest: {}", result.err()?))));
    for room in cast.rooms() {
        let members = cast.members_of(room);
        cast.order(members.iter().copied().take(1), |orders| orders.stay = Stay::Leaves);
        cast.order(members.iter().copied().skip(1).take(2), |orders| orders.stay = Stay::Vanishes);
    }
    // Whoever vanished from this node has nobody left to tell.
    stage.doom(0).kill();
    if let Err(problem) = Fault::heal(stage, cast, HEALING).await {
        problems.push(format!("at rest, after a node's death: {problem}"));
    }
    cast.count(COUNTING).await;
}

/// The seed that the environment names, or this one.
pub fn seed_or(other: u64) -> u64 {
    setting("CHAOS_SEED").unwrap_or(other)
}

/// How long a run lasts at least, by the environment or two minutes.
pub fn least() -> Duration {
    Duration::from_secs(setting("CHAOS_SECONDS").unwrap_or(120))
}

fn setting(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("`{name}` is {value:?}; expected a whole number")))
}
