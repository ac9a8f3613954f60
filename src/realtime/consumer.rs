//! The trait that an application implements for a kind of socket.
//!
//! The verbs are those of Channels' consumers (`connect`, `receive`, one method per event type,
//! `disconnect`). A consumer is a unit struct whose functions have no `self`: state of one socket
//! is in its [`Subscription`], shared state is in the layer, and functions *return* the action to
//! take.

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
    /// The event that a group of these sockets receives periodically while its interval is on.
    const INTERVAL: Option<Interval> = None;

    /// The subprotocol of the sockets (RFC 6455, section 1.9); `None` for clients that offer none.
    const SUBPROTOCOL: Option<&'static str> = None;

    /// Returns the longest accepted message, in bytes. A longer one closes the socket with 1009.
    fn limit(config: &Config) -> usize {
        config.max_message_bytes
    }

    /// Decides whether the socket may open, and which group it joins.
    ///
    /// # Errors
    /// Returns a [`Refusal`], which becomes the response to the handshake.
    fn connect(request: &Request) -> impl Future<Output = Result<Subscription, Refusal>> + Send;

    /// Handles one message of the client. Messages of one socket are handled in order, one at a
    /// time.
    fn receive(session: &Subscription, frame: Frame<'_>) -> impl Future<Output = Action> + Send;

    /// Answers a message over the rate limits (`--messages-per-second`, `--bytes-per-second`),
    /// which is not passed to [`receive`](Self::receive). `None` closes the socket with 4429 at
    /// once. A client that keeps sending is closed in any case.
    fn too_fast(_frame: &Frame<'_>) -> Option<Frame<'static>> {
        None
    }

    /// Renders an event of the group for its sockets, once per node. Returns `None` for an event
    /// type that this consumer does not handle; the event is counted and dropped.
    fn event(event: &Event) -> Option<Frame<'static>>;

    /// Returns the first frame of a socket that [resumes](Subscription::resuming).
    fn welcome(_session: &Subscription, _welcome: &Welcome) -> Option<Frame<'static>> {
        None
    }

    /// Returns the frames sent right after the welcome, for state that is not in the log.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    fn greeting(
        _session: &Subscription,
    ) -> impl Future<Output = Result<Vec<Frame<'static>>, LayerError>> + Send {
        async { Ok(Vec::new()) }
    }

    /// Returns the frame that announces the stop of this node: the socket is closed with 1012 after
    /// this time.
    fn bye(_reconnect: Duration) -> Option<Frame<'static>> {
        None
    }

    /// Runs after the socket has closed, from either side.
    fn disconnect(_session: &Subscription) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// The action to take after a message.
#[derive(Clone, Debug)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Send this frame to this socket only.
    Send(Frame<'static>),
    /// Close the socket.
    Close(Close),
}

impl Kind {
    /// Returns the kind of this consumer on this transport.
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
