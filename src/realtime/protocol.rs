//! The trait that an application implements for a wire: how frames are read and written.

use std::iter;
use std::time::Duration;

use thiserror::Error;

use crate::auth::identity::Identity;
use crate::config::Config;
use crate::layer::LayerError;
use crate::realtime::command::{Command, NumberedRequest, Reply};
use crate::realtime::denied::Denied;
use crate::realtime::view::View;
use crate::realtime::welcome::Welcome;
use crate::wire::close::{Close, CloseCode};
use crate::wire::event::Event;
use crate::wire::frame::{Frame, Transport};

/// How the commands and views of any channel look on a wire. Its functions are pure.
///
/// # Examples
/// ```
/// use parlor::{
///     Action, ChannelName, Command, Config, Frame, LayerError, NumberedRequest, Protocol, Reply,
///     ReplyTo, View,
/// };
///
/// /// Lines of text.
/// struct Lines;
///
/// impl Protocol for Lines {
///     fn decode<'a>(frame: &'a Frame<'_>, _: &Config) -> Result<NumberedRequest<'a>, Action> {
///         match frame {
///             Frame::Text(text) => {
///                 Ok(Command::publish(text.as_ref()).into())
///             }
///             Frame::Binary(_) => Err(Action::Nothing),
///         }
///     }
///
///     fn reply(_: &ReplyTo<'_>, _: Result<&Reply, &LayerError>) -> Action {
///         Action::Nothing
///     }
///
///     fn view(view: &View<'_>, _: ChannelName<'_>) -> Option<Frame<'static>> {
///         match view {
///             View::Line(line) => Some(Frame::Text((*line).to_owned().into())),
///             _ => None,
///         }
///     }
/// }
///
/// let name = ChannelName { stream: "", name: "news" };
/// assert_eq!(Lines::view(&View::Line("hi"), name), Some(Frame::Text("hi".into())));
/// ```
pub trait Protocol: Send + Sync + 'static {
    /// The subprotocol of the sockets (RFC 6455, section 1.9); `None` for clients that offer none.
    const SUBPROTOCOL: Option<&'static str> = None;

    /// Whether the protocol also serves clients that ask for none of the route.
    const IS_DEFAULT: bool = Self::SUBPROTOCOL.is_none();

    /// The parameters of a query, with their values, that ask for the protocol as the subprotocol
    /// does.
    const IN_QUERY: &'static [(&'static str, &'static str)] = &[];

    /// The transport of connections; Server-Sent Events of one channel aside.
    const TRANSPORT: Transport = Transport::WebSocket;

    /// Whether a socket receives a welcome, and then the logged events since a position that its
    /// client may name.
    const RESUMES: bool = false;

    /// Whether the first request of a connection has to be
    /// [`Connect`](crate::ClientRequest::Connect), which may identify the client.
    const CONNECTS: bool = false;

    /// The first message of a client of a [stream](crate::Route::client_stream) that sends none;
    /// empty where it must.
    const FIRST_MESSAGE: &'static str = "";

    /// Whether clients know messages by their [numbers](crate::Offset).
    const NUMBERS: bool = false;

    /// Whether clients receive joins and leaves of connections.
    const SHOWS_CONNECTIONS: bool = false;

    /// Whether a gap is the last frame of a channel: its clients join it again where they were.
    const GAP_ENDS: bool = false;

    /// Returns the longest accepted message, in bytes. A longer one closes the socket with 1009. In
    /// a channel that takes no commands it is `--max-message-bytes`.
    fn max_frame_bytes(config: &Config) -> usize {
        config.max_message_bytes
    }

    /// Splits a message of a client into its requests. By default it is one.
    fn split<'a>(frame: &'a Frame<'_>) -> impl Iterator<Item = Frame<'a>> + Send {
        iter::once(frame.borrowed())
    }

    /// Reads a request of a client.
    ///
    /// # Errors
    /// Returns the action to take instead when the message is no request.
    fn decode<'a>(frame: &'a Frame<'_>, config: &Config) -> Result<NumberedRequest<'a>, Action>;

    /// Answers a message in a channel that takes no commands.
    fn unsupported(_frame: &Frame<'_>) -> Action {
        Action::Nothing
    }

    /// Answers a message over the rate limits (`--messages-per-second`, `--bytes-per-second`),
    /// which is not read as a command. A client that keeps sending is closed in any case.
    fn too_fast(_frame: &Frame<'_>) -> Action {
        Action::Close(CloseCode::RateLimited.into())
    }

    /// Answers a command.
    fn reply(to: &ReplyTo<'_>, reply: Result<&Reply, &LayerError>) -> Action;

    /// Writes what the clients see of an event, once for all sockets of a channel, a transport and
    /// a name of the group. Returns `None` for a view that this wire does not have.
    fn view(view: &View<'_>, channel: ChannelName<'_>) -> Option<Frame<'static>>;

    /// Writes the first frame of a channel whose sockets [resume](Self::RESUMES).
    fn welcome(
        _channel: ChannelName<'_>,
        _identity: &Identity,
        _welcome: &Welcome,
    ) -> Option<Frame<'static>> {
        None
    }

    /// Answers a client that has [connected](Self::CONNECTS), or has another token now.
    fn connected(_number: u32, _connected: &Connected<'_>) -> Option<Frame<'static>> {
        None
    }

    /// Writes the first frame of a channel that the server has joined for a client which had
    /// [connected](Self::CONNECTS) before.
    fn joined_for_client(_channel: ChannelName<'_>, _welcome: &Welcome) -> Option<Frame<'static>> {
        None
    }

    /// Informs a client that the server has moved the end of its token, which it may use for
    /// `expires_in`; `None` for ever.
    fn token_extended(_expires_in: Option<Duration>) -> Option<Frame<'static>> {
        None
    }

    /// Answers a client that has another token for a channel now, which it may use for
    /// `expires_in`; `None` for ever.
    fn join_refreshed(
        _number: u32,
        _channel: ChannelName<'_>,
        _expires_in: Option<Duration>,
    ) -> Option<Frame<'static>> {
        None
    }

    /// Answers a request that concerns a channel in which it cannot be carried out. Its socket
    /// stays open, and so do its other channels.
    fn refuse(_request: &NumberedRequest<'_>, _refused: &Refused) -> Action {
        Action::Nothing
    }

    /// Writes the last frame of a channel that a connection of several channels has left, at the
    /// client's wish or as `close` says.
    fn left(_channel: ChannelName<'_>, _close: &Close) -> Option<Frame<'static>> {
        None
    }

    /// Answers a client that has left a channel. By default by the last frame of the channel.
    fn left_as_asked(_number: u32, channel: ChannelName<'_>) -> Option<Frame<'static>> {
        Self::left(channel, &CloseCode::Normal.into())
    }

    /// Returns the close frame of this protocol for one of [`CloseCode`](crate::CloseCode).
    fn close(close: &Close) -> Close {
        close.clone()
    }

    /// Writes the last frame of a connection that has no close frames.
    fn ended(_close: &Close) -> Option<Frame<'static>> {
        None
    }

    /// Returns what is sent in place of a ping (RFC 6455, section 5.5.2) to clients that do not see
    /// pings.
    fn ping() -> Option<Frame<'static>> {
        None
    }

    /// Writes the frame that announces the stop of this node: the socket is closed with 1012 after
    /// this time.
    fn bye(_reconnect: Duration) -> Option<Frame<'static>> {
        None
    }
}

