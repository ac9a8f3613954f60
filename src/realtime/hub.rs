//! The hub: the sockets of this node, by group.
//!
//! What the layer delivers waits at its group until the hub's turn, which is the only writer of a group: it renders an
//! event once for each kind of consumer that sits there, encodes it once, and writes the same bytes to each socket.
//! What came in meanwhile goes out in one write per socket. Groups take turns, and a big one has many: it does not
//! keep the others waiting.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::Notify;

use crate::layer::Disconnect;
use crate::realtime::disconnects::RecentDisconnects;
use crate::realtime::socket::Socket;
use crate::realtime::subscribers::Subscribers;
use crate::realtime::vtable::{Interval, Kind};
use crate::telemetry::METRICS;
use crate::wire::close::CloseCode;
use crate::wire::delivery::Delivery;
use crate::wire::group::Group;
use crate::wire::id::Id;

/// Sockets that are written to before anybody else of this thread has a turn. Whoever speaks is heard meanwhile, and
/// what is said goes out together in the next round: with 1000 here a busy group gets half as much through.
const TURN: usize = 64;
/// Most bytes of events that may wait for the hub; about what Redis itself allows a subscriber.
const MOST: usize = 32 * 1024 * 1024;

/// All sockets of this node.
#[derive(Default)]
pub(crate) struct Hub {
    /// Each with the group in which it sits.
    sockets: Mutex<Slab<(Arc<Socket>, Option<Group>)>>,
    groups: Mutex<HashMap<Group, Arc<Mutex<Subscribers>>>>,
    /// Groups where something waits, each once, in the order of their turns.
    busy: Mutex<VecDeque<Arc<Mutex<Subscribers>>>>,
    /// There is one more of them.
    changed: Notify,
    /// Bytes of events that wait.
    waiting: AtomicUsize,
    closing: AtomicBool,
    orders: Mutex<RecentDisconnects>,
}

/// A socket's place in the hub.
#[derive(Clone)]
pub(crate) struct SubscriberKey {
    socket: usize,
    group: Option<(Group, Kind, usize)>,
}

impl Hub {
    /// Gives a socket, whose request `came` at this time, its seat. It gets the events of its group at once, unless it
    /// `waits` until it joins.
    pub(crate) fn enter(
        &self,
        socket: &Arc<Socket>,
        group: Option<&Group>,
        waits: bool,
        received_at: Instant,
    ) -> SubscriberKey {
        let key = self.sockets.lock().insert((Arc::clone(socket), group.cloned()));
        METRICS.sockets.inc();
        // An order that comes from here on finds the socket.
        if let Some(close) = self.orders.lock().since(received_at, |order| is_about(order, socket, group)) {
            socket.close(&close);
        }
        if self.closing.load(Ordering::SeqCst) {
            socket.close(&CloseCode::ServiceRestart.into());
        }
        let from = if waits { Id::NEVER } else { Id::START };
        let group = group.map(|group| {
            loop {
                let seats = Arc::clone(self.groups.lock().entry(group.clone()).or_default());
                if let Some(key) = seats.lock().insert(socket, from) {
                    return (group.clone(), socket.kind(), key);
                }
            }
        });
        SubscriberKey { socket: key, group }
    }

    /// The socket has every logged event up to `cursor` and gets what follows from now on.
    ///
    /// # Errors
    /// How far the others are, if that is further, unless it joins `anyhow`.
    pub(crate) fn join(&self, seat: &SubscriberKey, cursor: Id, anyhow: bool) -> Result<(), Id> {
        let Some((group, kind, key)) = &seat.group else { return Ok(()) };
        let Some(seats) = self.seats(group.name()) else { return Ok(()) };
        seats.lock().join(*kind, *key, cursor, anyhow)
    }

