//! The hub: the sockets of this node, by group.
//!
//! An event of a group is rendered once for each kind of consumer that sits in the group, encoded
//! once, and the same bytes are handed to each socket's outbox. What comes in one turn goes out in
//! one write per socket.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use slab::Slab;
use tracing::{debug, error};

use crate::consumer::{Kind, Rendered, Ticker};
use crate::event::{Event, GAP};
use crate::frame::Close;
use crate::group::Group;
use crate::id::Id;
use crate::socket::Socket;
use crate::telemetry::METRICS;

/// All sockets of this node.
#[derive(Default)]
pub(crate) struct Hub {
    sockets: Mutex<Slab<Arc<Socket>>>,
    groups: Mutex<HashMap<Group, Arc<Mutex<Seats>>>>,
    closing: AtomicBool,
}

/// The sockets of one group.
#[derive(Default)]
struct Seats {
    /// One row for each kind of consumer; most groups have one.
    rows: Vec<Row>,
    /// The last logged event that was handed to the rows, if there was one.
    position: Option<Id>,
    /// How often the log was found to be another one.
    gaps: u32,
    /// The group has left the hub; whoever still holds this looks again.
    gone: bool,
}

struct Row {
    kind: Kind,
    sockets: Slab<Seated>,
}

struct Seated {
    socket: Arc<Socket>,
    /// It gets the logged events after this one; [`Id::NEVER`] while it gets nothing at all.
    from: Id,
    /// The gaps of the group when it came: after another one, ids may be lesser than those that it has.
    gaps: u32,
}

/// A socket's place in the hub.
#[derive(Clone)]
pub(crate) struct Seat {
    socket: usize,
    group: Option<(Group, Kind, usize)>,
}

/// The events of one turn, rendered for one kind of consumer.
struct Frames {
    /// Each frame, with its event's id if it is logged.
    each: Vec<(Option<Id>, Bytes)>,
    /// All of them, one behind the other.
    all: Bytes,
    /// The least of the ids; [`Id::NEVER`] if there is none.
    least: Id,
}

impl Hub {
    /// Gives a socket its seat. It gets the events of its group at once, unless it `waits` until it joins.
    pub(crate) fn enter(&self, socket: &Arc<Socket>, group: Option<&Group>, waits: bool) -> Seat {
        let key = self.sockets.lock().insert(Arc::clone(socket));
        METRICS.sockets.inc();
        if self.closing.load(Ordering::SeqCst) {
            socket.close(&Close::restart());
        }
        let from = if waits { Id::NEVER } else { Id::START };
        let group = group.map(|group| {
            loop {
                let seats = Arc::clone(self.groups.lock().entry(group.clone()).or_default());
                let mut seats = seats.lock();
                if !seats.gone {
                    return (group.clone(), socket.kind(), seats.insert(socket, from));
                }
            }
        });
        Seat { socket: key, group }
    }

    /// The socket has every logged event up to `cursor` and gets what follows from now on.
    ///
    /// # Errors
    /// How far the others are, if that is further, unless it joins `anyhow`.
    pub(crate) fn join(&self, seat: &Seat, cursor: Id, anyhow: bool) -> Result<(), Id> {
        let Some((group, kind, key)) = &seat.group else { return Ok(()) };
        let Some(seats) = self.seats(group.name()) else { return Ok(()) };
        let mut seats = seats.lock();
        match seats.position {
            Some(position) if position > cursor && !anyhow => Err(position),
            _ => {
                let gaps = seats.gaps;
                let seated = &mut seats.row(*kind).sockets[*key];
                seated.from = if seated.gaps == gaps { cursor } else { Id::START };
                Ok(())
            }
        }
    }

    /// Takes a socket's seat away.
    pub(crate) fn leave(&self, seat: &Seat) {
        self.sockets.lock().remove(seat.socket);
        METRICS.sockets.dec();
        let Some((group, kind, key)) = &seat.group else { return };
        let Some(seats) = self.seats(group.name()) else { return };
        let mut held = seats.lock();
        held.remove(*kind, *key);
        if held.rows.is_empty() {
            held.gone = true;
            drop(held);
            let mut groups = self.groups.lock();
            groups.remove(group);
            if groups.is_empty() {
                groups.shrink_to_fit();
            }
            METRICS.groups.dec();
        }
    }

