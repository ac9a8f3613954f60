//! What an application writes for a kind of socket: a few stateless functions and, perhaps, a ticker.
//!
//! The verbs are those of Channels' consumers (`connect`, `receive`, one method per event type,
//! `disconnect`). A consumer is a unit struct whose functions have no `self`: facts about one socket
//! are in its [`Session`], facts that sockets share are in the layer, and functions *return* what
//! should happen.

use std::any::TypeId;
use std::future::Future;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;

use crate::config::Config;
use crate::http::request::Request;
use crate::http::response::Refusal;
use crate::realtime::catch_up::Welcome;
use crate::realtime::subscription::Session;
use crate::wire::error::Unavailable;
use crate::wire::event::Event;
use crate::wire::frame::{Close, Frame, Wire};
use crate::wire::group::Group;
use crate::wire::render_cache::Reader;

/// One kind of socket.
pub trait Consumer: Send + Sync + 'static {
    /// The event that a group of these sockets gets by itself while its ticker is on.
    const TICKER: Option<Ticker> = None;

    /// The subprotocol that its sockets speak (RFC 6455, section 1.9); `None` for sockets that ask for none.
    const PROTOCOL: Option<&'static str> = None;

    /// The longest message that is read, in bytes; a longer one closes the socket with 1009.
    fn limit(config: &Config) -> usize {
        config.max_message_bytes
    }

    /// Decides whether the socket may open, and which group it sits in.
    ///
    /// # Errors
    /// A [`Refusal`] answers the handshake instead.
    fn connect(request: &Request) -> impl Future<Output = Result<Session, Refusal>> + Send;

    /// Takes one message of the client. Messages of one socket are taken one after another.
    fn receive(session: &Session, frame: Frame<'_>) -> impl Future<Output = Action> + Send;

    /// Answers a message of a client that says more than it may (`--messages-per-second`, `--bytes-per-second`), which
    /// is not [received](Self::receive); `None` closes the socket with 4429 at once. A client that goes on is closed anyway.
    fn too_fast(_frame: &Frame<'_>) -> Option<Frame<'static>> {
        None
    }

    /// Renders an event of the group for its sockets: once per node, whatever their number. `None`
    /// for an event that this consumer does not list; it is counted and dropped.
    fn event(event: &Event) -> Option<Frame<'static>>;

    /// The first frame of a socket that [resumes](Session::resuming).
    fn welcome(_session: &Session, _welcome: &Welcome) -> Option<Frame<'static>> {
        None
    }

    /// The frames that follow the welcome at once: how it stands beside what the log tells.
    ///
    /// # Errors
    /// [`Unavailable`] when the layer does not answer.
    fn greeting(_session: &Session) -> impl Future<Output = Result<Vec<Frame<'static>>, Unavailable>> + Send {
        async { Ok(Vec::new()) }
    }

    /// Tells a socket that this node ends, and that it will be closed with 1012 after this time.
    fn bye(_reconnect: Duration) -> Option<Frame<'static>> {
        None
    }

    /// The socket is gone, whoever closed it.
    fn disconnect(_session: &Session) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// What should happen after a message.
#[derive(Clone, Debug)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Send this to the socket alone.
    Send(Frame<'static>),
    /// Close the socket.
    Close(Close),
}

/// A group's own event, made again and again while the ticker is on and the group has sockets.
#[derive(Clone, Copy, Debug)]
pub struct Ticker {
    /// From the start to the first event, and from each event to the next.
    pub period: Duration,
    /// Makes the event. Every node with sockets of the group calls it, one node's event is sent.
    pub event: fn(&Group) -> Event,
}

/// A consumer as the hub knows it: a pointer, for every socket has it.
#[derive(Clone, Copy)]
pub(crate) struct Kind(&'static Facts);

/// Which consumer it is, how it renders, and how its frames travel.
pub(crate) struct Facts {
    id: TypeId,
    pub(crate) wire: Wire,
    pub(crate) ticker: Option<Ticker>,
    event: fn(&Event) -> Option<Frame<'static>>,
    bye: fn(Duration) -> Option<Frame<'static>>,
}

/// What a consumer made of an event.
pub(crate) enum Rendered {
    /// The frame for its sockets.
    Frame(Bytes),
    /// It does not list this type of event.
    Unlisted,
    /// It panicked.
    Failed,
}

impl Kind {
    /// This consumer, on this wire.
    pub(crate) const fn of<C: Consumer>(wire: Wire) -> Self {
        Self(match wire {
            Wire::Socket => const { &Facts::of::<C>(Wire::Socket) },
            Wire::Feed => const { &Facts::of::<C>(Wire::Feed) },
        })
    }

    /// Renders an event. A consumer that panics over one must not take the node along, for every node
    /// of the group gets the same event.
    pub(crate) fn render(self, event: &Event) -> Rendered {
        if let Some(frame) = event.renderings.get(self.reader()) {
            return Rendered::Frame(frame);
        }
        match catch_unwind(AssertUnwindSafe(|| (self.event)(event))) {
            Ok(Some(frame)) => {
                let id = event.stamp().map(|stamp| stamp.id);
                let frame = self.wire.message(frame, id);
                // What is not logged is never sent again.
                if id.is_some() {
                    event.renderings.put(self.reader(), &frame);
                }
                Rendered::Frame(frame)
            }
            Ok(None) => Rendered::Unlisted,
            Err(_) => Rendered::Failed,
        }
    }

    fn reader(self) -> Reader {
        (self.id, self.wire)
    }

    /// The frame that tells a socket to connect elsewhere.
    pub(crate) fn bye(self, reconnect: Duration) -> Option<Bytes> {
        let mut frame = self.wire.message((self.bye)(reconnect)?, None);
        if self.wire == Wire::Feed {
            // Browsers come back to a feed by themselves, after this time.
            frame = [format!("retry: {}\n", reconnect.as_millis()).as_bytes(), &frame].concat().into();
        }
        Some(frame)
    }
}

impl Facts {
    const fn of<C: Consumer>(wire: Wire) -> Self {
        Self { id: TypeId::of::<C>(), wire, event: C::event, bye: C::bye, ticker: C::TICKER }
    }
}

impl Deref for Kind {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        self.0
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.reader() == other.reader()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fragile;

    impl Consumer for Fragile {
        async fn connect(request: &Request) -> Result<Session, Refusal> {
            Ok(Session::alone(request))
        }

        async fn receive(_: &Session, _: Frame<'_>) -> Action {
            Action::Nothing
        }

        fn event(event: &Event) -> Option<Frame<'static>> {
            assert_ne!(event.kind(), "poison", "a bug in the application");
            None
        }
    }

    #[test]
    fn a_consumer_that_panics_over_an_event_loses_this_event_only() {
        let kind = Kind::of::<Fragile>(Wire::Socket);
        assert!(matches!(kind.render(&Event::new("poison")), Rendered::Failed));
        assert!(matches!(kind.render(&Event::new("other")), Rendered::Unlisted));
    }
}
