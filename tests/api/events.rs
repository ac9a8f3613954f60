//! The API: events of groups, disconnecting users, and push streams.

use std::time::Duration;

use serde_json::{Value, json};

use super::access::problem;
use crate::support::api_client::site;
use crate::support::deployment::{LayerKind, on_every_layer};
use crate::support::payload::unpacked;
use crate::support::tutorial_client::TutorialClient;
use crate::support::v1_client::V1Client;
use crate::support::wait::PATIENCE;

async fn an_event_is_delivered_live_and_not_logged(layer: LayerKind) {
    let (deployment, api) = site(layer).await;
    let mut ann = V1Client::join(deployment.last(), "lobby").await;
    let event = json!({ "type": "chat.message", "message": "hi" });
    let response = api.post("/api/groups/chat_lobby/events", &event).send(deployment.first()).await;
    assert_eq!((response.status, response.json()), (202, json!({ "group": "chat_lobby" })));
    let received = ann.receive().await;
    assert_eq!((&received["text"], &received["name"]), (&json!("hi"), &json!(api.name)), "its sender");
    assert_eq!(received["id"], Value::Null);
    let log = api.get("/api/rooms/lobby/messages").send(deployment.first()).await;
    assert_eq!(log.json()["messages"], json!([]));
    let mut page = TutorialClient::push(deployment.last(), "lobby").await;
    let event = json!({ "type": "push_message", "message": "a line" });
    assert_eq!(api.post("/api/groups/lobby/events", &event).send(deployment.first()).await.status, 202);
    assert_eq!(page.receive().await, "a line");
}

#[tokio::test]
async fn django_receives_an_event_with_its_senders_name() {
    let (deployment, api) = site(LayerKind::Redis).await;
    let mut django = deployment.redis().subscribe("asgi__group__prices").await;
    let event = json!({ "type": "price.changed", "item": "tea", "price": "4.20" });
    assert_eq!(api.post("/api/groups/prices/events", &event).send(deployment.first()).await.status, 202);
    let mut members = unpacked(&django.next_payload().await);
    let user = members.iter().position(|(name, _)| name == "user").expect("a user");
    assert_eq!(members.remove(user).1.len(), 16);
    let expected = [("type", "price.changed"), ("item", "tea"), ("price", "4.20"), ("name", "#billing")];
    assert_eq!(members, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
}

async fn an_event_cannot_forge_its_sender_or_a_server_event(layer: LayerKind) {
    let (deployment, api) = site(layer).await;
    let send = async |group: &str, event: &Value| {
        api.post(&format!("/api/groups/{group}/events"), event).send(deployment.first()).await
    };
    for kind in ["parlor_gap", "parlor.presence", "websocket.disconnect", "http_request", "_x", "", "a-b"] {
        assert!(problem(&send("chat_lobby", &json!({ "type": kind })).await, 400).starts_with("`type`: "));
    }
    for name in ["id", "prev", "offset", "user", "name", "subject"] {
        let response = send("chat_lobby", &json!({ "type": "chat_message", name: "1-0" })).await;
        assert_eq!(problem(&response, 400), format!("`{name}`: the server's own to say"));
    }
    for (event, detail) in [
        (json!({ "message": "hi" }), "`type`: expected, but missing"),
        (json!({ "type": "a", "n": 5 }), "`n`: expected a string"),
        (json!({ "type": ["a"] }), "`type`: expected a string"),
    ] {
        assert_eq!(problem(&send("chat_lobby", &event).await, 400), detail);
    }
    problem(&send("chat_lobby", &json!({ "type": "a", "text": "x".repeat(65_536) })).await, 413);
    for group in ["chat_dm%3Aa%3Ab", "dm%3Aa%3Ab", "chat_", "a%00", "a*"] {
        problem(&send(group, &json!({ "type": "chat_message", "message": "hi" })).await, 400);
    }
}

async fn a_user_is_disconnected_from_every_room(layer: LayerKind) {
    let (deployment, api) = site(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    let mut bob = V1Client::join(deployment.last(), "lobby").await;
    let (user, path) = (bob.user().to_owned(), format!("/api/users/id:{}/disconnect", bob.user()));
    let response = api.post(&path, &json!({ "reason": "see you" })).send(deployment.first()).await;
    assert_eq!((response.status, response.json()), (202, json!({ "user": user })));
    assert_eq!(bob.closed(PATIENCE).await, (4403, "see you".to_owned()));
    ann.publish("still there").await;
}

async fn a_user_is_disconnected_from_one_room(layer: LayerKind) {
    let (deployment, api) = site(layer).await;
    let operator = "/api/users/id:{user}/disconnect";
    let guest = |room: &str| crate::support::handshake::Handshake::to_room(room).with_guest(7);
    let mut lobby = guest("lobby").connect(deployment.first()).await;
    let mut garden = guest("garden").connect(deployment.last()).await;
    let path = operator.replace("{user}", lobby.user());
    let response = api.post(&path, &json!({ "room": "lobby" })).send(deployment.last()).await;
    assert_eq!(response.status, 202, "{response:?}");
    assert_eq!(lobby.closed(PATIENCE).await.0, 4403);
    garden.publish("still there").await;
}

async fn disconnecting_an_unknown_user_is_rejected(layer: LayerKind) {
    let (deployment, api) = site(layer).await;
    let long = "x".repeat(124);
    for (user, body, status) in [
        ("nobody", json!({}), 404),
        ("0123456789abcdef", json!({}), 404),
        ("%40ann", json!({}), 404),
        ("id:xyz", json!({}), 400),
        ("id:0123456789ABCDEF", json!({}), 400),
        ("id:0123456789abcdef", json!({ "reason": long }), 400),
        ("id:0123456789abcdef", json!({ "reason": null }), 400),
        ("id:0123456789abcdef", json!({ "code": "4000" }), 400),
        ("id:0123456789abcdef", json!({ "room": "a/b" }), 400),
    ] {
        let response =
            api.post(&format!("/api/users/{user}/disconnect"), &body).send(deployment.first()).await;
        problem(&response, status);
    }
}

async fn the_api_starts_and_stops_a_push_stream(layer: LayerKind) {
    let (deployment, api) = site(layer).await;
    let mut page = TutorialClient::push(deployment.last(), "lobby").await;
    let response = api.request("POST", "/api/push/lobby").send(deployment.first()).await;
    assert_eq!((response.status, response.json()), (200, json!({ "room": "lobby", "running": true })));
    assert!(page.receive().await.ends_with("房间: lobby"));
    let response = api.request("DELETE", "/api/push/lobby").send(deployment.first()).await;
    assert_eq!((response.status, response.json()), (200, json!({ "room": "lobby", "running": false })));
    page.receives_nothing_for(Duration::from_secs(3)).await;
}

on_every_layer! {
    an_event_is_delivered_live_and_not_logged
    an_event_cannot_forge_its_sender_or_a_server_event
    a_user_is_disconnected_from_every_room
    a_user_is_disconnected_from_one_room
    disconnecting_an_unknown_user_is_rejected
    the_api_starts_and_stops_a_push_stream
}
