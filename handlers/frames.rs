//! The frames of `parlor.v1`, as docs/protocol.md defines them: every one that the server sends, and how what a client
//! sends is read.

use std::sync::Arc;
use std::time::Duration;

use parlor::config::Config;
use parlor::error::Unavailable;
use parlor::{Appended, Event, Frame, Id, Welcome};
use serde_json::{Map, Value, json};

use crate::chat::{id, line};

/// For how long a client shows that somebody types, in milliseconds.
const TYPING_MS: u64 = 5000;
/// Most messages of one `history`, and how many without `limit`.
const MOST: u64 = 200;
const SOME: u64 = 50;
/// Most bytes of text in one `history`, beside its newest message.
const MOST_BYTES: usize = 128 * 1024;
/// Longest id that a client gives a message.
const ID_LENGTH: usize = 64;

/// What a client says.
pub(crate) enum Said {
    Message { text: String, id: Option<String> },
    Typing,
    History { before: Option<Id>, limit: usize },
}

/// Why something was not done: an error's code, and words for people.
pub(crate) struct Trouble {
    pub(crate) code: &'static str,
    detail: String,
}

/// A message's place in the log.
pub(crate) struct Logged {
    id: Id,
    duplicate: bool,
}

impl Trouble {
    pub(crate) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    pub(crate) fn unavailable() -> Self {
        Self::new("unavailable", "the server cannot reach its messages: send it again, with the same `id`")
    }
}

impl Said {
    /// Reads a client's frame.
    ///
    /// # Errors
    /// What is wrong with it, and the client's id of the message, if it has one.
    pub(crate) fn read(frame: &Frame<'_>, config: &Config) -> Result<Self, (Trouble, Option<String>)> {
        let malformed = |detail: &str| (Trouble::new("malformed", detail), None);
        let Frame::Text(text) = frame else { return Err(malformed("expected a text frame")) };
        Self::parse(text.as_bytes(), config)
    }

    /// Reads a client's frame from its JSON.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn parse(json: &[u8], config: &Config) -> Result<Self, (Trouble, Option<String>)> {
        let malformed = |detail: &str| (Trouble::new("malformed", detail), None);
        let mut members = match serde_json::from_slice(json) {
            Ok(Value::Object(members)) => members,
            Ok(_) => return Err(malformed("expected a JSON object")),
            Err(_) => return Err(malformed("expected JSON as {\"message\": \"hi\", \"id\": \"…\"}")),
        };
        match members.remove("type") {
            None => Self::message(members, config),
            Some(Value::String(kind)) => match kind.as_str() {
                "message" => Self::message(members, config),
                "typing" => Ok(Self::Typing),
                "history" => Self::history(&members).map_err(|detail| malformed(&detail)),
                _ => Err((Trouble::new("unknown_type", "`type`: expected message, typing or history"), None)),
            },
            Some(_) => Err(malformed("`type`: expected a string")),
        }
    }

    fn message(mut members: Map<String, Value>, config: &Config) -> Result<Self, (Trouble, Option<String>)> {
        let id = match members.remove("id") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) if is_id(&id) => Some(id),
            Some(other) => {
                let detail = "`id`: expected 1 to 64 letters, digits, `-` or `_` of ASCII";
                let id = other.as_str().map(|id| id.chars().take(ID_LENGTH).collect());
                return Err((Trouble::new("bad_id", detail), id));
            }
        };
        let max = config.max_message_bytes;
        match members.remove("message") {
            Some(Value::String(text)) if text.len() > max => {
                let detail = format!("`message`: expected at most {max} bytes");
                Err((Trouble::new("too_large", detail), id))
            }
            Some(Value::String(text)) => Ok(Self::Message { text, id }),
            Some(_) => Err((Trouble::new("malformed", "`message`: expected a string"), id)),
            None => Err((Trouble::new("malformed", "`message`: expected, but missing"), id)),
        }
    }

    fn history(members: &Map<String, Value>) -> Result<Self, String> {
        let before = match members.get("before") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => {
                Some(text.parse().map_err(|_| "`before`: expected a message's id".to_owned())?)
            }
            Some(_) => return Err("`before`: expected a message's id".to_owned()),
        };
        let limit = match members.get("limit") {
            None | Some(Value::Null) => Some(SOME),
            Some(limit) => limit.as_u64().filter(|limit| (1..=MOST).contains(limit)),
        };
        let limit = limit.ok_or_else(|| format!("`limit`: expected a number from 1 to {MOST}"))?;
        Ok(Self::History { before, limit: usize::try_from(limit).unwrap_or_default() })
    }
}

