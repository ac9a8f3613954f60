//! Commands of clients, and the replies of channels, independent of the protocol.

use std::borrow::Cow;
use std::sync::Arc;

use crate::layer::{Appended, Page, PresenceSnapshot};
use crate::wire::delivery::Delivery;
use crate::wire::id::Id;

/// What a client asks of its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientRequest<'a> {
    /// Begin: the first request of protocols that [connect](crate::Protocol::CONNECTS).
    Connect(Connect<'a>),
    /// Go on with another token of the same user.
    Refresh(Cow<'a, str>),
    /// Carry out a command in a channel: in this one, or in that of the route's path.
    Command(Option<Target<'a>>, Command<'a>),
    /// Join a channel.
    Join(Join<'a>),
    /// Leave a channel.
    Leave(Target<'a>),
    /// Stay in a channel with another token for it.
    RefreshJoin(Target<'a>, Cow<'a, str>),
    /// Answer a ping of protocols that [connect](crate::Protocol::CONNECTS). One that no ping asked
    /// for closes the socket.
    Pong,
}

/// A request of a client, with the client's number of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedRequest<'a> {
    /// The number, which the answer repeats; 0 without one.
    pub number: u32,
    /// The request.
    pub request: ClientRequest<'a>,
}

impl<'a> From<ClientRequest<'a>> for NumberedRequest<'a> {
    fn from(request: ClientRequest<'a>) -> Self {
        Self { number: 0, request }
    }
}

impl<'a> From<Command<'a>> for NumberedRequest<'a> {
    fn from(command: Command<'a>) -> Self {
        ClientRequest::Command(None, command).into()
    }
}

/// How a client begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The token that identifies the client, in place of what its handshake has.
    pub token: Option<Cow<'a, str>>,
    /// Where the client was in channels that the server joins for it.
    pub joins: Vec<Join<'a>>,
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
    /// The last message that the client has.
    pub since: Option<Since<'a>>,
    /// The number of the newest messages that it wants.
    pub history: Option<usize>,
    /// A token for the channel, if the client has one.
    pub token: Option<Cow<'a, str>>,
    /// Whether the join fails unless all messages since then follow.
    pub requires_recovery: bool,
    /// What it does not want.
    pub omitted: Omitted,
}

impl<'a> Join<'a> {
    /// Joins a channel from its next message on.
    pub fn new(target: Target<'a>) -> Self {
        Self {
            target,
            since: None,
            history: None,
            token: None,
            requires_recovery: false,
            omitted: Omitted::default(),
        }
    }
}

/// The last message that a client has of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since<'a> {
    /// By its id.
    Id(Cow<'a, str>),
    /// By its number.
    Offset(StreamPosition),
}

/// A place in a log, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamPosition {
    /// The epoch in which the number counts; `None` for that of the newest message.
    pub epoch: Option<u64>,
    /// The number of a message; 0 before the first.
    pub offset: u64,
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
    /// Read messages by their numbers.
    Log {
        /// Those after this place, or before it in reverse; without it from the first or last on.
        since: Option<StreamPosition>,
        /// The most messages to return.
        limit: usize,
        /// From the newest to the oldest.
        reverse: bool,
    },
    /// Read which connections have joined the channel.
    Connections {
        /// Only how many.
        is_count: bool,
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
    /// Messages by their numbers, and where the log ends.
    Log(Vec<Arc<Delivery>>, StreamPosition),
    /// The messages after the place are not all in the log any more.
    Unrecoverable,
    /// The connections that have joined the channel.
    Connections(PresenceSnapshot),
}
