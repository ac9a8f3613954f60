//! Idle: the cost of silent sockets, and what of it remains after they disconnect.

use std::time::{Duration, Instant};

use crate::Result;
use crate::crowd::{Crowd, Seating};
use crate::figure::{Figure, micros_each, short, whole};
use crate::outcome::Outcome;
use crate::world::World;

/// Members of each room.
const MEMBERS: usize = 10;
/// Time after the last join until its presence events have been delivered.
const CALM: Duration = Duration::from_secs(1);
/// Covers one ping of every socket.
const SILENCE: Duration = Duration::from_secs(26);
/// Time after the last disconnect: presence ends after 5 s, and the allocator returns pages a
/// little later.
const AFTERWARDS: Duration = Duration::from_secs(8);

pub(crate) fn play(world: &World, sockets: usize) -> Result<Outcome> {
    let seating = Seating { rooms: sockets / MEMBERS, members: MEMBERS };
    let (empty, spent) = (world.memory()?, world.spent()?);
    let mut crowd = Crowd::gather(world, seating)?;
    let handshakes = world.spent_since(&spent)?;
    let mut outcome = Outcome::new();
    let mut ended = crowd.rest(Instant::now() + CALM)?;
    let full = world.memory()?;
    let spent = world.spent()?;
    ended += crowd.rest(Instant::now() + SILENCE)?;
    let idle = world.spent_since(&spent)?;
    drop(crowd);
    std::thread::sleep(AFTERWARDS);
    let after = world.memory()?;

    let count = f64::from(u32::try_from(seating.sockets())?);
    let megabytes = |bytes: u64| Duration::from_micros(bytes).as_secs_f64();
    outcome.done = Figure::new([count], |n| format!("{} sockets in rooms of {MEMBERS}", whole(n[0])));
    outcome.cpu = Figure::new(
        [micros_each(handshakes.nodes, count), idle.nodes.as_secs_f64() * 100.0 / SILENCE.as_secs_f64()],
        |n| format!("{} µs a handshake; {} % idle", short(n[0]), short(n[1])),
    );
    if world.redis.is_some() {
        let handshake = micros_each(handshakes.redis, count);
        outcome.redis = Figure::new([handshake], |n| format!("{} µs a handshake", short(n[0])));
    }
    outcome.memory = Figure::new(
        [megabytes(full.saturating_sub(empty)) * 1e6 / count, megabytes(empty), megabytes(after)],
        |n| {
            let [each, empty, after] = [whole(n[0]), short(n[1]), short(n[2])];
            format!("{each} bytes a socket; {empty} MB before, {after} MB after")
        },
    );
    outcome.wrongs.ended = ended as u64;
    Ok(outcome)
}
