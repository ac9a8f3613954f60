//! Any number of rooms on one connection: each has its own position, rights and end.

use serde_json::{Value, json};

use crate::support::deployment::{Deployment, LayerKind, on_every_layer};
use crate::support::handshake::Handshake;
use crate::support::metrics::metric;
use crate::support::node::Node;
use crate::support::operator_site::OperatorSite;
use crate::support::redis::Redis;
use crate::support::rooms_client::RoomsClient;
use crate::support::user::User;
use crate::support::v1_client::V1Client;
use crate::support::wait::{PATIENCE, holds, seconds, until};

fn text(text: &str) -> String {
    text.to_owned()
}

async fn each_room_has_its_welcome_and_its_frames(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = RoomsClient::connect(deployment.first()).await;
    let mut bob = RoomsClient::connect(deployment.last()).await;
    for room in ["lobby", "kitchen"] {
        let welcome = ann.join(room).await;
        assert_eq!((&welcome["stream"], &welcome["last"]), (&json!("chat"), &Value::Null), "{welcome}");
        assert_eq!(welcome["members"], json!([welcome["user"]]), "{welcome}");
        bob.join(room).await;
    }
    let ack = bob.publish("kitchen", "in the kitchen").await;
    let heard = ann.next_of("message").await;
    assert_eq!((&heard["room"], &heard["id"]), (&json!("kitchen"), &ack["id"]), "{heard}");
    bob.publish("lobby", "in the lobby").await;
    assert_eq!(ann.texts("lobby", 1).await, ["in the lobby"]);
    bob.send(&json!({ "type": "typing", "room": "lobby" })).await;
    assert_eq!(ann.next_of("typing").await["room"], "lobby");
    ann.send(&json!({ "type": "history", "room": "kitchen" })).await;
    let history = ann.next_of("history").await;
    assert_eq!((&history["room"], &history["messages"][0]["id"]), (&json!("kitchen"), &ack["id"]));
    ann.send(&json!({ "type": "leave", "room": "kitchen" })).await;
    assert_eq!(ann.left().await, (text("kitchen"), 1000, String::new(), false));
    let presence = |frame: &Value| frame["type"] == "presence" && frame["room"] == "kitchen";
    assert_eq!(bob.next(|frame| presence(frame) && frame["change"] == "leave").await["count"], 1);
    bob.publish("kitchen", "no client listens").await;
    bob.publish("lobby", "still here").await;
    assert_eq!(ann.texts("lobby", 1).await, ["still here"]);
    let unread = ann.take_unread();
    assert!(unread.iter().all(|frame| frame["text"] != "no client listens"), "{unread:?}");
    let refused = ann.refused(&json!({ "room": "kitchen", "text": "hi" })).await;
    assert_eq!(refused, (Some(text("kitchen")), text("not_joined")));
    assert_eq!(ann.join("kitchen").await["recovered"], false);
    assert_eq!(bob.texts("kitchen", 2).await, ["in the kitchen", "no client listens"]);
}

async fn joins_that_are_sent_at_once_are_each_welcomed(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = RoomsClient::connect(deployment.first()).await;
    let mut bob = RoomsClient::connect(deployment.last()).await;
    let rooms: Vec<String> = (0..30).map(|number| format!("room{number}")).collect();
    for room in &rooms {
        bob.join(room).await;
        bob.publish(room, "hi").await;
    }
    drop(bob);
    for room in &rooms {
        // Its log is read, while the next join arrives.
        ann.send(&json!({ "type": "join", "room": room, "history": 50 })).await;
    }
    for room in &rooms {
        assert_eq!(ann.next_of("welcome").await["room"], json!(room));
        assert_eq!(ann.texts(room, 1).await, ["hi"]);
    }
}

async fn a_room_that_is_left_and_joined_again_at_once_is_joined(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = RoomsClient::connect(deployment.first()).await;
    for number in 0..30 {
        let room = format!("room{number}");
        for kind in ["join", "leave", "join"] {
            ann.send(&json!({ "type": kind, "room": room })).await;
        }
        ann.publish(&room, "hi").await;
        let mut answers = ann.take_unread();
        while answers.last().is_none_or(|last| last["type"] != "welcome") {
            answers.push(ann.next(|frame| frame["room"] == room.as_str()).await);
        }
        let answers: Vec<&str> = answers.iter().filter_map(|frame| frame["type"].as_str()).collect();
        let answers: Vec<&str> =
            answers.into_iter().filter(|kind| !["presence", "message"].contains(kind)).collect();
        assert_eq!(answers[answers.len().saturating_sub(2)..], ["left", "welcome"], "{answers:?}");
        assert!(answers.len() == 2 || answers == ["welcome", "left", "welcome"], "{answers:?}");
    }
}

