//! Compares the pages in `docs/` with the program, in both directions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use parlor::{Broker, CloseCode, Group};
use regex::Regex;
use serde_json::{Value, json};

use crate::support::docs_page::{first_cells, names, table};
use crate::support::handshake::Handshake;
use crate::support::http::Request;
use crate::support::layer_nodes::LayerNode;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::rooms_client::RoomsClient;
use crate::support::user::User;
use crate::support::v1_client::V1Client;
use crate::support::wait::{PATIENCE, seconds};

/// The members of each frame that was received, by its type.
type Shapes = BTreeMap<String, BTreeSet<BTreeSet<String>>>;

fn see(shapes: &mut Shapes, frame: &Value) {
    let members: BTreeSet<String> = frame.as_object().expect("an object").keys().cloned().collect();
    shapes.entry(frame["type"].as_str().expect("a type").to_owned()).or_default().insert(members);
    for message in frame["messages"].as_array().into_iter().flatten() {
        see(shapes, message);
    }
}

/// Runs a session in which each kind of frame occurs.
async fn everything_that_is_sent() -> Shapes {
    let redis = Redis::start().await;
    let mut node = Node::on(&redis).await;
    let mut shapes = Shapes::new();
    let mut page = Handshake::at("/ws/push/lobby").connect(&node).await;
    let mut ann = V1Client::join(&node, "lobby").await;
    let bob = V1Client::join(&node, "lobby").await;
    let mut rooms = RoomsClient::connect(&node).await;
    rooms.join("hall").await;
    rooms.send(&json!({ "type": "leave", "room": "hall" })).await;
    see(&mut shapes, &rooms.next_of("left").await);
    let mut late = Handshake::to_room("lobby").since("nonsense").connect(&node).await;
    for member in [&page, &ann, &bob, &late] {
        see(&mut shapes, &member.welcome);
    }
    Request::post("/push?room=lobby").send(&node).await;
    let ack = ann.publish("hi").await;
    see(&mut shapes, &ack);
    ann.send_json(&json!({ "data": [1], "event": "move" })).await;
    see(&mut shapes, &ann.reply().await);
    see(&mut shapes, &ann.receive().await);
    see(&mut shapes, &ann.receive().await);
    ann.send_json(&json!({ "type": "typing" })).await;
    ann.send_json(&json!({ "type": "history" })).await;
    ann.send_json(&json!({ "type": "nonsense" })).await;
    for kind in ["typing", "history", "error", "presence"] {
        see(&mut shapes, &ann.receive_frame(kind).await);
    }
    redis.publish("asgi__group__chat_lobby", crate::support::payload::HI).await;
    see(&mut shapes, &ann.receive_frame("message").await);
    see(&mut shapes, &what_is_unread(&node).await);
    let operator = LayerNode::connect(&redis.url()).await;
    let id = ack["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    assert!(operator.layer.redact(&Group::new("chat_lobby"), id).await.expect("the layer"));
    see(&mut shapes, &ann.receive_frame("removed").await);
    see(&mut shapes, &Handshake::to_room("lobby").history(2).connect(&node).await.receive().await);
    drop(operator);
    bob.close().await;
    while ann.receive_any(&["presence"], PATIENCE).await["change"] != "leave" {}
    redis.query::<String>(&["FLUSHALL"]).await;
    ann.publish("after").await;
    see(&mut shapes, &ann.receive_frame("gap").await);
    see(&mut shapes, &page.receive_frame("push").await);
    node.terminate();
    for member in [&mut ann, &mut page, &mut late] {
        see(&mut shapes, &member.receive_frame("bye").await);
        for frame in member.take_unread() {
            see(&mut shapes, &frame);
        }
    }
    shapes
}

/// The frames of an inbox.
async fn what_is_unread(node: &Node) -> Value {
    let (ann, bob) = (User::registered(node, "ann").await, User::registered(node, "bob").await);
    let mut inbox = bob.handshake_at("/ws/inbox/").connect(node).await;
    ann.join(node, "@bob").await.publish("hi").await;
    inbox.receive_frame("unread").await
}

#[tokio::test]
async fn server_frames_have_exactly_the_members_of_the_table() {
    let mut documented = Shapes::new();
    for row in table("protocol.md", &["type", "members", "when"]) {
        let members = names(&row[1]).into_iter().chain(["type".to_owned()]).collect();
        documented.entry(names(&row[0]).remove(0)).or_default().insert(members);
    }
    assert_eq!(everything_that_is_sent().await, documented);
}

#[tokio::test]
async fn each_error_occurs_as_the_table_says() {
    let mut redis = Redis::start().await;
    let node = Node::plan().redis(&redis).flag("--max-message-bytes", "100").start().await;
    let mut ann = V1Client::join(&node, "lobby").await;
    ann.publish_as("used", "hi").await;
    let mut seen = BTreeMap::new();
    let mut owner = User::registered(&node, "owner").await;
    assert_eq!(owner.post(&node, "/rooms/", &[("room", "cellar")]).await.status, 303);
    for frame in [
        json!({}),
        json!({ "type": "nonsense" }),
        json!({ "type": "leave", "room": "hall" }),
        json!({ "type": "join", "room": "lobby" }),
        json!({ "type": "join", "room": "a/b" }),
        json!({ "type": "join", "room": "cellar" }),
        json!({ "type": "join", "inbox": true }),
        json!({ "message": "x".repeat(101) }),
        json!({ "message": "hi", "id": "a b" }),
        json!({ "message": "other", "id": "used" }),
        json!({ "message": "hi", "id": "corrupt" }),
        json!({ "message": "hi", "id": "away" }),
    ] {
        if frame["id"] == "corrupt" {
            redis.query::<String>(&["SET", "parlor:log:{chat_lobby}", "no stream"]).await;
        }
        if frame["id"] == "away" {
            redis.kill();
        }
        ann.send_json(&frame).await;
        let error = ann.receive_frame("error").await;
        let retry = if error["retry"].as_bool().expect("true or false") { "yes" } else { "no" };
        seen.insert(error["code"].as_str().expect("a code").to_owned(), retry.to_owned());
    }
    let few = Node::plan().flag("--max-channels", "1").switch("--no-guests");
    let few = few.start().await;
    let user = User::registered(&few, "ann").await;
    let mut logged_in = RoomsClient::by(&user.handshake_at("/ws"), &few).await;
    logged_in.join("lobby").await;
    let mut outside = RoomsClient::connect(&few).await;
    for (client, code) in [(&mut logged_in, "too_many"), (&mut outside, "login_required")] {
        let (_, seen_code) = client.refused(&json!({ "type": "join", "room": "hall" })).await;
        assert_eq!(seen_code, code);
        seen.insert(seen_code, "no".to_owned());
    }
    let slow = Node::plan().flag("--messages-per-second", "1").start().await;
    let mut hasty = V1Client::join(&slow, "lobby").await;
    for _ in 0..6 {
        hasty.send_json(&json!({ "message": "hi", "id": "hasty" })).await;
    }
    let error = hasty.receive_frame("error").await;
    assert_eq!((&error["code"], &error["client_id"]), (&json!("rate"), &json!("hasty")));
    seen.insert("rate".to_owned(), if error["retry"] == true { "yes" } else { "no" }.to_owned());
    let rows = table("protocol.md", &["code", "retry", "why"]);
    let documented: BTreeMap<_, _> =
        rows.iter().map(|row| (names(&row[0]).remove(0), row[1].clone())).collect();
    assert_eq!(seen, documented);
}

#[test]
fn the_close_codes_are_those_of_the_table() {
    let rows = table("protocol.md", &["code", "name", "what it means", "reconnect?"]);
    let documented: Vec<String> = rows.iter().map(|row| row[0].clone()).collect();
    assert_eq!(documented, CloseCode::ALL.map(|code| code.number().to_string()));
}

#[test]
fn the_page_script_uses_only_frames_of_the_table() {
    let known: BTreeSet<String> = table("protocol.md", &["type", "members", "when"])
        .iter()
        .chain(&table("protocol.md", &["type", "members", "what"]))
        .map(|row| names(&row[0]).remove(0))
        .collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("static");
    let case = Regex::new(r#"case "([a-z_]+)":"#).expect("a pattern");
    for entry in fs::read_dir(folder).expect("static/").flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "js") {
            let text = fs::read_to_string(&path).expect("a script");
            for found in case.captures_iter(&text) {
                assert!(known.contains(&found[1]), "`{}` in {} is no frame", &found[1], path.display());
            }
        }
    }
}

