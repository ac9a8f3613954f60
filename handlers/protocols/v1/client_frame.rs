//! The frames of `parlor.v1` that a client sends, as docs/protocol.md defines them.

use std::borrow::Cow;

use parlor::{ClientRequest, Command, Frame, Id, Join, Omitted, Since, Target};
use serde_json::Value;

use crate::protocols::raw_object::{Member, ParseError, RawObject};
use crate::protocols::streams::{CHAT, INBOX, PUSH};
use crate::protocols::v1::frame_error::{FrameError, FrameErrorCode};
use crate::protocols::v1::frame_id;

/// The most messages of one `history`.
const MAX_HISTORY_MESSAGES: u64 = 200;
/// The messages of a `history` without `limit`.
const DEFAULT_HISTORY_MESSAGES: u64 = 50;
/// The most messages that a `join` may ask for.
pub(crate) const MAX_JOIN_MESSAGES: u64 = 1000;
/// The longest id that a client gives a message, in characters, all ASCII.
const MAX_ID_CHARS: usize = 64;
/// The longest name of an application for a message, in characters.
const MAX_EVENT_CHARS: usize = 64;
/// The longest name of a room that an error repeats, in characters.
const MAX_ROOM_CHARS: usize = 64;
const KINDS: &str = "`type`: expected message, typing, history, read, join or leave";

/// A frame that is not carried out.
pub(crate) struct Rejected<'a> {
    pub(crate) error: FrameError,
    /// The client's id of the message, if the frame has one.
    pub(crate) id: Option<Cow<'a, str>>,
    /// The room, as the client wrote it.
    pub(crate) room: Option<Cow<'a, str>>,
}

impl From<FrameError> for Rejected<'_> {
    fn from(error: FrameError) -> Self {
        Self { error, id: None, room: None }
    }
}

/// Decodes a client's frame, whose text may have `max` bytes.
///
/// # Errors
/// Returns why it is rejected.
pub(crate) fn decode<'a>(frame: &'a Frame<'_>, max: usize) -> Result<ClientRequest<'a>, Rejected<'a>> {
    let Frame::Text(text) = frame else { return Err(malformed("expected a text frame").into()) };
    parse(text.as_bytes(), max)
}

/// Parses the JSON of a client's frame.
///
/// # Errors
/// As [`decode`].
pub(crate) fn parse(json: &[u8], max: usize) -> Result<ClientRequest<'_>, Rejected<'_>> {
    let mut object = RawObject::parse(json).map_err(|unread| {
        let error = malformed(match unread {
            ParseError::NotAnObject => "expected a JSON object",
            ParseError::NotJson => "expected JSON as {\"text\": \"hi\", \"id\": \"…\"}",
        });
        Rejected { id: frame_id::find(json).map(Cow::Borrowed), ..error.into() }
    })?;
    let kind = match object.kind.take() {
        None => Cow::Borrowed("message"),
        Some(Member::Text(kind)) => kind,
        Some(Member::Other(_)) => {
            let room = room_of(&object);
            let error = malformed("`type`: expected a string");
            return Err(Rejected { id: valid_id(object.id), room, error });
        }
    };
    let (room, target) = (room_of(&object), target(&object));
    let request = match (&*kind, target) {
        ("message", Ok(target)) => {
            message(object, max).map(|command| ClientRequest::Command(target, command))
        }
        ("typing", Ok(target)) => Ok(ClientRequest::Command(target, Command::Typing)),
        ("history", Ok(target)) => {
            history(&object).map(|command| ClientRequest::Command(target, command)).map_err(Rejected::from)
        }
        ("read", Ok(target)) => {
            mark_read(&object).map(|command| ClientRequest::Command(target, command)).map_err(Rejected::from)
        }
        ("join", Ok(Some(target))) => join(object, target).map(ClientRequest::Join).map_err(Rejected::from),
        ("leave", Ok(Some(target))) => Ok(ClientRequest::Leave(target)),
        ("join" | "leave", Ok(None)) => Err(malformed("`room`: expected, but missing").into()),
        ("message", Err(error)) => Err(Rejected { id: valid_id(object.id), ..error.into() }),
        ("typing" | "history" | "read" | "join" | "leave", Err(error)) => Err(error.into()),
        _ => {
            let error = FrameError::new(FrameErrorCode::UnknownType, KINDS);
            Err(Rejected { id: valid_id(object.id), ..error.into() })
        }
    };
    request.map_err(|rejected| Rejected { room, ..rejected })
}

