//! A talk: speakers in rooms say things, everybody there hears them, and the ledger is kept.

use std::time::{Duration, Instant};

use crate::Result;
use crate::crowd::{Crowd, Seating};
use crate::ledger::{Ledger, Wrongs};
use crate::socket::Heard;
use crate::world::World;

/// How long after the last word somebody may still hear one.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long after everything was heard something may be heard twice.
const AFTERMATH: Duration = Duration::from_millis(200);

pub(crate) struct Talk {
    crowd: Crowd,
    ledger: Ledger,
    seating: Seating,
    speakers: usize,
    /// When each message was due, by room and speaker: a generator that is late must not hide it.
    due: Vec<Vec<Instant>>,
    heard: Hearing,
    /// Speakers who heard themselves in the last turn, as room and speaker.
    pub(crate) echoes: Vec<(usize, usize)>,
}

/// What was heard in some time.
#[derive(Default)]
pub(crate) struct Hearing {
    /// Messages, counted for each client that heard them.
    pub(crate) deliveries: u32,
    /// How many microseconds after it was due each of them was heard.
    pub(crate) delays: Vec<u32>,
}

impl Talk {
    /// Brings everybody in. The first members of each room are its speakers.
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

    /// A speaker says something that was to be said at this moment.
    pub(crate) fn say(&mut self, room: usize, speaker: usize, due: Instant) {
        let mark = self.ledger.says(room, speaker);
        self.due[room * self.speakers + speaker].push(due);
        self.crowd.say(room * self.seating.members + speaker, mark);
    }

    /// Listens until something was heard, or until this moment.
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

    /// What was heard since this was asked last.
    pub(crate) fn heard(&mut self) -> Hearing {
        std::mem::take(&mut self.heard)
    }

    /// Listens until everybody has heard everything, or nobody can be expected to any more.
    pub(crate) fn fade(&mut self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !self.ledger.is_even() && Instant::now() < end {
            self.turn(end)?;
        }
        Ok(())
    }

    /// The account; nobody speaks any more.
    pub(crate) fn close(mut self) -> Result<Wrongs> {
        self.fade()?;
        let end = Instant::now() + AFTERMATH;
        while Instant::now() < end {
            self.turn(end)?;
        }
        Ok(self.ledger.close())
    }
}
