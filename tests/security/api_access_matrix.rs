//! The access matrix of the API and its scopes, and of the operator pages.

use super::access_matrix::{is_program, status};
use crate::support::access_fixture::{AccessFixture, ROLES, Role, TARGETS, Target};
use crate::support::handshake::V1;
use crate::support::http::Request;
use crate::support::tutorial_client::encoded;

/// For keys with a scope and for operators: method, pattern, scope, body, and the status for
/// authorised roles.
pub const API: [(&str, &str, Scope, &str, u16); 9] = [
    ("GET", "/api/rooms", Scope::Read, "", 200),
    ("GET", "/api/rooms/{room}/messages", Scope::Read, "", 200),
    ("GET", "/api/rooms/{room}/members", Scope::Read, "", 200),
    ("POST", "/api/rooms/{room}/messages", Scope::Publish, r#"{"message": "hi"}"#, 201),
    ("POST", "/api/push/{room}", Scope::Publish, "", 200),
    ("DELETE", "/api/push/{room}", Scope::Publish, "", 200),
    ("POST", "/api/groups/{group}/events", Scope::Publish, r#"{"type": "ticks"}"#, 202),
    ("POST", "/api/broadcast", Scope::Publish, r#"{"rooms": ["lobby"], "message": "hi"}"#, 200),
    ("POST", "/api/users/{user}/disconnect", Scope::Disconnect, "{}", 202),
];

/// For operators alone: 404 for every other role.
pub const STAFF: [(&str, &str); 15] = [
    ("GET", "/admin"),
    ("GET", "/admin/"),
    ("GET", "/admin/figures"),
    ("GET", "/admin/rooms/"),
    ("GET", "/admin/rooms/{room}/"),
    ("POST", "/admin/rooms/{room}/"),
    ("POST", "/admin/rooms/{room}/push"),
    ("DELETE", "/admin/rooms/{room}/push"),
    ("socket", "/ws/admin"),
    ("socket", "/ws/admin/{room}/"),
    ("socket", "/ws/admin/{room}/push"),
    ("GET", "/admin/users/"),
    ("POST", "/admin/users/"),
    ("GET", "/admin/keys/"),
    ("POST", "/admin/keys/"),
];

/// This route too, because the list above is long.
pub const AUDIT: (&str, &str) = ("GET", "/admin/audit/");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Read,
    Publish,
    Disconnect,
}

/// The status that is decided before any room is looked up; `None` for authorised roles.
fn refusal(who: Role, scope: Scope) -> Option<u16> {
    match who {
        Role::Anonymous | Role::Guest => Some(401),
        Role::Outsider | Role::Member | Role::Owner | Role::Banned => Some(403),
        Role::DisconnectKey if scope != Scope::Disconnect => Some(403),
        Role::DisconnectKey | Role::FullKey | Role::Operator => None,
    }
}

#[tokio::test]
async fn the_api_requires_a_scope_or_an_operator_and_has_no_dm() {
    let fixture = AccessFixture::start().await;
    let mut wrong = Vec::new();
    for (method, path, scope, body, seen) in API {
        let places: &[Target] =
            if path.contains("{room}") || path.contains("{group}") { &TARGETS } else { &[Target::Public] };
        for place in places {
            for (turn, who) in ROLES.into_iter().enumerate() {
                let node = &fixture.nodes[turn % 2];
                // API clients see private rooms, but no closed ones and no direct messages.
                let there = matches!(place, Target::Public | Target::Private);
                let wanted = refusal(who, scope).unwrap_or(if there { seen } else { 404 });
                let room = encoded(place.room());
                let target =
                    path.replace("{room}", &room).replace("{group}", &room).replace("{user}", "outsider");
                let request =
                    Request::new(method, &target).header("Content-Type", "application/json").body(body);
                let got = status(node, &fixture.request_as(who, node, request)).await;
                if got != wanted {
                    wrong.push(format!("{who:?} at {place:?} by {method} {path}: {got} instead of {wanted}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn the_group_of_a_direct_message_cannot_be_addressed() {
    let fixture = AccessFixture::start().await;
    let node = &fixture.nodes[0];
    let id = |member: &crate::support::v1_client::V1Client| member.user().to_owned();
    let (owner, member) = (
        id(&fixture.user(Role::Owner).join(node, "@member").await),
        id(&fixture.user(Role::Member).join(node, "@owner").await),
    );
    for (one, other) in [(&owner, &member), (&member, &owner)] {
        for group in [format!("chat_dm:{one}:{other}"), format!("dm:{one}:{other}"), format!("inbox:{one}")] {
            let group = encoded(&group);
            for (method, path, _, body, _) in API {
                if !path.contains("{room}") && !path.contains("{group}") {
                    continue;
                }
                let target = path.replace("{room}", &group).replace("{group}", &group);
                for who in [Role::FullKey, Role::Operator] {
                    let request =
                        Request::new(method, &target).header("Content-Type", "application/json").body(body);
                    let got = status(node, &fixture.request_as(who, node, request)).await;
                    assert!(matches!(got, 400 | 404), "{who:?} by {method} {target}: {got}");
                }
            }
        }
    }
}

#[tokio::test]
async fn operator_pages_are_404_for_every_other_role() {
    let fixture = AccessFixture::start().await;
    let mut wrong = Vec::new();
    for (method, path) in STAFF.into_iter().chain([AUDIT]) {
        for (turn, who) in ROLES.into_iter().enumerate() {
            let node = &fixture.nodes[turn % 2];
            let target = path.replace("{room}", "lobby");
            let request = match method {
                "socket" => Request::upgrade(&target).header("Sec-WebSocket-Protocol", V1),
                "GET" => Request::get(&target).header("Accept", "text/html"),
                _ => Request::new(method, &target).body(""),
            };
            let got = status(node, &fixture.request_as(who, node, request)).await;
            if (got == 404) == (who == Role::Operator) {
                wrong.push(format!("{who:?} by {method} {path}: {got}"));
            }
        }
    }
    // The same text as for what does not exist.
    let node = &fixture.nodes[0];
    for who in ROLES.into_iter().filter(|who| *who != Role::Operator) {
        let ask = async |target: &str| {
            let response = fixture.request_as(who, node, Request::get(target)).send(node).await;
            (response.status, response.content_type().to_owned(), response.body)
        };
        assert_eq!(ask("/admin/users/").await, ask("/nothing").await, "{who:?}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(is_program(Role::DisconnectKey), "a key opens no page");
}
