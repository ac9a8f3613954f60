//! The welcome of `parlor.v1`, and the first load: the newest messages, then live ones without a
//! gap.

use serde_json::{Value, json};

use crate::support::deployment::{Deployment, LayerKind, on_every_layer};
use crate::support::handshake::{Handshake, V1};
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::v1_client::{V1Client, assert_chain, text_of};
use crate::support::wait::seconds;

/// The sorted names of an object's members.
fn names(frame: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = frame.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

async fn the_welcome_names_the_room_and_its_members(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let ann = V1Client::join(deployment.first(), "聊天").await;
    let wanted = "count last members name names node private reason recovered room stream type user"
        .split(' ')
        .collect::<Vec<_>>();
    assert_eq!(names(&ann.welcome), wanted);
    let called = format!("~{}", &ann.user()[..8]);
    assert_eq!(ann.welcome["name"], called, "a guest without a nickname");
    assert_eq!(ann.welcome["names"], json!({ ann.user(): called }));
    assert_eq!(ann.welcome["room"], "聊天");
    assert_eq!(ann.welcome["private"], false);
    assert!(ann.welcome["node"].as_str().is_some_and(|node| !node.is_empty()), "{}", ann.welcome);
    assert_eq!(ann.welcome["last"], Value::Null, "the room has no message");
    assert_eq!((&ann.welcome["recovered"], &ann.welcome["reason"]), (&json!(false), &json!("new")));
    assert_eq!((&ann.welcome["members"], &ann.welcome["count"]), (&json!([ann.user()]), &json!(1)));
    let is_id = |user: &str| user.len() == 16 && user.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(is_id(ann.user()), "{}", ann.user());

    let bob = V1Client::join(deployment.last(), "聊天").await;
    let mut members = [ann.user(), bob.user()];
    members.sort_unstable();
    let mut seen: Vec<&str> =
        bob.welcome["members"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    seen.sort_unstable();
    assert_eq!((seen, &bob.welcome["count"]), (members.to_vec(), &json!(2)));
    assert_eq!(ann.welcome["node"] == bob.welcome["node"], layer == LayerKind::Memory);
}

async fn a_cookie_identifies_one_user_and_no_cookie_a_new_one(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let guest = Handshake::to_room("lobby").with_guest(1);
    let first = guest.connect(deployment.first()).await;
    let again = guest.connect(deployment.last()).await;
    let elsewhere = Handshake::to_room("kitchen").with_guest(1).connect(deployment.last()).await;
    assert_eq!((first.user(), first.user()), (again.user(), elsewhere.user()));
    let mut users = vec![
        first.user().to_owned(),
        Handshake::to_room("lobby").with_guest(2).connect(deployment.first()).await.user().to_owned(),
    ];
    for _ in 0..3 {
        users.push(V1Client::join(deployment.first(), "lobby").await.user().to_owned());
    }
    users.sort_unstable();
    users.dedup();
    assert_eq!(users.len(), 5, "{users:?}");
}

async fn a_join_returns_the_requested_amount_of_history(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    for n in 0..60 {
        ann.publish(&n.to_string()).await;
    }
    let mut sent = ann.receive_until("59").await;
    let all = usize::MAX;
    for (ticket, wanted) in [
        (Handshake::to_room("lobby"), 0),
        (Handshake::to_room("lobby").history(0), 0),
        (Handshake::to_room("lobby").history(1), 1),
        (Handshake::to_room("lobby").history(59), 59),
        (Handshake::to_room("lobby").history(1000), all),
    ] {
        let mut bob = ticket.connect(deployment.last()).await;
        assert_eq!((&bob.welcome["recovered"], &bob.welcome["reason"]), (&json!(false), &json!("new")));
        assert_eq!(bob.welcome["last"], sent[sent.len() - 1]["id"]);
        ann.publish(&ticket.target()).await;
        sent.extend(ann.receive_until(&ticket.target()).await);
        let received = bob.receive_until(&ticket.target()).await;
        let from = sent.len().saturating_sub(wanted.saturating_add(1));
        assert_eq!(received, sent[from..], "{}", ticket.target());
    }
}

async fn history_and_live_messages_join_without_gap_or_duplicate(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut flood = V1Client::join(deployment.last(), "lobby").await;
    for n in 0..100 {
        flood.publish(&n.to_string()).await;
    }
    let speak = async {
        for n in 100..600 {
            flood.publish(&n.to_string()).await;
        }
        flood.publish("end").await;
    };
    let come = async {
        let mut crowd = Vec::new();
        for n in 0..30 {
            let node = if n % 2 == 0 { deployment.first() } else { deployment.last() };
            crowd.push((n, Handshake::to_room("lobby").history(n).connect(node).await));
        }
        crowd
    };
    let ((), crowd) = tokio::join!(speak, come);
    for (history, mut member) in crowd {
        let received = member.receive_until("end").await;
        assert_chain(&received);
        let last = &member.welcome["last"];
        let past = received.iter().position(|message| message["id"] == *last).map_or(0, |place| place + 1);
        assert_eq!(past, history, "the past of {} and then the rest", member.welcome);
        if history == 0 {
            assert_eq!(received[0]["prev"], *last, "live from the very next message on");
        }
        let numbers: Vec<usize> =
            received[..received.len() - 1].iter().map(|message| text_of(message).parse().unwrap()).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    }
}

async fn a_history_parameter_that_is_no_number_is_rejected(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    for history in ["abc", "-1", "1.5", "1x", "%20", "0x10"] {
        let ticket = Handshake::to_room("lobby").query(&format!("history={history}"));
        let response = ticket.request().send(deployment.first()).await;
        assert_eq!(
            (response.status, response.content_type()),
            (400, "text/plain"),
            "{history}: {response:?}"
        );
        assert!(response.body.contains("history"), "{response:?}");
    }
}

async fn the_subprotocol_is_one_of_those_offered(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    for (offer, wanted) in [
        (V1, Some(V1)),
        ("chat, parlor.v1", Some(V1)),
        ("parlor.v1,chat", Some(V1)),
        ("parlor.v2", None),
        ("Parlor.v1", None),
    ] {
        for path in ["/ws/chat/lobby/", "/ws/push/lobby"] {
            let request = Request::upgrade(path).header("Sec-WebSocket-Protocol", offer);
            let response = request.send(deployment.first()).await;
            let chosen = response.header("sec-websocket-protocol");
            assert_eq!((response.status, chosen), (101, wanted), "{offer} at {path}");
        }
    }
}

on_every_layer! {
    the_welcome_names_the_room_and_its_members
    a_cookie_identifies_one_user_and_no_cookie_a_new_one
    a_join_returns_the_requested_amount_of_history
    history_and_live_messages_join_without_gap_or_duplicate
    a_history_parameter_that_is_no_number_is_rejected
    the_subprotocol_is_one_of_those_offered
}

#[tokio::test]
async fn messages_during_a_rush_of_joins_reach_every_member() {
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut sender = V1Client::join(&nodes[0], "lobby").await;
    let joins = (0..200).map(|n| Handshake::to_room("lobby").history(5).with_guest(n));
    let tickets: Vec<Handshake> = joins.collect();
    let come = futures_util::future::join_all(
        tickets.iter().enumerate().map(|(n, ticket)| ticket.connect(&nodes[n % 2])),
    );
    let speak = async {
        for n in 0..100 {
            sender.publish(&n.to_string()).await;
        }
    };
    let (members, ()) = tokio::join!(come, speak);
    sender.publish("end").await;
    for mut member in members {
        assert_chain(&member.receive_until("end").await);
        member.receives_none_of(&["message", "gap"], seconds(0)).await;
    }
}

#[tokio::test]
async fn the_guest_cookie_is_http_only() {
    let node = Node::alone().await;
    let mut guests = Vec::new();
    for _ in 0..2 {
        let response = Request::get("/chat/lobby/").send(&node).await;
        let mut parts = response.cookie("parlor_guest").split(';').map(|part| part.trim().to_owned());
        let value = parts.next().and_then(|part| part.strip_prefix("parlor_guest=").map(str::to_owned));
        let value = value.expect("a value");
        // The signature, the id, which is public, and an empty nickname.
        let (signature, id) = value.split_at_checked(44).expect("a signature");
        assert!(signature.ends_with('=') && id.len() == 17 && id.ends_with('.'), "{value}");
        let attributes: Vec<_> = parts.map(|part| part.to_ascii_lowercase()).collect();
        for wanted in ["path=/", "samesite=lax", "httponly"] {
            assert!(attributes.contains(&wanted.to_owned()), "{wanted} in {attributes:?}");
        }
        guests.push(value);
    }
    assert_ne!(guests[0], guests[1]);
    let known = Request::get("/chat/lobby/").header("Cookie", &format!("parlor_guest={}", guests[0]));
    let response = known.send(&node).await;
    assert!(!response.headers.iter().any(|(_, value)| value.starts_with("parlor_guest=")), "{response:?}");
}
