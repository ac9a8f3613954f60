//! The frames of `parlor.v1` that the server sends, as docs/protocol.md defines them.

use std::sync::Arc;
use std::time::Duration;

use parlor::{
    ChannelName, Close, CloseCode, Delivery, Frame, Id, Identity, Message, Reconnect, Recovery, View, ViewFn,
    Welcome,
};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::protocols::streams::INBOX;
use crate::protocols::v1::frame_error::{FrameError, Logged};
use crate::protocols::v1::members_json::{ListedMembers, Names, split_member};

/// The time for which a client shows that a user types, in milliseconds.
const TYPING_MS: u64 = 5000;
/// The bytes of a frame beside its texts, with the WebSocket header. Longer names exceed it, and
/// the buffer grows.
const FRAME_OVERHEAD_BYTES: usize = 224;

/// The frames of the server.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum ServerFrame<'a> {
    Welcome {
        stream: &'a str,
        room: Option<&'a str>,
        node: &'a str,
        user: &'a str,
        name: &'a str,
        last: Option<Id>,
        recovered: bool,
        reason: Option<&'a str>,
        private: bool,
        members: Option<Vec<&'a str>>,
        names: Option<Names<'a>>,
        count: usize,
    },
    Message {
        room: &'a str,
        text: &'a str,
        user: Option<&'a str>,
        name: Option<&'a str>,
        id: Option<Id>,
        prev: Option<Id>,
        at: Option<u64>,
        /// An operator removed the text. Absent from frames that have their text.
        #[serde(skip_serializing_if = "is_kept")]
        removed: bool,
    },
    /// A message with data, or with a name of the application's.
    #[serde(rename = "message")]
    Data {
        room: &'a str,
        text: Option<&'a str>,
        event: Option<&'a str>,
        data: Option<&'a RawValue>,
        user: Option<&'a str>,
        name: Option<&'a str>,
        id: Option<Id>,
        prev: Option<Id>,
        at: Option<u64>,
    },
    Removed {
        room: &'a str,
        id: &'a str,
    },
    Unread {
        user: &'a str,
        name: &'a str,
        count: usize,
    },
    Push {
        room: &'a str,
        text: &'a str,
    },
    Ack {
        room: &'a str,
        client_id: Option<&'a str>,
        id: Id,
        duplicate: bool,
    },
    Error {
        stream: Option<&'a str>,
        room: Option<&'a str>,
        code: &'a str,
        detail: &'a str,
        client_id: Option<&'a str>,
        retry: bool,
    },
    Presence {
        room: &'a str,
        change: &'a str,
        user: Option<&'a str>,
        name: Option<&'a str>,
        members: Option<Vec<&'a str>>,
        names: Option<Names<'a>>,
        count: u64,
    },
    Typing {
        room: &'a str,
        user: &'a str,
        name: &'a str,
        for_ms: u64,
    },
    History {
        room: &'a str,
        messages: Vec<ServerFrame<'a>>,
        more: bool,
    },
    Gap {
        room: &'a str,
        reason: &'a str,
        after: Option<&'a str>,
    },
    Left {
        stream: &'a str,
        room: Option<&'a str>,
        code: u16,
        reason: &'a str,
        retry: bool,
    },
    Bye {
        reconnect_ms: u64,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_kept(removed: &bool) -> bool {
    !removed
}

pub(crate) fn welcome(channel: ChannelName<'_>, identity: &Identity, welcome: &Welcome) -> Frame<'static> {
    let members = welcome.presence.members.as_deref();
    let recovered = welcome.recovery == Recovery::Recovered;
    let listed = members.map(|members| ListedMembers::parse(members.iter().map(String::as_str)));
    ServerFrame::Welcome {
        stream: channel.stream,
        room: room(channel),
        node: &welcome.node,
        user: identity.id(),
        name: identity.name(),
        last: known(welcome.last),
        recovered,
        reason: (!recovered).then(|| welcome.recovery.as_str()),
        private: welcome.is_private,
        members: listed.as_ref().map(|listed| listed.ids.clone()),
        names: listed.map(|listed| listed.names),
        count: welcome.presence.count,
    }
    .frame(members.map_or(0, |members| 2 * members.iter().map(String::len).sum::<usize>()))
}

/// Returns the room of a channel; the inbox is in none.
fn room(channel: ChannelName<'_>) -> Option<&str> {
    (channel.stream != INBOX).then_some(channel.name)
}

/// Encodes what clients see of an event in this room.
pub(crate) fn view(view: &View<'_>, room: &str) -> Option<Frame<'static>> {
    Some(match *view {
        View::Connection { .. } => return None,
        View::Message(message) => sent(message, room).frame(bytes_of(&message)),
        View::Redacted { id } => ServerFrame::Removed { room, id }.frame(0),
        View::Presence { change, member, members, count } => presence(room, change, member, members, count),
        View::Typing { member } => typing(room, member),
        View::Line(text) => ServerFrame::Push { room, text }.frame(text.len()),
        View::Unread { user, name, count } => ServerFrame::Unread { user, name, count }.frame(name.len()),
        View::Gap { reason, after } => {
            let after = after.filter(|after| *after != Id::START.to_string());
            ServerFrame::Gap { room, reason, after }.frame(0)
        }
    })
}

fn sent<'a>(message: Message<'a>, room: &'a str) -> ServerFrame<'a> {
    let Message { text, data, event, user, name, position, is_redacted, .. } = message;
    let id = position.map(|position| position.id);
    let prev = position.and_then(|position| known(position.prev));
    let at = position.map(|position| position.id.millis());
    if data.is_some() || event.is_some() {
        let text = Some(text).filter(|_| !message.has_only_data());
        return ServerFrame::Data { room, text, event, data, user, name, id, prev, at };
    }
    ServerFrame::Message { room, text, user, name, id, prev, at, removed: is_redacted }
}

/// Returns about how many bytes what a message says takes.
fn bytes_of(message: &Message<'_>) -> usize {
    2 * message.text.len() + message.data.map_or(0, |data| data.get().len())
}

pub(crate) fn ack(room: &str, client_id: Option<&str>, logged: &Logged) -> Frame<'static> {
    ServerFrame::Ack { room, client_id, id: logged.id, duplicate: logged.duplicate }.frame(0)
}

/// Where the frame of a client belongs that was rejected, as far as that is known.
#[derive(Clone, Copy, Default)]
pub(crate) struct Place<'a> {
    pub(crate) stream: Option<&'a str>,
    pub(crate) room: Option<&'a str>,
}

impl<'a> From<ChannelName<'a>> for Place<'a> {
    fn from(channel: ChannelName<'a>) -> Self {
        Self { stream: Some(channel.stream), room: room(channel) }
    }
}