fn is_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=ID_LENGTH).contains(&id.len()) && id.bytes().all(allowed)
}

/// What the layer's answer means for the client.
///
/// # Errors
/// Why the message is not in the log.
pub(crate) fn answer(appended: &Result<Appended, Unavailable>) -> Result<Logged, Trouble> {
    match appended {
        Ok(Appended::New(id)) => Ok(Logged { id: *id, duplicate: false }),
        Ok(Appended::Known(id)) => Ok(Logged { id: *id, duplicate: true }),
        Ok(Appended::Conflict) => {
            Err(Trouble::new("conflict", "`id`: used for another message less than five minutes ago"))
        }
        Err(_) => Err(Trouble::unavailable()),
    }
}

pub(crate) fn welcome(room: &str, user: &str, welcome: &Welcome) -> Frame<'static> {
    text(&json!({
        "type": "welcome", "node": welcome.node, "room": room, "user": user, "last": id(welcome.last),
        "recovered": welcome.reason.is_none(), "reason": welcome.reason,
        "members": welcome.presence.members, "count": welcome.presence.count,
    }))
}

pub(crate) fn message(event: &Event) -> Option<Frame<'static>> {
    Some(text(&message_json(event)?))
}

fn message_json(event: &Event) -> Option<Value> {
    let said = event.text("message")?;
    let stamp = event.stamp();
    Some(json!({
        "type": "message", "message": line(said), "text": said, "user": event.text("user"),
        "id": stamp.map(|stamp| stamp.id.to_string()), "prev": stamp.and_then(|stamp| id(stamp.prev)),
        "at": stamp.map(|stamp| stamp.id.millis()),
    }))
}

pub(crate) fn push(line: &str) -> Frame<'static> {
    text(&json!({"type": "push", "message": line}))
}

pub(crate) fn ack(client_id: Option<&str>, logged: &Logged) -> Frame<'static> {
    let (id, duplicate) = (logged.id.to_string(), logged.duplicate);
    text(&json!({"type": "ack", "client_id": client_id, "id": id, "duplicate": duplicate}))
}

pub(crate) fn error(trouble: &Trouble, client_id: Option<&str>) -> Frame<'static> {
    let retry = trouble.code == "unavailable";
    text(&json!({
        "type": "error", "code": trouble.code, "detail": trouble.detail, "client_id": client_id, "retry": retry,
    }))
}

pub(crate) fn presence(event: &Event) -> Option<Frame<'static>> {
    let count: u64 = event.text("count")?.parse().ok()?;
    let names = |text: &str| text.split(' ').filter(|name| !name.is_empty()).map(Value::from).collect();
    let members: Option<Vec<Value>> = event.text("members").map(names);
    Some(text(&json!({
        "type": "presence", "change": event.text("change")?, "user": event.text("user"), "members": members,
        "count": count,
    })))
}

pub(crate) fn typing(user: &str) -> Frame<'static> {
    text(&json!({"type": "typing", "user": user, "for_ms": TYPING_MS}))
}

pub(crate) fn history(events: &[Arc<Event>], more: bool) -> Frame<'static> {
    // The newest of them, as many as one frame may hold: it has to wait in memory for a slow reader.
    let mut bytes = 0;
    let fits = |event: &&Arc<Event>| {
        bytes += event.text("message").map_or(0, str::len);
        bytes <= MOST_BYTES
    };
    let kept = events.iter().rev().take(1).chain(events.iter().rev().skip(1).take_while(fits)).count();
    let (left, kept) = events.split_at(events.len() - kept);
    let messages: Vec<Value> = kept.iter().filter_map(|event| message_json(event)).collect();
    text(&json!({"type": "history", "messages": messages, "more": more || !left.is_empty()}))
}

pub(crate) fn gap(event: &Event) -> Option<Frame<'static>> {
    let after = event.text("after").filter(|after| *after != Id::START.to_string());
    Some(text(&json!({"type": "gap", "reason": event.text("reason")?, "after": after})))
}

pub(crate) fn bye(reconnect: Duration) -> Frame<'static> {
    let millis = u64::try_from(reconnect.as_millis()).unwrap_or(u64::MAX);
    text(&json!({"type": "bye", "reconnect_ms": millis}))
}

fn text(value: &Value) -> Frame<'static> {
    Frame::Text(value.to_string().into())
}
