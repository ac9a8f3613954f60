//! Keys and channels in Redis: their prefix, and names that look like theirs.

use parlor::{Broker, Control, Group, Index, Presence, Store};

use crate::push::streams::ask;
use crate::support::layer_nodes::LayerNode;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::v1_client::V1Client;
use crate::support::wait::{PATIENCE, holds, seconds, until};

/// Names of rooms that look like parts of keys.
const ROOMS: [&str; 16] = [
    "orders", "control", "c", "log", "m", "x", "t", "sent", "room", "group", "record", "index", "beats",
    "facts", "version", "parlor",
];

#[tokio::test]
async fn all_keys_and_channels_begin_with_the_prefix() {
    let redis = Redis::start().await;
    let echo = LayerNode::with_prefixes("echo-1", None, &redis.url()).await;
    let group = Group::new("lobby");
    echo.enter(&group, "ann").await;
    echo.wait_for_members(&group, 1).await;
    let id = echo.append_new(&group, "hi").await;
    echo.append(&group, "ho", Some("key")).await;
    assert!(echo.layer.redact(&group, id).await.expect("an answer"));
    echo.layer.start_interval(&group, seconds(60)).await.expect("an answer");
    echo.layer.store().put("record", "x", None).await.expect("an answer");
    echo.layer.store().add("index", "x", 1).await.expect("an answer");
    assert_eq!(echo.layer.presence(&group).await.expect("an answer").count, 1);
    let keys: Vec<String> = redis.query(&["KEYS", "*"]).await;
    assert!(keys.len() > 8 && keys.iter().all(|key| key.starts_with("echo-1:")), "{keys:?}");
    let channels: Vec<String> = redis.query(&["PUBSUB", "CHANNELS"]).await;
    assert!(channels.len() > 2 && channels.iter().all(|name| name.starts_with("echo-1:")), "{channels:?}");
    // Nodes of another prefix are not listed.
    let parlor = LayerNode::connect(&redis.url()).await;
    for node in [&echo, &parlor] {
        until(PATIENCE, "the node to list itself", async || {
            let nodes = node.layer.nodes().await.expect("an answer");
            let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
            holds(names == [node.layer.node_name()], || format!("{names:?}"))
        })
        .await;
    }
}

#[tokio::test]
async fn rooms_named_like_keys_are_rooms_like_others() {
    let redis = Redis::start().await;
    let [first, second] = Node::several(&redis).await;
    let mut members = Vec::new();
    for room in ROOMS {
        let mut ann = V1Client::join(&first, room).await;
        let bob = V1Client::join(&second, room).await;
        ann.publish(room).await;
        members.push((room, ann, bob));
    }
    for (room, _, bob) in &mut members {
        assert_eq!(bob.receive_frame("message").await["text"], *room);
        bob.receives_none_of(&["message", "gap"], std::time::Duration::from_millis(50)).await;
    }
    for room in ROOMS {
        let mut page = TutorialClient::push(&first, room).await;
        ask(&second, "POST", room).await;
        assert!(page.receive().await.ends_with(&format!("实时推送 - 房间: {room}")));
        let late = V1Client::join(&second, room).await;
        assert!(late.welcome["count"].as_u64() >= Some(2), "{}", late.welcome);
    }
}