/// A channel, as its clients name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelName<'a> {
    /// The [`STREAM`](crate::Channel::STREAM) of the channel.
    pub stream: &'static str,
    /// The clients' name for the group.
    pub name: &'a str,
}

/// What a client has that has connected.
pub struct Connected<'a> {
    /// The id of the connection.
    pub client: &'a str,
    /// The node and the secret id under which the client sends, if it does not by a socket.
    pub sends_to: Option<(&'a str, &'a str)>,
    /// The client's identity.
    pub identity: &'a Identity,
    /// Whether this answers a [`Refresh`](crate::ClientRequest::Refresh).
    pub is_refresh: bool,
    /// The channels that the server joined for the client.
    pub channels: &'a [(ChannelName<'a>, &'a Welcome)],
}

/// What a reply answers.
#[derive(Clone, Copy)]
pub struct ReplyTo<'a> {
    /// The client's number of the request; 0 without one.
    pub number: u32,
    /// The command.
    pub command: &'a Command<'a>,
    /// The channel in which it was carried out.
    pub channel: ChannelName<'a>,
    /// The view of the channel, for the events of a history.
    pub view: ViewFn,
}

/// Why a request is not carried out in its channel.
#[derive(Debug, Error)]
pub enum Refused {
    /// The connection has not joined this channel, or the request names none.
    #[error("not joined")]
    NotJoined,
    /// The connection has joined this channel already.
    #[error("joined already")]
    AlreadyJoined,
    /// The connection has joined as many channels as it may.
    #[error("a connection joins at most {0} channels")]
    TooMany(usize),
    /// The subscription has ended before it was answered, as [`Protocol::left`] said.
    #[error("left meanwhile")]
    HasLeft,
    /// The channel takes no commands.
    #[error("this channel only listens")]
    TakesNoCommands,
    /// The client may not enter.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The client exceeds its rate limits.
    #[error("too fast")]
    TooFast,
    /// The token has expired.
    #[error("the token has expired")]
    TokenExpired,
    /// Not all messages since the client's position are in the log.
    #[error("some messages since then are gone")]
    Unrecoverable,
    /// The node stops, or what the client enters is changing: another attempt may succeed.
    #[error("try again later")]
    TryAgain,
}

/// The function [`Channel::view`](crate::Channel::view) of a channel.
pub type ViewFn = for<'a> fn(&'a Event) -> Option<View<'a>>;

/// The action to take after a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Send this frame to this socket only.
    Send(Frame<'static>),
    /// Close the socket.
    Close(Close),
}
