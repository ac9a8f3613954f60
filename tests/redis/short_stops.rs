//! Short stops: a subscription that is replaced at once, and a node that stands still for a moment.
//! Clients notice a delay, and no error.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::support::node::Node;
use crate::support::process::Signal;
use crate::support::redis::Redis;
use crate::support::redis_proxy::RedisProxy;
use crate::support::v1_client::{V1Client, fresh_id};
use crate::support::wait::{PATIENCE, holds, until};

/// Longer than Redis may take for an answer, shorter than its probe may.
const STOP: Duration = Duration::from_millis(1300);

#[tokio::test]
async fn a_client_joins_while_a_lost_subscription_is_replaced() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut member = V1Client::join(&node, "lobby").await;
    for round in 0..20 {
        let killed: i64 = redis.query(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        assert_eq!(killed, 1, "the subscription of round {round}");
        let mut joined = V1Client::join(&node, "lobby").await;
        let text = format!("round {round}");
        joined.publish_until_acked(&fresh_id(), &text, PATIENCE).await;
        assert_eq!(member.receive().await["text"], text);
        assert_eq!(joined.receive().await["text"], text);
    }
}

#[tokio::test]
async fn a_message_that_redis_took_while_its_node_stood_still_is_acked() {
    let redis = Redis::start().await;
    let proxy = RedisProxy::start(&redis).await;
    let mut node = Node::plan().flag("--redis-url", &proxy.url()).start().await;
    let mut member = V1Client::join(&node, "lobby").await;
    for round in 1..=5 {
        // The node may take an answer for new that came while it stood still: what it knows of
        // Redis' time is old then. With the answer to this it is right again.
        member.publish("hi").await;
        proxy.hold_from("while it stands");
        let id = fresh_id();
        member.send_json(&json!({ "type": "message", "message": "while it stands", "id": id })).await;
        proxy.wait_until_held().await;
        node.signal(Signal::SIGSTOP);
        proxy.open();
        until(PATIENCE, "the message in the log", async || {
            let length: i64 = redis.query(&["XLEN", "parlor:log:{chat_lobby}"]).await;
            holds(length == 2 * round, || length.to_string())
        })
        .await;
        sleep(STOP).await;
        node.signal(Signal::SIGCONT);
        let reply = member.reply().await;
        assert_eq!((&reply["type"], &reply["client_id"]), (&json!("ack"), &json!(id)), "{round}: {reply}");
    }
}