async fn a_refused_join_disturbs_no_other_room(layer: LayerKind) {
    let deployment = Deployment::with(layer, &[("--max-channels", "3")]).await;
    let node = deployment.first();
    let mut owner = User::registered(node, "owner").await;
    assert_eq!(owner.post(node, "/rooms/", &[("room", "cellar")]).await.status, 303);
    let mut ann = RoomsClient::connect(node).await;
    ann.join("lobby").await;
    let long = "x".repeat(65);
    for (frame, room, code) in [
        (json!({ "type": "join", "room": "lobby" }), Some("lobby"), "already_joined"),
        (json!({ "type": "join", "room": "a/b" }), Some("a/b"), "invalid_room"),
        (json!({ "type": "join", "room": long }), Some(&long[..64]), "invalid_room"),
        (json!({ "type": "join", "room": "cellar" }), Some("cellar"), "not_found"),
        (json!({ "type": "join", "room": "@owner" }), Some("@owner"), "not_found"),
        (json!({ "type": "join", "inbox": true }), None, "no_access"),
        (json!({ "type": "join" }), None, "malformed"),
        (json!({ "type": "join", "room": 7 }), None, "malformed"),
        (json!({ "type": "join", "room": "hall", "since": 7 }), Some("hall"), "malformed"),
        (json!({ "type": "leave", "room": "hall" }), Some("hall"), "not_joined"),
        (json!({ "type": "leave", "room": "lobby", "push": true }), Some("lobby"), "not_joined"),
        (json!({ "text": "where?" }), None, "not_joined"),
        (json!({ "text": "push", "room": "lobby", "push": true }), Some("lobby"), "not_joined"),
    ] {
        let refused = ann.refused(&frame).await;
        assert_eq!(refused, (room.map(text), text(code)), "{frame}");
    }
    ann.join("hall").await;
    ann.join_with(&json!({ "type": "join", "room": "lobby", "push": true })).await;
    let refused =
        ann.refused(&json!({ "room": "lobby", "push": true, "text": "a push stream only speaks" })).await;
    assert_eq!(refused.1, "unknown_type");
    let refused = ann.refused(&json!({ "type": "join", "room": "attic" })).await;
    assert_eq!(refused, (Some(text("attic")), text("too_many")));
    for room in ["lobby", "hall"] {
        ann.publish(room, "here").await;
        assert_eq!(ann.texts(room, 1).await, ["here"]);
    }
    ann.send(&json!({ "type": "leave", "room": "hall" })).await;
    assert_eq!(ann.left().await.0, "hall");
    ann.join("attic").await;
}

async fn a_join_resumes_where_the_client_was(layer: LayerKind) {
    const ROOMS: usize = 5;
    const MESSAGES: usize = 40;
    let deployment = Deployment::start(layer).await;
    let mut ann = RoomsClient::connect(deployment.first()).await;
    let mut bob = RoomsClient::connect(deployment.last()).await;
    let rooms: Vec<String> = (0..ROOMS).map(|n| format!("room {n}")).collect();
    let mut known = Vec::new();
    for room in &rooms {
        ann.join(room).await;
        bob.join(room).await;
        known.push(bob.publish(room, "known").await["id"].clone());
    }
    drop(bob);
    let speak = async {
        for n in 0..MESSAGES {
            for room in &rooms {
                ann.publish(room, &n.to_string()).await;
            }
        }
    };
    let come_back = async {
        let mut bob = RoomsClient::connect(deployment.last()).await;
        for (room, since) in rooms.iter().zip(&known) {
            bob.send(&json!({ "type": "join", "room": room, "since": since })).await;
        }
        for room in &rooms {
            let welcome = bob.next(|frame| frame["type"] == "welcome" && frame["room"] == *room).await;
            assert_eq!(welcome["recovered"], true, "{welcome}");
        }
        for room in &rooms {
            let expected: Vec<String> = (0..MESSAGES).map(|n| n.to_string()).collect();
            assert_eq!(bob.texts(room, MESSAGES).await, expected, "{room}");
        }
        bob
    };
    let ((), mut bob) = tokio::join!(speak, come_back);
    assert!(bob.take_unread().iter().all(|frame| frame["type"] != "message"), "none comes twice");
    let newest = json!({ "type": "join", "room": "room 0", "history": 2 });
    bob.send(&json!({ "type": "leave", "room": "room 0" })).await;
    bob.left().await;
    bob.join_with(&newest).await;
    assert_eq!(bob.texts("room 0", 2).await, [(MESSAGES - 2).to_string(), (MESSAGES - 1).to_string()]);
}