/// Returns the room that an object names, as far as an error repeats it.
fn room_of<'a>(object: &RawObject<'a>) -> Option<Cow<'a, str>> {
    match &object.room {
        Some(Member::Text(Cow::Borrowed(room))) => Some(Cow::Borrowed(repeated(room))),
        Some(Member::Text(Cow::Owned(room))) => Some(Cow::Owned(repeated(room).to_owned())),
        _ => None,
    }
}

/// Returns as much of a room's name as an error repeats.
pub(crate) fn repeated(room: &str) -> &str {
    room.char_indices().nth(MAX_ROOM_CHARS).map_or(room, |(end, _)| &room[..end])
}

/// Returns the channel that an object names: a room, its push stream, or the inbox.
fn target<'a>(object: &RawObject<'a>) -> Result<Option<Target<'a>>, FrameError> {
    let is_push = flag("push", object.push.as_ref(), false)?;
    let is_inbox = flag("inbox", object.inbox.as_ref(), false)?;
    match &object.room {
        None | Some(Member::Other(Value::Null)) if is_inbox && !is_push => {
            Ok(Some(Target { stream: INBOX, name: Cow::Borrowed(INBOX) }))
        }
        None | Some(Member::Other(Value::Null)) if !is_push => Ok(None),
        Some(Member::Text(room)) if !is_inbox => {
            let stream = if is_push { PUSH } else { CHAT };
            Ok(Some(Target { stream, name: room.clone() }))
        }
        Some(Member::Text(_)) => Err(malformed("`inbox`: expected no `room` beside it")),
        _ => Err(malformed("`room`: expected a string")),
    }
}

fn flag(name: &str, member: Option<&Member<'_>>, default: bool) -> Result<bool, FrameError> {
    match member {
        None | Some(Member::Other(Value::Null)) => Ok(default),
        Some(Member::Other(Value::Bool(flag))) => Ok(*flag),
        Some(_) => Err(malformed(format!("`{name}`: expected true or false"))),
    }
}

fn join<'a>(object: RawObject<'a>, target: Target<'a>) -> Result<Join<'a>, FrameError> {
    let history = match &object.history {
        None | Some(Member::Other(Value::Null)) => None,
        Some(Member::Other(count)) if count.as_u64().is_some_and(|count| count <= MAX_JOIN_MESSAGES) => {
            count.as_u64().and_then(|count| usize::try_from(count).ok())
        }
        Some(_) => {
            return Err(malformed(format!("`history`: expected a number from 0 to {MAX_JOIN_MESSAGES}")));
        }
    };
    let omitted = Omitted {
        presence: !flag("presence", object.presence.as_ref(), true)?,
        typing: !flag("typing", object.typing.as_ref(), true)?,
    };
    let since = match object.since {
        None | Some(Member::Other(Value::Null)) => None,
        Some(Member::Text(since)) => Some(since),
        Some(Member::Other(_)) => return Err(malformed("`since`: expected a message's id")),
    };
    Ok(Join { since: since.map(Since::Id), history, omitted, ..Join::new(target) })
}

