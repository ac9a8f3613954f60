//! A node that has missed messages delivers them from the log in their place, or announces a gap.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::handshake::Handshake;
use crate::support::metrics::{metric, wait_for_metric};
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::redis_proxy::RedisProxy;
use crate::support::v1_client::{V1Client, assert_chain, id_of, texts_of};
use crate::support::wait::{PATIENCE, holds, seconds, until};

/// The lobby's log.
const LOG: &str = "parlor:log:{chat_lobby}";

/// Messages as a client keeps them: the first of each id.
fn each_once(messages: Vec<Value>) -> Vec<Value> {
    let mut once: Vec<Value> = Vec::new();
    for message in messages {
        if once.iter().rev().all(|known| known["id"] != message["id"]) {
            once.push(message);
        }
    }
    once
}

/// A node that reaches Redis through a proxy, and one that does not.
async fn through_a_tunnel(flags: &[(&str, &str)]) -> (Redis, RedisProxy, Node, Node) {
    let redis = Redis::start().await;
    let proxy = RedisProxy::start(&redis).await;
    let plan = flags.iter().fold(Node::plan(), |plan, (name, value)| plan.flag(name, value));
    let far = plan.clone().flag("--redis-url", &proxy.url()).start().await;
    let near = plan.redis(&redis).start().await;
    (redis, proxy, near, far)
}

async fn wait_for_readiness(node: &Node, wanted: u16) -> String {
    until(seconds(30), &format!("/readyz to be {wanted}"), async || {
        let response = crate::support::http::Request::get("/readyz").send(node).await;
        holds(response.status == wanted, || format!("{response:?}")).map(|()| response.body)
    })
    .await
}

#[tokio::test]
async fn messages_during_cut_subscriptions_arrive_in_order() {
    const LAST: usize = 800;
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut members = Vec::new();
    for n in 0..6 {
        members.push(V1Client::join(&nodes[n % 2], "lobby").await);
    }
    let mut sender = V1Client::join(&nodes[0], "lobby").await;
    let speak = async {
        for n in 0..=LAST {
            sender.publish(&n.to_string()).await;
            if n % 100 == 50 {
                redis.query::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
            }
        }
    };
    let listen = futures_util::future::join_all(members.iter_mut().map(|member| member.receive_until("800")));
    let ((), received) = tokio::join!(speak, listen);
    for messages in received {
        let messages = each_once(messages);
        assert_chain(&messages);
        assert_eq!(texts_of(&messages), (0..=LAST).map(|n| n.to_string()).collect::<Vec<_>>());
    }
    for node in &nodes {
        assert!(metric(node, "parlor_redis_reconnects_total").await > 0);
        assert_eq!(metric(node, "parlor_gaps_total{reason=\"trimmed\"}").await, 0);
        assert_eq!(metric(node, "parlor_gaps_total{reason=\"rewritten\"}").await, 0);
    }
}

