//! The trait that an application implements for a wire: how frames are read and written.

use std::time::Duration;

use crate::auth::identity::Identity;
use crate::config::Config;
use crate::layer::LayerError;
use crate::realtime::command::{Command, Reply};
use crate::realtime::view::View;
use crate::realtime::welcome::Welcome;
use crate::wire::close::{Close, CloseCode};
use crate::wire::event::Event;
use crate::wire::frame::Frame;

/// How the commands and views of any channel look on a wire. Its functions are pure.
///
/// # Examples
/// ```
/// use parlor::{Action, Command, Config, Frame, LayerError, Protocol, Reply, View, ViewFn};
///
/// /// Lines of text.
/// struct Lines;
///
/// impl Protocol for Lines {
///     fn decode<'a>(frame: &'a Frame<'_>, _: &Config) -> Result<Command<'a>, Action> {
///         match frame {
///             Frame::Text(text) => Ok(Command::Publish { text: text.as_ref().into(), id: None }),
///             Frame::Binary(_) => Err(Action::Nothing),
///         }
///     }
///
///     fn reply(_: &Command<'_>, _: Result<&Reply, &LayerError>, _: ViewFn) -> Action {
///         Action::Nothing
///     }
///
///     fn view(view: &View<'_>) -> Option<Frame<'static>> {
///         match view {
///             View::Line(line) => Some(Frame::Text((*line).to_owned().into())),
///             _ => None,
///         }
///     }
/// }
///
/// assert_eq!(Lines::view(&View::Line("hi")), Some(Frame::Text("hi".into())));
/// ```
pub trait Protocol: Send + Sync + 'static {
    /// The subprotocol of the sockets (RFC 6455, section 1.9); `None` for clients that offer none.
    const SUBPROTOCOL: Option<&'static str> = None;

    /// Whether a socket receives a welcome, and then the logged events since a position that its
    /// client may name.
    const RESUMES: bool = false;

    /// Returns the longest accepted message, in bytes. A longer one closes the socket with 1009. In
    /// a channel that takes no commands it is `--max-message-bytes`.
    fn max_frame_bytes(config: &Config) -> usize {
        config.max_message_bytes
    }

    /// Reads a message of a client.
    ///
    /// # Errors
    /// Returns the action to take instead when the message is no command.
    fn decode<'a>(frame: &'a Frame<'_>, config: &Config) -> Result<Command<'a>, Action>;

    /// Answers a message in a channel that takes no commands.
    fn unsupported(_frame: &Frame<'_>) -> Action {
        Action::Nothing
    }

    /// Answers a message over the rate limits (`--messages-per-second`, `--bytes-per-second`),
    /// which is not read as a command. A client that keeps sending is closed in any case.
    fn too_fast(_frame: &Frame<'_>) -> Action {
        Action::Close(CloseCode::RateLimited.into())
    }

    /// Answers a command. `view` is that of the channel, for the events of a history.
    fn reply(command: &Command<'_>, reply: Result<&Reply, &LayerError>, view: ViewFn) -> Action;

    /// Writes what the clients see of an event, once for all sockets of a channel and a transport.
    /// Returns `None` for a view that this wire does not have.
    fn view(view: &View<'_>) -> Option<Frame<'static>>;

    /// Writes the first frame of a socket that [resumes](Self::RESUMES), in the channel of this
    /// name.
    fn welcome(_name: &str, _identity: &Identity, _welcome: &Welcome) -> Option<Frame<'static>> {
        None
    }

    /// Writes the frame that announces the stop of this node: the socket is closed with 1012 after
    /// this time.
    fn bye(_reconnect: Duration) -> Option<Frame<'static>> {
        None
    }
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
