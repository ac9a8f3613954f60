//! A whole run: clients connect and send, one fault follows another, the system comes to rest, and
//! the checker judges the record.

use std::env;
use std::fmt::Write;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use tokio::time::sleep;

use super::checker::check;
use super::clients::Clients;
use super::cluster::ChaosCluster;
use super::fault::{Fault, Pace};
use super::instructions::Traffic;
use super::record::{PhaseKind, keep};
use super::report::{AT_REST, Report};
use crate::support::wait::{PATIENCE, within};

/// Maximum time to recover from a fault.
const RECOVERY: Duration = Duration::from_secs(45);
/// A node's death is detected within 15 s, and its users leave 5 s later.
const MEMBER_LIST_TIMEOUT: Duration = Duration::from_secs(30);

/// The plan of a run. The seed determines it except for the machine's timing.
pub struct Scenario {
    /// Names the file with the record of a failed run.
    pub name: &'static str,
    pub seed: u64,
    /// Clients in public rooms; a private chat has six more.
    pub clients: usize,
    pub rooms: usize,
    /// Each round injects all of them, in an order that depends on the seed.
    pub faults: Vec<Fault>,
    pub pace: Pace,
    /// Rounds are repeated until this much time has passed.
    pub min_duration: Duration,
}

impl Scenario {
    /// Runs the plan, prints the table, and fails on any finding that is not forgiven.
    pub async fn run(&self, mut cluster: ChaosCluster) {
        if self.faults.is_empty() {
            println!("none of the faults chosen");
            return;
        }
        println!("CHAOS_SEED={}", self.seed);
        let (size, address) = ((self.clients, self.rooms), cluster.proxy.address());
        let clients = Clients::start(size, address, cluster.node(), self.seed).await;
        let mut problems = Vec::new();
        if let Err(problem) = self.storm(&mut cluster, &clients).await {
            problems.push(problem);
        }
        rest(&mut cluster, &clients, &mut problems).await;
        problems.append(&mut cluster.unexpected_exits);

        let record = clients.recorder.read();
        let logs = cluster.logs();
        // The findings say more than the last lines of each log.
        drop(cluster);
        let findings = check(&record);
        println!("{}", Report::of(&record, &findings));
        let mut wrong: Vec<_> = findings.iter().filter(|finding| !finding.forgiven).collect();
        let count = problems.len() + wrong.len();
        // A message that twenty clients miss is reported once.
        wrong.dedup_by_key(|finding| (finding.verdict, finding.at));
        problems.extend(wrong.into_iter().map(ToString::to_string));
        let mut detail = String::new();
        if !problems.is_empty() {
            let name = format!("chaos-{}-{}", self.name, self.seed);
            let events = keep(&format!("{name}.txt"), &record.text());
            let logs = keep(&format!("{name}-nodes.txt"), &logs);
            keep(&format!("{name}-problems.txt"), &problems.join("\n"));
            writeln!(detail, "- the full record is in {}, logs in {}", events.display(), logs.display())
                .expect("writing to a text");
        }
        for problem in problems.iter().take(12) {
            writeln!(detail, "- {problem}").expect("writing to a text");
        }
        assert!(problems.is_empty(), "CHAOS_SEED={}: {count} problems, first:\n{detail}", self.seed);
    }

    async fn storm(&self, cluster: &mut ChaosCluster, clients: &Clients) -> Result<(), String> {
        let mut rng = StdRng::seed_from_u64(self.seed);
        clients.recorder.begin("none", PhaseKind::Calm);
        clients.instruct(clients.all(), |instructions| instructions.traffic = Traffic::Normal);
        sleep(Duration::from_secs(2)).await;
        let (mut faults, mut rounds) = (self.faults.clone(), 0);
        while rounds == 0 || clients.recorder.elapsed() < self.min_duration {
            faults.shuffle(&mut rng);
            for &fault in &faults {
                if rounds > 0 && clients.recorder.elapsed() >= self.min_duration {
                    return Ok(());
                }
                // The previous fault is over; messages sent just before this one may be affected by
                // it.
                clients.recorder.begin(fault.name(), fault.kind());
                println!("{:>8.1?} {}", clients.recorder.elapsed(), fault.name());
                sleep(Duration::from_millis(300)).await;
                fault.inject(cluster, clients, &self.pace, &mut rng).await;
                let recovered = Fault::recover(cluster, clients, RECOVERY).await;
                recovered.map_err(|problem| format!("after {}: {problem}", fault.name()))?;
                sleep(Duration::from_millis(rng.random_range(500..900))).await;
            }
            rounds += 1;
        }
        Ok(())
    }
}

/// Stops all senders, waits for recovery, lets some clients leave in every way, and checks the
/// member lists.
async fn rest(cluster: &mut ChaosCluster, clients: &Clients, problems: &mut Vec<String>) {
    clients.recorder.begin(AT_REST, PhaseKind::Harmless);
    clients.instruct(clients.all(), |instructions| instructions.traffic = Traffic::None);
    let recovered = Fault::recover(cluster, clients, RECOVERY).await;
    let in_step = clients.wait_until_in_step(RECOVERY / 3).await;
    problems.extend(
        [recovered, in_step].into_iter().filter_map(|result| Some(format!("at rest: {}", result.err()?))),
    );
    clients.end_some();
    // Clients that vanished from this node have no node left that could report it.
    cluster.victim(0).kill();
    if let Err(problem) = Fault::recover(cluster, clients, RECOVERY).await {
        problems.push(format!("at rest, after a node's death: {problem}"));
    }
    within(PATIENCE, "those who listen to leave", clients.dismiss_listeners()).await;
    clients.record_members(&cluster.node_addresses(), MEMBER_LIST_TIMEOUT).await;
}

/// Returns the seed in the environment, or this one.
pub fn seed_or(other: u64) -> u64 {
    setting("CHAOS_SEED").unwrap_or(other)
}

/// Returns those of the faults whose name has the text in the environment, or all of them; none if
/// only faults of another run have it.
pub fn chosen(faults: &[Fault]) -> Vec<Fault> {
    let part = env::var("CHAOS_FAULT").unwrap_or_default();
    let is_chosen = |fault: &&Fault| fault.name().contains(&part);
    let is_known = Fault::ALONE.iter().chain(&Fault::REDIS_CLUSTER).any(|fault| is_chosen(&fault));
    assert!(is_known, "`CHAOS_FAULT` is {part:?}; expected a part of a fault's name");
    faults.iter().filter(is_chosen).copied().collect()
}

/// Returns the minimum duration of a run in the environment, or two minutes.
pub fn min_duration() -> Duration {
    Duration::from_secs(setting("CHAOS_SECONDS").unwrap_or(120))
}

fn setting(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("`{name}` is {value:?}; expected a whole number")))
}
