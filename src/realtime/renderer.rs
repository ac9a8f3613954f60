//! A channel, a protocol and a transport as the hub sees them: the functions that render events.

use std::any::TypeId;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;
use tracing::error;

use crate::realtime::channel::{Channel, Interval};
use crate::realtime::protocol::Protocol;
use crate::telemetry::{DropReason, METRICS};
use crate::wire::delivery::Delivery;
use crate::wire::event::Event;
use crate::wire::frame::{Frame, Transport};
use crate::wire::render_cache::RenderKey;

/// Renders the events of a channel in a protocol, for one transport. A pointer, because every
/// socket holds one.
#[derive(Clone, Copy)]
pub(crate) struct Renderer(&'static RendererVTable);

/// The functions of a channel and a protocol.
pub(crate) struct RendererVTable {
    key: RenderKey,
    pub(crate) transport: Transport,
    pub(crate) interval: Option<Interval>,
    render: fn(&Event) -> Listed,
    bye: fn(Duration) -> Option<Frame<'static>>,
}

/// Whether a channel lists an event, and the frame that its protocol has for it.
enum Listed {
    No,
    Yes(Option<Frame<'static>>),
}

/// The result of rendering an event.
pub(crate) enum Rendered {
    /// The frame for its sockets.
    Frame(Bytes),
    /// The channel lists the event, and the protocol has no frame for it.
    Omitted,
    /// The channel does not list this type of event.
    Unlisted,
    /// The application panicked.
    Failed,
}

impl Renderer {
    /// Returns the renderer of this channel and protocol on this transport.
    pub(crate) const fn new<C: Channel, P: Protocol>(transport: Transport) -> Self {
        Self(match transport {
            Transport::WebSocket => const { &RendererVTable::new::<C, P>(Transport::WebSocket) },
            Transport::Sse => const { &RendererVTable::new::<C, P>(Transport::Sse) },
        })
    }

    /// Renders an event. Catches a panic of the application: it would otherwise end every node of
    /// the group, since all of them receive the event.
    pub(crate) fn render(self, event: &Delivery) -> Rendered {
        if let Some(frame) = event.frames.get(self.key) {
            return Rendered::Frame(frame);
        }
        match catch_unwind(AssertUnwindSafe(|| (self.render)(event))) {
            Ok(Listed::Yes(Some(frame))) => {
                let id = event.position().map(|stamp| stamp.id);
                let frame = self.transport.message(frame, id);
                // An event that is not logged is never sent again.
                if id.is_some() {
                    event.frames.put(self.key, &frame);
                }
                Rendered::Frame(frame)
            }
            Ok(Listed::Yes(None)) => Rendered::Omitted,
            Ok(Listed::No) => Rendered::Unlisted,
            Err(_) => Rendered::Failed,
        }
    }

    /// Returns the frame that asks a client to reconnect to another node.
    pub(crate) fn bye(self, reconnect: Duration) -> Option<Bytes> {
        Some(self.transport.message((self.bye)(reconnect)?, None))
    }
}

/// Counts and logs an event that the application panicked over.
pub(crate) fn count_failure(event: &Event) {
    METRICS.dropped(DropReason::ApplicationFailed);
    error!(kind = event.kind(), "dropped an event that the application panicked over");
}

impl RendererVTable {
    const fn new<C: Channel, P: Protocol>(transport: Transport) -> Self {
        Self {
            key: (TypeId::of::<C>(), TypeId::of::<P>(), transport),
            transport,
            interval: C::INTERVAL,
            render: |event| C::view(event).map_or(Listed::No, |view| Listed::Yes(P::view(&view))),
            bye: P::bye,
        }
    }
}

impl Deref for Renderer {
    type Target = RendererVTable;

    fn deref(&self) -> &RendererVTable {
        self.0
    }
}

impl PartialEq for Renderer {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::Config;
    use crate::layer::LayerError;
    use crate::realtime::command::{Command, Reply};
    use crate::realtime::protocol::{Action, ViewFn};
    use crate::realtime::view::View;

    /// A channel that panics over one type of event and lists those with a text.
    pub(crate) struct Fragile;

    impl Channel for Fragile {
        fn view(event: &Event) -> Option<View<'_>> {
            assert_ne!(event.kind(), "poison", "a bug in the application");
            event.text("text").map(|text| View::message(event, text))
        }
    }

    /// A protocol of texts alone.
    pub(crate) struct Plain;

    impl Protocol for Plain {
        fn decode<'a>(_: &'a Frame<'_>, _: &Config) -> Result<Command<'a>, Action> {
            Err(Action::Nothing)
        }

        fn reply(_: &Command<'_>, _: Result<&Reply, &LayerError>, _: ViewFn) -> Action {
            Action::Nothing
        }

        fn view(view: &View<'_>) -> Option<Frame<'static>> {
            match view {
                View::Message(message) if !message.text.is_empty() => {
                    Some(Frame::Text(message.text.to_owned().into()))
                }
                _ => None,
            }
        }
    }

    #[test]
    fn a_channel_that_panics_over_an_event_loses_this_event_only() {
        let renderer = Renderer::new::<Fragile, Plain>(Transport::WebSocket);
        assert!(matches!(renderer.render(&Event::new("poison").into()), Rendered::Failed));
        assert!(matches!(renderer.render(&Event::new("other").into()), Rendered::Unlisted));
        let empty = Event::new("other").with("text", "");
        assert!(matches!(renderer.render(&empty.into()), Rendered::Omitted));
        let hello = Event::new("other").with("text", "hi");
        assert!(matches!(renderer.render(&hello.into()), Rendered::Frame(frame) if frame.ends_with(b"hi")));
    }
}