pub(crate) fn error(place: Place<'_>, error: &FrameError, client_id: Option<&str>) -> Frame<'static> {
    let (Place { stream, room }, retry) = (place, error.code.is_retryable());
    let sent =
        ServerFrame::Error { stream, room, code: error.code.slug(), detail: &error.detail, client_id, retry };
    sent.frame(0)
}

pub(crate) fn left(channel: ChannelName<'_>, close: &Close) -> Frame<'static> {
    let code = CloseCode::ALL.into_iter().find(|code| code.number() == close.code());
    let reconnect = code.filter(|code| *code != CloseCode::Normal).map(|code| code.row().reconnect);
    let retry = matches!(reconnect, Some(Reconnect::Now | Reconnect::Backoff));
    let left = ServerFrame::Left {
        stream: channel.stream,
        room: room(channel),
        code: close.code(),
        reason: close.reason(),
        retry,
    };
    left.frame(0)
}

fn presence(
    room: &str,
    change: &str,
    member: Option<&str>,
    members: Option<&str>,
    count: u64,
) -> Frame<'static> {
    let all =
        members.map(|members| ListedMembers::parse(members.split(' ').filter(|member| !member.is_empty())));
    let (user, name) = member.map(split_member).unzip();
    let sent = ServerFrame::Presence {
        room,
        change,
        user,
        name,
        members: all.as_ref().map(|all| all.ids.clone()),
        names: all.map(|all| all.names),
        count,
    };
    sent.frame(members.map_or(0, |members| 3 * members.len()))
}

fn typing(room: &str, member: &str) -> Frame<'static> {
    let (user, name) = split_member(member);
    ServerFrame::Typing { room, user, name, for_ms: TYPING_MS }.frame(name.len())
}

/// Encodes the messages among these events.
pub(crate) fn history(room: &str, events: &[Arc<Delivery>], more: bool, view: ViewFn) -> Frame<'static> {
    let messages: Vec<Message<'_>> = events
        .iter()
        .filter_map(|event| match view(event) {
            Some(View::Message(message)) => Some(message),
            _ => None,
        })
        .collect();
    let texts = messages.iter().map(|message| FRAME_OVERHEAD_BYTES + bytes_of(message)).sum();
    let messages = messages.into_iter().map(|message| sent(message, room)).collect();
    ServerFrame::History { room, messages, more }.frame(texts)
}

pub(crate) fn bye(reconnect: Duration) -> Frame<'static> {
    ServerFrame::Bye { reconnect_ms: u64::try_from(reconnect.as_millis()).unwrap_or(u64::MAX) }.frame(0)
}

/// Returns an id as clients see it: the position before the first message is `None`.
pub(crate) fn known(id: Id) -> Option<Id> {
    Some(id).filter(|id| *id != Id::START)
}

impl ServerFrame<'_> {
    /// Encodes the frame, whose texts have about `texts` bytes.
    fn frame(&self, texts: usize) -> Frame<'static> {
        let mut json = Vec::with_capacity(FRAME_OVERHEAD_BYTES + texts);
        serde_json::to_writer(&mut json, self).expect("writing to a Vec cannot fail");
        Frame::Text(String::from_utf8(json).expect("JSON is UTF-8").into())
    }
}

#[cfg(test)]
mod tests;
