//! The seats of one group: its sockets on this node, and what is on its way to them.

use std::collections::VecDeque;
use std::sync::Arc;

use slab::Slab;

use crate::realtime::fanout::Fanout;
use crate::realtime::socket::Socket;
use crate::realtime::vtable::{Interval, Kind};
use crate::telemetry::METRICS;
use crate::wire::delivery::Delivery;
use crate::wire::event::{Event, GAP};
use crate::wire::id::Id;

/// About how many bytes of events go out together; a slow socket holds them until it has read them all.
const TOGETHER: usize = 256 * 1024;

/// The sockets of one group.
#[derive(Default)]
pub(crate) struct Subscribers {
    /// One row for each kind of consumer; most groups have one.
    rows: Vec<SubscriberRow>,
    /// Events that no socket got yet.
    waiting: VecDeque<Arc<Delivery>>,
    /// Those that some got.
    fan: Option<Fanout>,
    /// The last logged event that was handed to the rows, if there was one.
    position: Option<Id>,
    /// How often the log was found to be another one.
    gaps: u32,
    /// The group has left the hub; whoever still holds this looks again.
    gone: bool,
}

pub(crate) struct SubscriberRow {
    pub(crate) kind: Kind,
    /// Side by side in memory, each at its key as long as it is there.
    pub(crate) sockets: Slab<Subscriber>,
}

pub(crate) struct Subscriber {
    pub(crate) socket: Arc<Socket>,
    /// It gets the logged events after this one; [`Id::NEVER`] while it gets nothing at all.
    pub(crate) from: Id,
    /// The gaps of the group when it received_at: after another one, ids may be lesser than those that it has.
    gaps: u32,
}

impl Subscribers {
    /// Takes a socket in; `None` if the group has left the hub.
    pub(crate) fn insert(&mut self, socket: &Arc<Socket>, from: Id) -> Option<usize> {
        if self.gone {
            return None;
        }
        if self.rows.is_empty() {
            METRICS.groups.inc();
        }
        let (kind, gaps) = (socket.kind(), self.gaps);
        let row = self.rows.iter().position(|row| row.kind == kind).unwrap_or_else(|| {
            self.rows.push(SubscriberRow { kind, sockets: Slab::new() });
            self.rows.len() - 1
        });
        Some(self.rows[row].sockets.insert(Subscriber { socket: Arc::clone(socket), from, gaps }))
    }

    /// Lets a socket go; whether it was the last, and the group has left the hub with it.
    pub(crate) fn remove(&mut self, kind: Kind, key: usize) -> bool {
        let row = self.rows.iter().position(|row| row.kind == kind).expect("a seat has its row");
        let sockets = &mut self.rows[row].sockets;
        sockets.remove(key);
        if sockets.is_empty() {
            self.rows.swap_remove(row);
        } else if sockets.len() < sockets.capacity() / 4 {
            sockets.shrink_to_fit();
        }
        self.gone = self.rows.is_empty();
        if self.gone {
            METRICS.groups.dec();
        }
        self.gone
    }

    /// See [`Hub::join`](crate::realtime::hub::Hub::join).
    pub(crate) fn join(&mut self, kind: Kind, key: usize, cursor: Id, anyhow: bool) -> Result<(), Id> {
        match self.position {
            Some(position) if position > cursor && !anyhow => Err(position),
            _ => {
                let row = self.rows.iter_mut().find(|row| row.kind == kind).expect("a seat has its row");
                let seated = &mut row.sockets[key];
                seated.from = if seated.gaps == self.gaps { cursor } else { Id::START };
                Ok(())
            }
        }
    }

    pub(crate) fn ticker(&self) -> Option<Interval> {
        self.rows.iter().find_map(|row| row.kind.ticker)
    }

    /// Whether something is on its way.
    pub(crate) fn is_busy(&self) -> bool {
        self.fan.is_some() || !self.waiting.is_empty()
    }

    /// Puts events behind those that wait; whether there were none.
    pub(crate) fn put(&mut self, events: &[Arc<Delivery>]) -> bool {
        let idle = !self.is_busy();
        self.waiting.extend(events.iter().cloned());
        idle
    }

