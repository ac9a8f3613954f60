//! The record of a run: every frame sent and received by every client, with its time and the fault
//! active at that time.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

/// One action or observation of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Time since the run began, of one clock for all clients.
    pub at: Duration,
    /// The client in one of its rooms, an index of [`Record::rooms`]. To the record, a connection
    /// with five rooms is five clients; what concerns the connection alone is of the first.
    pub who: usize,
    pub action: Action,
}

/// A place in a log, as Centrifugo's protocol has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamPosition {
    pub epoch: String,
    pub offset: u64,
}

impl fmt::Display for StreamPosition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.epoch, self.offset)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Starts a handshake with this `since`.
    HandshakeStarted {
        since: Option<String>,
    },
    /// The first frame of a room. `recovered` has a meaning only if the client came with `since`.
    Welcomed {
        /// The node that accepted the socket; empty where the protocol does not say it.
        node: String,
        user: String,
        since: Option<String>,
        recovered: bool,
        reason: Option<String>,
        /// The id of the newest message at that moment; `None` in an empty room.
        last: Option<String>,
        /// In place of `last` on Centrifugo's protocol.
        position: Option<StreamPosition>,
    },
    /// The client is not in the room any more, and joins it again.
    Unsubscribed {
        code: u64,
    },
    /// A client that only listens opened a socket, which counts as this user's in a chat room.
    Opened {
        user: String,
    },
    /// A message on the plain wire.
    Heard {
        text: String,
    },
    /// A line of a push stream.
    Ticked,
    /// A received message, also one that was received before.
    Received {
        id: Option<String>,
        prev: Option<String>,
        /// In place of `prev` on Centrifugo's protocol.
        position: Option<StreamPosition>,
        text: String,
        user: String,
    },
    /// The server reports that messages may be missing here.
    Gap {
        reason: String,
        after: Option<String>,
    },
    /// A message sent for the first time or again; recorded before its first byte.
    Sent {
        text: String,
        client_id: String,
    },
    /// Centrifugo's protocol does not say the id.
    Acked {
        text: String,
        id: Option<String>,
    },
    /// Answered by an error; `retry` is the server's.
    Rejected {
        text: String,
        code: String,
        retry: bool,
    },
    /// Sent without an id under which it could be sent again, and not answered: it may be in the
    /// log or not.
    Abandoned {
        text: String,
        reason: String,
    },
    Bye {
        delay: Duration,
    },
    /// The socket ended, with this close code if there was one.
    Ended {
        code: Option<u16>,
    },
    /// The test stopped the client from reading.
    Stalled,
    /// The client reads again.
    Resumed,
    /// The client does not reconnect and is not owed later messages.
    Left,
    /// The members of the room, without the client that asks, as far as a client knows.
    Members {
        observer: Observer,
        members: BTreeSet<String>,
    },
}

/// Which client knows the members of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observer {
    /// A new client of this node, by its welcome.
    NewClientOf(String),
    /// The client itself, by its welcome and every change after it.
    Member,
}

/// A part of the run, from one fault to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    pub from: Duration,
    pub fault: &'static str,
    pub kind: PhaseKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseKind {
    /// No fault: not even a repeat is allowed.
    Calm,
    /// No message may be lost.
    Harmless,
    /// No message may be lost, but an epoch ends with the Redis that began it: clients that resume
    /// are informed, and those of Centrifugo's protocol may miss messages until they have
    /// subscribed again.
    Restarting,
    /// No acked message may be lost. An unacked one may be in a log that Redis discards, and come
    /// again.
    Doubling,
    /// Logs keep few messages: what a client misses must be reported, and nothing else.
    Trimming,
    /// Redis loses data: what is missing must be reported by a gap.
    Losing,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub events: Vec<Event>,
    /// In the order of their times; the first begins with the run.
    pub phases: Vec<Phase>,
    /// The room of each client.
    pub rooms: Vec<usize>,
    /// The connection and protocol of each client.
    pub names: Vec<String>,
}

impl Record {
    /// Returns the phase at this time, an index of `phases`.
    pub fn phase(&self, at: Duration) -> usize {
        self.phases.partition_point(|phase| phase.from <= at).saturating_sub(1)
    }

    /// Returns the phases and all events, one a line.
    pub fn text(&self) -> String {
        let phases = self.phases.iter().map(|phase| format!("{:?} {}\n", phase.from, phase.fault));
        let events = self.events.iter().map(|event| {
            let Event { at, who, action } = event;
            format!("{at:?} room {} client {who} ({}) {action:?}\n", self.rooms[*who], self.names[*who])
        });
        phases.chain(events).collect()
    }
}

/// Writes what a failed run leaves to a file of this name, and returns its path.
pub fn keep(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("a file for the record");
    path
}

/// Writes to the record; all clients share it.
#[derive(Clone)]
pub struct Recorder {
    start: Instant,
    record: Arc<Mutex<Record>>,
}

impl Recorder {
    /// Begins a record of clients in these rooms, and with these names.
    pub fn new((rooms, names): (Vec<usize>, Vec<String>)) -> Self {
        let record = Record { rooms, names, ..Record::default() };
        Self { start: Instant::now(), record: Arc::new(Mutex::new(record)) }
    }

    pub fn write(&self, who: usize, action: Action) {
        // Reads the clock under the lock, so that times in the record never decrease.
        let mut record = self.record.lock().unwrap();
        let at = self.start.elapsed();
        record.events.push(Event { at, who, action });
    }

    /// Begins a phase with this fault.
    pub fn begin(&self, fault: &'static str, kind: PhaseKind) {
        let mut record = self.record.lock().unwrap();
        let from = self.start.elapsed();
        record.phases.push(Phase { from, fault, kind });
    }

    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Returns the record so far.
    pub fn read(&self) -> Record {
        self.record.lock().unwrap().clone()
    }
}
