//! A workload: publishers in rooms send messages, all members receive them, and the ledger accounts
//! for each.

use std::time::{Duration, Instant};

use crate::Result;
use crate::crowd::{Crowd, Seating};
use crate::ledger::{Ledger, Wrongs};
use crate::socket::Heard;
use crate::world::World;

/// Deadline of the last delivery, counted from the last message.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time after the last delivery in which duplicates are still looked for.
const AFTERMATH: Duration = Duration::from_millis(200);

pub(crate) struct Talk {
    crowd: Crowd,
    ledger: Ledger,
    seating: Seating,
    speakers: usize,
    /// When each message was due, by room and publisher, so that a late generator does not hide
    /// latency.
    due: Vec<Vec<Instant>>,
    heard: Hearing,
    /// Publishers that received their own message in the last turn, as room and publisher.
    pub(crate) echoes: Vec<(usize, usize)>,
}

/// Deliveries of a period.
#[derive(Default)]
pub(crate) struct Hearing {
    /// Messages, counted per receiving client.
    pub(crate) deliveries: u32,
    /// Latency of each delivery, in microseconds after the message was due.
    pub(crate) delays: Vec<u32>,
}

impl Talk {
    /// Connects all clients. The first members of each room are its publishers.
    pub(crate) fn gather(world: &World, seating: Seating, speakers: usize) -> Result<Self> {
        Ok(Self {
            crowd: Crowd::gather(world, seating)?,
            ledger: Ledger::new(seating, speakers),
            seating,
            speakers,
            due: vec![Vec::new(); seating.rooms * speakers],
            heard: Hearing::default(),
            echoes: Vec::new(),
        })
    }

    /// Sends the next message of a publisher, which was due at `due`.
    pub(crate) fn say(&mut self, room: usize, speaker: usize, due: Instant) {
        let mark = self.ledger.says(room, speaker);
        self.due[room * self.speakers + speaker].push(due);
        self.crowd.say(room * self.seating.members + speaker, mark);
    }

    /// Reads until something arrives, or until `until`.
    pub(crate) fn turn(&mut self, until: Instant) -> Result<()> {
        let Self { crowd, ledger, seating, speakers, due, heard, echoes } = self;
        echoes.clear();
        crowd.turn(until, |client, said, now| match said {
            Heard::Message(mark, _) => {
                ledger.hears(client, mark);
                let (room, speaker) = (mark.room as usize, mark.speaker as usize);
                let dues = due.get(room * *speakers + speaker);
                let Some(due) = dues.and_then(|dues| dues.get(mark.number as usize)) else { return };
                let late = now.saturating_duration_since(*due).as_micros();
                heard.deliveries += 1;
                heard.delays.push(u32::try_from(late).unwrap_or(u32::MAX));
                if client == room * seating.members + speaker {
                    echoes.push((room, speaker));
                }
            }
            Heard::Other(_) => {}
            Heard::End(_) => ledger.ends(),
        })
    }

    /// Takes the deliveries since the last call.
    pub(crate) fn heard(&mut self) -> Hearing {
        std::mem::take(&mut self.heard)
    }

    /// Reads until every delivery has arrived, or the deadline passes.
    pub(crate) fn fade(&mut self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !self.ledger.is_even() && Instant::now() < end {
            self.turn(end)?;
        }
        Ok(())
    }

    /// Waits for outstanding deliveries and returns the violations.
    pub(crate) fn close(mut self) -> Result<Wrongs> {
        self.fade()?;
        let end = Instant::now() + AFTERMATH;
        while Instant::now() < end {
            self.turn(end)?;
        }
        Ok(self.ledger.close())
    }
}
