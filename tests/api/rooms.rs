//! The API: the list of rooms, their members, and broadcasts.

use serde_json::{Value, json};

use super::access::problem;
use crate::support::api_client::{ApiClient, site};
use crate::support::crowd::Crowd;
use crate::support::deployment::{LayerKind, on_every_layer};
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::v1_client::V1Client;
use crate::support::wait::{PATIENCE, holds, until};

async fn rooms_are_listed_while_they_have_members(layer: LayerKind) {
    let (deployment, api) = site(layer).await;
    let list = async || api.get("/api/rooms").send(deployment.last()).await.json();
    assert_eq!(list().await, json!({ "rooms": [] }));
    let _push = TutorialClient::push(deployment.first(), "lobby").await;
    let _ann = V1Client::join(deployment.first(), "聊天").await;
    let _bob = V1Client::join(deployment.last(), "聊天").await;
    let _cid = V1Client::join(deployment.first(), "garden").await;
    let expected = json!({ "rooms": [{ "room": "聊天", "members": 2 }, { "room": "garden", "members": 1 }] });
    until(PATIENCE, "two rooms", async || {
        let seen = list().await;
        holds(seen == expected, || seen.to_string())
    })
    .await;
}

async fn members_are_listed_by_id_and_name(layer: LayerKind) {
    let (deployment, api) = site(layer).await;
    let ask = async || api.get("/api/rooms/lobby/members").send(deployment.last()).await.json();
    assert_eq!(ask().await, json!({ "room": "lobby", "count": 0, "members": [] }));
    let ann = V1Client::join(deployment.first(), "lobby").await;
    let bob = V1Client::join(deployment.last(), "lobby").await;
    let mut members: Vec<Value> = [&ann, &bob]
        .iter()
        .map(|member| json!({ "user": member.welcome["user"], "name": member.welcome["name"] }))
        .collect();
    members.sort_by_key(|member| member["user"].as_str().map(str::to_owned));
    let expected = json!({ "room": "lobby", "count": 2, "members": members });
    until(PATIENCE, "two members", async || {
        let seen = ask().await;
        holds(seen == expected, || seen.to_string())
    })
    .await;
}

async fn large_rooms_are_counted_and_not_listed(layer: LayerKind) {
    let (deployment, api) = site(layer).await;
    let _crowd = Crowd::connect(201, deployment.first().address(), "lobby").await;
    until(PATIENCE, "a crowd", async || {
        let seen = api.get("/api/rooms/lobby/members").send(deployment.last()).await.json();
        holds(seen == json!({ "room": "lobby", "count": 201, "members": null }), || seen.to_string())
    })
    .await;
}

async fn a_broadcast_reports_a_result_for_each_room(layer: LayerKind) {
    let (deployment, api) = site(layer).await;
    let mut ann = V1Client::join(deployment.first(), "a").await;
    let mut bob = V1Client::join(deployment.last(), "b").await;
    let send = async |rooms: &Value, message: &str| {
        let request = api.post("/api/broadcast", &json!({ "rooms": rooms, "message": message }));
        request.header("Idempotency-Key", "closing").send(deployment.first()).await
    };
    let response = send(&json!(["a", "a/b", "@ann"]), "we close").await;
    let (id, results) = (ann.receive().await["id"].clone(), response.json()["results"].clone());
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(results[0], json!({ "room": "a", "status": 201, "id": id, "duplicate": false }));
    let reported = |n: usize| (results[n]["room"].clone(), results[n]["status"].clone());
    assert_eq!((reported(1), reported(2)), ((json!("a/b"), json!(400)), (json!("@ann"), json!(404))));
    assert!(
        results[1]["detail"].as_str().is_some_and(|detail| detail.starts_with("`room`: ")),
        "{response:?}"
    );
    // A retry publishes only where the message is missing.
    let results = send(&json!(["b", "a"]), "we close").await.json()["results"].clone();
    assert_eq!(bob.receive().await["id"], results[0]["id"]);
    assert_eq!(results[1], json!({ "room": "a", "status": 200, "id": id, "duplicate": true }));
    let results = send(&json!(["a"]), "we open").await.json()["results"].clone();
    assert_eq!(results[0]["status"], 409, "{results}");
}

async fn a_broadcast_reaches_at_most_a_hundred_rooms(layer: LayerKind) {
    let (deployment, api) = site(layer).await;
    let rooms: Vec<String> = (0..101).map(|n| format!("room-{n}")).collect();
    let send = async |rooms: Value| {
        api.post("/api/broadcast", &json!({ "rooms": rooms, "message": "hi" })).send(deployment.first()).await
    };
    let response = send(json!(rooms[..100])).await;
    let results = response.json()["results"].as_array().expect("results").clone();
    assert_eq!(results.len(), 100);
    for (result, room) in results.iter().zip(&rooms) {
        assert_eq!((&result["room"], &result["status"]), (&json!(room), &json!(201)), "in their order");
    }
    for (rooms, detail) in [
        (json!(rooms), "`rooms`: expected 1 to 100"),
        (json!([]), "`rooms`: expected 1 to 100"),
        (json!(["a", "b", "a"]), "`rooms`: expected each once, and `a` is there twice"),
        (json!("a"), "`rooms`: expected a list of strings"),
        (json!([1]), "`rooms`: expected a string"),
    ] {
        assert_eq!(problem(&send(rooms).await, 400), detail);
    }
}

#[tokio::test]
async fn a_rate_limited_broadcast_names_the_rooms_it_did_not_reach() {
    let redis = Redis::start().await;
    let node = Node::plan().redis(&redis).env("PARLOR_PUBLISHES_PER_SECOND", "2").start().await;
    let api = ApiClient::with_key(&redis, "billing", "publish").await;
    let other = ApiClient::with_key(&redis, "other", "publish").await;
    let all = json!({ "rooms": ["a", "b", "c"], "message": "hi" });
    let results = api.post("/api/broadcast", &all).send(&node).await.json()["results"].clone();
    let statuses: Vec<&Value> = (0..3).map(|n| &results[n]["status"]).collect();
    assert_eq!(statuses, [201, 201, 429]);
    let hi = json!({ "message": "hi" });
    let response = api.post("/api/rooms/a/messages", &hi).send(&node).await;
    problem(&response, 429);
    assert_eq!(response.header("retry-after"), Some("1"), "{response:?}");
    assert_eq!(other.post("/api/rooms/a/messages", &hi).send(&node).await.status, 201);
}

on_every_layer! {
    rooms_are_listed_while_they_have_members
    members_are_listed_by_id_and_name
    large_rooms_are_counted_and_not_listed
    a_broadcast_reports_a_result_for_each_room
    a_broadcast_reaches_at_most_a_hundred_rooms
}
