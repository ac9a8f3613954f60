//! The hub: the sockets of this node, by group.
//!
//! Events from the layer are queued per group. One task writes to all groups: it renders an event
//! once for each renderer, encodes it once, and writes the same bytes to each socket.
//! Events that arrive meanwhile are batched into one write per socket. Groups take turns, and a
//! large group needs several turns, so that it does not delay the others.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::Notify;

use crate::layer::{Disconnect, NodeFigures};
use crate::realtime::channel::Interval;
use crate::realtime::disconnects::{Announced, DisconnectIndex, RecentDisconnects};
use crate::realtime::socket::Socket;
use crate::realtime::subscribers::{Behind, Cursor, Subscribers};
use crate::realtime::subscription::Subscription;
use crate::telemetry::METRICS;
use crate::wire::close::CloseCode;
use crate::wire::delivery::Delivery;
use crate::wire::group::Group;
use crate::wire::id::Id;

/// Sockets written to before the task yields. Messages that other tasks read meanwhile are batched
/// into the next round: with 1000 here, a busy group has half the throughput.
const TURN_SOCKETS: usize = 64;
/// The most bytes of events that may wait for the hub; close to Redis' own limit for a subscriber.
const MAX_QUEUE_BYTES: usize = 32 * 1024 * 1024;

/// All sockets of this node.
#[derive(Default)]
pub(crate) struct Hub {
    sockets: Mutex<Slab<Registered>>,
    groups: Mutex<HashMap<Group, Arc<Mutex<Subscribers>>>>,
    /// Groups with queued events, each once, in the order of their turns.
    busy: Mutex<VecDeque<Arc<Mutex<Subscribers>>>>,
    /// Notified when a group is added to `busy`.
    changed: Notify,
    /// Bytes of queued events.
    waiting: AtomicUsize,
    /// Frames queued for sockets.
    delivered: AtomicU64,
    closing: AtomicBool,
    disconnects: Mutex<RecentDisconnects>,
}

/// An open socket and its subscription.
#[derive(Clone)]
pub(crate) struct Registered {
    pub(crate) socket: Arc<Socket>,
    pub(crate) subscription: Arc<Subscription>,
}

/// Where the hub has a socket.
#[derive(Clone, Copy)]
pub(crate) struct SubscriberKey {
    /// Among the sockets of this node.
    socket: usize,
    /// Among the subscribers of its group that have its renderer.
    subscriber: usize,
}

impl Hub {
    /// Registers a socket with its subscription. It receives the events of its group at once, or,
    /// if the subscription has a start position, from [`join`](Self::join) on.
    pub(crate) fn register(&self, socket: &Arc<Socket>, subscription: &Arc<Subscription>) -> SubscriberKey {
        let group = subscription.group();
        let registered = Registered { socket: Arc::clone(socket), subscription: Arc::clone(subscription) };
        let key = self.sockets.lock().insert(registered);
        METRICS.sockets.inc();
        // A disconnect command that arrives from here on finds the socket.
        let opened_at = subscription.opened_at();
        let close = self.disconnects.lock().since(opened_at, |command| matches(command, socket, group));
        if let Some(close) = close {
            socket.close(&close);
        }
        if self.closing.load(Ordering::SeqCst) {
            socket.close(&CloseCode::ServiceRestart.into());
        }
        let from = if subscription.start().is_some() { Id::NEVER } else { Id::START };
        loop {
            let subscribers = Arc::clone(self.groups.lock().entry(group.clone()).or_default());
            if let Some(subscriber) = subscribers.lock().insert(socket, from) {
                return SubscriberKey { socket: key, subscriber };
            }
        }
    }

    /// Starts live delivery to a socket that has everything up to `cursor`.
    ///
    /// # Errors
    /// Returns where the group is ahead of `cursor`. A join that `is_forced` does not compare the
    /// position in the log.
    pub(crate) fn join(
        &self,
        group: &Group,
        socket: &Socket,
        key: SubscriberKey,
        cursor: Cursor,
        is_forced: bool,
    ) -> Result<(), Behind> {
        let Some(subscribers) = self.subscribers(group.name()) else { return Ok(()) };
        subscribers.lock().join(socket.renderer(), key.subscriber, cursor, is_forced)
    }

    /// Removes a socket.
    pub(crate) fn unregister(&self, group: &Group, socket: &Socket, key: SubscriberKey) {
        self.sockets.lock().remove(key.socket);
        METRICS.sockets.dec();
        let Some(subscribers) = self.subscribers(group.name()) else { return };
        if subscribers.lock().remove(socket.renderer(), key.subscriber) {
            let mut groups = self.groups.lock();
            groups.remove(group);
            if groups.is_empty() {
                groups.shrink_to_fit();
            }
        }
    }

    /// Queues events for every socket of the group, in order.
    pub(crate) fn deliver(&self, group: &str, events: &[Arc<Delivery>]) {
        let Some(subscribers) = self.subscribers(group) else { return };
        let mut queue = subscribers.lock();
        self.waiting.fetch_add(events.iter().map(|event| event.size()).sum(), Ordering::Relaxed);
        if queue.enqueue(events) {
            drop(queue);
            self.busy.lock().push_back(subscribers);
            self.changed.notify_one();
        }
    }