    /// Takes a socket's seat away.
    pub(crate) fn leave(&self, seat: &SubscriberKey) {
        self.sockets.lock().remove(seat.socket);
        METRICS.sockets.dec();
        let Some((group, kind, key)) = &seat.group else { return };
        let Some(seats) = self.seats(group.name()) else { return };
        if seats.lock().remove(*kind, *key) {
            let mut groups = self.groups.lock();
            groups.remove(group);
            if groups.is_empty() {
                groups.shrink_to_fit();
            }
        }
    }

    /// Takes events for every socket of the group, in their order.
    pub(crate) fn deliver(&self, group: &str, events: &[Arc<Delivery>]) {
        let Some(seats) = self.seats(group) else { return };
        let mut held = seats.lock();
        self.waiting.fetch_add(events.iter().map(|event| event.size()).sum(), Ordering::Relaxed);
        if held.put(events) {
            drop(held);
            self.busy.lock().push_back(seats);
            self.changed.notify_one();
        }
    }

    /// Whether so much waits that more must not come.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > MOST
    }

    /// Hands out what waits, for ever.
    pub(crate) async fn run(&self) {
        let mut left = TURN;
        loop {
            let next = self.busy.lock().pop_front();
            let Some(seats) = next else {
                self.changed.notified().await;
                left = TURN;
                continue;
            };
            let (done, busy) = {
                let mut seats = seats.lock();
                (seats.flush(&mut left), seats.is_busy())
            };
            self.waiting.fetch_sub(done, Ordering::Relaxed);
            if busy {
                self.busy.lock().push_back(seats);
            }
            if left == 0 {
                tokio::task::yield_now().await;
                left = TURN;
            }
        }
    }

    /// The ticker of the consumers that sit in the group, if any do and one has a ticker.
    pub(crate) fn ticker(&self, group: &Group) -> Option<Interval> {
        self.seats(group.name())?.lock().ticker()
    }

    /// The groups whose consumers have a ticker.
    pub(crate) fn ticking(&self) -> Vec<Group> {
        let groups: Vec<Group> = self.groups.lock().keys().cloned().collect();
        groups.into_iter().filter(|group| self.ticker(group).is_some()).collect()
    }

    /// Every socket that is open now.
    pub(crate) fn sockets(&self) -> Vec<Arc<Socket>> {
        self.sockets.lock().iter().map(|(_, (socket, _))| Arc::clone(socket)).collect()
    }

    /// Closes every socket that the order is about, in a task of its own.
    pub(crate) fn obey(self: &Arc<Self>, order: Disconnect) {
        self.orders.lock().note(order.clone());
        let (hub, close) = (Arc::clone(self), order.close());
        tokio::spawn(async move {
            hub.each(|socket, group| {
                if is_about(&order, socket, group) {
                    socket.close(&close);
                }
            })
            .await;
        });
    }

    /// Does something with every socket, some of them at a time.
    pub(crate) async fn each_socket(&self, act: impl Fn(&Socket)) {
        self.each(|socket, _| act(socket)).await;
    }

    async fn each(&self, act: impl Fn(&Socket, Option<&Group>)) {
        let mut next = 0;
        loop {
            {
                let sockets = self.sockets.lock();
                let end = sockets.capacity();
                for key in next..end.min(next + TURN) {
                    if let Some((socket, group)) = sockets.get(key) {
                        act(socket, group.as_ref());
                    }
                }
                if next + TURN >= end {
                    return;
                }
            }
            next += TURN;
            tokio::task::yield_now().await;
        }
    }

    /// From now on every socket that still comes is closed.
    pub(crate) fn end(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    fn seats(&self, group: &str) -> Option<Arc<Mutex<Subscribers>>> {
        self.groups.lock().get(group).cloned()
    }
}

/// Whether an order is about this socket, which sits in this group.
fn is_about(order: &Disconnect, socket: &Socket, group: Option<&Group>) -> bool {
    let identity = socket.identity();
    order.matches(Some(identity.id()), identity.login(), group.map(Group::name))
}
