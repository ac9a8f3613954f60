//! Reconnect: all clients connect at once, as after a restart of the load balancer.

use std::time::{Duration, Instant};

use crate::Result;
use crate::crowd::{Crowd, Seating, is_welcome};
use crate::figure::{Figure, micros_each, short, whole};
use crate::outcome::Outcome;
use crate::socket::Heard;
use crate::world::World;

/// Members of each room.
const MEMBERS: usize = 10;
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn play(world: &World, sockets: usize) -> Result<Outcome> {
    let seating = Seating { rooms: sockets / MEMBERS, members: MEMBERS };
    let mut crowd = Crowd::new()?;
    let (spent, start) = (world.spent()?, Instant::now());
    let mut begun = Vec::with_capacity(seating.sockets());
    for client in 0..seating.sockets() {
        begun.push(Instant::now());
        crowd.connect(world, &seating.path(client))?;
    }
    let (mut delays, mut refused) = (Vec::with_capacity(begun.len()), 0);
    while delays.len() + refused < begun.len() && start.elapsed() < PATIENCE {
        crowd.turn(start + PATIENCE, |client, heard, now| match heard {
            Heard::Other(frame) if is_welcome(frame) => {
                let delay = now.duration_since(begun[client]).as_micros();
                delays.push(u32::try_from(delay).unwrap_or(u32::MAX));
            }
            Heard::End(_) => refused += 1,
            _ => {}
        })?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let spent = world.spent_since(&spent)?;
    let all = f64::from(u32::try_from(begun.len())?);
    let served = f64::from(u32::try_from(delays.len())?);
    let mut outcome = Outcome::new();
    outcome.done = Figure::new([served, all, seconds], |n| {
        format!("{} of {} served in {} s", whole(n[0]), whole(n[1]), short(n[2]))
    });
    outcome.cpu =
        Figure::new([micros_each(spent.nodes, served)], |n| format!("{} µs a handshake", short(n[0])));
    outcome.delay = Figure::delays(delays);
    if world.redis.is_some() {
        outcome.redis =
            Figure::new([micros_each(spent.redis, served)], |n| format!("{} µs a handshake", short(n[0])));
    }
    outcome.wrongs.ended = refused as u64;
    Ok(outcome)
}
