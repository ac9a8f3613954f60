//! The paths of routes by their names, for templates: Django's `url`.

use std::collections::HashMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands for itself in a path or a query (RFC 3986, unreserved).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path of a route; `None` if there is no such route or an argument is missing.
pub(crate) fn url(route: &str, arguments: &HashMap<String, String>) -> Option<String> {
    let room = || arguments.get("room").map(|room| encode(room));
    Some(match route {
        "home" => "/chat/".to_owned(),
        "room" => format!("/chat/{}/", room()?),
        "chat_socket" => format!("/ws/chat/{}/", room()?),
        "chat_feed" => format!("/sse/chat/{}/", room()?),
        "chat_messages" => format!("/chat/{}/messages", room()?),
        "push_socket" => format!("/ws/push/{}", room()?),
        "push" => format!("/push?room={}", room()?),
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

/// The path of a private chat.
pub(crate) fn talk(name: &str) -> String {
    format!("/dm/{}/", encode(name))
}

/// The path of a room's page for operators.
pub(crate) fn operated(name: &str) -> String {
    format!("/admin/rooms/{}/", encode(name))
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}
