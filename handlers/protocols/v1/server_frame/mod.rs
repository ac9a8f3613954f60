//! The frames of `parlor.v1` that the server sends, as docs/protocol.md defines them.

use std::sync::Arc;
use std::time::Duration;

use parlor::{Delivery, Frame, Id, Identity, Message, Recovery, View, ViewFn, Welcome};
use serde::{Serialize, Serializer};

use crate::protocols::tutorial::Line;
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
        node: &'a str,
        room: &'a str,
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
        message: DisplayedText<'a>,
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
    Removed {
        id: &'a str,
    },
    Unread {
        user: &'a str,
        name: &'a str,
        count: usize,
    },
    Push {
        message: &'a str,
    },
    Ack {
        client_id: Option<&'a str>,
        id: Id,
        duplicate: bool,
    },
    Error {
        code: &'a str,
        detail: &'a str,
        client_id: Option<&'a str>,
        retry: bool,
    },
    Presence {
        change: &'a str,
        user: Option<&'a str>,
        name: Option<&'a str>,
        members: Option<Vec<&'a str>>,
        names: Option<Names<'a>>,
        count: u64,
    },
    Typing {
        user: &'a str,
        name: &'a str,
        for_ms: u64,
    },
    History {
        messages: Vec<ServerFrame<'a>>,
        more: bool,
    },
    Gap {
        reason: &'a str,
        after: Option<&'a str>,
    },
    Bye {
        reconnect_ms: u64,
    },
}

/// The `message` member: the tutorial's line, or empty for a removed message.
#[derive(Serialize)]
#[serde(untagged)]
enum DisplayedText<'a> {
    Line(Line<'a>),
    #[serde(serialize_with = "nothing")]
    Nothing,
}

fn nothing<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("")
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_kept(removed: &bool) -> bool {
    !removed
}

pub(crate) fn welcome(room: &str, identity: &Identity, welcome: &Welcome) -> Frame<'static> {
    let members = welcome.presence.members.as_deref();
    let recovered = welcome.recovery == Recovery::Recovered;
    let listed = members.map(|members| ListedMembers::parse(members.iter().map(String::as_str)));
    ServerFrame::Welcome {
        node: &welcome.node,
        room,
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

/// Encodes what clients see of an event.
pub(crate) fn view(view: &View<'_>) -> Frame<'static> {
    match *view {
        View::Message(message) => sent(message).frame(2 * message.text.len()),
        View::Redacted { id } => ServerFrame::Removed { id }.frame(0),
        View::Presence { change, member, members, count } => presence(change, member, members, count),
        View::Typing { member } => typing(member),
        View::Line(message) => ServerFrame::Push { message }.frame(message.len()),
        View::Unread { user, name, count } => ServerFrame::Unread { user, name, count }.frame(name.len()),
        View::Gap { reason, after } => {
            let after = after.filter(|after| *after != Id::START.to_string());
            ServerFrame::Gap { reason, after }.frame(0)
        }
    }
}

fn sent(message: Message<'_>) -> ServerFrame<'_> {
    let Message { text, user, name, position, is_redacted } = message;
    ServerFrame::Message {
        message: if is_redacted { DisplayedText::Nothing } else { DisplayedText::Line(Line(text)) },
        text,
        user,
        name,
        id: position.map(|position| position.id),
        prev: position.and_then(|position| known(position.prev)),
        at: position.map(|position| position.id.millis()),
        removed: is_redacted,
    }
}

pub(crate) fn ack(client_id: Option<&str>, logged: &Logged) -> Frame<'static> {
    ServerFrame::Ack { client_id, id: logged.id, duplicate: logged.duplicate }.frame(0)
}

pub(crate) fn error(error: &FrameError, client_id: Option<&str>) -> Frame<'static> {
    let retry = error.code.is_retryable();
    ServerFrame::Error { code: error.code.slug(), detail: &error.detail, client_id, retry }.frame(0)
}

fn presence(change: &str, member: Option<&str>, members: Option<&str>, count: u64) -> Frame<'static> {
    let all =
        members.map(|members| ListedMembers::parse(members.split(' ').filter(|member| !member.is_empty())));
    let (user, name) = member.map(split_member).unzip();
    let sent = ServerFrame::Presence {
        change,
        user,
        name,
        members: all.as_ref().map(|all| all.ids.clone()),
        names: all.map(|all| all.names),
        count,
    };
    sent.frame(members.map_or(0, |members| 3 * members.len()))
}

fn typing(member: &str) -> Frame<'static> {
    let (user, name) = split_member(member);
    ServerFrame::Typing { user, name, for_ms: TYPING_MS }.frame(name.len())
}

/// Encodes the messages among these events.
pub(crate) fn history(events: &[Arc<Delivery>], more: bool, view: ViewFn) -> Frame<'static> {
    let messages: Vec<Message<'_>> = events
        .iter()
        .filter_map(|event| match view(event) {
            Some(View::Message(message)) => Some(message),
            _ => None,
        })
        .collect();
    let texts = messages.iter().map(|message| FRAME_OVERHEAD_BYTES + 2 * message.text.len()).sum();
    ServerFrame::History { messages: messages.into_iter().map(sent).collect(), more }.frame(texts)
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
