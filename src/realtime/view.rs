//! What the clients of a channel see of an event, independent of the protocol.

use serde_json::value::RawValue;

use crate::wire::event::{Event, GAP, PRESENCE, Position, REDACTED};

/// What clients see of an event. It borrows from the event.
#[derive(Clone, Copy, Debug)]
pub enum View<'a> {
    /// A message.
    Message(Message<'a>),
    /// A logged message, known by its id, was redacted after it was sent.
    Redacted {
        /// The id of the message.
        id: &'a str,
    },
    /// The members of the group changed.
    Presence {
        /// `join`, `leave`, `rename` or `state`.
        change: &'a str,
        /// The member that joined, left or has another name now: `<id>/<name>`.
        member: Option<&'a str>,
        /// With `state`: all members, separated by spaces, unless they are too many.
        members: Option<&'a str>,
        /// The number of members.
        count: u64,
    },
    /// A connection has joined or left the channel.
    Connection {
        /// Whether it has joined.
        has_joined: bool,
        /// What [`ConnectionMember`](crate::ConnectionMember) parses.
        member: &'a str,
    },
    /// A member is typing.
    Typing {
        /// The member: `<id>/<name>`.
        member: &'a str,
    },
    /// A line of text without a sender.
    Line(&'a str),
    /// The number of messages of a user that the client has not read.
    Unread {
        /// The id of the user.
        user: &'a str,
        /// The name of the user.
        name: &'a str,
        /// The number of messages.
        count: usize,
    },
    /// Events may be missing before the next one.
    Gap {
        /// `trimmed` or `rewritten`.
        reason: &'a str,
        /// The id of the last event before the gap.
        after: Option<&'a str>,
    },
}

/// A message of a group.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The text; empty if an operator redacted it, or if the message has data only.
    pub text: &'a str,
    /// What programs read: any JSON.
    pub data: Option<&'a RawValue>,
    /// The application's name for what the message is.
    pub event: Option<&'a str>,
    /// The id of the sender.
    pub user: Option<&'a str>,
    /// The display name of the sender.
    pub name: Option<&'a str>,
    /// What other programs know the sender by: [`Identity::subject`](crate::Identity::subject).
    pub subject: Option<&'a str>,
    /// The id of the connection that sent it, in protocols that have one.
    pub client: Option<&'a str>,
    /// What a backend has other clients know of the sender.
    pub info: Option<&'a RawValue>,
    /// What a backend has them know of its subscription.
    pub channel_info: Option<&'a RawValue>,
    /// The position in the log; `None` if the message is not logged.
    pub position: Option<Position>,
    /// Whether an operator redacted the text.
    pub is_redacted: bool,
}

impl Message<'_> {
    /// Returns whether it has no text.
    pub fn has_only_data(&self) -> bool {
        self.text.is_empty() && self.data.is_some()
    }
}

impl<'a> View<'a> {
    /// Returns the message of an event with this text.
    pub fn message(event: &'a Event, text: &'a str) -> Self {
        Self::Message(Message {
            text,
            data: json(event, "data"),
            event: event.text("event"),
            user: event.text("user"),
            name: event.text("name"),
            subject: event.text("subject").or_else(|| event.text("user")),
            client: event.text("client"),
            info: json(event, "conn_info"),
            channel_info: json(event, "chan_info"),
            position: event.position(),
            is_redacted: false,
        })
    }

    /// Returns the view of an event that the layer sends: [`REDACTED`], [`PRESENCE`] or [`GAP`].
    /// Returns `None` for other events.
    pub fn from_layer(event: &'a Event) -> Option<Self> {
        match event.kind() {
            REDACTED => Some(match event.position() {
                Some(position) => Self::Message(Message {
                    text: "",
                    data: None,
                    event: None,
                    user: event.text("user"),
                    name: event.text("name"),
                    subject: event.text("subject").or_else(|| event.text("user")),
                    client: None,
                    info: None,
                    channel_info: None,
                    position: Some(position),
                    is_redacted: true,
                }),
                None => Self::Redacted { id: event.text("id")? },
            }),
            PRESENCE => Some(Self::Presence {
                change: event.text("change")?,
                member: event.text("user"),
                members: event.text("members"),
                count: event.text("count")?.parse().ok()?,
            }),
            GAP => Some(Self::Gap { reason: event.text("reason")?, after: event.text("after") }),
            _ => None,
        }
    }
}

/// Returns a member that is JSON. Another program may have published the event, with one that is
/// not.
fn json<'a>(event: &'a Event, name: &str) -> Option<&'a RawValue> {
    serde_json::from_str(event.text(name)?).ok()
}
