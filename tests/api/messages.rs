//! The API: publishing a message once, and reading history.

use serde_json::{Value, json};

use super::access::problem;
use crate::support::api_client::{ApiClient, site};
use crate::support::deployment::{LayerKind, on_every_layer};
use crate::support::http::Response;
use crate::support::node::Node;
use crate::support::v1_client::{V1Client, id_of};

const LOBBY: &str = "/api/rooms/lobby/messages";

async fn say(api: &ApiClient, node: &Node, text: &str, key: &str) -> Response {
    let request = api.post(LOBBY, &json!({ "message": text }));
    request.header("Idempotency-Key", key).send(node).await
}

async fn read(api: &ApiClient, node: &Node, query: &str) -> Value {
    let response = api.get(&format!("{LOBBY}?{query}")).send(node).await;
    assert_eq!(response.status, 200, "{response:?}");
    response.json()
}

async fn all_members_receive_the_message_and_its_sender(layer: LayerKind) {
    let (deployment, api) = site(layer).await;
    let mut ann = V1Client::join(deployment.last(), "两 个").await;
    let target = "/api/rooms/%E4%B8%A4%20%E4%B8%AA/messages";
    let response = api.post(target, &json!({ "message": "hi 你好" })).send(deployment.first()).await;
    assert_eq!((response.status, response.content_type()), (201, "application/json"), "{response:?}");
    let received = ann.receive().await;
    assert_eq!((&received["text"], &received["name"]), (&json!("hi 你好"), &json!(api.name)));
    assert_eq!(response.json(), json!({ "room": "两 个", "id": received["id"], "duplicate": false }));
}

async fn one_idempotency_key_publishes_once_on_any_node(layer: LayerKind) {
    let (deployment, api) = site(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    let first = say(&api, deployment.first(), "paid", "order-1").await;
    assert_eq!(first.status, 201, "{first:?}");
    for node in &deployment.nodes {
        let again = say(&api, node, "paid", "order-1").await;
        let expected = json!({ "room": "lobby", "id": first.json()["id"], "duplicate": true });
        assert_eq!((again.status, again.json()), (200, expected));
        let other = say(&api, node, "paid twice", "order-1").await;
        let detail = "`Idempotency-Key`: used for another message less than five minutes ago";
        assert_eq!(problem(&other, 409), detail);
    }
    assert_eq!(say(&api, deployment.last(), "end", "order-2").await.status, 201);
    assert_eq!(ann.receive_texts(2).await, ["paid", "end"]);
    // In another room it is another message.
    let request = api.post("/api/rooms/garden/messages", &json!({ "message": "paid" }));
    assert_eq!(request.header("Idempotency-Key", "order-1").send(deployment.first()).await.status, 201);
}

async fn a_malformed_idempotency_key_is_rejected(layer: LayerKind) {
    let (deployment, api) = site(layer).await;
    let long = "x".repeat(65);
    for key in ["", "a b", "ä", "a:b", "\"a\"", &long] {
        problem(&say(&api, deployment.first(), "hi", key).await, 400);
    }
    let request = api.post(LOBBY, &json!({ "message": "hi" }));
    let twice = request.header("Idempotency-Key", "a").header("Idempotency-Key", "b");
    problem(&twice.send(deployment.first()).await, 400);
    assert_eq!(read(&api, deployment.first(), "").await["messages"], json!([]));
}

async fn history_is_read_in_both_directions(layer: LayerKind) {
    let (deployment, api) = site(layer).await;
    let empty = json!({ "room": "lobby", "messages": [], "more": false, "last": null });
    assert_eq!(read(&api, deployment.first(), "").await, empty);
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    for n in 0..60 {
        ann.publish(&n.to_string()).await;
    }
    let received = ann.receive_until("59").await;
    let all: Vec<Value> = received
        .iter()
        .map(|frame| {
            let mut message = frame.as_object().expect("an object").clone();
            message.retain(|name, _| name != "type" && name != "room");
            message.insert("removed".to_owned(), json!(false));
            message.into()
        })
        .collect();
    let past = |messages: &[Value], more: bool| json!({ "room": "lobby", "messages": messages, "more": more, "last": received[59]["id"] });
    let id = |n: usize| id_of(&received[n]);
    for (query, expected) in [
        (String::new(), past(&all[10..], true)),
        ("limit=200".to_owned(), past(&all, false)),
        (format!("limit=10&before={}", id(30)), past(&all[20..30], true)),
        (format!("before={}", id(30)), past(&all[..30], false)),
        (format!("before={}", id(0)), past(&[], false)),
        (format!("since={}", id(29)), past(&all[30..], false)),
        (format!("since={}&limit=10", id(29)), past(&all[30..40], true)),
        (format!("since={}", id(59)), past(&[], false)),
        (format!("since={}&before={}", id(9), id(20)), past(&all[10..20], false)),
        (format!("since={}&before={}&limit=5", id(9), id(20)), past(&all[10..15], true)),
        (format!("since={}&before={}", id(20), id(9)), past(&[], false)),
        ("since=0-0&limit=60".to_owned(), past(&all, false)),
        (format!("after={}&since=0-0&limit=60", id(29)), past(&all, false)),
    ] {
        assert_eq!(read(&api, deployment.last(), &query).await, expected, "{query}");
    }
}

async fn a_malformed_position_in_history_is_rejected(layer: LayerKind) {
    let (deployment, api) = site(layer).await;
    for (query, detail) in [
        ("before=x", "`before`: expected a message's id"),
        ("since=", "`since`: expected a message's id"),
        ("limit=0", "`limit`: expected a number from 1 to 200"),
        ("limit=201", "`limit`: expected a number from 1 to 200"),
        ("limit=x", "`limit`: expected a number from 1 to 200"),
    ] {
        let response = api.get(&format!("{LOBBY}?{query}")).send(deployment.first()).await;
        assert_eq!(problem(&response, 400), detail, "{query}");
    }
    for room in ["", ".", "..", "a%2Fb", "a%00b", "%FF", "a%20%20b", "a*b"] {
        let response = api.get(&format!("/api/rooms/{room}/messages")).send(deployment.first()).await;
        assert!(problem(&response, 400).starts_with("`room`: expected"), "{response:?}");
    }
}

async fn a_page_of_history_is_bounded_and_says_whether_more_follows(layer: LayerKind) {
    let (deployment, api) = site(layer).await;
    let text = "x".repeat(60_000);
    for n in 0..5 {
        assert_eq!(say(&api, deployment.first(), &text, &n.to_string()).await.status, 201);
    }
    let newest = read(&api, deployment.first(), "limit=20").await;
    let oldest = read(&api, deployment.first(), "limit=20&since=0-0").await;
    for page in [&newest, &oldest] {
        assert_eq!((page["messages"].as_array().map(Vec::len), &page["more"]), (Some(2), &json!(true)));
    }
    assert_eq!(newest["messages"][1]["id"], newest["last"], "the newest are kept");
    assert_eq!(oldest["messages"][0]["prev"], Value::Null, "the oldest are kept");
}

on_every_layer! {
    all_members_receive_the_message_and_its_sender
    one_idempotency_key_publishes_once_on_any_node
    a_malformed_idempotency_key_is_rejected
    history_is_read_in_both_directions
    a_malformed_position_in_history_is_rejected
    a_page_of_history_is_bounded_and_says_whether_more_follows
}
