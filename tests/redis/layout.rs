//! The move from the first layout of keys: it was written by plain commands, as its nodes did.

use parlor::{Broker, Event, Group, HistoryRange, Id};
use serde_json::json;

use crate::support::http::Request;
use crate::support::layer_nodes::LayerNode;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::v1_client::V1Client;
use crate::support::wait::{PATIENCE, holds, until};

/// Writes what two nodes of the first layout left: a log of three messages in the lobby, of which
/// one is removed, a closed room, an idempotency key, and what the nodes wrote of themselves.
async fn write_first_layout(redis: &Redis) -> Vec<String> {
    let mut ids = Vec::new();
    let mut prev = "0-0".to_owned();
    let log = "parlor:log:{asgi__group__chat_lobby}";
    for text in ["one", "two", "three"] {
        let event = Event::new("chat_message").with("message", text).with("user", "0f").with("name", "~ann");
        // A map of four members whose header counts the two that the script adds.
        let mut open = event.encode();
        open[0] += 2;
        let id: String =
            redis.query(&[b"XADD", log.as_bytes(), b"*", b"e", &open, b"p", prev.as_bytes()]).await;
        prev.clone_from(&id);
        ids.push(id);
    }
    let millis = ids[1].split('-').next().expect("milliseconds").to_owned();
    let node = "0123456789abcdef";
    for command in [
        vec!["ZADD", "parlor:covered:{asgi__group__chat_lobby}", &millis, &ids[1]],
        vec![
            "SET",
            "parlor:sent:{asgi__group__chat_lobby}:0f:k1",
            &format!("{} digest", ids[0]),
            "PX",
            "300000",
        ],
        vec!["SET", "parlor:record:room:attic", r#"{"closed": true}"#],
        vec!["SADD", "parlor:nodes", node],
        vec!["SADD", &format!("parlor:node:{node}:groups"), "chat_lobby"],
        vec!["SADD", "parlor:group:chat_lobby", node],
        vec!["SADD", &format!("parlor:group:chat_lobby:{node}"), "0f/~ann"],
        vec!["SADD", "parlor:present:chat_lobby", "0f/~ann"],
        vec!["ZADD", "parlor:leaving", "1", "0f/~ann chat_lobby"],
        vec!["SADD", "parlor:counting", "chat_lobby"],
    ] {
        redis.query::<redis::Value>(&command).await;
    }
    ids
}

#[tokio::test]
async fn logs_removals_and_records_of_the_first_layout_are_kept() {
    let redis = Redis::start().await;
    let ids = write_first_layout(&redis).await;
    // Both move the keys: one of them does it.
    let [first, second] = Node::several(&redis).await;
    for node in [&first, &second] {
        let client = V1Client::join(node, "lobby").await;
        assert!(client.welcome["count"].as_u64() <= Some(2), "no user of before: {}", client.welcome);
        assert_eq!(client.welcome["last"], json!(ids[2]));
        assert_eq!(Request::get("/chat/attic/").send(node).await.status, 404, "a closed room stays closed");
    }
    let mut client = V1Client::join(&first, "lobby").await;
    client.send_json(&json!({ "type": "history", "before": null, "limit": 10 })).await;
    let history = client.receive_frame("history").await;
    let history = history["messages"].as_array().expect("messages");
    let shown: Vec<_> =
        history.iter().map(|message| (message["text"].as_str(), message["removed"] == true)).collect();
    assert_eq!(shown, [(Some("one"), false), (Some(""), true), (Some("three"), false)]);
    client.publish("four").await;
    let layer = LayerNode::connect(&redis.url()).await;
    let page = layer.layer.history(&Group::new("chat_lobby"), HistoryRange::After(Id::START)).await;
    let page = page.expect("a page");
    assert_eq!(page.events.len(), 4);
    assert_eq!(page.events[3].position().expect("a place").prev.to_string(), ids[2]);
    assert_eq!(redis.query::<String>(&["GET", "parlor:version"]).await, "2");
    assert!(redis.exists("parlor:sent:{chat_lobby}:0f:k1").await);
    for gone in ["parlor:nodes", "parlor:node:*", "parlor:present:*", "parlor:leaving", "parlor:log:{asgi*"] {
        assert_eq!(redis.keys(gone).await, Vec::<String>::new(), "{gone}");
    }
}

#[tokio::test]
async fn a_node_does_not_start_beside_nodes_of_the_first_layout() {
    let redis = Redis::start().await;
    write_first_layout(&redis).await;
    redis.query::<String>(&["SET", "parlor:node:0123456789abcdef", "{}", "PX", "10000"]).await;
    // They may end: the exit code says so.
    let refusal = Node::plan().redis(&redis).ended_with(75).await;
    assert!(refusal.contains("nodes of an older version use this Redis (0123456789abcdef)"), "{refusal}");
    assert!(redis.exists("parlor:nodes").await, "nothing was touched");
    // One that waits for Redis waits for their end, too.
    let node = Node::plan().redis(&redis).switch("--wait-for-redis").spawn();
    until(PATIENCE, "the node to say what it waits for", async || {
        let log = node.stderr.text();
        holds(log.contains("nodes of an older version"), || log.clone())
    })
    .await;
    redis.query::<i64>(&["DEL", "parlor:node:0123456789abcdef"]).await;
    until(PATIENCE, "the layout to be moved", async || {
        let version: Option<String> = redis.query(&["GET", "parlor:version"]).await;
        holds(version.as_deref() == Some("2"), || format!("{version:?}"))
    })
    .await;
}

#[tokio::test]
async fn a_node_does_not_start_on_a_later_layout() {
    let redis = Redis::start().await;
    redis.query::<String>(&["SET", "parlor:version", "3"]).await;
    let refusal = Node::plan().redis(&redis).rejected().await;
    assert!(refusal.contains("the layout \"3\" of another version"), "{refusal}");
}