#[tokio::test]
async fn the_last_message_before_a_cut_is_delivered_after_it() {
    let (_redis, proxy, near, far) = through_a_tunnel(&[]).await;
    let mut sender = V1Client::join(&near, "lobby").await;
    let mut reader = V1Client::join(&far, "lobby").await;
    let mut quiet = V1Client::join(&far, "kitchen").await;
    let mut there = V1Client::join(&near, "kitchen").await;
    sender.publish("before").await;
    assert_eq!(reader.receive().await["text"], "before");
    proxy.cut();
    for n in 0..100 {
        sender.publish(&n.to_string()).await;
    }
    there.publish("only this").await;
    proxy.open();
    // No further message is sent: the node has to look by itself.
    let received = each_once(reader.receive_until("99").await);
    assert_eq!(texts_of(&received), (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_chain(&received);
    assert_eq!(quiet.receive().await["text"], "only this", "also in a room in which nothing had been said");
    assert!(metric(&far, "parlor_repairs_total").await > 0);
}

#[tokio::test]
async fn a_logged_unpublished_message_is_delivered_before_the_next() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = V1Client::join(&node, "lobby").await;
    let first = id_of(&ann.publish("spoken").await);
    let entries: Vec<(String, BTreeMap<String, Vec<u8>>)> = redis.query(&["XRANGE", LOG, "-", "+"]).await;
    let event = entries[0].1.get("e").expect("the field `e`");
    let place = event.windows(6).position(|window| window == b"spoken").expect("the text in the event");
    let mut hidden = event.clone();
    hidden[place..place + 6].copy_from_slice(b"hidden");
    let command: [&[u8]; 7] = [b"XADD", LOG.as_bytes(), b"*", b"e", &hidden, b"p", first.as_bytes()];
    let id: String = redis.query(&command).await;
    ann.publish("last").await;
    let received = each_once(ann.receive_until("last").await);
    assert_eq!(texts_of(&received), ["spoken", "hidden", "last"]);
    assert_eq!(received[1]["id"], json!(id));
    assert_chain(&received);
    wait_for_metric(&node, "parlor_repairs_total", 1).await;
}

/// Asserts a gap with this reason after the message, after which the room still works.
async fn goes_on_after_a_gap(member: &mut V1Client, reason: &str, after: &str) {
    member.publish("on we go").await;
    let frame = member.receive_any(&["gap", "message"], PATIENCE).await;
    assert_eq!(frame, json!({ "type": "gap", "room": "lobby", "reason": reason, "after": after }));
    assert_eq!(member.receive_until("on we go").await.len(), 1);
    let ack = member.publish("and on").await;
    assert_eq!(member.receive().await["id"], ack["id"]);
}

#[tokio::test]
async fn a_log_lost_under_members_is_a_gap() {
    for command in [vec!["FLUSHALL"], vec!["DEL", LOG]] {
        let redis = Redis::start().await;
        let nodes = Node::several::<2>(&redis).await;
        let mut ann = V1Client::join(&nodes[0], "lobby").await;
        let mut bob = V1Client::join(&nodes[1], "lobby").await;
        let last = id_of(&ann.publish("before").await);
        for member in [&mut ann, &mut bob] {
            assert_eq!(member.receive().await["id"], last);
        }
        redis.query::<redis::Value>(&command).await;
        goes_on_after_a_gap(&mut ann, "rewritten", &last).await;
        let gap = bob.receive_any(&["gap", "message"], PATIENCE).await;
        assert_eq!(
            (&gap["type"], &gap["reason"]),
            (&json!("gap"), &json!("rewritten")),
            "{command:?}: {gap}"
        );
        assert_eq!(texts_of(&bob.receive_until("and on").await), ["on we go", "and on"]);
        for node in &nodes {
            assert_eq!(metric(node, "parlor_gaps_total{reason=\"rewritten\"}").await, 1, "{command:?}");
        }
        let late = Handshake::to_room("lobby").since(&last).connect(&nodes[1]).await;
        assert_eq!(late.welcome["recovered"], false, "{}", late.welcome);
        assert!(late.welcome["reason"].is_string(), "{}", late.welcome);
    }
}

#[tokio::test]
async fn a_redis_that_lost_its_data_is_a_gap() {
    let mut redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = V1Client::join(&node, "lobby").await;
    let last = id_of(&ann.publish("before").await);
    ann.receive().await;
    redis.kill();
    wait_for_readiness(&node, 503).await;
    redis.restart().await;
    wait_for_readiness(&node, 200).await;
    goes_on_after_a_gap(&mut ann, "rewritten", &last).await;
}

#[tokio::test]
async fn messages_trimmed_during_an_outage_are_a_gap() {
    let (redis, proxy, near, far) = through_a_tunnel(&[]).await;
    let mut sender = V1Client::join(&near, "lobby").await;
    let mut reader = V1Client::join(&far, "lobby").await;
    let last = id_of(&sender.publish("before").await);
    assert_eq!(reader.receive().await["text"], "before");
    proxy.cut();
    for n in 0..300 {
        sender.publish(&n.to_string()).await;
    }
    redis.query::<i64>(&["XTRIM", LOG, "MAXLEN", "=", "100"]).await;
    proxy.open();
    let gap = reader.receive_any(&["gap", "message"], PATIENCE).await;
    assert_eq!(gap, json!({ "type": "gap", "room": "lobby", "reason": "trimmed", "after": last }));
    let received = each_once(reader.receive_until("299").await);
    assert_eq!(texts_of(&received), (200..300).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_chain(&received);
    wait_for_metric(&far, "parlor_gaps_total{reason=\"trimmed\"}", 1).await;
}

#[tokio::test]
async fn a_disconnected_node_is_not_ready_and_resubscribes() {
    let (_redis, proxy, near, far) = through_a_tunnel(&[]).await;
    let mut sender = V1Client::join(&near, "lobby").await;
    let mut reader = V1Client::join(&far, "lobby").await;
    sender.publish("before").await;
    assert_eq!(reader.receive().await["text"], "before");
    proxy.mute_subscribers();
    for n in 0..50 {
        sender.publish(&n.to_string()).await;
    }
    let reported = wait_for_readiness(&far, 503).await;
    assert!(!reported.is_empty(), "/readyz says why");
    far.log()
        .wait_for("a line about it", PATIENCE, |line| line.contains("WARN") || line.contains("ERROR"))
        .await;
    wait_for_readiness(&near, 200).await;
    proxy.open();
    wait_for_readiness(&far, 200).await;
    let received = each_once(reader.receive_until("49").await);
    assert_eq!(texts_of(&received), (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
    sender.publish("after").await;
    assert_eq!(reader.receive().await["text"], "after");
}

#[tokio::test]
async fn a_silent_subscribing_connection_is_replaced() {
    let (_redis, proxy, near, far) = through_a_tunnel(&[]).await;
    let mut sender = V1Client::join(&near, "lobby").await;
    let mut reader = V1Client::join(&far, "lobby").await;
    // Long enough for a byte to be lost: the old connection stays mute, a new one works.
    proxy.mute_subscribers();
    sender.publish("lost on the way").await;
    sleep(seconds(1)).await;
    proxy.open();
    let message = reader.receive_any(&["message", "gap"], seconds(30)).await;
    assert_eq!(message["text"], "lost on the way", "{message}");
    sender.publish("after").await;
    assert_eq!(each_once(reader.receive_until("after").await).len(), 1);
    wait_for_readiness(&far, 200).await;
}
