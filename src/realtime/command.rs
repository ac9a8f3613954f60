//! Commands of clients, and the replies of channels, independent of the protocol.

use std::borrow::Cow;

use crate::layer::{Appended, Page};
use crate::wire::id::Id;

/// What a client asks of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Publish a message.
    Publish {
        /// The text.
        text: Cow<'a, str>,
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
