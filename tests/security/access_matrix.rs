//! The access matrix: each role on every route of every kind of room, and the response that it must
//! get.

use std::collections::BTreeSet;

use serde_json::json;

use super::api_access_matrix::{API, AUDIT, STAFF};
use crate::support::access_fixture::{AccessFixture, ROLES, Role, TARGETS, Target};
use crate::support::centrifugo::CentrifugoClient;
use crate::support::handshake::V1;
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::rooms_client::RoomsClient;
use crate::support::routes::{Way, rows, table};
use crate::support::tutorial_client::encoded;
use crate::support::v1_client::V1Client;

/// Which role sees which room: public, private, direct messages with the owner, closed, and with an
/// unknown user.
const VISIBILITY: [(Role, [bool; 5]); 9] = [
    (Role::Anonymous, [true, false, false, false, false]),
    (Role::Guest, [true, false, false, false, false]),
    (Role::Outsider, [true, false, true, false, false]),
    (Role::Member, [true, true, true, false, false]),
    (Role::Owner, [true, true, false, false, false]), // no conversation with oneself
    (Role::Operator, [true, false, true, false, false]),
    (Role::FullKey, [true, false, false, false, false]),
    (Role::DisconnectKey, [false; 5]), // its key neither reads nor publishes
    (Role::Banned, [false; 5]),
];

/// The routes of a room: method, pattern, and the status for roles that see the room.
const ROOM: [(&str, &str, u16); 11] = [
    ("GET", "/chat/{room}/", 200),
    ("socket", "/ws/chat/{room}", 101),
    ("socket", "/ws/push/{room}", 101),
    ("feed", "/sse/chat/{room}", 200),
    ("POST", "/chat/{room}/messages", 200),
    ("GET", "/push", 200),
    ("POST", "/push", 200),
    ("DELETE", "/push", 200),
    ("GET", "/chat/{room}", 308),
    ("GET", "/dm/{user}/", 200),
    ("GET", "/dm/{user}", 308),
];

fn sees(who: Role, place: Target) -> bool {
    let row = VISIBILITY.iter().find(|(other, _)| *other == who).expect("a row for each role").1;
    row[TARGETS.iter().position(|other| *other == place).expect("a column for every room")]
}

/// The status for roles that do not see the room: as if it did not exist.
fn blind(who: Role) -> u16 {
    if who == Role::Banned { 403 } else { 404 }
}

/// The request of a route of a room.
fn request(method: &str, path: &str, place: Target, v1: bool) -> Request {
    let room = encoded(place.room());
    let target =
        path.replace("{room}", &room).replace("{user}", &encoded(place.room().trim_start_matches('@')));
    let sent = json!({ "message": "hi" }).to_string();
    match (method, path) {
        ("socket", _) if v1 => Request::upgrade(&target).header("Sec-WebSocket-Protocol", V1),
        ("socket", _) => Request::upgrade(&target),
        ("feed", _) => Request::get(&target).header("Accept", "text/event-stream"),
        (_, "/push") => Request::new(method, &format!("/push?room={room}")).body(""),
        ("POST", "/chat/{room}/messages") => Request::post(&target).body(sent),
        _ => Request::new(method, &target).header("Accept", "text/html"),
    }
}

/// The status alone, because an event stream does not end.
pub async fn status(node: &Node, request: &Request) -> u16 {
    let mut connection = crate::support::connection::Connection::connect(node).await;
    connection.send(&request.bytes(node.address())).await;
    connection.status().await
}

