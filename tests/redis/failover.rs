//! A Redis with replicas: nodes follow the master that Sentinels choose, and acks wait for a
//! replica.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::process::Signal;
use crate::support::redis::Redis;
use crate::support::sentinel::SentinelCluster;
use crate::support::v1_client::{V1Client, fresh_id, texts_of};
use crate::support::wait::{PATIENCE, holds, seconds, until};

/// Time to elect a new master.
const FAILOVER: Duration = Duration::from_secs(30);

/// The ids of the messages up to this text, and whether a gap came.
async fn heard_until(member: &mut V1Client, last: &str) -> (Vec<Value>, bool) {
    let (mut ids, mut told) = (Vec::new(), false);
    loop {
        let frame = member.receive_any(&["message", "gap"], seconds(30)).await;
        told |= frame["type"] == "gap";
        if frame["type"] == "message" {
            ids.push(frame["id"].clone());
            if frame["text"] == last {
                return (ids, told);
            }
        }
    }
}

/// The master goes down in this manner while clients send.
async fn survives(go_away: impl FnOnce(&mut SentinelCluster)) {
    let mut guarded = SentinelCluster::start().await;
    let plan = Node::plan().flag("--redis-url", &guarded.url());
    let (near, far) = (plan.start().await, plan.start().await);
    let mut speaker = V1Client::join(&near, "lobby").await;
    let mut listeners = [V1Client::join(&near, "lobby").await, V1Client::join(&far, "lobby").await];
    let mut acked = Vec::new();
    for n in 0..50 {
        acked.push(
            speaker.publish_until_acked(&fresh_id(), &format!("before {n}"), FAILOVER).await["id"].clone(),
        );
    }
    go_away(&mut guarded);
    for n in 0..20 {
        acked.push(
            speaker.publish_until_acked(&fresh_id(), &format!("meanwhile {n}"), FAILOVER).await["id"].clone(),
        );
    }
    guarded.wait_for_failover().await;
    for n in 0..20 {
        acked.push(
            speaker.publish_until_acked(&fresh_id(), &format!("after {n}"), FAILOVER).await["id"].clone(),
        );
    }
    acked.push(speaker.publish_until_acked(&fresh_id(), "end", FAILOVER).await["id"].clone());
    for listener in &mut listeners {
        let (ids, told) = heard_until(listener, "end").await;
        let missing: Vec<_> = acked.iter().filter(|id| !ids.contains(id)).collect();
        assert!(missing.is_empty() || told, "{missing:?} were acked and are missing, and nobody said so");
    }
    let mut other = V1Client::join(&far, "kitchen").await;
    other.publish_until_acked(&fresh_id(), "new rooms work", FAILOVER).await;
    assert_eq!(other.receive().await["text"], "new rooms work");
    for node in [&near, &far] {
        until(PATIENCE, "/readyz to be 200", async || {
            let answer = Request::get("/readyz").send(node).await;
            holds(answer.status == 200, || format!("{answer:?}"))
        })
        .await;
    }
}

#[tokio::test]
async fn nodes_follow_the_new_master_after_a_death() {
    survives(|guarded| guarded.first.kill()).await;
}

#[tokio::test]
async fn nodes_follow_the_new_master_after_a_freeze() {
    survives(|guarded| guarded.first.signal(Signal::STOP)).await;
}

#[tokio::test]
async fn an_ack_waits_for_a_replica_and_fails_without_one() {
    let master = Redis::start().await;
    let replica = master.replica_of().await;
    let node = Node::plan().redis(&master).flag("--wait-replicas", "1").start().await;
    let mut ann = V1Client::join(&node, "lobby").await;
    let mut bob = V1Client::join(&node, "lobby").await;
    ann.publish("with a replica").await;
    let kept: i64 = replica.query(&["XLEN", "parlor:log:{asgi__group__chat_lobby}"]).await;
    assert_eq!(kept, 1, "what is acked is on the replica");
    drop(replica);
    let id = fresh_id();
    for _ in 0..2 {
        let error = ann.try_publish(&id, "without").await;
        assert_eq!((&error["code"], &error["retry"]), (&json!("unavailable"), &json!(true)), "{error}");
    }
    let _replica = master.replica_of().await;
    let ack = until(PATIENCE, "an ack with the new replica", async || {
        let answer = ann.try_publish(&id, "without").await;
        if answer["type"] == "ack" { Ok(answer) } else { Err(answer.to_string()) }
    })
    .await;
    assert!(ack["id"].is_string(), "{ack}");
    ann.publish("end").await;
    assert_eq!(texts_of(&bob.receive_until("end").await), ["with a replica", "without", "end"]);
}