fn message(object: RawObject<'_>, max: usize) -> Result<Command<'_>, Rejected<'_>> {
    let id = match object.id {
        None | Some(Member::Other(Value::Null)) => None,
        Some(Member::Text(id)) if is_id(&id) => Some(id),
        Some(other) => {
            let detail = "`id`: expected 1 to 64 letters, digits, `-` or `_` of ASCII";
            let id = other.text().map(|id| id.chars().take(MAX_ID_CHARS).collect());
            return Err(Rejected { id, ..FrameError::new(FrameErrorCode::BadId, detail).into() });
        }
    };
    match content(object.message, object.data, object.event, max) {
        Ok((text, data, event)) => Ok(Command::Publish { text, data, event, id }),
        Err(error) => Err(Rejected { id, ..error.into() }),
    }
}

/// What a message says: its text, its data, and the application's name for it.
type Content<'a> = (Cow<'a, str>, Option<Cow<'a, str>>, Option<Cow<'a, str>>);

fn content<'a>(
    text: Option<Member<'a>>,
    data: Option<Cow<'a, str>>,
    event: Option<Member<'a>>,
    max: usize,
) -> Result<Content<'a>, FrameError> {
    let text = match text {
        Some(Member::Text(text)) => text,
        None | Some(Member::Other(Value::Null)) if data.is_some() => Cow::Borrowed(""),
        Some(Member::Other(_)) => return Err(malformed("`text`: expected a string")),
        None => return Err(malformed("`text`: expected, but missing")),
    };
    let event = match event {
        None | Some(Member::Other(Value::Null)) => None,
        Some(Member::Text(event)) if is_event_name(&event) => Some(event),
        Some(_) => return Err(malformed(EVENT_RULE)),
    };
    if text.len() + data.as_ref().map_or(0, |data| data.len()) > max {
        let what = if data.is_some() { "`text` and `data`" } else { "`text`" };
        return Err(FrameError::new(
            FrameErrorCode::TooLarge,
            format!("{what}: expected at most {max} bytes"),
        ));
    }
    Ok((text, data, event))
}

/// The rule for the application's name for a message.
pub(crate) const EVENT_RULE: &str = "`event`: expected 1 to 64 characters";

/// Returns whether an application may call a message so.
pub(crate) fn is_event_name(name: &str) -> bool {
    (1..=MAX_EVENT_CHARS).contains(&name.chars().count())
}

