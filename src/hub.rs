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
use crate::event::Event;
use crate::frame::Close;
use crate::group::Group;
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
    /// The group has left the hub; whoever still holds this looks again.
    gone: bool,
}

struct Row {
    kind: Kind,
    sockets: Slab<Arc<Socket>>,
}

/// A socket's place in the hub.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    socket: usize,
    group: Option<(Group, std::any::TypeId, usize)>,
}

impl Hub {
    /// Gives a socket its seat: from now on it gets the events of its group.
    pub(crate) fn enter(&self, socket: &Arc<Socket>, group: Option<&Group>, kind: Kind) -> Seat {
        let key = self.sockets.lock().insert(Arc::clone(socket));
        METRICS.sockets.inc();
        if self.closing.load(Ordering::SeqCst) {
            socket.close(&Close::new(1001, "the server is going away"));
        }
        let group = group.map(|group| {
            loop {
                let seats = Arc::clone(self.groups.lock().entry(group.clone()).or_default());
                let mut seats = seats.lock();
                if !seats.gone {
                    return (group.clone(), kind.id, seats.insert(socket, kind));
                }
            }
        });
        Seat { socket: key, group }
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
    pub(crate) fn deliver(&self, group: &str, events: &[Event]) {
        let Some(seats) = self.seats(group) else { return };
        let seats = seats.lock();
        let mut listed = vec![false; events.len()];
        for row in &seats.rows {
            let (frames, count) = render(&row.kind, events, &mut listed);
            if count == 0 {
                continue;
            }
            for (_, socket) in &row.sockets {
                socket.send(&frames);
            }
            METRICS.delivered.inc_by((row.sockets.len() * count) as u64);
        }
        for (event, _) in events.iter().zip(listed).filter(|(_, listed)| !listed) {
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

    /// Closes every socket, and each that still comes.
    pub(crate) fn close(&self, close: &Close) {
        self.closing.store(true, Ordering::SeqCst);
        for socket in self.sockets() {
            socket.close(close);
        }
    }

    fn seats(&self, group: &str) -> Option<Arc<Mutex<Seats>>> {
        self.groups.lock().get(group).cloned()
    }
}

impl Seats {
    fn insert(&mut self, socket: &Arc<Socket>, kind: Kind) -> usize {
        if self.rows.is_empty() {
            METRICS.groups.inc();
        }
        let known = self.rows.iter().position(|row| row.kind.id == kind.id);
        let row = known.unwrap_or_else(|| {
            self.rows.push(Row { kind, sockets: Slab::new() });
            self.rows.len() - 1
        });
        self.rows[row].sockets.insert(Arc::clone(socket))
    }

    fn remove(&mut self, kind: std::any::TypeId, key: usize) {
        let row = self.rows.iter().position(|row| row.kind.id == kind).expect("a seat has its row");
        self.rows[row].sockets.remove(key);
        if self.rows[row].sockets.is_empty() {
            self.rows.swap_remove(row);
        }
    }
}

/// The frames of these events for one kind of consumer, one behind the other, and their number; marks
/// the events that it lists.
fn render(kind: &Kind, events: &[Event], listed: &mut [bool]) -> (Bytes, usize) {
    let mut frames: Vec<Bytes> = Vec::with_capacity(events.len());
    for (event, listed) in events.iter().zip(listed) {
        match kind.render(event) {
            Rendered::Unlisted => continue,
            Rendered::Frame(frame) => frames.push(frame.encode()),
            Rendered::Failed => {
                METRICS.dropped("consumer_failed");
                error!(kind = event.kind(), "dropped an event that its consumer panicked over");
            }
        }
        *listed = true;
    }
    let count = frames.len();
    if count == 1 {
        return (frames.remove(0), count);
    }
    let mut joined = BytesMut::with_capacity(frames.iter().map(Bytes::len).sum());
    for frame in &frames {
        joined.extend_from_slice(frame);
    }
    (joined.freeze(), count)
}
