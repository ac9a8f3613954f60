//! What an application writes for a kind of socket: four stateless functions and, perhaps, a ticker.
//!
//! The verbs are those of Channels' consumers (`connect`, `receive`, one method per event type,
//! `disconnect`). A consumer is a unit struct whose functions have no `self`: facts about one socket
//! are in its [`Session`], facts that sockets share are in the layer, and functions *return* what
//! should happen.

use std::any::TypeId;
use std::future::Future;
use std::panic::catch_unwind;
use std::time::Duration;

use crate::event::Event;
use crate::frame::{Close, Frame};
use crate::group::Group;
use crate::request::Request;
use crate::response::Refusal;

/// One kind of socket.
pub trait Consumer: Send + Sync + 'static {
    /// The event that a group of these sockets gets by itself while its ticker is on.
    const TICKER: Option<Ticker> = None;

    /// Decides whether the socket may open, and which group it sits in.
    ///
    /// # Errors
    /// A [`Refusal`] answers the handshake instead.
    fn connect(request: &Request) -> impl Future<Output = Result<Session, Refusal>> + Send;

    /// Takes one message of the client. Messages of one socket are taken one after another.
    fn receive(session: &Session, frame: Frame<'_>) -> impl Future<Output = Action> + Send;

    /// Renders an event of the group for its sockets: once per node, whatever their number. `None`
    /// for an event that this consumer does not list; it is counted and dropped.
    fn event(event: &Event) -> Option<Frame<'static>>;

    /// The socket is gone, whoever closed it.
    fn disconnect(_session: &Session) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// The facts about one socket, kept by the runtime from `connect` to `disconnect`.
#[derive(Clone, Debug)]
pub struct Session {
    group: Option<Group>,
}

impl Session {
    /// A socket that gets the events of this group.
    pub fn in_group(group: Group) -> Self {
        Self { group: Some(group) }
    }

    /// A socket on its own.
    pub fn alone() -> Self {
        Self { group: None }
    }

    /// The group whose events the socket gets.
    pub fn group(&self) -> Option<&Group> {
        self.group.as_ref()
    }
}

/// What should happen after a message.
#[derive(Clone, Debug)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Send this to the socket alone.
    Send(Frame<'static>),
    /// Publish this to the socket's group, on every node. When the layer cannot take it, the
    /// socket is closed with 1013.
    Publish(Event),
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

/// A consumer as the hub knows it: which it is, and how it renders.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) id: TypeId,
    pub(crate) ticker: Option<Ticker>,
    event: fn(&Event) -> Option<Frame<'static>>,
}

/// What a consumer made of an event.
pub(crate) enum Rendered {
    /// The frame for its sockets.
    Frame(Frame<'static>),
    /// It does not list this type of event.
    Unlisted,
    /// It panicked.
    Failed,
}

impl Kind {
    pub(crate) fn of<C: Consumer>() -> Self {
        Self { id: TypeId::of::<C>(), event: C::event, ticker: C::TICKER }
    }

    /// Renders an event. A consumer that panics over one must not take the node along, for every node
    /// of the group gets the same event.
    pub(crate) fn render(&self, event: &Event) -> Rendered {
        match catch_unwind(|| (self.event)(event)) {
            Ok(Some(frame)) => Rendered::Frame(frame),
            Ok(None) => Rendered::Unlisted,
            Err(_) => Rendered::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fragile;

    impl Consumer for Fragile {
        async fn connect(_: &Request) -> Result<Session, Refusal> {
            Ok(Session::alone())
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
        let kind = Kind::of::<Fragile>();
        assert!(matches!(kind.render(&Event::new("poison")), Rendered::Failed));
        assert!(matches!(kind.render(&Event::new("other")), Rendered::Unlisted));
    }
}
