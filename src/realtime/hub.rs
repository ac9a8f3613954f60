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

use crate::layer::{Disconnect, Instruction, NodeFigures};
use crate::realtime::channel::Interval;
use crate::realtime::disconnects::{Announced, DisconnectIndex, RecentDisconnects};
use crate::realtime::fanout::messages_missing;
use crate::realtime::feed::Feed;
use crate::realtime::instructions::{Instructed, Instructions, Taken};
use crate::realtime::registered::Registered;
use crate::realtime::socket::Socket;
use crate::realtime::subscribers;
use crate::realtime::subscribers::{Behind, Cursor, Subscribers};
use crate::realtime::subscription::{JoinedBy, Subscription};
use crate::telemetry::METRICS;
use crate::wire::close::{Close, CloseCode};
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
    /// The sockets, with the subscriptions to the channels of their paths. A socket has those that
    /// it joined beside.
    registered: Mutex<Slab<Registered>>,
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
    instructions: Instructions,
}

impl Hub {
    /// Registers a socket, whose request arrived at `opened_at`, with the subscription to the
    /// channel of its path. Returns its key.
    pub(crate) fn register(
        &self,
        socket: &Arc<Socket>,
        subscription: Option<&Arc<Subscription>>,
        opened_at: Instant,
    ) -> usize {
        let registered = Registered::new(socket, subscription);
        let key = {
            let mut all = self.registered.lock();
            subscribers::grow(&mut all);
            all.insert(registered.clone())
        };
        METRICS.sockets.inc();
        // A disconnect command that arrives from here on finds it.
        self.check(&registered, opened_at);
        if self.closing.load(Ordering::SeqCst) {
            socket.close(&CloseCode::ServiceRestart.into());
        }
        key
    }

    /// Ends a subscription that its socket has now, if a disconnect command that came after
    /// `opened_at` matches it. Later commands find it.
    pub(crate) fn check_joined(&self, subscription: &Arc<Subscription>, opened_at: Instant) {
        let socket = subscription.socket();
        self.check(&Registered::new(socket, Some(subscription)), opened_at);
        if self.were_asked_since(opened_at) {
            socket.ask_at(0); // without it
        }
    }

    /// Ends what a disconnect command matches that came after `since`.
    fn check(&self, registered: &Registered, since: Instant) {
        let close = self.disconnects.lock().since(since, |command| registered.matches(command));
        if let Some(close) = close {
            self.end(registered, &close);
        }
    }

    /// Adds a subscription to the subscribers of its group. Its socket receives the events of the
    /// group at once or, if the subscription resumes, from [`join`](Self::join) on.
    pub(crate) fn subscribe(&self, subscription: &Subscription) {
        let from = if subscription.entrance().resumes() { Id::NEVER } else { Id::START };
        let is_of_server = subscription.joined_by() == JoinedBy::Server;
        let key = self.insert_subscriber(subscription.socket(), subscription.feed(), from, is_of_server);
        subscription.set_key(key);
    }

    /// Removes a subscription from the subscribers of its group.
    pub(crate) fn unsubscribe(&self, subscription: &Subscription) {
        self.remove_subscriber(subscription.feed(), subscription.key());
    }

    /// Returns the feed that its subscribers share.
    pub(crate) fn share(&self, feed: Feed) -> Arc<Feed> {
        let subscribers = self.subscribers(feed.group.name());
        let shared = subscribers.and_then(|subscribers| subscribers.lock().shared(&feed));
        shared.unwrap_or_else(|| Arc::new(feed))
    }

    /// Adds a socket to those that receive a feed, and returns its key.
    pub(crate) fn insert_subscriber(
        &self,
        socket: &Arc<Socket>,
        feed: &Arc<Feed>,
        from: Id,
        is_of_server: bool,
    ) -> usize {
        loop {
            let subscribers = Arc::clone(self.groups.lock().entry(feed.group.clone()).or_default());
            if let Some(key) = subscribers.lock().insert(socket, feed, from, is_of_server) {
                return key;
            }
        }
    }

