//! The subscribers of one group on this node, and the events queued for them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use slab::Slab;

use crate::realtime::channel::Interval;
use crate::realtime::fanout::Fanout;
use crate::realtime::feed::Feed;
use crate::realtime::socket::Socket;
use crate::telemetry::METRICS;
use crate::wire::delivery::Delivery;
use crate::wire::event::{Event, GAP, Position};
use crate::wire::id::Id;

/// The approximate size of a batch of events, in bytes. A slow socket holds a batch until it has
/// read all of it.
const MAX_BATCH_BYTES: usize = 256 * 1024;

/// The sockets of one group.
#[derive(Default)]
pub(crate) struct Subscribers {
    /// One row for each feed; most groups have one.
    rows: Vec<SubscriberRow>,
    /// Events not yet sent to any socket.
    waiting: VecDeque<Arc<Delivery>>,
    /// How many of them are gaps.
    waiting_gaps: usize,
    /// The batch being sent.
    fanout: Option<Fanout>,
    /// The last logged event of a batch, if there was one.
    position: Option<Id>,
    /// The epoch of that event; 0 if it has none.
    epoch: u64,
    /// Sockets that have read the log further than this node has followed it, into another epoch.
    /// Most groups have none.
    ahead: Box<[Ahead]>,
    /// The version of the last presence event of a batch.
    presence: u64,
    /// How often the log was found to be rewritten.
    gaps: u32,
    /// The group has left the hub; callers that still hold this look it up again.
    gone: bool,
}

pub(crate) struct SubscriberRow {
    pub(crate) feed: Arc<Feed>,
    /// Contiguous in memory, each at its key.
    pub(crate) sockets: Slab<Subscriber>,
}

pub(crate) struct Subscriber {
    pub(crate) socket: Arc<Socket>,
    /// It receives the logged events after this one, with [`Id::LAST`] those after the next gap;
    /// [`Id::NEVER`] while it receives nothing.
    pub(crate) from: Id,
    /// It receives the presence events after this version.
    pub(crate) presence: u64,
    /// The group's `gaps` when it registered, or last tried to join. It has to read the log again
    /// after a further one.
    pub(crate) gaps: u32,
    /// Its subscription has ended: it receives nothing any more.
    has_ended: bool,
    /// A gap that ends the feed closes the socket: its client cannot join again.
    pub(crate) is_of_server: bool,
}

/// A socket whose position is in another epoch than the group's: ids do not say whether an event
/// comes before it. It receives nothing until the group reaches it, or a gap.
struct Ahead {
    feed: Arc<Feed>,
    key: usize,
    id: Id,
    epoch: u64,
}

/// What a socket that catches up has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    /// The id of the last logged event.
    pub(crate) id: Id,
    /// The epoch of that event, where it is known.
    pub(crate) epoch: Option<u64>,
    /// The version of the presence that it knows.
    pub(crate) presence: u64,
}

/// Why a socket cannot join the others of its group yet.
#[derive(Debug)]
pub(crate) enum Behind {
    /// They have more of the log.
    Log,
    /// They were sent a gap: ids from before it and after it do not compare.
    Gap,
    /// They know of later changes of presence.
    Presence,
}

impl Subscribers {
    /// Returns the feed that its subscribers here share.
    pub(crate) fn shared(&self, feed: &Feed) -> Option<Arc<Feed>> {
        self.rows.iter().find(|row| *row.feed == *feed).map(|row| Arc::clone(&row.feed))
    }

