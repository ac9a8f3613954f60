//! What an application writes for a kind of socket: a few stateless functions and, perhaps, a ticker.
//!
//! The verbs are those of Channels' consumers (`connect`, `receive`, one method per event type,
//! `disconnect`). A consumer is a unit struct whose functions have no `self`: facts about one socket
//! are in its [`Subscription`], facts that sockets share are in the layer, and functions *return* what
//! should happen.

use std::any::TypeId;
use std::future::Future;
use std::time::Duration;

use crate::config::Config;
use crate::http::request::Request;
use crate::http::response::Refusal;
use crate::layer::LayerError;
use crate::realtime::subscription::Subscription;
pub use crate::realtime::vtable::Interval;
use crate::realtime::vtable::{ConsumerVTable, Kind};
use crate::realtime::welcome::Welcome;
use crate::wire::close::Close;
use crate::wire::event::Event;
use crate::wire::frame::{Frame, Transport};

/// One kind of socket.
pub trait Consumer: Send + Sync + 'static {
    /// The event that a group of these sockets gets by itself while its ticker is on.
    const INTERVAL: Option<Interval> = None;

    /// The subprotocol that its sockets speak (RFC 6455, section 1.9); `None` for sockets that ask for none.
    const SUBPROTOCOL: Option<&'static str> = None;

    /// The longest message that is read, in bytes; a longer one closes the socket with 1009.
    fn limit(config: &Config) -> usize {
        config.max_message_bytes
    }

    /// Decides whether the socket may open, and which group it sits in.
    ///
    /// # Errors
    /// A [`Refusal`] answers the handshake instead.
    fn connect(request: &Request) -> impl Future<Output = Result<Subscription, Refusal>> + Send;

    /// Takes one message of the client. Messages of one socket are taken one after another.
    fn receive(session: &Subscription, frame: Frame<'_>) -> impl Future<Output = Action> + Send;

    /// Answers a message of a client that says more than it may (`--messages-per-second`, `--bytes-per-second`), which
    /// is not [received](Self::receive); `None` closes the socket with 4429 at once. A client that goes on is closed anyway.
    fn too_fast(_frame: &Frame<'_>) -> Option<Frame<'static>> {
        None
    }

    /// Renders an event of the group for its sockets: once per node, whatever their number. `None`
    /// for an event that this consumer does not list; it is counted and dropped.
    fn event(event: &Event) -> Option<Frame<'static>>;

    /// The first frame of a socket that [resumes](Subscription::resuming).
    fn welcome(_session: &Subscription, _welcome: &Welcome) -> Option<Frame<'static>> {
        None
    }

    /// The frames that follow the welcome at once: how it stands beside what the log tells.
    ///
    /// # Errors
    /// [`LayerError`] when the layer does not answer.
    fn greeting(
        _session: &Subscription,
    ) -> impl Future<Output = Result<Vec<Frame<'static>>, LayerError>> + Send {
        async { Ok(Vec::new()) }
    }

    /// Tells a socket that this node ends, and that it will be closed with 1012 after this time.
    fn bye(_reconnect: Duration) -> Option<Frame<'static>> {
        None
    }

    /// The socket is gone, whoever closed it.
    fn disconnect(_session: &Subscription) -> impl Future<Output = ()> + Send {
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

impl Kind {
    /// This consumer, on this wire.
    pub(crate) const fn of<C: Consumer>(wire: Transport) -> Self {
        Self(match wire {
            Transport::WebSocket => const { &ConsumerVTable::of::<C>(Transport::WebSocket) },
            Transport::Sse => const { &ConsumerVTable::of::<C>(Transport::Sse) },
        })
    }
}

impl ConsumerVTable {
    const fn of<C: Consumer>(wire: Transport) -> Self {
        Self { id: TypeId::of::<C>(), wire, event: C::event, bye: C::bye, ticker: C::INTERVAL }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::vtable::Rendered;

    struct Fragile;

    impl Consumer for Fragile {
        async fn connect(request: &Request) -> Result<Subscription, Refusal> {
            Ok(Subscription::alone(request))
        }

        async fn receive(_: &Subscription, _: Frame<'_>) -> Action {
            Action::Nothing
        }

        fn event(event: &Event) -> Option<Frame<'static>> {
            assert_ne!(event.kind(), "poison", "a bug in the application");
            None
        }
    }

    #[test]
    fn a_consumer_that_panics_over_an_event_loses_this_event_only() {
        let kind = Kind::of::<Fragile>(Transport::WebSocket);
        assert!(matches!(kind.render(&Event::new("poison").into()), Rendered::Failed));
        assert!(matches!(kind.render(&Event::new("other").into()), Rendered::Unlisted));
    }
}
