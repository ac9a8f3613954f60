//! The load benchmark: the real binary, a real Redis, real sockets, everything counted. `--help`
//! lists its options.
//!
//! A scene starts its nodes, connects its clients, measures, and stops everything; its clients are
//! one thread of this program, which reads every byte and tracks every message. CPU is what the
//! kernel accounts to the processes while measuring, and latency is counted from the time at which
//! a message was due.

mod crowd;
mod figure;
mod guest;
mod ledger;
mod machine;
mod mark;
mod options;
mod outcome;
mod picture;
mod pin;
mod process;
mod redis_server;
mod scene;
mod setting;
mod socket;
mod table;
mod talk;
mod world;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::ledger::Wrongs;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::picture::Curve;
use crate::scene::{Part, Scene};
use crate::table::Table;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(wrongs) if wrongs == Wrongs::default() => ExitCode::SUCCESS,
        Ok(wrongs) => {
            eprintln!("load: the promise was broken: {wrongs}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<Wrongs> {
    let (_, files) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, files, files)?;
    let machine = machine::describe(options)?;
    let mut table = Table::new(machine.clone());
    let (mut curves, mut floor) = (Vec::new(), 0.0);
    for scene in options.scenes() {
        for part in scene.parts() {
            let outcome = measure(scene, part, options)?;
            table.push(scene, part, &outcome);
            if scene == Scene::Floor {
                floor = outcome.cpu.first();
            }
            if let Some(members) = part.members {
                plot(&mut curves, part, members, &outcome)?;
            }
        }
    }
    println!("{table}");
    if options.write {
        table.write()?;
    }
    if !curves.is_empty() {
        picture::write(&curves, floor, &machine)?;
    }
    Ok(table.wrongs())
}

fn measure(scene: Scene, part: Part, options: &Options) -> Result<Outcome> {
    let mut runs = Vec::new();
    for number in 1..=options.runs {
        let outcome = scene.play(part, options)?;
        let words = outcome.cells().join("; ");
        let (layer, nodes) = (part.setting.layer(), part.setting.nodes);
        eprintln!("{scene}, {layer}, nodes: {nodes}, run {number}: {words}");
        runs.push(outcome);
    }
    Ok(Outcome::median(&runs))
}

/// Adds the outcome to the curve of its setting.
fn plot(curves: &mut Vec<Curve>, part: Part, members: usize, outcome: &Outcome) -> Result<()> {
    let nodes =
        if part.setting.nodes == 1 { "1 node".to_owned() } else { format!("{} nodes", part.setting.nodes) };
    let name = format!("{}, {nodes}", part.setting.layer());
    let point = (f64::from(u32::try_from(members)?), outcome.cpu.first());
    match curves.iter_mut().find(|curve| curve.name == name) {
        Some(curve) => curve.points.push(point),
        None => curves.push(Curve { name, points: vec![point] }),
    }
    Ok(())
}