async fn a_right_that_ends_ends_its_room_only(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let node = deployment.first();
    let mut owner = User::registered(node, "owner").await;
    assert_eq!(owner.post(node, "/rooms/", &[("room", "cellar")]).await.status, 303);
    let mut bob = User::registered(node, "bob").await;
    let members = "/chat/cellar/members/";
    assert_eq!(owner.post(node, members, &[("action", "invite"), ("name", "bob")]).await.status, 303);
    let accept = [("room", "cellar"), ("action", "accept")];
    assert_eq!(bob.post(node, "/invitations/", &accept).await.status, 303);
    let mut socket = RoomsClient::by(&bob.handshake_at("/ws"), deployment.last()).await;
    assert_eq!(socket.join("cellar").await["private"], true);
    socket.join("lobby").await;
    assert_eq!(owner.post(node, members, &[("action", "remove"), ("name", "bob")]).await.status, 303);
    assert_eq!(socket.left().await, (text("cellar"), 4403, text("no member of this room any more"), false));
    let mut there = owner.join(node, "cellar").await;
    there.publish("without bob").await;
    assert_eq!(socket.refused(&json!({ "room": "cellar", "text": "hi" })).await.1, "not_joined");
    assert_eq!(socket.refused(&json!({ "type": "join", "room": "cellar" })).await.1, "not_found");
    socket.publish("lobby", "goes on").await;
    assert_eq!(socket.texts("lobby", 1).await, ["goes on"]);
    assert!(socket.take_unread().iter().all(|frame| frame["text"] != "without bob"));
    assert_eq!(bob.log_out(node).await.status, 303);
    assert_eq!(socket.closed(PATIENCE).await.0, 4401, "a login ends the connection");
}

async fn the_room_of_the_path_ends_the_connection(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let node = deployment.first();
    let mut ann = RoomsClient::by(&Handshake::to_room("lobby"), node).await;
    let welcome = ann.next_of("welcome").await;
    assert_eq!((&welcome["room"], &welcome["stream"]), (&json!("lobby"), &json!("chat")));
    ann.join("hall").await;
    let mut bob = V1Client::join(deployment.last(), "hall").await;
    bob.publish("in the hall").await;
    assert_eq!(ann.texts("hall", 1).await, ["in the hall"]);
    assert_eq!(ann.refused(&json!({ "type": "join", "room": "lobby" })).await.1, "already_joined");
    ann.send(&json!({ "text": "without a room" })).await;
    assert_eq!(ann.next_of("ack").await["room"], "lobby");
    ann.send(&json!({ "type": "leave", "room": "hall" })).await;
    assert_eq!(ann.left().await.0, "hall");
    ann.send(&json!({ "type": "leave", "room": "lobby" })).await;
    assert_eq!(ann.closed(PATIENCE).await, (1000, String::new()));
}

async fn fewer_events_of_a_room_are_sent_if_a_client_wants_so(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut quiet = RoomsClient::connect(deployment.first()).await;
    let join = json!({ "type": "join", "room": "lobby", "presence": false, "typing": false });
    quiet.join_with(&join).await;
    let mut all = RoomsClient::connect(deployment.first()).await;
    all.join("lobby").await;
    let mut bob = RoomsClient::connect(deployment.last()).await;
    bob.join("lobby").await;
    bob.send(&json!({ "type": "typing", "room": "lobby" })).await;
    all.next(|frame| frame["type"] == "presence").await;
    all.next_of("typing").await;
    bob.publish("lobby", "hi").await;
    assert_eq!(quiet.texts("lobby", 1).await, ["hi"]);
    assert_eq!(quiet.take_unread(), Vec::<Value>::new());
}