    /// Adds a socket and returns its key; `None` if the group has left the hub. A gap closes it if
    /// it ends the feed, and the socket `is_of_server`.
    pub(crate) fn insert(
        &mut self,
        socket: &Arc<Socket>,
        feed: &Arc<Feed>,
        from: Id,
        is_of_server: bool,
    ) -> Option<usize> {
        if self.gone {
            return None;
        }
        if self.rows.is_empty() {
            METRICS.groups.inc();
        }
        let gaps = self.gaps;
        let row = self.rows.iter().position(|row| row.feed == *feed).unwrap_or_else(|| {
            self.rows.push(SubscriberRow { feed: Arc::clone(feed), sockets: Slab::new() });
            self.rows.len() - 1
        });
        let subscriber = Subscriber {
            socket: Arc::clone(socket),
            from,
            presence: 0,
            gaps,
            has_ended: false,
            is_of_server,
        };
        let sockets = &mut self.rows[row].sockets;
        grow(sockets);
        Some(sockets.insert(subscriber))
    }

    /// Delivers nothing any more to a socket that is still in the group.
    pub(crate) fn end(&mut self, feed: &Feed, key: usize) {
        let row = self.rows.iter_mut().find(|row| *row.feed == *feed);
        if let Some(subscriber) = row.and_then(|row| row.sockets.get_mut(key)) {
            (subscriber.from, subscriber.has_ended) = (Id::NEVER, true);
        }
    }

    /// Returns whether a socket receives nothing any more: it left, or a gap has ended its feed.
    pub(crate) fn is_silent(&self, feed: &Feed, key: usize) -> bool {
        let row = self.rows.iter().find(|row| *row.feed == *feed);
        let subscriber = row.and_then(|row| row.sockets.get(key).map(|subscriber| (row, subscriber)));
        subscriber.is_some_and(|(row, subscriber)| {
            // The gap may be on its way still.
            let is_behind = row.feed.renderer.gap_ends && subscriber.gaps != self.gaps;
            subscriber.has_ended || (is_behind && subscriber.from != Id::NEVER)
        })
    }

    /// Removes a socket. Returns whether it was the last; the group has then left the hub.
    pub(crate) fn remove(&mut self, feed: &Feed, key: usize) -> bool {
        let row = self.rows.iter().position(|row| *row.feed == *feed).expect("a subscriber has its row");
        let sockets = &mut self.rows[row].sockets;
        sockets.remove(key);
        if sockets.is_empty() {
            self.rows.swap_remove(row);
        } else if sockets.len() < sockets.capacity() / 4 {
            sockets.shrink_to_fit();
        }
        if !self.ahead.is_empty() {
            self.take_ahead(|ahead| *ahead.feed == *feed && ahead.key == key);
        }
        self.gone = self.rows.is_empty();
        if self.gone {
            METRICS.groups.dec();
        }
        self.gone
    }

    /// See [`Hub::join`](crate::realtime::hub::Hub::join).
    pub(crate) fn join(
        &mut self,
        feed: &Arc<Feed>,
        key: usize,
        cursor: Cursor,
        is_forced: bool,
    ) -> Result<(), Behind> {
        let row = self.rows.iter_mut().find(|row| row.feed == *feed).expect("a subscriber has its row");
        let subscriber = &mut row.sockets[key];
        if subscriber.has_ended {
            return Ok(());
        }
        if std::mem::replace(&mut subscriber.gaps, self.gaps) != self.gaps {
            return Err(Behind::Gap);
        }
        match self.position {
            Some(position) if position > cursor.id && !is_forced => Err(Behind::Log),
            _ if self.presence > cursor.presence => Err(Behind::Presence),
            _ => {
                // What waits before a gap is of a log that was lost, perhaps with greater ids: the
                // socket may have read the one after it.
                let ahead = cursor.epoch.filter(|epoch| *epoch != self.epoch);
                let from = if self.waiting_gaps > 0 || ahead.is_some() { Id::LAST } else { cursor.id };
                if let Some(epoch) = ahead.filter(|_| self.waiting_gaps == 0) {
                    let mut all = std::mem::take(&mut self.ahead).into_vec();
                    all.push(Ahead { feed: Arc::clone(feed), key, id: cursor.id, epoch });
                    self.ahead = all.into_boxed_slice();
                }
                (subscriber.from, subscriber.presence) = (from, cursor.presence);
                Ok(())
            }
        }
    }

