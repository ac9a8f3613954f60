//! Open loop: messages are sent when they are due, whether or not the server keeps up.

use std::time::{Duration, Instant};

use crate::Result;
use crate::crowd::Seating;
use crate::figure::{Figure, micros_each, short, whole};
use crate::outcome::Outcome;
use crate::talk::Talk;
use crate::world::World;

/// Warm-up: buffers grow, and the last joins are delivered.
const WARM_UP: Duration = Duration::from_secs(1);
/// Share of a CPU above which latency measures only the run queue.
const BREATHLESS: f64 = 0.95;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) seating: Seating,
    /// Members of each room.
    pub(crate) speakers: usize,
    /// Messages per second, over all rooms.
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

/// Sends `count` messages starting with number `first`, each when it is due, and returns when all
/// have arrived.
fn speak(talk: &mut Talk, load: Load, first: u32, count: u32) -> Result<()> {
    let start = Instant::now();
    for place in 0..count {
        let due = start + Duration::from_secs(1) * place / load.rate;
        while Instant::now() < due {
            talk.turn(due)?;
        }
        // Room by room, and in each room publisher by publisher.
        let number = (first + place) as usize;
        let (round, room) = (number / load.seating.rooms, number % load.seating.rooms);
        talk.say(room, round % load.speakers, due);
    }
    talk.fade()
}
