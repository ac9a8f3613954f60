//! The frames of `parlor.v1` that the server sends, as docs/protocol.md defines them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parlor::{Delivery, Event, Frame, Id, Identity, REDACTED, Recovery, Welcome};
use serde::{Serialize, Serializer};

use crate::chat::frame_error::{FrameError, Logged};
use crate::chat::members_json::{Listed, Names, person};

/// The time for which a client shows that a user types, in milliseconds.
const TYPING_MS: u64 = 5000;
/// The most bytes of text in one `history`, beside its newest message.
const MAX_HISTORY_BYTES: usize = 128 * 1024;
/// The bytes of a frame beside its texts, with the WebSocket header. Longer names exceed it, and
/// the buffer grows.
const FRAME_OVERHEAD_BYTES: usize = 224;

/// The frames of the server.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Sent<'a> {
    Welcome {
        node: &'a str,
        room: &'a str,
        user: &'a str,
        name: &'a str,
        last: Option<Id>,
        recovered: bool,
        reason: Option<&'a str>,
        members: Option<Vec<&'a str>>,
        names: Option<Names<'a>>,
        count: usize,
    },
    Message {
        message: Shown<'a>,
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
        messages: Vec<Sent<'a>>,
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
enum Shown<'a> {
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

/// A text as the tutorial displays it.
pub(crate) struct Line<'a>(pub(crate) &'a str);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[收到消息] {}", self.0)
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

pub(crate) fn welcome(room: &str, identity: &Identity, welcome: &Welcome) -> Frame<'static> {
    let members = welcome.presence.members.as_deref();
    let recovered = welcome.recovery == Recovery::Recovered;
    let listed = members.map(|members| Listed::of(members.iter().map(String::as_str)));
    Sent::Welcome {
        node: &welcome.node,
        room,
        user: identity.id(),
        name: identity.name(),
        last: known(welcome.last),
        recovered,
        reason: (!recovered).then(|| welcome.recovery.as_str()),
        members: listed.as_ref().map(|listed| listed.ids.clone()),
        names: listed.map(|listed| listed.names),
        count: welcome.presence.count,
    }
    .frame(members.map_or(0, |members| 2 * members.iter().map(String::len).sum::<usize>()))
}

pub(crate) fn message(event: &Event) -> Option<Frame<'static>> {
    Some(sent(event)?.frame(2 * length(event)))
}

/// Encodes a removed message of the log, or the live event of its removal.
pub(crate) fn removed(event: &Event) -> Option<Frame<'static>> {
    match event.stamp() {
        Some(_) => message(event),
        None => Some(Sent::Removed { id: event.text("id")? }.frame(0)),
    }
}

pub(crate) fn unread(user: &str, name: &str, count: usize) -> Frame<'static> {
    Sent::Unread { user, name, count }.frame(name.len())
}

fn sent(event: &Event) -> Option<Sent<'_>> {
    let stamp = event.stamp();
    let removed = event.kind() == REDACTED && stamp.is_some();
    let text = if removed { "" } else { event.text("message")? };
    Some(Sent::Message {
        message: if removed { Shown::Nothing } else { Shown::Line(Line(text)) },
        text,
        user: event.text("user"),
        name: event.text("name"),
        id: stamp.map(|stamp| stamp.id),
        prev: stamp.and_then(|stamp| known(stamp.prev)),
        at: stamp.map(|stamp| stamp.id.millis()),
        removed,
    })
}

fn length(event: &Event) -> usize {
    event.text("message").map_or(0, str::len)
}

pub(crate) fn push(message: &str) -> Frame<'static> {
    Sent::Push { message }.frame(message.len())
}

pub(crate) fn ack(client_id: Option<&str>, logged: &Logged) -> Frame<'static> {
    Sent::Ack { client_id, id: logged.id, duplicate: logged.duplicate }.frame(0)
}

pub(crate) fn error(error: &FrameError, client_id: Option<&str>) -> Frame<'static> {
    let retry = error.code.is_retryable();
    Sent::Error { code: error.code.slug(), detail: &error.detail, client_id, retry }.frame(0)
}

pub(crate) fn presence(event: &Event) -> Option<Frame<'static>> {
    let count = event.text("count")?.parse().ok()?;
    let listed = event.text("members");
    let all = listed.map(|members| Listed::of(members.split(' ').filter(|member| !member.is_empty())));
    let (user, name) = event.text("user").map(person).unzip();
    let members = all.as_ref().map(|all| all.ids.clone());
    let sent = Sent::Presence {
        change: event.text("change")?,
        user,
        name,
        members,
        names: all.map(|all| all.names),
        count,
    };
    Some(sent.frame(listed.map_or(0, |members| 3 * members.len())))
}

pub(crate) fn typing(member: &str) -> Frame<'static> {
    let (user, name) = person(member);
    Sent::Typing { user, name, for_ms: TYPING_MS }.frame(name.len())
}

pub(crate) fn history(events: &[Arc<Delivery>], more: bool) -> Frame<'static> {
    // The newest that fit into one frame, which waits in memory for a slow client.
    let mut bytes = 0;
    let fits = |event: &&Arc<Delivery>| {
        bytes += length(event);
        bytes <= MAX_HISTORY_BYTES
    };
    let kept = events.iter().rev().take(1).chain(events.iter().rev().skip(1).take_while(fits)).count();
    let (left, kept) = events.split_at(events.len() - kept);
    let messages: Vec<_> = kept.iter().filter_map(|event| sent(event)).collect();
    let texts = kept.iter().map(|event| FRAME_OVERHEAD_BYTES + 2 * length(event)).sum();
    Sent::History { messages, more: more || !left.is_empty() }.frame(texts)
}

pub(crate) fn gap(event: &Event) -> Option<Frame<'static>> {
    let after = event.text("after").filter(|after| *after != Id::START.to_string());
    Some(Sent::Gap { reason: event.text("reason")?, after }.frame(0))
}

pub(crate) fn bye(reconnect: Duration) -> Frame<'static> {
    Sent::Bye { reconnect_ms: u64::try_from(reconnect.as_millis()).unwrap_or(u64::MAX) }.frame(0)
}

/// Returns an id as clients see it: the position before the first message is `None`.
fn known(id: Id) -> Option<Id> {
    Some(id).filter(|id| *id != Id::START)
}

impl Sent<'_> {
    /// Encodes the frame, whose texts have about `texts` bytes.
    fn frame(&self, texts: usize) -> Frame<'static> {
        let mut json = Vec::with_capacity(FRAME_OVERHEAD_BYTES + texts);
        serde_json::to_writer(&mut json, self).expect("writing to a Vec cannot fail");
        Frame::Text(String::from_utf8(json).expect("JSON is UTF-8").into())
    }
}

#[cfg(test)]
mod tests;