    /// Writes what waits to as many sockets as are `left`; returns how many bytes of events wait no more.
    pub(crate) fn flush(&mut self, left: &mut usize) -> usize {
        let mut bytes = 0;
        while *left > 0 {
            match &mut self.fan {
                Some(fan) => {
                    if fan.send(&self.rows, left) {
                        self.fan = None;
                    }
                }
                None if self.waiting.is_empty() => {
                    self.waiting.shrink_to(16);
                    break;
                }
                None => bytes += self.begin(),
            }
        }
        bytes
    }

    /// Takes what goes out together; returns its bytes.
    fn begin(&mut self) -> usize {
        let (mut events, mut bytes) = (Vec::new(), 0);
        // A gap goes alone: what is before it has other ids than what is behind it.
        let fits =
            |event: &Arc<Delivery>, bytes| bytes == 0 || (bytes + event.size() <= TOGETHER && !is_gap(event));
        while self.waiting.front().is_some_and(|event| fits(event, bytes))
            && let Some(event) = self.waiting.pop_front()
        {
            bytes += event.size();
            self.advance(&event);
            let gap = is_gap(&event);
            events.push(event);
            if gap {
                break;
            }
        }
        self.fan = Some(Fanout::new(self.rows.iter().map(|row| row.kind), &events));
        bytes
    }

    /// Notes how far the rows are with this event.
    fn advance(&mut self, event: &Event) {
        if let Some(stamp) = event.stamp() {
            self.position = Some(stamp.id);
        } else if is_gap(event) {
            // A log that was rewritten may go on with lesser ids.
            self.position = None;
            self.gaps += 1;
            let all = self.rows.iter_mut().flat_map(|row| row.sockets.iter_mut());
            all.filter(|(_, seated)| seated.from != Id::NEVER)
                .for_each(|(_, seated)| seated.from = Id::START);
        }
    }
}

fn is_gap(event: &Event) -> bool {
    event.is_own() && event.kind() == GAP
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Semaphore;

    use super::*;
    use crate::auth::identity::Identity;
    use crate::http::connection::Connection;
    use crate::http::request::Request;
    use crate::http::response::Refusal;
    use crate::realtime::backlog::Limits;
    use crate::realtime::consumer::{Action, Consumer};
    use crate::realtime::subscription::Subscription;
    use crate::wire::event::Position;
    use crate::wire::frame::{Frame, Transport};

    struct Plain;

    impl Consumer for Plain {
        async fn connect(request: &Request) -> Result<Subscription, Refusal> {
            Ok(Subscription::alone(request))
        }

        async fn receive(_: &Subscription, _: Frame<'_>) -> Action {
            Action::Nothing
        }

        fn event(event: &Event) -> Option<Frame<'static>> {
            event.text("text").map(|text| Frame::Text(text.to_owned().into()))
        }
    }

    /// Subscribers for so many sockets, and the ends to which they lead.
    async fn seats(count: usize) -> (Subscribers, Vec<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let places = Arc::new(Semaphore::new(count));
        let (mut seats, mut ends) = (Subscribers::default(), Vec::new());
        for _ in 0..count {
            ends.push(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
            let (tcp, _) = listener.accept().await.unwrap();
            tcp.set_nodelay(true).unwrap();
            let permit = Arc::clone(&places).try_acquire_owned().unwrap();
            let limits = Limits { bytes: 1024, messages: 16 };
            let socket = Arc::new(Socket::new(
                Kind::of::<Plain>(Transport::WebSocket),
                Arc::new(Identity::anonymous()),
                limits,
                0,
            ));
            socket.outbox().attach(Connection::new(tcp, permit));
            seats.insert(&socket, Id::START).unwrap();
        }
        (seats, ends)
    }

    /// How often memory is taken to hand so many events out to so many sockets.
    async fn allocations(sockets: usize, events: u64) -> u64 {
        let (mut seats, ends) = seats(sockets).await;
        let mut prev = Id::START;
        let mut event = || {
            let id = prev.next(7);
            let stamp = Position { id, prev: std::mem::replace(&mut prev, id) };
            Arc::new(Event::new("chat").with("text", "hello").stamped(stamp).into())
        };
        let events: Vec<Arc<Delivery>> = (0..events).map(|_| event()).collect();
        let taken = allocation_counter::measure(|| {
            seats.put(&events);
            seats.flush(&mut usize::MAX.clone());
        });
        assert!(!seats.is_busy());
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
