//! Invariants of client frames, on either protocol.

use parlor::{Command, Frame};
use serde_json::Value;

use crate::protocols::raw_object::{Member, ParseError, RawObject};
use crate::protocols::surrogates;
use crate::protocols::v1::client_frame;

/// The longest message, in bytes.
const MAX_MESSAGE_BYTES: usize = 100;
/// Allowed bytes of memory for each byte of input: four bytes can be a member of a tree of values.
const MEMORY_PER_INPUT_BYTE: usize = 512;
/// Allowed bytes of memory for any input.
const BASE_MEMORY_BYTES: usize = 16 * 1024;

/// Checks a frame of a client, on either protocol.
pub(crate) fn client_frame(bytes: &[u8]) {
    let mut value = None;
    let taken = allocation_counter::measure(|| value = Some(object(bytes))).bytes_max;
    let most = BASE_MEMORY_BYTES + MEMORY_PER_INPUT_BYTE * bytes.len();
    assert!(taken <= most as u64, "took {taken} bytes, where {most} are enough");
    let value = value.flatten();
    let frame = std::str::from_utf8(bytes).map(|text| Frame::Text(text.into()));
    let Ok(frame) = frame else {
        assert!(value.is_none(), "JSON is UTF-8");
        return;
    };
    let member = |name: &str| value.as_ref().and_then(|value| value.get(name));
    match client_frame::decode(&frame, MAX_MESSAGE_BYTES) {
        Ok(Command::Publish { text, id }) => {
            assert!(
                text.len() <= MAX_MESSAGE_BYTES && member("message") == Some(&Value::from(&*text)),
                "{text}"
            );
            assert_eq!(id.as_deref(), member("id").and_then(Value::as_str));
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            assert!(id.is_none_or(|id| (1..=64).contains(&id.len()) && id.bytes().all(is_plain)));
        }
        Ok(Command::MarkRead { id }) => {
            assert_eq!(member("type"), Some(&Value::from("read")));
            assert_eq!(member("id").and_then(Value::as_str).map(str::parse), Some(Ok(id)));
        }
        Ok(Command::Typing) => assert_eq!(member("type"), Some(&Value::from("typing"))),
        Ok(Command::History { before, limit }) => {
            assert!((1..=200).contains(&limit), "{limit}");
            assert!(before.is_none_or(|id| Ok(id) == id.to_string().parse()));
            assert_eq!(member("type"), Some(&Value::from("history")));
        }
        Err((error, id)) => {
            assert!(["malformed", "unknown_type", "bad_id", "too_large"].contains(&error.code.slug()));
            assert!(error.detail.len() < 200, "{}", error.detail);
            assert!(id.is_none_or(|id| id.chars().count() <= 64), "an id is echoed only in part");
        }
    }
}

/// Checks that an object is read exactly when serde_json reads one, with the same members, once
/// halves of surrogate pairs are replaced.
fn object(json: &[u8]) -> Option<Value> {
    let replaced = surrogates::replace_lone(json);
    let value = serde_json::from_slice::<Value>(replaced.as_deref().unwrap_or(json));
    match (RawObject::parse(json), value) {
        (Ok(object), Ok(value)) if value.is_object() => {
            let members = [
                ("type", &object.kind),
                ("message", &object.message),
                ("id", &object.id),
                ("before", &object.before),
                ("limit", &object.limit),
            ];
            for (name, member) in members {
                let member = member.as_ref().map(|member| match member {
                    Member::Text(text) => Value::from(&**text),
                    Member::Other(value) => value.clone(),
                });
                assert_eq!(member.as_ref(), value.get(name), "`{name}`");
            }
            Some(value)
        }
        (Err(ParseError::NotAnObject), Ok(value)) if !value.is_object() => None,
        (Err(ParseError::NotJson), Err(_)) => None,
        (object, value) => {
            panic!("{} is read from {value:?}", if object.is_ok() { "an object" } else { "nothing" })
        }
    }
}
