//! Nodes of the version before on the same Redis, as in a rolling update: what they append and
//! remember is played by their script. `make rolling` runs their program.

use std::slice;

use parlor::{ConnectionChange, Control, Disconnect, Instruction};
use serde_json::json;

use crate::support::centrifugo::CentrifugoClient;
use crate::support::event_stream::{EventStream, post, stream_of};
use crate::support::handshake::Handshake;
use crate::support::http::Request;
use crate::support::layer_nodes::LayerNode;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::v1_client::{V1Client, id_of, text_of};
use crate::support::version_before::VersionBefore;
use crate::support::wait::{PATIENCE, holds, until};

/// The entries of a log: their ids, and their fields with names and values in turn.
type Entries = Vec<(String, Vec<Vec<u8>>)>;

#[tokio::test]
async fn a_message_that_is_sent_again_is_known_to_both_versions() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let before = VersionBefore::new(&redis, "chat_lobby");
    let body = json!({ "message": "hi", "id": "post-1" });
    let first = post(&node, "lobby", &body).await.json();
    let key = redis.keys("parlor:sent:*").await.pop().expect("a key");
    let value: String = redis.query(&["GET", &key]).await;
    let (id, digest) = value.split_once(' ').expect("an id and a digest");
    let entries: Entries = redis.query(&["XRANGE", "parlor:log:{chat_lobby}", "-", "+"]).await;
    let (name, open) = (key.rsplit_once("}:").expect("a name").1, &entries[0].1[1]);
    assert_eq!(
        before.append_open(open, name, digest).await,
        ("known".to_owned(), first["id"].as_str().expect("an id").to_owned()),
    );
    assert_eq!(id, first["id"]);
    // The other way round.
    assert_eq!(redis.query::<i64>(&["DEL", &key]).await, 1);
    let (status, id) = before.append_open(open, name, digest).await;
    assert_eq!(status, "new");
    let again = post(&node, "lobby", &body).await.json();
    assert_eq!((&again["id"], &again["duplicate"]), (&json!(id), &json!(true)), "{again}");
    assert_eq!(redis.query::<i64>(&["XLEN", "parlor:log:{chat_lobby}"]).await, 2);
}

#[tokio::test]
async fn messages_of_both_versions_reach_every_wire_in_one_order() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let before = VersionBefore::new(&redis, "chat_lobby");
    let (mut v1, mut plain) =
        (V1Client::join(&node, "lobby").await, TutorialClient::chat(&node, "lobby").await);
    let mut sse = EventStream::open(&node, Request::get(&stream_of("lobby"))).await;
    sse.receive_event("welcome").await;
    let mut centrifugo = CentrifugoClient::open(&node).await;
    centrifugo.result("connect", &json!({})).await;
    centrifugo.subscribe("lobby").await;
    for n in 0..9 {
        let text = n.to_string();
        if n % 3 == 0 {
            v1.publish(&text).await;
        } else {
            before.publish(&text).await;
        }
        assert_eq!(text_of(&v1.receive().await), text);
        assert_eq!(plain.receive_chat().await, text);
        assert_eq!(text_of(&sse.receive_event("message").await.frame), text);
        assert_eq!(centrifugo.push("lobby", "pub").await["data"]["text"], text);
    }
}

#[tokio::test]
async fn decisions_of_both_versions_are_one_log() {
    const LOG: &str = "parlor:{control}:log";
    let redis = Redis::start().await;
    let node = LayerNode::connect(&redis.url()).await;
    let askings = node.askings();
    let order = Disconnect { code: 4401, ..Disconnect::default() };
    let instruction = Instruction {
        user: "ann".to_owned(),
        client: None,
        change: ConnectionChange::Refresh { expires_at: None, info: None },
    };
    for round in 1..=3 {
        node.layer.instruct(&instruction).await.expect("the layer to take an instruction");
        let newest: Entries = redis.query(&["XREVRANGE", LOG, "+", "-", "COUNT", "1"]).await;
        let (id, fields) = &newest[0];
        let names: Vec<_> = fields.iter().step_by(2).map(|name| String::from_utf8_lossy(name)).collect();
        assert_eq!(names[..3], ["n", "p", "d"], "what the version before reads");
        let before = format!("{id}.{}", String::from_utf8_lossy(&fields[1]));
        let decision = r#"{"code":4403,"reason":""}"#;
        redis.query::<String>(&["XADD", LOG, "*", "n", "abc", "p", &before, "d", decision]).await;
        node.layer.disconnect(slice::from_ref(&order)).await.expect("the layer to take an order");
        node.wait_for_instructions(round).await;
        until(PATIENCE, "the commands of both", async || {
            let received: Vec<u16> = node.disconnects().iter().map(|command| command.code).collect();
            holds(received == [4403, 4401].repeat(round), || format!("{received:?}"))
        })
        .await;
    }
    assert_eq!(node.askings(), askings);
}