    /// Removes a socket from those that receive a feed.
    pub(crate) fn remove_subscriber(&self, feed: &Feed, key: usize) {
        let Some(subscribers) = self.subscribers(feed.group.name()) else { return };
        if subscribers.lock().remove(feed, key) {
            let mut groups = self.groups.lock();
            groups.remove(&feed.group);
            if groups.is_empty() {
                groups.shrink_to_fit();
            }
        }
    }

    /// Closes a socket whose client has another identity now, if a disconnect command that came
    /// after `since` matches that one. Later commands find it.
    pub(crate) fn check_connected(&self, socket: &Arc<Socket>, since: Instant) {
        self.check(&Registered::new(socket, None), since);
    }

    /// Ends a subscription, or a socket without one. Nothing is delivered after it. The socket ends
    /// with a subscription if its path named the channel, or if the client would have to join again
    /// and cannot.
    pub(crate) fn end(&self, registered: &Registered, close: &Close) {
        match &registered.subscription {
            Some(subscription) => self.end_subscription(subscription, close),
            None => registered.socket.close(close),
        }
    }

    /// As [`end`](Self::end), of a subscription.
    pub(crate) fn end_subscription(&self, subscription: &Arc<Subscription>, close: &Close) {
        let socket = subscription.socket();
        match subscription.joined_by() {
            JoinedBy::Path => return socket.close(close),
            JoinedBy::Server if close.is_failure() => return socket.close(&messages_missing()),
            JoinedBy::Server | JoinedBy::Client => {}
        }
        if socket.subscriptions().end(subscription, close, || self.silence(subscription)) {
            socket.outbox().wake();
        }
    }

    /// Delivers nothing any more to a subscription that has ended, nor joins and leaves of the
    /// connections in its channel.
    pub(crate) fn silence(&self, subscription: &Subscription) {
        self.end_subscriber(subscription.feed(), subscription.key());
        if let Some((feed, key)) = subscription.listed().and_then(|listed| listed.feed.as_ref()) {
            self.end_subscriber(feed, *key);
        }
    }

    fn end_subscriber(&self, feed: &Feed, key: usize) {
        if let Some(subscribers) = self.subscribers(feed.group.name()) {
            subscribers.lock().end(feed, key);
        }
    }

    /// Returns whether nothing is delivered any more to a subscription.
    pub(crate) fn is_silent(&self, subscription: &Subscription) -> bool {
        let subscribers = self.subscribers(subscription.group().name());
        subscribers.is_some_and(|all| all.lock().is_silent(subscription.feed(), subscription.key()))
    }

    /// Starts live delivery to a subscription that has everything up to `cursor`.
    ///
    /// # Errors
    /// Returns where the group is ahead of `cursor`. A join that `is_forced` does not compare the
    /// position in the log.
    pub(crate) fn join(
        &self,
        subscription: &Subscription,
        cursor: Cursor,
        is_forced: bool,
    ) -> Result<(), Behind> {
        if subscription.has_ended() {
            return Ok(()); // its key may be another one's
        }
        self.join_subscriber(subscription.feed(), subscription.key(), cursor, is_forced)
    }

