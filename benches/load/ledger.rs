//! Accounts for every message of every publisher on every socket. All figures are counted, not
//! sampled.

use std::fmt;
use std::ops::AddAssign;

use crate::crowd::Seating;
use crate::mark::Mark;

pub(crate) struct Ledger {
    seating: Seating,
    /// Publishers of each room.
    speakers: usize,
    /// Messages sent by each publisher, room by room.
    said: Vec<u32>,
    ears: Vec<Ear>,
    /// Deliveries still expected, counted per client.
    open: u64,
    wrongs: Wrongs,
}

/// What one client has received.
struct Ear {
    /// One stream per publisher.
    streams: Vec<Stream>,
    /// Hash of the order in which the client received everything.
    order: u64,
}

#[derive(Clone, Default)]
struct Stream {
    /// The next expected number.
    next: u32,
    /// Earlier numbers that have not been received.
    missing: Vec<u32>,
}

/// Violations of the delivery guarantee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wrongs {
    /// Sent and not received, counted per client.
    pub(crate) lost: u64,
    /// Received more than once.
    pub(crate) doubled: u64,
    /// Received after a later message of the same publisher, or in another order than the rest of
    /// the room.
    pub(crate) disordered: u64,
    /// Received in another room, or never sent.
    pub(crate) strayed: u64,
    /// Connections that ended unexpectedly.
    pub(crate) ended: u64,
}

impl Ledger {
    pub(crate) fn new(seating: Seating, speakers: usize) -> Self {
        let ear = || Ear { streams: vec![Stream::default(); speakers], order: 0 };
        Self {
            seating,
            speakers,
            said: vec![0; seating.rooms * speakers],
            ears: std::iter::repeat_with(ear).take(seating.sockets()).collect(),
            open: 0,
            wrongs: Wrongs::default(),
        }
    }

    /// Returns the next message of this publisher and expects it at every member of the room.
    pub(crate) fn says(&mut self, room: usize, speaker: usize) -> Mark {
        let said = &mut self.said[room * self.speakers + speaker];
        *said += 1;
        self.open += self.seating.members as u64;
        let number = |number: usize| u32::try_from(number).expect("fewer than four billion");
        Mark { room: number(room), speaker: number(speaker), number: *said - 1 }
    }

    /// Expects a client to receive only what follows the first `after` messages of each publisher.
    pub(crate) fn begins(&mut self, client: usize, after: u32) {
        self.open -= u64::from(after) * self.speakers as u64;
        self.ears[client].streams.fill(Stream { next: after, missing: Vec::new() });
    }

    /// Records a message that a client received.
    pub(crate) fn hears(&mut self, client: usize, mark: Mark) {
        let (room, speaker) = (mark.room as usize, mark.speaker as usize);
        let here = room == self.seating.room(client) && speaker < self.speakers;
        if !here || mark.number >= self.said[room * self.speakers + speaker] {
            self.wrongs.strayed += 1;
            return;
        }
        let ear = &mut self.ears[client];
        let word = u64::from(mark.speaker) << 32 | u64::from(mark.number);
        ear.order = (ear.order.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95); // FxHash
        let stream = &mut ear.streams[speaker];
        if mark.number >= stream.next {
            stream.missing.extend(stream.next..mark.number);
            stream.next = mark.number + 1;
            self.open -= 1;
        } else if let Some(place) = stream.missing.iter().position(|number| *number == mark.number) {
            stream.missing.swap_remove(place);
            self.wrongs.disordered += 1;
            self.open -= 1;
        } else {
            self.wrongs.doubled += 1;
        }
    }

    /// Records a connection that ended unexpectedly.
    pub(crate) fn ends(&mut self) {
        self.wrongs.ended += 1;
    }

    /// Returns whether every expected delivery has arrived.
    pub(crate) fn is_even(&self) -> bool {
        self.open == 0
    }

    /// Returns the violations, once nothing more is expected.
    pub(crate) fn close(self) -> Wrongs {
        let mut wrongs = Wrongs { lost: self.open, ..self.wrongs };
        if wrongs == Wrongs::default() {
            // Order per publisher holds at this point; order across publishers must be the same for
            // all members.
            let rooms = self.ears.chunks(self.seating.members);
            let others = |room: &[Ear]| room.iter().filter(|ear| ear.order != room[0].order).count() as u64;
            wrongs.disordered = rooms.map(others).sum();
        }
        wrongs
    }
}

impl AddAssign for Wrongs {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.disordered += other.disordered;
        self.strayed += other.strayed;
        self.ended += other.ended;
    }
}

impl fmt::Display for Wrongs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, doubled, disordered, strayed, ended } = self;
        if *self == Self::default() {
            return f.write_str("0");
        }
        write!(
            f,
            "{lost} lost, {doubled} doubled, {disordered} out of order, {strayed} strayed, {ended} ended"
        )
    }
}