    /// Returns whether the queue is over its bound, so that no more may be delivered.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > MAX_QUEUE_BYTES
    }

    /// Returns the figures of this node's sockets. The hub does not know what the node publishes.
    pub(crate) fn figures(&self) -> NodeFigures {
        NodeFigures {
            sockets: self.sockets.lock().len() as u64,
            groups: self.groups.lock().len() as u64,
            delivered: self.delivered.load(Ordering::Relaxed),
            ..NodeFigures::default()
        }
    }

    /// Writes queued events to their sockets. Never returns.
    pub(crate) async fn run(&self) {
        let mut left = TURN_SOCKETS;
        loop {
            let next = self.busy.lock().pop_front();
            let Some(subscribers) = next else {
                self.changed.notified().await;
                left = TURN_SOCKETS;
                continue;
            };
            let (done, busy) = {
                let mut subscribers = subscribers.lock();
                (subscribers.flush(&mut left, &self.delivered), subscribers.is_busy())
            };
            self.waiting.fetch_sub(done, Ordering::Relaxed);
            if busy {
                self.busy.lock().push_back(subscribers);
            }
            if left == 0 {
                tokio::task::yield_now().await;
                left = TURN_SOCKETS;
            }
        }
    }

    /// Returns the interval of the group's channel, if it has one.
    pub(crate) fn interval(&self, group: &Group) -> Option<Interval> {
        self.subscribers(group.name())?.lock().interval()
    }

    /// Returns the groups whose channels have an interval.
    pub(crate) fn groups_with_interval(&self) -> Vec<Group> {
        let groups: Vec<Group> = self.groups.lock().keys().cloned().collect();
        groups.into_iter().filter(|group| self.interval(group).is_some()).collect()
    }

    /// Returns every open socket.
    pub(crate) fn sockets(&self) -> Vec<Arc<Socket>> {
        self.sockets.lock().iter().map(|(_, registered)| Arc::clone(&registered.socket)).collect()
    }

    /// Returns every open socket with its subscription.
    pub(crate) fn registered(&self) -> Vec<Registered> {
        self.sockets.lock().iter().map(|(_, registered)| registered.clone()).collect()
    }

    /// Records that all sockets are asked again from now on, and returns them. Those that register
    /// later for an earlier request have to be asked, too.
    pub(crate) fn begin_asking(&self) -> Vec<Registered> {
        self.disconnects.lock().record_asking();
        self.registered()
    }

    /// Returns whether all sockets were asked again after this request arrived.
    pub(crate) fn were_asked_since(&self, received_at: Instant) -> bool {
        self.disconnects.lock().were_asked_since(received_at)
    }

    /// Closes every socket that one of these commands ends, before it returns. Those that one
    /// announces are asked later.
    pub(crate) fn apply_missed(&self, commands: &[Disconnect]) {
        for command in commands {
            self.record(command);
        }
        let made = DisconnectIndex::new(commands.iter().filter(|command| command.announces.is_none()));
        for Registered { socket, subscription } in self.registered() {
            let (identity, group) = (socket.identity(), subscription.group().name());
            if let Some(command) = made.find(identity.id(), identity.login(), group) {
                socket.close(&command.close());
            }
        }
    }

    fn record(&self, command: &Disconnect) {
        let mut disconnects = self.disconnects.lock();
        match command.announces {
            Some(_) => disconnects.announce(command.clone()),
            None => disconnects.record(command.clone()),
        }
    }

    /// Takes the announcements whose changes have to end now.
    pub(crate) fn take_due_announcements(&self, now: Instant) -> Vec<Announced> {
        self.disconnects.lock().take_due_announcements(now)
    }

    /// Puts announcements back whose changes could not be ended.
    pub(crate) fn put_back_announcements(&self, due: Vec<Announced>) {
        self.disconnects.lock().put_back_announcements(due);
    }

    /// Makes the sockets of announcements due, whose changes have ended. Those that register later
    /// for an earlier request are closed.
    pub(crate) async fn ask_announced(&self, ended: &[Announced]) {
        for (_, announcement) in ended {
            self.disconnects.lock().record(announcement.clone());
        }
        let index = DisconnectIndex::new(ended.iter().map(|(_, announcement)| announcement));
        self.each(|socket, group| {
            let identity = socket.identity();
            if index.find(identity.id(), identity.login(), group.name()).is_some() {
                socket.ask_at(0);
            }
        })
        .await;
    }

    /// Closes every socket that the command matches, in a task of its own.
    pub(crate) fn apply(self: &Arc<Self>, command: Disconnect) {
        self.record(&command);
        if command.announces.is_some() {
            return;
        }
        let (hub, close) = (Arc::clone(self), command.close());
        tokio::spawn(async move {
            hub.each(|socket, group| {
                if matches(&command, socket, group) {
                    socket.close(&close);
                }
            })
            .await;
        });
    }

    /// Calls `act` for every socket, and yields between batches.
    pub(crate) async fn each_socket(&self, act: impl Fn(&Socket)) {
        self.each(|socket, _| act(socket)).await;
    }

    async fn each(&self, act: impl Fn(&Socket, &Group)) {
        let mut next = 0;
        loop {
            {
                let sockets = self.sockets.lock();
                let end = sockets.capacity();
                for key in next..end.min(next + TURN_SOCKETS) {
                    if let Some(Registered { socket, subscription }) = sockets.get(key) {
                        act(socket, subscription.group());
                    }
                }
                if next + TURN_SOCKETS >= end {
                    return;
                }
            }
            next += TURN_SOCKETS;
            tokio::task::yield_now().await;
        }
    }

    /// Closes every socket that registers from now on.
    pub(crate) fn end(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    fn subscribers(&self, group: &str) -> Option<Arc<Mutex<Subscribers>>> {
        self.groups.lock().get(group).cloned()
    }
}

/// Returns whether a disconnect command matches this socket of this group.
fn matches(command: &Disconnect, socket: &Socket, group: &Group) -> bool {
    let identity = socket.identity();
    command.matches(Some(identity.id()), identity.login(), Some(group.name()))
}