    pub(crate) fn interval(&self) -> Option<Interval> {
        self.rows.iter().find_map(|row| row.feed.renderer.interval)
    }

    /// Returns whether events are queued.
    pub(crate) fn is_busy(&self) -> bool {
        self.fanout.is_some() || !self.waiting.is_empty()
    }

    /// Queues events. Returns whether none were queued before.
    pub(crate) fn enqueue(&mut self, events: &[Arc<Delivery>]) -> bool {
        let idle = !self.is_busy();
        self.waiting_gaps += events.iter().filter(|event| is_gap(event)).count();
        self.waiting.extend(events.iter().cloned());
        idle
    }

    /// Writes queued events to at most `left` sockets, and adds the frames to `delivered`. Returns
    /// how many bytes of events left the queue.
    pub(crate) fn flush(&mut self, left: &mut usize, delivered: &AtomicU64) -> usize {
        let mut bytes = 0;
        while *left > 0 {
            match &mut self.fanout {
                Some(fanout) => {
                    if fanout.send(&self.rows, left, delivered) {
                        self.fanout = None;
                    }
                }
                None if self.waiting.is_empty() => {
                    self.waiting.shrink_to(16);
                    break;
                }
                None => bytes += self.start_batch(),
            }
        }
        bytes
    }

    /// Starts the next batch. Returns its size in bytes.
    fn start_batch(&mut self) -> usize {
        self.end_behind_gaps();
        let (mut events, mut bytes) = (Vec::new(), 0);
        // A gap begins a batch: the ids before and after it cannot be compared.
        let fits = |event: &Arc<Delivery>, bytes| {
            bytes == 0 || (bytes + event.size() <= MAX_BATCH_BYTES && !is_gap(event))
        };
        // Sockets are reached between batches.
        let has_ahead = !self.ahead.is_empty();
        while self.waiting.front().is_some_and(|event| fits(event, bytes) && (bytes == 0 || !has_ahead))
            && let Some(event) = self.waiting.pop_front()
        {
            bytes += event.size();
            self.advance(&event);
            events.push(event);
        }
        self.fanout = Some(Fanout::new(self.rows.iter().map(|row| &row.feed), &events, self.gaps));
        bytes
    }

    /// Delivers nothing any more to sockets that were sent a gap which ends their feed.
    fn end_behind_gaps(&mut self) {
        let gaps = self.gaps;
        for row in self.rows.iter_mut().filter(|row| row.feed.renderer.gap_ends) {
            let sockets = row.sockets.iter_mut().map(|(_, subscriber)| subscriber);
            for subscriber in sockets.filter(|it| it.from != Id::NEVER && it.gaps != gaps) {
                (subscriber.from, subscriber.has_ended) = (Id::NEVER, true);
            }
        }
    }

    /// Delivers from their positions on to sockets whose epoch begins with this event, or whose
    /// position it follows. Without an epoch all ids compare.
    fn reach(&mut self, stamp: Position, epoch: Option<u64>) {
        let is_reached =
            |ahead: &Ahead| epoch.is_none_or(|epoch| epoch == ahead.epoch) || stamp.prev == ahead.id;
        for reached in self.take_ahead(is_reached) {
            let row = self.rows.iter_mut().find(|row| row.feed == reached.feed);
            let subscriber = row.and_then(|row| row.sockets.get_mut(reached.key));
            if let Some(subscriber) = subscriber.filter(|subscriber| !subscriber.has_ended) {
                subscriber.from = reached.id;
            }
        }
    }

    /// Takes out those of the sockets ahead that this is true of.
    fn take_ahead(&mut self, is_taken: impl Fn(&Ahead) -> bool) -> Vec<Ahead> {
        let all = std::mem::take(&mut self.ahead).into_vec();
        let (taken, left) = all.into_iter().partition::<Vec<_>, _>(is_taken);
        self.ahead = left.into_boxed_slice();
        taken
    }

