//! The trait that an application implements for what a kind of socket does.
//!
//! A channel is a unit struct whose functions have no `self`: it keeps nothing for a socket, and
//! shared state is in the layer. It knows no bytes of any wire: it takes a [`Command`] and returns
//! a [`Reply`], and reads an [`Event`] as a [`View`]. A [`Protocol`] reads and writes the frames.
//!
//! [`Protocol`]: crate::Protocol

use std::future::Future;
use std::time::Duration;

use crate::layer::LayerError;
use crate::realtime::client::Client;
use crate::realtime::command::{Command, Reply};
use crate::realtime::view::View;
use crate::wire::event::Event;
use crate::wire::group::Group;

/// What the clients of a kind of group can do, and which events they receive.
///
/// # Examples
/// ```
/// use parlor::{Channel, Event, View};
///
/// /// Headlines, which other programs publish.
/// struct News;
///
/// impl Channel for News {
///     const TAKES_COMMANDS: bool = false;
///
///     fn view(event: &Event) -> Option<View<'_>> {
///         event.text("headline").filter(|_| event.kind() == "news_headline").map(View::Line)
///     }
/// }
///
/// let event = Event::new("news.headline").with("headline", "Rain at last");
/// assert!(matches!(News::view(&event), Some(View::Line("Rain at last"))));
/// assert!(News::view(&Event::new("weather")).is_none());
/// ```
pub trait Channel: Send + Sync + 'static {
    /// The kind of channel, by which a protocol distinguishes the channels of a connection.
    const STREAM: &'static str = "";

    /// The event that a group of this channel receives periodically while its interval is on.
    const INTERVAL: Option<Interval> = None;

    /// Whether clients send commands. If not, each message is answered by
    /// [`Protocol::unsupported`](crate::Protocol::unsupported).
    const TAKES_COMMANDS: bool = true;

    /// Whether a client may start from an earlier position of the log, by `since` and `history`.
    /// If not, a socket starts with the next event.
    const REPLAYS: bool = true;

    /// Carries out a command. Commands of one socket are carried out in order, one at a time.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not carry it out.
    fn command(
        _client: Client<'_>,
        _command: &Command<'_>,
    ) -> impl Future<Output = Result<Reply, LayerError>> + Send {
        async { Ok(Reply::Unsupported) }
    }

    /// Returns what the clients see of an event of the group. Returns `None` for an event type that
    /// this channel does not list. An event that no channel of its group lists is counted and
    /// dropped.
    fn view(event: &Event) -> Option<View<'_>>;

    /// Returns the events sent right after the welcome, for state that is not in the log.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    fn greeting(_client: Client<'_>) -> impl Future<Output = Result<Vec<Event>, LayerError>> + Send {
        async { Ok(Vec::new()) }
    }
}

/// A periodic event of a group, published while the interval is on and the group has sockets.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    /// From the start to the first event, and from each event to the next.
    pub period: Duration,
    /// Creates the event. Every node with sockets of the group calls it; one node's event is
    /// published.
    pub event: fn(&Group) -> Event,
}