async fn joins_are_answered_while_another_room_catches_up(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut bob = RoomsClient::connect(deployment.first()).await;
    bob.join("lobby").await;
    for _ in 0..100 {
        bob.publish("lobby", &"x".repeat(3000)).await;
    }
    let mut ann = RoomsClient::connect(deployment.last()).await;
    ann.send(&json!({ "type": "join", "room": "lobby", "history": 1000 })).await;
    ann.send(&json!({ "type": "join", "room": "lobby", "push": true })).await;
    for room in ["hall", "kitchen"] {
        ann.send(&json!({ "type": "join", "room": room, "history": 50 })).await;
    }
    for (room, stream) in [("lobby", "chat"), ("lobby", "push"), ("hall", "chat"), ("kitchen", "chat")] {
        let welcome = ann.next_of("welcome").await;
        assert_eq!((&welcome["room"], &welcome["stream"]), (&json!(room), &json!(stream)), "{welcome}");
    }
}

on_every_layer! {
    joins_are_answered_while_another_room_catches_up
    each_room_has_its_welcome_and_its_frames
    a_refused_join_disturbs_no_other_room
    a_room_that_is_left_and_joined_again_at_once_is_joined
    joins_that_are_sent_at_once_are_each_welcomed
    a_join_resumes_where_the_client_was
    a_right_that_ends_ends_its_room_only
    the_room_of_the_path_ends_the_connection
    fewer_events_of_a_room_are_sent_if_a_client_wants_so
}

#[tokio::test]
async fn operators_close_one_room_of_a_connection_or_all_of_a_user() {
    let mut site = OperatorSite::start().await;
    let bob = User::registered(&site.nodes[1], "bob").await;
    let mut socket = RoomsClient::by(&bob.handshake_at("/ws"), &site.nodes[1]).await;
    let id = socket.join("lobby").await["user"].as_str().expect("an id").to_owned();
    for room in ["hall", "kitchen"] {
        socket.join(room).await;
    }
    socket.join_with(&json!({ "type": "join", "room": "hall", "push": true })).await;
    assert_eq!(site.post("/admin/rooms/lobby/", &[("action", "kick"), ("user", &id)]).await, 303);
    assert_eq!(socket.left().await, (text("lobby"), 4403, text("an operator has sent you away"), false));
    assert_eq!(site.post("/admin/rooms/hall/", &[("action", "close")]).await, 303);
    for _ in ["chat", "push"] {
        let left = socket.left().await;
        assert_eq!(left, (text("hall"), 4403, text("an operator has closed this room"), false));
    }
    socket.publish("kitchen", "here").await;
    assert_eq!(site.post("/admin/users/", &[("action", "ban"), ("user", &id)]).await, 303);
    assert_eq!(socket.closed(PATIENCE).await, (4403, text("banned")));
}

#[tokio::test]
async fn a_right_that_ended_without_a_command_ends_its_room_only() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let bob = User::registered(&node, "bob").await;
    let mut socket = RoomsClient::by(&bob.handshake_at("/ws"), &node).await;
    socket.join("cellar").await;
    socket.join("lobby").await;
    let closed = r#"{"owner":null,"private":false,"closed":true}"#;
    redis.query::<()>(&["SET", "parlor:record:room:{chat_cellar}", closed]).await;
    // The node asks all connections once it is subscribed again.
    redis.query::<u32>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    assert_eq!(socket.left().await, (text("cellar"), 4403, text("no longer permitted here"), false));
    socket.publish("lobby", "goes on").await;
    redis.query::<u32>(&["DEL", "parlor:record:user:bob"]).await;
    redis.query::<u32>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    assert_eq!(socket.closed(PATIENCE).await.0, 4401);
}

#[tokio::test]
async fn a_connection_is_one_socket_however_many_rooms_it_has() {
    let redis = Redis::start().await;
    let mut node = Node::on(&redis).await;
    let mut ann = RoomsClient::connect(&node).await;
    for n in 0..100 {
        ann.send(&json!({ "type": "join", "room": format!("room {n}") })).await;
    }
    for n in 0..100 {
        let welcome = ann.next_of("welcome").await;
        assert_eq!(welcome["room"], format!("room {n}"), "welcomes come in the order of the joins");
    }
    assert_eq!((metric(&node, "parlor_sockets").await, metric(&node, "parlor_groups").await), (1, 100));
    node.terminate();
    assert_eq!(ann.closed(seconds(20)).await.0, 1012);
    let byes = ann.take_unread().iter().filter(|frame| frame["type"] == "bye").count();
    assert_eq!(byes, 1, "one connection, one announcement");
    until(PATIENCE, "the rooms to be empty", async || {
        let groups = redis.keys("parlor:group:*").await;
        holds(groups.is_empty(), || format!("{groups:?}"))
    })
    .await;
}