    /// As [`join`](Self::join), of a socket that receives this feed under this key.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub(crate) fn join_subscriber(
        &self,
        feed: &Arc<Feed>,
        key: usize,
        cursor: Cursor,
        is_forced: bool,
    ) -> Result<(), Behind> {
        let Some(subscribers) = self.subscribers(feed.group.name()) else { return Ok(()) };
        subscribers.lock().join(feed, key, cursor, is_forced)
    }

    /// Removes the socket that was registered under this key.
    pub(crate) fn unregister(&self, key: usize) {
        let registered = self.registered.lock().remove(key); // dropped outside of the lock
        METRICS.sockets.dec();
        self.instructions.forget(&registered.socket);
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
            sockets: self.registered.lock().len() as u64,
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
        self.registered.lock().iter().map(|(_, registered)| Arc::clone(&registered.socket)).collect()
    }

    /// Returns every open socket with its subscriptions.
    pub(crate) fn registered(&self) -> Vec<Registered> {
        let mut all: Vec<_> = self.registered.lock().iter().map(|(_, it)| it.clone()).collect();
        let joined: Vec<_> = all.iter().flat_map(Registered::joined).collect();
        all.extend(joined);
        all
    }

    /// Records that all sockets are asked again from now on, and returns them. Those that register
    /// later for an earlier request have to be asked, too.
    pub(crate) fn begin_asking(&self) -> Vec<Registered> {
        self.disconnects.lock().record_asking();
        self.take_due(|_| true)
    }

    /// Returns the sockets that are due, with their subscriptions, to be asked now. They are due
    /// again when they are answered so, or with what they join from here on.
    pub(crate) fn take_due(&self, is_due: impl Fn(&Socket) -> bool) -> Vec<Registered> {
        let mut due: Vec<_> = {
            let all = self.registered.lock();
            all.iter().filter(|(_, it)| is_due(&it.socket)).map(|(_, it)| it.clone()).collect()
        };
        for Registered { socket, .. } in &due {
            socket.set_known_until(u32::MAX);
        }
        let joined: Vec<_> = due.iter().flat_map(Registered::joined).collect();
        due.extend(joined);
        due
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
        for registered in self.registered() {
            self.end_found(&registered, &made);
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
        self.each(|registered| {
            let identity = registered.socket.identity();
            if index.find(identity.id(), identity.login(), registered.group()).is_some() {
                registered.socket.ask_at(0);
            }
        })
        .await;
    }

    /// Ends what one of these commands matches: a subscription if the command names a group, else
    /// the socket.
    fn end_found(&self, registered: &Registered, commands: &DisconnectIndex<'_>) {
        let identity = registered.socket.identity();
        let Some(command) = commands.find(identity.id(), identity.login(), registered.group()) else {
            return;
        };
        match command.group {
            Some(_) => self.end(registered, &command.close()),
            None => registered.socket.close(&command.close()),
        }
    }

    /// Closes every socket that the command matches, in a task.
    pub(crate) fn apply(self: &Arc<Self>, command: Disconnect) {
        self.record(&command);
        if command.announces.is_none() && self.instructions.add_disconnect(command) {
            self.spawn_passes();
        }
    }

    /// Passes an instruction to the tasks of the connections that it concerns, after earlier ones
    /// and earlier disconnect commands.
    pub(crate) fn instruct(self: &Arc<Self>, instruction: Instruction) {
        if self.instructions.add(instruction) {
            self.spawn_passes();
        }
    }

    /// Does what was added, in one task: one command never comes to a connection after a later
    /// instruction.
    fn spawn_passes(self: &Arc<Self>) {
        let hub = Arc::clone(self);
        tokio::spawn(async move {
            while let Some(Taken { disconnects, instructions }) = hub.instructions.take_added() {
                let index = DisconnectIndex::new(disconnects.iter());
                hub.visit(|registered| {
                    let mut joined = 0;
                    if !disconnects.is_empty() {
                        hub.end_found(registered, &index);
                        joined = registered.joined().map(|joined| hub.end_found(&joined, &index)).count();
                    }
                    let socket = &registered.socket;
                    if socket.connects()
                        && let Some(instructed) = instructions.get(socket.identity().id())
                    {
                        hub.instructions.give(socket, instructed);
                    }
                    joined
                })
                .await;
            }
        });
    }

    /// Returns the next instruction for a connection.
    pub(crate) fn next_instruction(&self, socket: &Arc<Socket>) -> Option<Instructed> {
        self.instructions.next(socket)
    }

    /// Calls `act` for every socket and each of its subscriptions, and yields between batches.
    async fn each(&self, act: impl Fn(&Registered)) {
        self.visit(|registered| {
            act(registered);
            registered.joined().map(|joined| act(&joined)).count()
        })
        .await;
    }

    /// Calls `act` for every socket, and yields between batches.
    pub(crate) async fn each_socket(&self, act: impl Fn(&Registered)) {
        self.visit(|registered| {
            act(registered);
            0
        })
        .await;
    }

    /// As [`each_socket`](Self::each_socket). A batch is smaller by what `act` has done beside, and
    /// returns: the lock is held for it, too.
    async fn visit(&self, act: impl Fn(&Registered) -> usize) {
        let mut key = 0;
        loop {
            {
                let all = self.registered.lock();
                let mut done = 0;
                while done < TURN_SOCKETS && key < all.capacity() {
                    done += 1 + all.get(key).map_or(0, &act);
                    key += 1;
                }
                if key >= all.capacity() {
                    return;
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Closes every socket that registers from now on.
    pub(crate) fn stop(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    fn subscribers(&self, group: &str) -> Option<Arc<Mutex<Subscribers>>> {
        self.groups.lock().get(group).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::pin::pin;
    use std::time::Duration;

    use super::*;
    use crate::layer::ConnectionChange;
    use crate::realtime::access::Grant;
    use crate::realtime::feed::tests::feed_of;
    use crate::realtime::subscription::ListedConnection;
    use crate::realtime::subscription::tests::{socket, subscription};

    /// Subscribes a socket to a channel.
    fn joined(hub: &Hub, socket: &Arc<Socket>, name: &str) -> Arc<Subscription> {
        let subscription = Arc::new(subscription(socket, name));
        hub.subscribe(&subscription);
        subscription
    }

    #[test]
    fn a_subscription_that_has_ended_receives_no_joins_and_leaves_either() {
        let (hub, socket) = (Hub::default(), socket());
        let subscription = joined(&hub, &socket, "lobby");
        socket.subscriptions().add(&subscription);
        let grant = Grant::new(subscription.group().connections(), "lobby");
        let connections = Arc::new(feed_of(&grant));
        let key = hub.insert_subscriber(&socket, &connections, Id::START, false);
        subscription.set_listed(ListedConnection {
            group: connections.group.clone(),
            member: "ann".into(),
            feed: Some((Arc::clone(&connections), key)),
        });
        let is_silent = |feed: &Feed, key| {
            let subscribers = hub.subscribers(feed.group.name()).expect("a group");
            subscribers.lock().is_silent(feed, key)
        };
        assert!(!hub.is_silent(&subscription) && !is_silent(&connections, key));
        hub.end_subscription(&subscription, &CloseCode::Forbidden.into());
        assert!(hub.is_silent(&subscription), "messages");
        assert!(is_silent(&connections, key), "joins and leaves");
    }

    /// On one thread tasks run in the order in which they are spawned.
    #[tokio::test]
    async fn an_instruction_comes_after_the_commands_before_it() {
        let (hub, socket) = (Arc::new(Hub::default()), socket());
        socket.end_connect(true);
        hub.register(&socket, None, Instant::now());
        let subscription = joined(&hub, &socket, "lobby");
        socket.subscriptions().add(&subscription);
        let id = socket.identity().id();
        let instruct = |user: &str| {
            let change = ConnectionChange::Refresh { expires_at: None, info: None };
            hub.instruct(Instruction { user: user.to_owned(), client: None, change });
        };
        instruct("another");
        let had_ended = tokio::spawn({
            let (hub, socket) = (Arc::clone(&hub), Arc::clone(&socket));
            async move {
                while hub.next_instruction(&socket).is_none() {
                    tokio::task::yield_now().await;
                }
                subscription.has_ended()
            }
        });
        let user = Some(id.to_owned());
        hub.apply(Disconnect { user, group: Some("lobby".to_owned()), ..Disconnect::default() });
        instruct(id);
        let had_ended = tokio::time::timeout(Duration::from_secs(10), had_ended).await;
        assert!(had_ended.expect("an instruction").unwrap());
    }

    #[tokio::test]
    async fn a_batch_is_bounded_by_subscriptions() {
        const CHANNELS: usize = 8;
        let (hub, visited, mut most) = (Hub::default(), Cell::new(0), 0);
        for _ in 0..TURN_SOCKETS {
            let socket = socket();
            hub.register(&socket, None, Instant::now());
            for channel in 0..CHANNELS {
                socket.subscriptions().add(&joined(&hub, &socket, &channel.to_string()));
            }
        }
        let mut each = pin!(hub.each(|_| visited.set(visited.get() + 1)));
        poll_fn(|task| {
            let before = visited.get();
            let polled = each.as_mut().poll(task);
            most = most.max(visited.get() - before);
            polled
        })
        .await;
        assert_eq!(visited.get(), TURN_SOCKETS * (1 + CHANNELS));
        assert!(most <= TURN_SOCKETS + CHANNELS, "{most} in one batch");
    }
}
