//! What happened in a run: every send, answer and receipt of every client, with its time, and which fault was
//! on.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

/// One thing that one client did or saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Since the run began; one clock for all clients.
    pub at: Duration,
    /// The client, an index of [`Record::rooms`].
    pub who: usize,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Tries to come in, with this as `since`.
    Knocked {
        since: Option<String>,
    },
    /// The first frame of a socket. Only for who came with a `since` does `recovered` promise anything.
    Welcomed {
        /// The node that took it.
        node: String,
        user: String,
        since: Option<String>,
        recovered: bool,
        reason: Option<String>,
    },
    /// A message as it came, also one that was seen before.
    Heard {
        id: Option<String>,
        prev: Option<String>,
        text: String,
        user: String,
    },
    /// The server says that messages may be missing here.
    Gap {
        reason: String,
        after: Option<String>,
    },
    /// Sent to the server, for the first time or again; recorded before the first byte leaves.
    Said {
        text: String,
        client_id: String,
    },
    Acked {
        text: String,
        id: String,
    },
    /// Answered by an error; `retry` as the server has it.
    Refused {
        text: String,
        code: String,
        retry: bool,
    },
    Bye {
        delay: Duration,
    },
    /// The socket is over, with this close code if there was one.
    Ended {
        code: Option<u16>,
    },
    /// Reads nothing from now on, because the test wants it so.
    Deaf,
    /// Reads again.
    Listens,
    /// Does not come back: what is said from now on is not for this client.
    Left,
    /// The users whom a newcomer was told to be in the room, without the newcomer.
    Counted {
        members: BTreeSet<String>,
    },
}

/// A part of the run, from one fault to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    pub from: Duration,
    pub fault: &'static str,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing is wrong: not even a repeat is in order.
    Calm,
    /// Nothing may be lost.
    Harmless,
    /// Nothing that was acked may be lost; what was not may stand in a log that Redis gives up, and come again.
    Doubling,
    /// Redis' own data is lost: what is missing must be told.
    Losing,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub events: Vec<Event>,
    /// In the order of their times; the first begins with the run.
    pub phases: Vec<Phase>,
    /// The room of each client.
    pub rooms: Vec<usize>,
}

impl Record {
    /// The phase of this time, an index of `phases`.
    pub fn phase(&self, at: Duration) -> usize {
        self.phases.partition_point(|phase| phase.from <= at).saturating_sub(1)
    }

    /// Writes everything to a file, a line for each event, for who has to find out what happened.
    pub fn keep(&self, name: &str) -> PathBuf {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let phases = self.phases.iter().map(|phase| format!("{:?} {}\n", phase.from, phase.fault));
        let events = self.events.iter().map(|event| {
            format!("{:?} room {} client {} {:?}\n", event.at, self.rooms[event.who], event.who, event.what)
        });
        fs::write(&path, phases.chain(events).collect::<String>()).expect("a file for the record");
        path
    }
}

/// The pen that all clients share.
#[derive(Clone)]
pub struct Pen {
    start: Instant,
    record: Arc<Mutex<Record>>,
}

impl Pen {
    /// Begins a record of clients in these rooms.
    pub fn new(rooms: Vec<usize>) -> Self {
        let record = Record { rooms, ..Record::default() };
        Self { start: Instant::now(), record: Arc::new(Mutex::new(record)) }
    }

    pub fn write(&self, who: usize, what: What) {
        // The clock is read under the lock, so that times never go back in the record.
        let mut record = self.record.lock().unwrap();
        let at = self.start.elapsed();
        record.events.push(Event { at, who, what });
    }

    /// From now on this fault is on.
    pub fn begin(&self, fault: &'static str, kind: Kind) {
        let mut record = self.record.lock().unwrap();
        let from = self.start.elapsed();
        record.phases.push(Phase { from, fault, kind });
    }

    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// What was written so far.
    pub fn read(&self) -> Record {
        self.record.lock().unwrap().clone()
    }
}
