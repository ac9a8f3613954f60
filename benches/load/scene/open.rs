//! Open loop: messages are said when they are due, whether or not the program keeps up.

use std::time::{Duration, Instant};

use crate::Result;
use crate::crowd::Seating;
use crate::figure::{Figure, micros_each, short, whole};
use crate::outcome::Outcome;
use crate::talk::Talk;
use crate::world::World;

/// How long is spoken before it is measured: buffers grow, and the last ones to join are told to the others.
const WARM_UP: Duration = Duration::from_secs(1);
/// Of a CPU; above it there is a queue for it, and delays are its length.
const BREATHLESS: f64 = 0.95;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) seating: Seating,
    /// Of each room.
    pub(crate) speakers: usize,
    /// Messages a second, of all rooms together.
    pub(crate) rate: u32,
}

pub(crate) fn play(world: &World, load: Load, measured: Duration) -> Result<Outcome> {
    let mut talk = Talk::gather(world, load.seating, load.speakers)?;
    speak(&mut talk, load, 0, messages_in(WARM_UP, load))?;
    talk.heard();
    let messages = messages_in(measured, load);
    let spent = world.spent()?;
    speak(&mut talk, load, messages_in(WARM_UP, load), messages)?;
    let spent = world.spent_since(&spent)?;
    let heard = talk.heard();
    let (deliveries, messages) = (f64::from(heard.deliveries), f64::from(messages));
    let rate = deliveries / measured.as_secs_f64();
    let mut outcome = Outcome::new();
    outcome.done = Figure::new([rate], |n| format!("{} deliveries/s", whole(n[0])));
    outcome.cpu =
        Figure::new([micros_each(spent.nodes, deliveries)], |n| format!("{} µs a delivery", short(n[0])));
    outcome.delay = Figure::delays(heard.delays);
    if world.redis.is_some() {
        outcome.redis =
            Figure::new([micros_each(spent.redis, messages)], |n| format!("{} µs a message", short(n[0])));
    }
    outcome.breathless = spent.own_share() > BREATHLESS || (world.is_pinned() && spent.share() > BREATHLESS);
    outcome.wrongs = talk.close()?;
    Ok(outcome)
}

fn messages_in(time: Duration, load: Load) -> u32 {
    u32::try_from(time.as_millis() * u128::from(load.rate) / 1000).unwrap_or(u32::MAX)
}

/// Says so many messages from the one with this number on, each when it is due, and returns when all were heard.
fn speak(talk: &mut Talk, load: Load, first: u32, count: u32) -> Result<()> {
    let start = Instant::now();
    for place in 0..count {
        let due = start + Duration::from_secs(1) * place / load.rate;
        while Instant::now() < due {
            talk.turn(due)?;
        }
        // Room after room, and in each of them speaker after speaker.
        let number = (first + place) as usize;
        let (round, room) = (number / load.seating.rooms, number % load.seating.rooms);
        talk.say(room, round % load.speakers, due);
    }
    talk.fade()
}
