//! The paths of routes by their names, for templates: Django's `url`.

use std::collections::HashMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands for itself in a path or a query (RFC 3986, unreserved).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where one chooses a room.
pub(crate) const HOME: &str = "/chat/";
/// Where one's private chats are.
pub(crate) const TALKS: &str = "/dm/";

/// The path of a route; `None` if there is no such route or an argument is missing.
pub(crate) fn url(route: &str, arguments: &HashMap<String, String>) -> Option<String> {
    let given = |name: &str| arguments.get(name).map(|text| encode(text));
    let room = || given("room");
    let then =
        |path: &str| given("next").map_or_else(|| path.to_owned(), |next| format!("{path}?next={next}"));
    Some(match route {
        "home" => HOME.to_owned(),
        "room" => format!("/chat/{}/", room()?),
        "rooms" => "/rooms/".to_owned(),
        "members" => format!("/chat/{}/members/", room()?),
        "chat_socket" => format!("/ws/chat/{}/", room()?),
        "chat_feed" => format!("/sse/chat/{}/", room()?),
        "chat_messages" => format!("/chat/{}/messages", room()?),
        "push_socket" => format!("/ws/push/{}", room()?),
        "push" => format!("/push?room={}", room()?),
        "talks" => TALKS.to_owned(),
        "talk" => format!("{TALKS}{}/", given("user")?),
        "inbox_socket" => "/ws/inbox/".to_owned(),
        "login" => then("/accounts/login/"),
        "signup" => then("/accounts/signup/"),
        "logout" => "/accounts/logout/".to_owned(),
        "guest" => then("/accounts/guest/"),
        "admin_nodes" => "/admin/".to_owned(),
        "admin_figures" => "/admin/figures".to_owned(),
        "admin_rooms" => "/admin/rooms/".to_owned(),
        "admin_room" => operated(arguments.get("room")?),
        "admin_users" => "/admin/users/".to_owned(),
        "admin_keys" => "/admin/keys/".to_owned(),
        "admin_audit" => "/admin/audit/".to_owned(),
        "admin_push" => format!("{}push", operated(arguments.get("room")?)),
        "admin_chat_socket" => format!("/ws/admin/{}/", room()?),
        "admin_push_socket" => format!("/ws/admin/{}/push", room()?),
        _ => return None,
    })
}

/// The path of a room's page.
pub(crate) fn room(name: &str) -> String {
    format!("/chat/{}/", encode(name))
}

/// The path of a private room's members.
pub(crate) fn members(name: &str) -> String {
    format!("/chat/{}/members/", encode(name))
}

/// The path of a private chat.
pub(crate) fn talk(name: &str) -> String {
    format!("{TALKS}{}/", encode(name))
}

/// The path of an invitation.
pub(crate) fn invite(secret: &str) -> String {
    format!("/invite/{secret}/")
}

/// Where one logs in to go on to this path.
pub(crate) fn login(next: &str) -> String {
    format!("/accounts/login/?next={}", encode(next))
}

/// The path of a room's page for operators.
pub(crate) fn operated(name: &str) -> String {
    format!("/admin/rooms/{}/", encode(name))
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}