#[tokio::test]
async fn the_metrics_and_their_table_have_the_same_series() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = V1Client::join(&node, "lobby").await;
    ann.publish("hi").await;
    ann.close().await;
    let text = Request::get("/metrics").header("Accept", "text/plain").send(&node).await.body;
    let mut shown = BTreeSet::new();
    for line in text.lines() {
        let Some(("TYPE", rest)) = line.strip_prefix("# ").and_then(|line| line.split_once(' ')) else {
            continue;
        };
        let (name, kind) = rest.split_once(' ').expect("a name and a type");
        let total = if kind == "counter" && !name.ends_with("_total") { "_total" } else { "" };
        if name.starts_with("parlor_") {
            shown.insert(format!("{name}{total}"));
        }
    }
    let documented: BTreeSet<String> = first_cells("operations.md")
        .iter()
        .filter_map(|cell| cell.strip_prefix("`parlor_"))
        .map(|rest| format!("parlor_{}", rest.split(['{', '`']).next().unwrap_or_default()))
        .collect();
    assert_eq!(shown, documented);
}

#[tokio::test]
async fn each_client_frame_of_the_table_is_accepted() {
    let node = Node::alone().await;
    let mut ann = V1Client::join(&node, "lobby").await;
    for row in table("protocol.md", &["type", "members", "what"]) {
        let kind = names(&row[0]).remove(0);
        if ["join", "leave"].contains(&kind.as_str()) {
            ann.send_json(&json!({ "type": kind, "room": "hall" })).await;
            let wanted = if kind == "join" { "welcome" } else { "left" };
            assert_eq!(ann.receive_any(&[wanted, "error"], seconds(5)).await["type"], wanted);
            continue;
        }
        // A frame that only informs the node has no reply; the one after it has.
        let (id, follows) = (kind == "read").then_some(("7-0", "history")).unzip();
        let mut sent = json!({ "type": kind, "message": "hi" });
        if let Some(id) = id {
            sent["id"] = json!(id);
        }
        ann.send_json(&sent).await;
        if let Some(follows) = follows {
            ann.send_json(&json!({ "type": follows })).await;
        }
        let wanted = if kind == "message" { "ack" } else { follows.unwrap_or(kind.as_str()) };
        let frame = ann.receive_any(&[wanted, "error"], seconds(5)).await;
        assert_eq!(frame["type"], wanted, "{frame}");
    }
}