    /// Advances the group's position by this event.
    fn advance(&mut self, event: &Event) {
        if let Some(stamp) = event.position() {
            self.position = Some(stamp.id);
            let epoch = stamp.offset.map(|offset| offset.epoch);
            self.epoch = epoch.unwrap_or_default();
            if !self.ahead.is_empty() {
                self.reach(stamp, epoch);
            }
        } else if let Some(version) = event.presence_version() {
            self.presence = version;
        } else if is_gap(event) {
            // A rewritten log may continue with smaller ids.
            self.position = None;
            self.epoch = 0;
            self.ahead = Box::default();
            self.gaps += 1;
            self.waiting_gaps -= 1;
            let all = self.rows.iter_mut().flat_map(|row| row.sockets.iter_mut());
            all.filter(|(_, subscriber)| subscriber.from != Id::NEVER)
                .for_each(|(_, subscriber)| subscriber.from = Id::START);
        }
    }
}

/// Makes space for one entry more, and for an eighth of those there: a vector would double.
pub(crate) fn grow<T>(slab: &mut Slab<T>) {
    if slab.len() == slab.capacity() {
        slab.reserve_exact(slab.len() / 8 + 1);
    }
}

pub(crate) fn is_gap(event: &Event) -> bool {
    event.is_own() && event.kind() == GAP
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::auth::identity::Identity;
    use crate::http::connection::Connection;
    use crate::limits::ConnectionSlot;
    use crate::realtime::backlog::Limits;
    use crate::realtime::feed::tests::feed;
    use crate::realtime::renderer::Wire;
    use crate::realtime::renderer::tests::Plain;
    use crate::wire::frame::Transport;

    /// Returns the subscribers of `count` sockets, and the clients' ends of their connections.
    async fn subscribers(count: usize) -> (Subscribers, Vec<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (mut subscribers, mut ends) = (Subscribers::default(), Vec::new());
        for _ in 0..count {
            ends.push(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
            let (tcp, _) = listener.accept().await.unwrap();
            tcp.set_nodelay(true).unwrap();
            let limits = Limits { bytes: 1024, messages: 16 };
            let socket = Arc::new(Socket::new(
                Wire::new::<Plain>(Transport::WebSocket),
                Arc::new(Identity::anonymous()),
                limits,
                0,
            ));
            socket.outbox().attach(Connection::new(tcp, ConnectionSlot::for_test()));
            subscribers.insert(&socket, &feed(), Id::START, false).unwrap();
        }
        (subscribers, ends)
    }

    /// Counts the allocations of delivering `events` events to `sockets` sockets.
    async fn allocations(sockets: usize, events: u64) -> u64 {
        let (mut subscribers, ends) = subscribers(sockets).await;
        let mut prev = Id::START;
        let mut event = || {
            let id = prev.next(7);
            let stamp = Position { id, prev: std::mem::replace(&mut prev, id), offset: None };
            Arc::new(Event::new("chat").with("text", "hello").at_position(stamp).into())
        };
        let events: Vec<Arc<Delivery>> = (0..events).map(|_| event()).collect();
        let taken = allocation_counter::measure(|| {
            subscribers.enqueue(&events);
            subscribers.flush(&mut usize::MAX.clone(), &AtomicU64::default());
        });
        assert!(!subscribers.is_busy());
        let mut frames = vec![0; 7 * events.len()];
        for end in ends {
            end.readable().await.unwrap();
            assert_eq!(end.try_read(&mut frames).unwrap(), frames.len(), "every socket has got everything");
        }
        taken.count_total
    }

    #[tokio::test]
    async fn a_delivery_takes_no_memory_and_a_message_a_bounded_number_of_times() {
        let one = allocations(50, 1).await;
        assert_eq!(allocations(200, 1).await, one, "more sockets take no more");
        assert!(one <= 8, "{one} for one message");
        let many = allocations(50, 20).await;
        assert!(many <= one + 19 * 4, "{many} for twenty messages in one write");
    }
}
