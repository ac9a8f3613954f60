//! An event for a group, unlogged, as Channels' `group_send` does it.

use parlor::{Event, Group, Refusal, Request, Response, StatusCode};
use serde::Serialize;

use super::body::Body;
use crate::rooms::groups;
use crate::rooms::room::Room;

/// The most bytes of an event.
const MAX_EVENT_BYTES: usize = 64 * 1024;
/// The longest type.
const MAX_TYPE_BYTES: usize = 64;
/// The prefixes of types that Channels' servers send to consumers, some of which close a socket.
const RESERVED_TYPE_PREFIXES: [&str; 4] = ["websocket_", "http_", "lifespan_", "channel_"];
/// The members that the server sets: the position in the log and the sender.
const RESERVED_MEMBERS: [&str; 6] = ["id", "prev", "offset", "user", "name", "subject"];

#[derive(Serialize)]
struct Sent<'a> {
    group: &'a str,
}

/// `POST /api/groups/{group}/events`.
pub(crate) async fn send(request: Request) -> Result<Response, Refusal> {
    let group = group(&request).await?;
    if request.body().len() > MAX_EVENT_BYTES {
        let detail = format!("`body`: expected at most {MAX_EVENT_BYTES} bytes");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    let mut body = Body::from_request(&request)?;
    let mut event = event(&body.text("type")?)?;
    for (name, text) in body.rest()? {
        if RESERVED_MEMBERS.contains(&name.as_str()) {
            return Err(Refusal::bad_request(format!("`{name}`: the server's own to say")));
        }
        event = event.with(&name, &text);
    }
    request.publish(&group, &event).await?;
    Ok(super::answer(StatusCode::ACCEPTED, &Sent { group: group.name() }))
}

/// Makes an event of a type that clients may send.
fn event(kind: &str) -> Result<Event, Refusal> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
    let is_type = (1..=MAX_TYPE_BYTES).contains(&kind.len())
        && kind.starts_with(|first: char| first.is_ascii_alphabetic())
        && kind.bytes().all(allowed);
    if !is_type {
        let rule = "a letter, then letters, digits, `_` or `.` of ASCII";
        let detail = format!("`type`: expected 1 to {MAX_TYPE_BYTES} characters: {rule}");
        return Err(Refusal::bad_request(detail));
    }
    let event = Event::new(kind);
    if event.is_own() || RESERVED_TYPE_PREFIXES.iter().any(|prefix| event.kind().starts_with(prefix)) {
        return Err(Refusal::bad_request("`type`: begins as those that only servers send"));
    }
    Ok(event)
}

/// Returns the group in the path: `chat_` and a room's name for its chat, or the name alone for its
/// push stream.
async fn group(request: &Request) -> Result<Group, Refusal> {
    let name = request.param("group").unwrap_or_default();
    match name.strip_prefix(groups::CHAT_PREFIX) {
        Some(room) => Ok(Room::find_for_api(request.context(), room).await?.chat_group()),
        None => Ok(Room::find_for_api(request.context(), name).await?.push_group()),
    }
}

#[cfg(test)]
mod tests {
    use super::event;

    #[test]
    fn types_that_only_servers_send_are_refused_in_any_spelling() {
        for kind in ["chat_message", "chat.message", "a", "Tick2", "websocket", "parlor"] {
            assert!(event(kind).is_ok(), "{kind}");
        }
        let long = "x".repeat(65);
        for kind in [
            "",
            "_a",
            ".a",
            "1",
            "a b",
            "é",
            "a-b",
            "parlor_gap",
            "parlor.gap",
            "websocket.disconnect",
            "websocket_receive",
            "http.request",
            &long,
        ] {
            assert!(event(kind).is_err(), "{kind:?}");
        }
    }
}