#[tokio::test]
async fn a_client_that_resumes_between_both_versions_is_reported_no_gap() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let before = VersionBefore::new(&redis, "chat_lobby");
    let mut author = V1Client::join(&node, "lobby").await;
    let mut ids = Vec::new();
    for n in 0..9 {
        let text = n.to_string();
        ids.push(if [2, 3, 6].contains(&n) {
            id_of(&author.publish(&text).await)
        } else {
            before.publish(&text).await
        });
    }
    for (at, id) in ids.iter().enumerate() {
        let rest: Vec<_> = (at + 1..9).map(|n| n.to_string()).collect();
        let mut v1 = Handshake::to_room("lobby").since(id).connect(&node).await;
        assert_eq!(v1.welcome["recovered"], true, "{}", v1.welcome);
        assert_eq!(v1.receive_texts(rest.len()).await, rest);
        let mut sse = EventStream::after(&node, "lobby", id).await;
        for text in &rest {
            assert_eq!(text_of(&sse.receive_event("message").await.frame), *text);
        }
    }
}

#[tokio::test]
async fn another_server_between_both_versions_is_reported() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut author = V1Client::join(&node, "lobby").await;
    let first = id_of(&author.publish("first").await);
    let kept = id_of(&author.publish("kept").await);
    let older = redis.detached_copy().await;
    author.publish("lost").await;
    let there = Node::on(&older).await;
    let after = VersionBefore::new(&older, "chat_lobby").publish("of before").await;
    V1Client::join(&there, "lobby").await.publish("later").await;
    let mut bob = Handshake::to_room("lobby").since(&first).connect(&there).await;
    assert_eq!(bob.receive_texts(2).await, ["kept", "of before"]);
    let gap = bob.receive_any(&["gap", "message"], PATIENCE).await;
    assert_eq!(
        (&gap["type"], &gap["reason"], &gap["after"]),
        (&json!("gap"), &json!("rewritten"), &json!(after))
    );
    assert_eq!(bob.receive_texts(1).await, ["later"]);
    assert_ne!(kept, after);
}

#[tokio::test]
async fn a_position_before_a_message_without_an_offset_is_not_recovered() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let before = VersionBefore::new(&redis, "chat_lobby");
    let mut client = CentrifugoClient::open(&node).await;
    client.result("connect", &json!({})).await;
    let start = client.subscribe("lobby").await;
    client.publish("lobby", &json!(1)).await;
    assert_eq!(client.push("lobby", "pub").await["offset"], 1);
    before.publish("of before").await;
    let unnumbered = client.push("lobby", "pub").await;
    assert_eq!((&unnumbered["offset"], &unnumbered["data"]["text"]), (&json!(null), &json!("of before")));
    for said_since in [false, true] {
        client.result("unsubscribe", &json!({ "channel": "lobby" })).await;
        let again = json!({ "channel": "lobby", "recover": true, "epoch": start["epoch"], "offset": 1 });
        let again = client.result("subscribe", &again).await;
        assert!(!again["recovered"].as_bool().unwrap_or_default(), "{again}");
        assert_ne!(again["epoch"], start["epoch"]);
        if !said_since {
            client.publish("lobby", &json!(2)).await;
            assert_eq!(client.push("lobby", "pub").await["offset"], 1, "of another epoch");
        }
    }
}