/// Returns the id of a frame that is not a message, if it has the form of one.
fn valid_id(id: Option<Member<'_>>) -> Option<Cow<'_, str>> {
    match id {
        Some(Member::Text(id)) if is_id(&id) => Some(id),
        _ => None,
    }
}

fn mark_read(object: &RawObject<'_>) -> Result<Command<'static>, FrameError> {
    let id = object.id.as_ref().and_then(Member::text).and_then(|id| id.parse().ok());
    id.map(|id| Command::MarkRead { id }).ok_or_else(|| malformed("`id`: expected a message's id"))
}

fn history(object: &RawObject<'_>) -> Result<Command<'static>, FrameError> {
    let before = match &object.before {
        None | Some(Member::Other(Value::Null)) => None,
        Some(before) => {
            let id: Option<Id> = before.text().and_then(|text| text.parse().ok());
            Some(id.ok_or_else(|| malformed("`before`: expected a message's id"))?)
        }
    };
    let limit = match &object.limit {
        None | Some(Member::Other(Value::Null)) => Some(DEFAULT_HISTORY_MESSAGES),
        Some(Member::Other(limit)) => {
            limit.as_u64().filter(|limit| (1..=MAX_HISTORY_MESSAGES).contains(limit))
        }
        Some(Member::Text(_)) => None,
    };
    let limit = limit
        .ok_or_else(|| malformed(format!("`limit`: expected a number from 1 to {MAX_HISTORY_MESSAGES}")))?;
    Ok(Command::History { before, limit: usize::try_from(limit).unwrap_or_default() })
}

fn malformed(detail: impl Into<Cow<'static, str>>) -> FrameError {
    FrameError::new(FrameErrorCode::Malformed, detail)
}

/// Returns whether a client may give a message this id.
pub(crate) fn is_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=MAX_ID_CHARS).contains(&id.len()) && id.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 100;

    fn request(json: &str) -> ClientRequest<'_> {
        parse(json.as_bytes(), MAX).unwrap_or_else(|rejected| panic!("{json}: {}", rejected.error.detail))
    }

    fn command(json: &str) -> Command<'_> {
        match request(json) {
            ClientRequest::Command(None, command) => command,
            other => panic!("{json}: {other:?}"),
        }
    }

    #[test]
    fn frames_of_clients_are_commands() {
        for (json, expected) in [
            (r#"{"message": "hi", "id": "a-1"}"#, ("hi", Some("a-1"))),
            (r#"{"message": "no", "text": "hi", "id": "a-1", "room": null}"#, ("hi", Some("a-1"))),
            (r#" {"id":null,"type":"message","message":""} "#, ("", None)),
            (r#"{"message": "\u4f60\n\"\ud83d\ude00", "type": "m\u0065ssage"}"#, ("你\n\"😀", None)),
            (r#"{"message": 1, "message": "hi", "id": "a b", "id": "\u0061"}"#, ("hi", Some("a"))),
            (r#"{"x": [{"y": null}, 1e9, -1, true], "\u006dessage": "hi", "before": 5}"#, ("hi", None)),
        ] {
            let Command::Publish { text, id, .. } = command(json) else { panic!("{json} is a message") };
            assert_eq!((&*text, id.as_deref()), expected, "{json}");
        }
        let typing = command(r#"{"type": "typing", "message": 1, "id": []}"#);
        assert_eq!(typing, Command::Typing);
        let read = command(r#"{"type": "read", "id": "7-0"}"#);
        assert_eq!(read, Command::MarkRead { id: "7-0".parse().unwrap() });
        for (json, expected) in [
            (r#"{"type": "history"}"#, (None, 50)),
            (r#"{"type": "history", "before": "7-0", "limit": 200}"#, (Some("7-0".parse().unwrap()), 200)),
            (r#"{"type": "history", "before": null, "limit": null}"#, (None, 50)),
        ] {
            let Command::History { before, limit } = command(json) else { panic!("{json} asks for history") };
            assert_eq!((before, limit), expected, "{json}");
        }
    }

    #[test]
    fn the_data_of_a_message_is_kept_as_it_came() {
        for (json, expected) in [
            (r#"{"data": {"b" : 1.0e2,"a":[null]}}"#, ("", Some(r#"{"b" : 1.0e2,"a":[null]}"#), None)),
            (r#"{"text": "hi", "data": "\u00e4", "event": "m"}"#, ("hi", Some(r#""\u00e4""#), Some("m"))),
            (r#"{"text": "hi", "data": null, "event": null}"#, ("hi", None, None)),
            (r#"{"text": null, "data": 0}"#, ("", Some("0"), None)),
            (r#"{"data": "half \ud83d"}"#, ("", Some(r#""half \ufffd""#), None)),
        ] {
            let Command::Publish { text, data, event, .. } = command(json) else { panic!("{json}") };
            assert_eq!((&*text, data.as_deref(), event.as_deref()), expected, "{json}");
        }
        let long = format!(r#"{{"text": "{}", "data": "{}"}}"#, "x".repeat(50), "y".repeat(50));
        let name = format!(r#"{{"text": "hi", "event": "{}"}}"#, "x".repeat(65));
        for (json, detail) in [
            (r#"{"data": null}"#, "`text`: expected, but missing"),
            (r#"{"text": 5, "data": 5}"#, "`text`: expected a string"),
            (r#"{"text": "hi", "event": ""}"#, EVENT_RULE),
            (r#"{"text": "hi", "event": 5}"#, EVENT_RULE),
            (&name, EVENT_RULE),
            (&long, "`text` and `data`: expected at most 100 bytes"),
            (r#"{"data": 1e999}"#, "expected JSON as {\"text\": \"hi\", \"id\": \"…\"}"),
        ] {
            let Err(rejected) = parse(json.as_bytes(), MAX) else { panic!("{json} is refused") };
            assert_eq!(rejected.error.detail, detail, "{json}");
        }
    }

    #[test]
    fn a_frame_may_name_its_channel() {
        let target = |stream, name: &'static str| Target { stream, name: name.into() };
        let typing = |target| ClientRequest::Command(Some(target), Command::Typing);
        for (json, expected) in [
            (r#"{"type": "typing", "room": "lobby"}"#, typing(target(CHAT, "lobby"))),
            (r#"{"type": "typing", "room": "lobby", "push": true}"#, typing(target(PUSH, "lobby"))),
            (r#"{"type": "typing", "inbox": true, "push": null}"#, typing(target(INBOX, "inbox"))),
            (r#"{"type": "leave", "room": "a b", "push": false}"#, ClientRequest::Leave(target(CHAT, "a b"))),
        ] {
            assert_eq!(request(json), expected, "{json}");
        }
        let join = |json| match request(json) {
            ClientRequest::Join(join) => join,
            other => panic!("{json}: {other:?}"),
        };
        let plain = Join::new(target(CHAT, "lobby"));
        assert_eq!(join(r#"{"type": "join", "room": "lobby", "since": null, "history": null}"#), plain);
        let omitted = Omitted { presence: true, typing: true };
        let full = Join { since: Some(Since::Id("7-0".into())), history: Some(1000), omitted, ..plain };
        let json = r#"{"type": "join", "room": "lobby", "since": "7-0", "history": 1000, "presence": false, "typing": false}"#;
        assert_eq!(join(json), full);
    }

    #[test]
    fn an_error_names_the_room_of_its_frame() {
        let long = format!(r#"{{"type": "join", "room": "{}", "history": -1}}"#, "ä".repeat(65));
        let (history, room) = ("`history`: expected a number from 0 to 1000", "`room`: expected a string");
        for (json, detail, echoed) in [
            (r#"{"type": "join"}"#, "`room`: expected, but missing", None),
            (r#"{"type": "leave", "room": null}"#, "`room`: expected, but missing", None),
            (r#"{"type": "join", "room": 5}"#, room, None),
            (r#"{"type": "join", "push": true}"#, room, None),
            (
                r#"{"type": "join", "room": "a", "inbox": true}"#,
                "`inbox`: expected no `room` beside it",
                Some("a"),
            ),
            (r#"{"type": "join", "room": "a", "push": 1}"#, "`push`: expected true or false", Some("a")),
            (r#"{"type": "join", "room": "a", "since": 5}"#, "`since`: expected a message's id", Some("a")),
            (r#"{"type": "join", "room": "a", "history": 1001}"#, history, Some("a")),
            (r#"{"type": "join", "room": "a", "history": "5"}"#, history, Some("a")),
            (
                r#"{"type": "join", "room": "a", "typing": "no"}"#,
                "`typing`: expected true or false",
                Some("a"),
            ),
            (r#"{"type": 5, "room": "a"}"#, "`type`: expected a string", Some("a")),
            (r#"{"type": "x", "room": "a"}"#, KINDS, Some("a")),
            (r#"{"room": "a"}"#, "`text`: expected, but missing", Some("a")),
            (&long, history, Some(&long[26..26 + 2 * 64])),
        ] {
            let Err(rejected) = parse(json.as_bytes(), MAX) else { panic!("{json} is refused") };
            assert_eq!((&*rejected.error.detail, rejected.room.as_deref()), (detail, echoed), "{json}");
        }
    }

    #[test]
    fn an_invalid_frame_is_an_error_with_the_id_of_its_message() {
        let long = format!(r#"{{"message": "{}", "id": "mine"}}"#, "x".repeat(MAX + 1));
        let long_id = format!(r#"{{"id": "{}"}}"#, "ä".repeat(65));
        let (text, object) = ("`text`: expected a string", "expected a JSON object");
        let json = "expected JSON as {\"text\": \"hi\", \"id\": \"…\"}";
        let (kind, missing) = ("`type`: expected a string", "`text`: expected, but missing");
        let (before, limit) =
            ("`before`: expected a message's id", "`limit`: expected a number from 1 to 200");
        let id = "`id`: expected 1 to 64 letters, digits, `-` or `_` of ASCII";
        let (unknown, up_to) = (KINDS, "`id`: expected a message's id");
        for (said, code, detail, echoed) in [
            ("", "malformed", json, None),
            ("{\"message\": \"hi\"} x", "malformed", json, None),
            ("[1", "malformed", json, None),
            ("[]", "malformed", object, None),
            (" \"hi\" ", "malformed", object, None),
            ("null", "malformed", object, None),
            ("{}", "malformed", missing, None),
            (r#"{"message": null, "id": "mine"}"#, "malformed", text, Some("mine")),
            (r#"{"message": {"a": [1]}, "id": null}"#, "malformed", text, None),
            (r#"{"type": null, "message": "hi", "id": "mine"}"#, "malformed", kind, Some("mine")),
            (r#"{"type": 1}"#, "malformed", kind, None),
            (r#"{"type": "Message", "id": "mine"}"#, "unknown_type", unknown, Some("mine")),
            (r#"{"type": "Message", "id": "not mine"}"#, "unknown_type", unknown, None),
            (r#"{"message": "hi", "id": "mine""#, "malformed", json, Some("mine")),
            (r#"{"type": "read"}"#, "malformed", up_to, None),
            (r#"{"type": "read", "id": 5}"#, "malformed", up_to, None),
            (r#"{"type": "read", "id": "x"}"#, "malformed", up_to, None),
            (r#"{"message": 1, "id": "a b"}"#, "bad_id", id, Some("a b")),
            (r#"{"message": "hi", "id": ""}"#, "bad_id", id, Some("")),
            (r#"{"message": "hi", "id": 5}"#, "bad_id", id, None),
            (&long_id, "bad_id", id, Some(&long_id[8..8 + 2 * 64])),
            (&long, "too_large", "`text`: expected at most 100 bytes", Some("mine")),
            (r#"{"type": "history", "before": "x"}"#, "malformed", before, None),
            (r#"{"type": "history", "before": 5, "limit": 0}"#, "malformed", before, None),
            (r#"{"type": "history", "limit": "5"}"#, "malformed", limit, None),
            (r#"{"type": "history", "limit": 5.0}"#, "malformed", limit, None),
            (r#"{"type": "history", "limit": 0}"#, "malformed", limit, None),
            (r#"{"type": "history", "limit": 201}"#, "malformed", limit, None),
            (r#"{"type": "history", "limit": -1}"#, "malformed", limit, None),
        ] {
            let Err(Rejected { error, id, .. }) = parse(said.as_bytes(), MAX) else {
                panic!("{said} is refused")
            };
            let answer = (error.code.slug(), &*error.detail, id.as_deref());
            assert_eq!(answer, (code, detail, echoed), "{said}");
        }
    }

    #[test]
    fn a_message_is_parsed_without_a_copy() {
        let json =
            r#"{"type": "message", "message": "hi 你好", "id": "11f0c6d2-ba5a-4c6e-9d0a-7b8a0f6a0c11"}"#;
        let made = allocation_counter::measure(|| drop(command(json)));
        assert_eq!(made.count_total, 0);
        let made =
            allocation_counter::measure(|| drop(command(r#"{"message": "\u4f60\u597d\n", "id": "1"}"#)));
        assert!(made.count_total <= 4, "{} allocations for what is escaped", made.count_total);
    }
}
