//! Resume: all clients reconnect to a room with the id of their last message, having missed the
//! same messages.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Result;
use crate::crowd::{Crowd, Seating, is_welcome};
use crate::figure::{Figure, micros_each, short, whole};
use crate::ledger::Ledger;
use crate::outcome::Outcome;
use crate::redis_server::RedisServer;
use crate::socket::Heard;
use crate::world::World;

const SEATING: Seating = Seating { rooms: 1, members: 1000 };
const MISSED: u32 = 100;
const PATIENCE: Duration = Duration::from_secs(30);
/// Time after the last delivery in which duplicates are still looked for.
const AFTERMATH: Duration = Duration::from_millis(200);

pub(crate) fn play(mut world: World) -> Result<Outcome> {
    let mut ledger = Ledger::new(SEATING, 1);
    let mut speaker = Crowd::gather(&world, Seating { rooms: 1, members: 1 })?;
    let mut since = String::new();
    for _ in 0..=MISSED {
        let id = say(&mut speaker, &mut ledger)?;
        if since.is_empty() {
            since = id;
        }
    }
    let calls = |world: &mut World| world.redis.as_mut().map(RedisServer::commands).transpose();
    let before = calls(&mut world)?;
    let (spent, start) = (world.spent()?, Instant::now());
    let mut crowd = Crowd::new()?;
    let mut begun = Vec::with_capacity(SEATING.members);
    for client in 0..SEATING.members {
        ledger.begins(client, 1);
        begun.push(Instant::now());
        crowd.connect(&world, &format!("{}?since={since}", SEATING.path(client)))?;
    }
    let (mut delays, mut unrecovered) = (Vec::with_capacity(begun.len()), 0);
    let mut listen = |crowd: &mut Crowd, ledger: &mut Ledger, end: Instant| {
        crowd.turn(end, |client, heard, now| match heard {
            Heard::Message(mark, _) => {
                ledger.hears(client, mark);
                if mark.number == MISSED {
                    let delay = now.duration_since(begun[client]).as_micros();
                    delays.push(u32::try_from(delay).unwrap_or(u32::MAX));
                }
            }
            Heard::Other(frame) if is_welcome(frame) => {
                let welcome: Value = serde_json::from_slice(frame).unwrap_or_default();
                unrecovered += u64::from(welcome["recovered"] != true);
            }
            Heard::Other(_) => {}
            Heard::End(_) => ledger.ends(),
        })
    };
    while !ledger.is_even() && start.elapsed() < PATIENCE {
        listen(&mut crowd, &mut ledger, start + PATIENCE)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let spent = world.spent_since(&spent)?;
    let after = calls(&mut world)?;
    // A client is live when it receives the next message, once.
    say(&mut speaker, &mut ledger)?;
    let mut end = start + PATIENCE;
    while Instant::now() < end {
        listen(&mut crowd, &mut ledger, end)?;
        if ledger.is_even() {
            end = end.min(Instant::now() + AFTERMATH);
        }
    }

    let clients = f64::from(u32::try_from(SEATING.members)?);
    let mut outcome = Outcome::new();
    outcome.done = Figure::new([clients, f64::from(MISSED), seconds], |n| {
        format!("{} clients, {} messages each, in {} s", whole(n[0]), whole(n[1]), short(n[2]))
    });
    let cost = micros_each(spent.nodes, clients * f64::from(MISSED));
    outcome.cpu = Figure::new([cost], |n| format!("{} µs a resumed message", short(n[0])));
    outcome.delay = Figure::delays(delays);
    if let (Some(before), Some(after)) = (before, after) {
        let count = |wanted: fn(&str) -> bool| {
            let new = after.iter().filter(|(name, _)| wanted(name));
            let new =
                new.map(|(name, calls)| calls - before.get(name).copied().unwrap_or_default()).sum::<u64>();
            f64::from(u32::try_from(new).unwrap_or(u32::MAX))
        };
        let counts =
            [count(|name| name != "info"), count(|name| name.starts_with('x') && name.ends_with("range"))];
        outcome.redis = Figure::new(counts, |n| {
            format!("{} commands, {} of them read the log", whole(n[0]), whole(n[1]))
        });
    }
    outcome.wrongs = ledger.close();
    outcome.wrongs.lost += unrecovered;
    Ok(outcome)
}

/// Sends the publisher's next message and returns its id when the publisher receives it.
fn say(speaker: &mut Crowd, ledger: &mut Ledger) -> Result<String> {
    let mark = ledger.says(0, 0);
    speaker.say(0, mark);
    let (mut id, end) = (None, Instant::now() + PATIENCE);
    while id.is_none() && Instant::now() < end {
        speaker.turn(end, |_, heard, _| {
            if let Heard::Message(heard, frame) = heard
                && heard == mark
                && let Ok(frame) = serde_json::from_slice::<Value>(frame)
            {
                id = frame["id"].as_str().map(str::to_owned);
            }
        })?;
    }
    id.ok_or_else(|| "the publisher did not receive its own message".into())
}
