//! Saturated: publishers send the next message when they receive their own, so the server is never
//! idle.

use std::time::{Duration, Instant};

use crate::Result;
use crate::crowd::Seating;
use crate::figure::{Figure, micros_each, short, whole};
use crate::outcome::Outcome;
use crate::talk::Talk;
use crate::world::World;

const SEATING: Seating = Seating { rooms: 1, members: 500 };
const SPEAKERS: usize = 20;
/// Outstanding messages of each publisher.
const AHEAD: usize = 4;
const WARM_UP: Duration = Duration::from_secs(1);
/// Share of a CPU above which the clients, which have one thread, are saturated.
const BREATHLESS: f64 = 0.95;

pub(crate) fn play(world: &World, measured: Duration) -> Result<Outcome> {
    let mut talk = Talk::gather(world, SEATING, SPEAKERS)?;
    for speaker in 0..SPEAKERS * AHEAD {
        talk.say(0, speaker % SPEAKERS, Instant::now());
    }
    converse(&mut talk, WARM_UP)?;
    talk.heard();
    let (spent, start) = (world.spent()?, Instant::now());
    converse(&mut talk, measured)?;
    let (spent, seconds) = (world.spent_since(&spent)?, start.elapsed().as_secs_f64());
    let heard = talk.heard();
    let deliveries = f64::from(heard.deliveries);
    let mut outcome = Outcome::new();
    outcome.done = Figure::new([deliveries / seconds], |n| format!("{} deliveries/s", whole(n[0])));
    outcome.cpu =
        Figure::new([micros_each(spent.nodes, deliveries)], |n| format!("{} µs a delivery", short(n[0])));
    outcome.delay = Figure::delays(heard.delays);
    if world.redis.is_some() {
        let messages = deliveries / f64::from(u32::try_from(SEATING.members)?);
        outcome.redis =
            Figure::new([micros_each(spent.redis, messages)], |n| format!("{} µs a message", short(n[0])));
    }
    outcome.breathless = spent.own_share() > BREATHLESS;
    outcome.wrongs = talk.close()?;
    Ok(outcome)
}

/// Each echo is answered, for so long.
fn converse(talk: &mut Talk, time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        talk.turn(end)?;
        for (room, speaker) in std::mem::take(&mut talk.echoes) {
            talk.say(room, speaker, Instant::now());
        }
    }
    Ok(())
}