#[tokio::test]
async fn each_role_gets_exactly_its_access_on_every_route() {
    let fixture = AccessFixture::start().await;
    let mut wrong = Vec::new();
    for (method, path, seen) in ROOM {
        for place in TARGETS {
            if path.starts_with("/dm/") && !matches!(place, Target::DirectMessage | Target::Missing) {
                continue;
            }
            for (turn, who) in ROLES.into_iter().enumerate() {
                let node = &fixture.nodes[turn % 2];
                for v1 in [false, true] {
                    if v1 && method != "socket" {
                        continue;
                    }
                    let wanted = match (path, place) {
                        ("/chat/{room}/", Target::DirectMessage) if sees(who, place) => 308,
                        _ if sees(who, place) => seen,
                        _ => blind(who),
                    };
                    let request = fixture.request_as(who, node, request(method, path, place, v1));
                    let got = status(node, &request).await;
                    if got != wanted {
                        wrong.push(format!(
                            "{who:?} at {place:?} by {method} {path}: {got} instead of {wanted}"
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn an_inaccessible_room_answers_like_a_missing_one() {
    let fixture = AccessFixture::start().await;
    let node = &fixture.nodes[0];
    let bodies = async |who: Role, place: Target, method: &str, path: &str| {
        let response = fixture.request_as(who, node, request(method, path, place, false)).send(node).await;
        let token = fixture.user(who).cookie("csrftoken").unwrap_or("no token").to_owned();
        (
            response.status,
            response.body.replace(&token, "").replace(place.room(), "ROOM"),
            response.content_type().to_owned(),
        )
    };
    for (method, path, _) in
        ROOM.into_iter().filter(|(_, path, _)| *path != "/chat/{room}" && !path.starts_with("/dm/"))
    {
        for who in [Role::Anonymous, Role::Guest, Role::Outsider, Role::Operator, Role::FullKey] {
            let nothing = bodies(who, Target::Missing, method, path).await;
            for place in [Target::Private, Target::Closed] {
                assert_eq!(
                    bodies(who, place, method, path).await,
                    nothing,
                    "{who:?} at {place:?} by {method} {path}"
                );
            }
        }
    }
}

#[tokio::test]
async fn history_requires_access_to_the_room() {
    let fixture = AccessFixture::start().await;
    let node = &fixture.nodes[0];
    for place in TARGETS {
        for who in ROLES.into_iter().filter(|who| !is_program(*who)) {
            let ticket = fixture.user(who).handshake(place.room()).history(50);
            let socket = ticket.try_connect(node.address()).await;
            assert_eq!(socket.is_ok(), sees(who, place), "{who:?} at {place:?}");
            let Ok(socket) = socket else { continue };
            let mut member = V1Client::welcomed(socket).await;
            member.send_json(&json!({ "type": "history" })).await;
            member.receive_frame("history").await;
        }
    }
}

#[tokio::test]
async fn a_join_admits_whom_the_path_of_the_room_admits() {
    let fixture = AccessFixture::start().await;
    let node = &fixture.nodes[0];
    for who in ROLES.into_iter().filter(|who| !is_program(*who) && *who != Role::Banned) {
        let mut connection = RoomsClient::by(&fixture.user(who).handshake_at("/ws"), node).await;
        for place in TARGETS {
            for is_push in [false, true] {
                let join = json!({ "type": "join", "room": place.room(), "push": is_push });
                if sees(who, place) {
                    connection.join_with(&join).await;
                } else {
                    let refused = connection.refused(&join).await;
                    let expected = (Some(place.room().to_owned()), "not_found".to_owned());
                    assert_eq!(refused, expected, "{who:?} at {place:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_channel_admits_whom_the_path_of_the_room_admits() {
    let fixture = AccessFixture::start().await;
    let node = &fixture.nodes[0];
    for who in ROLES.into_iter().filter(|who| !is_program(*who) && *who != Role::Banned) {
        let mut client = CentrifugoClient::by(&fixture.user(who), node).await;
        for place in TARGETS {
            for prefix in ["", "chat:", "push:"] {
                let channel = format!("{prefix}{}", place.room());
                if sees(who, place) {
                    client.subscribe(&channel).await;
                } else {
                    let code = client.error("subscribe", &json!({ "channel": channel })).await;
                    assert_eq!(code, 103, "{who:?} at {place:?}");
                }
            }
        }
    }
}

/// Public: these routes contain nothing of a room.
const OPEN: [(&str, &str); 24] = [
    ("POST", "/centrifugo/api/{method}"),
    ("feed", "/connection/http_stream"),
    ("feed", "/connection/sse"),
    ("feed", "/connection/uni_http_stream"),
    ("feed", "/connection/uni_sse"),
    ("POST", "/emulation"),
    ("socket", "/ws"),
    ("socket", "/connection/websocket"),
    ("GET", "/"),
    ("GET", "/dm"),
    ("GET", "/chat"),
    ("GET", "/chat/"),
    ("GET", "/static/{path*}"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/api/openapi.json"),
    ("GET", "/accounts/login/"),
    ("POST", "/accounts/login/"),
    ("GET", "/accounts/signup/"),
    ("POST", "/accounts/signup/"),
    ("POST", "/accounts/logout/"),
    ("GET", "/accounts/guest/"),
    ("POST", "/accounts/guest/"),
];

/// About the user's own account.
const OWN_RESOURCES: [(&str, &str); 5] = [
    ("GET", "/dm/"),
    ("socket", "/ws/inbox"),
    ("POST", "/api/tickets"),
    ("POST", "/rooms/"),
    ("POST", "/invitations/"),
];

/// For the owner of a private room, and for invited users.
const OWNER: [(&str, &str); 4] = [
    ("GET", "/chat/{room}/members/"),
    ("POST", "/chat/{room}/members/"),
    ("GET", "/invite/{link}/"),
    ("POST", "/invite/{link}/"),
];

#[tokio::test]
async fn the_matrix_covers_every_route() {
    let room = ROOM.iter().map(|(method, path, _)| (*method, *path));
    let api = API.iter().map(|(method, path, ..)| (*method, *path));
    let all: BTreeSet<(&str, &str)> =
        room.chain(OPEN).chain(OWN_RESOURCES).chain(OWNER).chain(api).chain(STAFF).chain([AUDIT]).collect();
    let missing: Vec<Way> =
        table().into_iter().filter(|way| !all.contains(&(way.method, way.path.as_str()))).collect();
    assert!(missing.is_empty(), "who may use these routes? {missing:#?}");
    for row in rows() {
        let path = if row.slash == "optional" { row.path.trim_end_matches('/') } else { row.path.as_str() };
        let is_for_staff = STAFF.iter().chain([&AUDIT]).any(|way| *way == (row.method, path));
        assert_eq!(row.who == "staff", is_for_staff, "{row:?}");
        let scope = API.iter().find(|(method, other, ..)| (*method, *other) == (row.method, path));
        assert_eq!(row.scope, scope.map(|(_, _, scope, ..)| format!("{scope:?}").to_lowercase()), "{row:?}");
    }
}

#[tokio::test]
async fn own_resources_require_an_account() {
    let fixture = AccessFixture::start().await;
    let mut wrong = Vec::new();
    for (method, path) in OWN_RESOURCES {
        for (turn, who) in ROLES.into_iter().enumerate() {
            let node = &fixture.nodes[turn % 2];
            let account = matches!(who, Role::Outsider | Role::Member | Role::Owner | Role::Operator);
            let wanted: &[u16] = match (path, account, who) {
                (_, _, Role::Banned) => &[403],
                ("/dm/", true, _) => &[200],
                ("/ws/inbox", true, _) => &[101],
                ("/api/tickets", true, _) => &[201],
                // The form is empty.
                ("/rooms/" | "/invitations/", true, _) => &[400],
                ("/dm/", false, _) => &[303], // to the log-in page
                ("/api/tickets", false, _) => &[401],
                ("/ws/inbox", false, _) => &[403, 404],
                _ => &[401, 403, 404],
            };
            let request = match method {
                "socket" => Request::upgrade(path).header("Sec-WebSocket-Protocol", V1),
                "POST" => Request::post(path).body(""),
                _ => Request::get(path).header("Accept", "text/html"),
            };
            let got = status(node, &fixture.request_as(who, node, request)).await;
            if !wanted.contains(&got) {
                wrong.push(format!("{who:?} by {method} {path}: {got} instead of {wanted:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn only_the_owner_manages_a_private_room() {
    let fixture = AccessFixture::start().await;
    let node = &fixture.nodes[1];
    let mut wrong = Vec::new();
    for who in ROLES {
        let wanted = match who {
            Role::Banned => 403,
            Role::Anonymous | Role::Guest => 303, // to the log-in page
            _ if is_program(who) => 303,
            _ => 200,
        };
        let invited = Request::get(&fixture.invitation).header("Accept", "text/html");
        let got = status(node, &fixture.request_as(who, node, invited)).await;
        if got != wanted {
            wrong.push(format!("{who:?} with an invitation: {got} instead of {wanted}"));
        }
    }
    for who in ROLES {
        for place in TARGETS {
            let members = format!("/chat/{}/members/", encoded(place.room()));
            let owns = who == Role::Owner && place == Target::Private;
            let asked: [(&str, Request, u16); 5] = [
                ("GET", Request::get(&members).header("Accept", "text/html"), 200),
                ("invite", form(&members, "action=invite&name=outsider"), 303),
                ("remove", form(&members, "action=remove&name=outsider"), 303),
                ("link", form(&members, "action=link"), 303),
                ("nonsense", form(&members, "action=nonsense"), 400),
            ];
            for (what, request, seen) in asked {
                // A program has no form's token, and a form without one is rejected first.
                let rejected = if what != "GET" && is_program(who) { 403 } else { blind(who) };
                let rejected = match (who, place, what) {
                    (Role::Member, Target::Private, "GET") => 200,
                    (Role::Member, Target::Private, "nonsense") => 400,
                    (Role::Member, Target::Private, _) => 403, // a member knows of the room
                    _ => rejected,
                };
                let got = status(node, &fixture.request_as(who, node, request)).await;
                let right =
                    if owns { got == seen || (what == "link" && got == 200) } else { got == rejected };
                if !right {
                    wrong.push(format!("{who:?}: {what} at {place:?}: {got}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

pub fn is_program(who: Role) -> bool {
    matches!(who, Role::FullKey | Role::DisconnectKey)
}

fn form(target: &str, body: &str) -> Request {
    Request::post(target).header("Content-Type", "application/x-www-form-urlencoded").body(body)
}
