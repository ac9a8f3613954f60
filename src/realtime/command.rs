//! Commands of clients, and the replies of channels, independent of the protocol.

use std::borrow::Cow;

use crate::layer::{Appended, Page};
use crate::wire::id::Id;

/// What a client asks of its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientRequest<'a> {
    /// Carry out a command in a channel: in this one, or in that of the route's path.
    Command(Option<Target<'a>>, Command<'a>),
    /// Join a channel.
    Join(Join<'a>),
    /// Leave a channel.
    Leave(Target<'a>),
}

impl<'a> From<Command<'a>> for ClientRequest<'a> {
    fn from(command: Command<'a>) -> Self {
        Self::Command(None, command)
    }
}

/// A channel, as a client names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The [`STREAM`](crate::Channel::STREAM) of the channel.
    pub stream: &'static str,
    /// The clients' name for the group.
    pub name: Cow<'a, str>,
}

/// Which channel a client joins, and what it wants of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join<'a> {
    /// The channel.
    pub target: Target<'a>,
    /// The id of the last message that the client has.
    pub since: Option<Cow<'a, str>>,
    /// The number of the newest messages that it wants.
    pub history: Option<usize>,
    /// What it does not want.
    pub omitted: Omitted,
}

/// The events of a channel that a client does not want.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Omitted {
    /// Changes of the members.
    pub presence: bool,
    /// That members are typing.
    pub typing: bool,
}

/// What a client asks of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Publish a message.
    Publish {
        /// The text; empty if the message has data only.
        text: Cow<'a, str>,
        /// What programs read: any JSON.
        data: Option<Cow<'a, str>>,
        /// The application's name for what the message is.
        event: Option<Cow<'a, str>>,
        /// The client's idempotency key.
        id: Option<Cow<'a, str>>,
    },
    /// Show the others that the client is typing. Not logged.
    Typing,
    /// Read messages before this one, or the newest.
    History {
        /// The id of the message after the last one wanted.
        before: Option<Id>,
        /// The most messages to return.
        limit: usize,
    },
    /// Record that the client has read the messages up to this one.
    MarkRead {
        /// The id of the message.
        id: Id,
    },
}

impl<'a> Command<'a> {
    /// Publishes this text, without an idempotency key.
    pub fn publish(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Publish { text: text.into(), data: None, event: None, id: None }
    }
}

/// What a channel answers.
#[derive(Debug)]
pub enum Reply {
    /// Nothing: the command has no answer.
    Nothing,
    /// The channel does not know the command.
    Unsupported,
    /// The fate of a published message.
    Published(Appended),
    /// A page of the log.
    History(Page),
}
