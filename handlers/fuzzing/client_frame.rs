//! Invariants of client frames, on either protocol.

use parlor::{ClientRequest, Command, Frame, Target};
use serde_json::Value;

use crate::protocols::raw_object::{Member, ParseError, RawObject};
use crate::protocols::surrogates;
use crate::protocols::v1::client_frame;
use crate::protocols::v1::client_frame::Rejected;

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
    let is_kind = |kind: &str| assert_eq!(member("type"), Some(&Value::from(kind)));
    let is_named = |target: &Target<'_>| {
        let is_room = member("room") == Some(&Value::from(&*target.name));
        assert!(is_room || member("inbox") == Some(&Value::from(true)), "{target:?}");
    };
    match client_frame::decode(&frame, MAX_MESSAGE_BYTES) {
        Ok(ClientRequest::Command(target, command)) => {
            target.iter().for_each(is_named);
            match command {
                Command::Publish { text, data, event, id } => {
                    let texts = [member("message"), member("text")];
                    assert!(texts.contains(&Some(&Value::from(&*text))) || data.is_some(), "{text}");
                    let bytes = text.len() + data.as_ref().map_or(0, |data| data.len());
                    assert!(bytes <= MAX_MESSAGE_BYTES, "{text}");
                    let data = data.map(|data| serde_json::from_str::<Value>(&data).expect("JSON"));
                    assert_eq!(data.as_ref(), member("data").filter(|data| !data.is_null()));
                    assert_eq!(event.as_deref(), member("event").and_then(Value::as_str));
                    assert_eq!(id.as_deref(), member("id").and_then(Value::as_str));
                    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
                    assert!(id.is_none_or(|id| (1..=64).contains(&id.len()) && id.bytes().all(is_plain)));
                }
                Command::MarkRead { id } => {
                    is_kind("read");
                    assert_eq!(member("id").and_then(Value::as_str).map(str::parse), Some(Ok(id)));
                }
                Command::Typing => is_kind("typing"),
                Command::History { before, limit } => {
                    assert!((1..=200).contains(&limit), "{limit}");
                    assert!(before.is_none_or(|id| Ok(id) == id.to_string().parse()));
                    is_kind("history");
                }
                Command::Log { .. } | Command::Connections { .. } => panic!("not of this protocol"),
            }
        }
        Ok(ClientRequest::Join(join)) => {
            is_kind("join");
            is_named(&join.target);
            assert!(join.history.is_none_or(|count| count as u64 <= client_frame::MAX_JOIN_MESSAGES));
        }
        Ok(ClientRequest::Leave(target)) => {
            is_kind("leave");
            is_named(&target);
        }
        Ok(
            ClientRequest::Connect(_)
            | ClientRequest::Refresh(_)
            | ClientRequest::RefreshJoin(..)
            | ClientRequest::Pong,
        ) => panic!("not of this protocol"),
        Err(Rejected { error, id, room }) => {
            assert!(["malformed", "unknown_type", "bad_id", "too_large"].contains(&error.code.slug()));
            assert!(error.detail.len() < 200, "{}", error.detail);
            let echoed = [id, room].into_iter().flatten();
            echoed.for_each(|text| assert!(text.chars().count() <= 64, "echoed only in part"));
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
                ("id", &object.id),
                ("before", &object.before),
                ("limit", &object.limit),
                ("room", &object.room),
                ("push", &object.push),
                ("inbox", &object.inbox),
                ("since", &object.since),
                ("history", &object.history),
                ("presence", &object.presence),
                ("typing", &object.typing),
                ("event", &object.event),
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