    /// Hands the events of one turn to every socket of the group, in their order.
    pub(crate) fn deliver(&self, group: &str, events: &[Arc<Event>]) {
        let Some(seats) = self.seats(group) else { return };
        let mut seats = seats.lock();
        let mut listed = vec![false; events.len()];
        seats.advance(events);
        for row in &seats.rows {
            let frames = Frames::render(row.kind, events, &mut listed);
            if frames.each.is_empty() {
                continue;
            }
            for (_, seated) in &row.sockets {
                frames.send(seated);
            }
            METRICS.delivered.inc_by((row.sockets.len() * frames.each.len()) as u64);
        }
        for (event, _) in events.iter().zip(listed).filter(|(event, listed)| !listed && !event.is_own()) {
            METRICS.dropped("unknown_type");
            debug!(group, kind = event.kind(), "dropped an event that no consumer lists");
        }
    }

    /// The ticker of the consumers that sit in the group, if any do and one has a ticker.
    pub(crate) fn ticker(&self, group: &Group) -> Option<Ticker> {
        self.seats(group.name())?.lock().rows.iter().find_map(|row| row.kind.ticker)
    }

    /// The groups whose consumers have a ticker.
    pub(crate) fn ticking(&self) -> Vec<Group> {
        let groups: Vec<Group> = self.groups.lock().keys().cloned().collect();
        groups.into_iter().filter(|group| self.ticker(group).is_some()).collect()
    }

    /// Every socket that is open now.
    pub(crate) fn sockets(&self) -> Vec<Arc<Socket>> {
        self.sockets.lock().iter().map(|(_, socket)| Arc::clone(socket)).collect()
    }

    /// From now on every socket that still comes is closed.
    pub(crate) fn end(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    fn seats(&self, group: &str) -> Option<Arc<Mutex<Seats>>> {
        self.groups.lock().get(group).cloned()
    }
}

impl Seats {
    fn row(&mut self, kind: Kind) -> &mut Row {
        let known = self.rows.iter().position(|row| row.kind == kind);
        let row = known.unwrap_or_else(|| {
            self.rows.push(Row { kind, sockets: Slab::new() });
            self.rows.len() - 1
        });
        &mut self.rows[row]
    }

    fn insert(&mut self, socket: &Arc<Socket>, from: Id) -> usize {
        if self.rows.is_empty() {
            METRICS.groups.inc();
        }
        let gaps = self.gaps;
        self.row(socket.kind()).sockets.insert(Seated { socket: Arc::clone(socket), from, gaps })
    }

    fn remove(&mut self, kind: Kind, key: usize) {
        let row = self.rows.iter().position(|row| row.kind == kind).expect("a seat has its row");
        self.rows[row].sockets.remove(key);
        if self.rows[row].sockets.is_empty() {
            self.rows.swap_remove(row);
        }
    }

    /// Notes how far the rows are with these events.
    fn advance(&mut self, events: &[Arc<Event>]) {
        for event in events {
            if let Some(stamp) = event.stamp() {
                self.position = Some(stamp.id);
            } else if event.is_own() && event.kind() == GAP {
                // A log that was rewritten may go on with lesser ids.
                self.position = None;
                self.gaps += 1;
                let all = self.rows.iter_mut().flat_map(|row| row.sockets.iter_mut());
                all.filter(|(_, seated)| seated.from != Id::NEVER)
                    .for_each(|(_, seated)| seated.from = Id::START);
            }
        }
    }
}

impl Frames {
    /// Renders what this kind of consumer lists, and marks it as listed.
    fn render(kind: Kind, events: &[Arc<Event>], listed: &mut [bool]) -> Self {
        let mut each = Vec::with_capacity(events.len());
        for (event, listed) in events.iter().zip(listed) {
            match kind.render(event) {
                Rendered::Unlisted => continue,
                Rendered::Frame(frame) => each.push((event.stamp().map(|stamp| stamp.id), frame)),
                Rendered::Failed => {
                    METRICS.dropped("consumer_failed");
                    error!(kind = event.kind(), "dropped an event that its consumer panicked over");
                }
            }
            *listed = true;
        }
        let all = match each.as_slice() {
            [(_, only)] => only.clone(),
            several => {
                let mut joined = BytesMut::with_capacity(several.iter().map(|(_, frame)| frame.len()).sum());
                for (_, frame) in several {
                    joined.extend_from_slice(frame);
                }
                joined.freeze()
            }
        };
        let least = each.iter().filter_map(|(id, _)| *id).min().unwrap_or(Id::NEVER);
        Self { each, all, least }
    }

    fn send(&self, seated: &Seated) {
        if seated.from < self.least {
            seated.socket.send(&self.all);
        } else if seated.from != Id::NEVER {
            // It has read some of them from the log already.
            for (_, frame) in self.each.iter().filter(|(id, _)| id.is_none_or(|id| id > seated.from)) {
                seated.socket.send(frame);
            }
        }
    }
}
