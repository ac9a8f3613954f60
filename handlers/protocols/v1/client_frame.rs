//! The frames of `parlor.v1` that a client sends, as docs/protocol.md defines them.

use std::borrow::Cow;

use parlor::{Command, Frame, Id};
use serde_json::Value;

use crate::protocols::raw_object::{Member, ParseError, RawObject};
use crate::protocols::v1::frame_error::{FrameError, FrameErrorCode};
use crate::protocols::v1::frame_id;

/// The most messages of one `history`.
const MAX_HISTORY_MESSAGES: u64 = 200;
/// The messages of a `history` without `limit`.
const DEFAULT_HISTORY_MESSAGES: u64 = 50;
/// The longest id that a client gives a message, in characters, all ASCII.
const MAX_ID_CHARS: usize = 64;
const KINDS: &str = "`type`: expected message, typing, history or read";

/// The error of a frame, and the client's id of the message, if it has one.
type ErrorAndId<'a> = (FrameError, Option<Cow<'a, str>>);

/// Decodes a client's frame, whose text may have `max` bytes.
///
/// # Errors
/// Returns the error, and the client's id of the message, if it has one.
pub(crate) fn decode<'a>(frame: &'a Frame<'_>, max: usize) -> Result<Command<'a>, ErrorAndId<'a>> {
    let Frame::Text(text) = frame else { return Err(malformed("expected a text frame")) };
    parse(text.as_bytes(), max)
}

/// Parses the JSON of a client's frame.
///
/// # Errors
/// Returns the same errors as [`decode`].
pub(crate) fn parse(json: &[u8], max: usize) -> Result<Command<'_>, ErrorAndId<'_>> {
    let object = RawObject::parse(json).map_err(|unread| {
        let (error, _) = malformed(match unread {
            ParseError::NotAnObject => "expected a JSON object",
            ParseError::NotJson => "expected JSON as {\"message\": \"hi\", \"id\": \"…\"}",
        });
        (error, frame_id::find(json).map(Cow::Borrowed))
    })?;
    match &object.kind {
        None => message(object, max),
        Some(Member::Text(kind)) => match &**kind {
            "message" => message(object, max),
            "typing" => Ok(Command::Typing),
            "history" => history(&object).map_err(malformed),
            "read" => mark_read(&object).map_err(malformed),
            _ => Err((FrameError::new(FrameErrorCode::UnknownType, KINDS), valid_id(object.id))),
        },
        Some(Member::Other(_)) => {
            let (error, _) = malformed("`type`: expected a string");
            Err((error, valid_id(object.id)))
        }
    }
}

fn message(object: RawObject<'_>, max: usize) -> Result<Command<'_>, ErrorAndId<'_>> {
    let id = match object.id {
        None | Some(Member::Other(Value::Null)) => None,
        Some(Member::Text(id)) if is_id(&id) => Some(id),
        Some(other) => {
            let detail = "`id`: expected 1 to 64 letters, digits, `-` or `_` of ASCII";
            let id = other.text().map(|id| id.chars().take(MAX_ID_CHARS).collect());
            return Err((FrameError::new(FrameErrorCode::BadId, detail), id));
        }
    };
    let error = match object.message {
        Some(Member::Text(text)) if text.len() <= max => return Ok(Command::Publish { text, id }),
        Some(Member::Text(_)) => {
            FrameError::new(FrameErrorCode::TooLarge, format!("`message`: expected at most {max} bytes"))
        }
        Some(Member::Other(_)) => FrameError::new(FrameErrorCode::Malformed, "`message`: expected a string"),
        None => FrameError::new(FrameErrorCode::Malformed, "`message`: expected, but missing"),
    };
    Err((error, id))
}

/// Returns the id of a frame that is not a message, if it has the form of one.
fn valid_id(id: Option<Member<'_>>) -> Option<Cow<'_, str>> {
    match id {
        Some(Member::Text(id)) if is_id(&id) => Some(id),
        _ => None,
    }
}

fn mark_read(object: &RawObject<'_>) -> Result<Command<'static>, &'static str> {
    let id = object.id.as_ref().and_then(Member::text).and_then(|id| id.parse().ok());
    id.map(|id| Command::MarkRead { id }).ok_or("`id`: expected a message's id")
}

fn history(object: &RawObject<'_>) -> Result<Command<'static>, String> {
    let before = match &object.before {
        None | Some(Member::Other(Value::Null)) => None,
        Some(before) => {
            let id: Option<Id> = before.text().and_then(|text| text.parse().ok());
            Some(id.ok_or("`before`: expected a message's id")?)
        }
    };
    let limit = match &object.limit {
        None | Some(Member::Other(Value::Null)) => Some(DEFAULT_HISTORY_MESSAGES),
        Some(Member::Other(limit)) => {
            limit.as_u64().filter(|limit| (1..=MAX_HISTORY_MESSAGES).contains(limit))
        }
        Some(Member::Text(_)) => None,
    };
    let limit =
        limit.ok_or_else(|| format!("`limit`: expected a number from 1 to {MAX_HISTORY_MESSAGES}"))?;
    Ok(Command::History { before, limit: usize::try_from(limit).unwrap_or_default() })
}

fn malformed(detail: impl Into<Cow<'static, str>>) -> ErrorAndId<'static> {
    (FrameError::new(FrameErrorCode::Malformed, detail), None)
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

    fn command(json: &str) -> Command<'_> {
        parse(json.as_bytes(), MAX).unwrap_or_else(|(error, _)| panic!("{json}: {}", error.detail))
    }

    #[test]
    fn frames_of_clients_are_commands() {
        for (json, expected) in [
            (r#"{"message": "hi", "id": "a-1"}"#, ("hi", Some("a-1"))),
            (r#" {"id":null,"type":"message","message":""} "#, ("", None)),
            (r#"{"message": "\u4f60\n\"\ud83d\ude00", "type": "m\u0065ssage"}"#, ("你\n\"😀", None)),
            (r#"{"message": 1, "message": "hi", "id": "a b", "id": "\u0061"}"#, ("hi", Some("a"))),
            (r#"{"x": [{"y": null}, 1e9, -1, true], "\u006dessage": "hi", "before": 5}"#, ("hi", None)),
        ] {
            let Command::Publish { text, id } = command(json) else { panic!("{json} is a message") };
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
    fn an_invalid_frame_is_an_error_with_the_id_of_its_message() {
        let long = format!(r#"{{"message": "{}", "id": "mine"}}"#, "x".repeat(MAX + 1));
        let long_id = format!(r#"{{"id": "{}"}}"#, "ä".repeat(65));
        let (text, object) = ("`message`: expected a string", "expected a JSON object");
        let json = "expected JSON as {\"message\": \"hi\", \"id\": \"…\"}";
        let (kind, missing) = ("`type`: expected a string", "`message`: expected, but missing");
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
            (&long, "too_large", "`message`: expected at most 100 bytes", Some("mine")),
            (r#"{"type": "history", "before": "x"}"#, "malformed", before, None),
            (r#"{"type": "history", "before": 5, "limit": 0}"#, "malformed", before, None),
            (r#"{"type": "history", "limit": "5"}"#, "malformed", limit, None),
            (r#"{"type": "history", "limit": 5.0}"#, "malformed", limit, None),
            (r#"{"type": "history", "limit": 0}"#, "malformed", limit, None),
            (r#"{"type": "history", "limit": 201}"#, "malformed", limit, None),
            (r#"{"type": "history", "limit": -1}"#, "malformed", limit, None),
        ] {
            let Err((error, id)) = parse(said.as_bytes(), MAX) else { panic!("{said} is refused") };
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
