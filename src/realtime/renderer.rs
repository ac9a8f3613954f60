//! A channel, a protocol and a transport as the hub sees them: the functions that render events.

use std::any::TypeId;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::auth::identity::Identity;
use crate::realtime::channel::{Channel, Interval};
use crate::realtime::command::Omitted;
use crate::realtime::protocol::{ChannelName, Protocol};
use crate::realtime::view::View;
use crate::realtime::welcome::Welcome;
use crate::wire::close::Close;
use crate::wire::delivery::Delivery;
use crate::wire::event::Event;
use crate::wire::frame::{Frame, Transport};
use crate::wire::render_cache::RenderKey;

/// A protocol and a transport: what a socket is sent that concerns none of its channels. A pointer,
/// because every socket holds one.
#[derive(Clone, Copy)]
pub(crate) struct Wire(&'static WireVTable);

pub(crate) struct WireVTable {
    pub(crate) transport: Transport,
    /// See [`Protocol::CONNECTS`].
    pub(crate) connects: bool,
    bye: fn(Duration) -> Option<Frame<'static>>,
    close: fn(&Close) -> Close,
    ended: fn(&Close) -> Option<Frame<'static>>,
    ping: fn() -> Option<Frame<'static>>,
}

impl Wire {
    /// Returns the wire of this protocol on this transport.
    pub(crate) const fn new<P: Protocol>(transport: Transport) -> Self {
        Self(match transport {
            Transport::WebSocket => const { &WireVTable::new::<P>(Transport::WebSocket) },
            Transport::Sse => const { &WireVTable::new::<P>(Transport::Sse) },
            Transport::Body => const { &WireVTable::new::<P>(Transport::Body) },
        })
    }

    /// Returns the frame that asks a client to reconnect to another node.
    pub(crate) fn bye(self, reconnect: Duration) -> Option<Bytes> {
        Some(self.transport.message((self.0.bye)(reconnect)?, None))
    }

    /// Returns the close frame.
    pub(crate) fn close(self, close: &Close) -> Bytes {
        let close = (self.0.close)(close);
        match (self.0.ended)(&close).filter(|_| self.transport != Transport::WebSocket) {
            Some(last) => self.transport.message(last, None),
            None => self.transport.close(&close),
        }
    }

    /// Returns what a client is sent that says nothing.
    pub(crate) fn ping(self) -> Bytes {
        (self.0.ping)().map_or_else(|| self.transport.ping(), |ping| self.transport.message(ping, None))
    }
}

impl WireVTable {
    const fn new<P: Protocol>(transport: Transport) -> Self {
        Self {
            transport,
            connects: P::CONNECTS,
            bye: P::bye,
            close: P::close,
            ended: P::ended,
            ping: P::ping,
        }
    }
}

impl Deref for Wire {
    type Target = WireVTable;

    fn deref(&self) -> &WireVTable {
        self.0
    }
}

/// Renders the events of a channel in a protocol, for one transport.
#[derive(Clone, Copy)]
pub(crate) struct Renderer(&'static RendererVTable);

/// The functions of a channel and a protocol.
pub(crate) struct RendererVTable {
    key: RenderKey,
    pub(crate) transport: Transport,
    pub(crate) stream: &'static str,
    pub(crate) interval: Option<Interval>,
    /// See [`Protocol::GAP_ENDS`].
    pub(crate) gap_ends: bool,
    /// See [`Protocol::NUMBERS`].
    pub(crate) numbers: bool,
    render: fn(&Event, ChannelName<'_>, Omitted) -> Listed,
    welcome: WelcomeFn,
}

type WelcomeFn = fn(ChannelName<'_>, &Identity, &Welcome) -> Option<Frame<'static>>;

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
            Transport::Body => const { &RendererVTable::new::<C, P>(Transport::Body) },
        })
    }

    /// Returns the frame that welcomes a client to a channel.
    pub(crate) fn welcome(self, name: &str, identity: &Identity, welcome: &Welcome) -> Option<Bytes> {
        let channel = ChannelName { stream: self.stream, name };
        Some(self.transport.message((self.0.welcome)(channel, identity, welcome)?, None))
    }

    /// Renders an event under this name of its group, without the events left out. Catches a panic
    /// of the application: it would otherwise end every node of the group, since all of them
    /// receive the event.
    pub(crate) fn render(self, event: &Delivery, name: &Arc<str>, omitted: Omitted) -> Rendered {
        if let Some(frame) = event.frames.get(self.key, name) {
            return Rendered::Frame(frame);
        }
        let channel = ChannelName { stream: self.stream, name };
        match catch_unwind(AssertUnwindSafe(|| (self.0.render)(event, channel, omitted))) {
            Ok(Listed::Yes(Some(frame))) => {
                let id = event.position().map(|stamp| stamp.id);
                let frame = self.transport.message(frame, id);
                // An event that is not logged is never sent again.
                if id.is_some() {
                    event.frames.put(self.key, name, &frame);
                }
                Rendered::Frame(frame)
            }
            Ok(Listed::Yes(None)) => Rendered::Omitted,
            Ok(Listed::No) => Rendered::Unlisted,
            Err(_) => Rendered::Failed,
        }
    }
}

impl RendererVTable {
    const fn new<C: Channel, P: Protocol>(transport: Transport) -> Self {
        Self {
            key: (TypeId::of::<C>(), TypeId::of::<P>(), transport),
            transport,
            stream: C::STREAM,
            interval: C::INTERVAL,
            gap_ends: P::GAP_ENDS,
            numbers: P::NUMBERS,
            render: |event, channel, omitted| match C::view(event) {
                None => Listed::No,
                Some(view) if omitted.covers(&view) => Listed::Yes(None),
                Some(view) => Listed::Yes(P::view(&view, channel)),
            },
            welcome: P::welcome,
        }
    }
}

impl Omitted {
    fn covers(self, view: &View<'_>) -> bool {
        match view {
            View::Presence { .. } => self.presence,
            View::Typing { .. } => self.typing,
            _ => false,
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
    use crate::realtime::command::{NumberedRequest, Reply};
    use crate::realtime::protocol::{Action, ReplyTo};

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
        fn decode<'a>(_: &'a Frame<'_>, _: &Config) -> Result<NumberedRequest<'a>, Action> {
            Err(Action::Nothing)
        }

        fn reply(_: &ReplyTo<'_>, _: Result<&Reply, &LayerError>) -> Action {
            Action::Nothing
        }

        fn view(view: &View<'_>, _: ChannelName<'_>) -> Option<Frame<'static>> {
            match view {
                View::Message(message) if !message.text.is_empty() => {
                    Some(Frame::Text(message.text.to_owned().into()))
                }
                _ => None,
            }
        }
    }
}
