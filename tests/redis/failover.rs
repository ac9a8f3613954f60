//! A Redis with replicas: nodes follow the master that Sentinels choose, and acks wait for a
//! replica.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cli::{key, operator};
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::process::Signal;
use crate::support::redis::Redis;
use crate::support::sentinel::SentinelCluster;
use crate::support::user::User;
use crate::support::v1_client::{V1Client, fresh_id, texts_of};
use crate::support::wait::{PATIENCE, holds, seconds, until};

/// Time to elect a new master.
const FAILOVER: Duration = Duration::from_secs(30);

/// The ids of the messages up to this text, and whether a gap came.
async fn received_until(member: &mut V1Client, last: &str) -> (Vec<Value>, bool) {
    let (mut ids, mut reported) = (Vec::new(), false);
    loop {
        let frame = member.receive_any(&["message", "gap"], seconds(30)).await;
        reported |= frame["type"] == "gap";
        if frame["type"] == "message" {
            ids.push(frame["id"].clone());
            if frame["text"] == last {
                return (ids, reported);
            }
        }
    }
}

/// The master goes down in this manner while clients send.
async fn survives(go_away: impl FnOnce(&mut SentinelCluster)) {
    let mut sentinels = SentinelCluster::start().await;
    let plan = Node::plan().flag("--redis-url", &sentinels.url());
    let (near, far) = (plan.start().await, plan.start().await);
    let mut sender = V1Client::join(&near, "lobby").await;
    let mut receivers = [V1Client::join(&near, "lobby").await, V1Client::join(&far, "lobby").await];
    let mut acked = Vec::new();
    for n in 0..50 {
        acked.push(
            sender.publish_until_acked(&fresh_id(), &format!("before {n}"), FAILOVER).await["id"].clone(),
        );
    }
    go_away(&mut sentinels);
    for n in 0..20 {
        acked.push(
            sender.publish_until_acked(&fresh_id(), &format!("meanwhile {n}"), FAILOVER).await["id"].clone(),
        );
    }
    sentinels.wait_for_failover().await;
    for n in 0..20 {
        acked.push(
            sender.publish_until_acked(&fresh_id(), &format!("after {n}"), FAILOVER).await["id"].clone(),
        );
    }
    acked.push(sender.publish_until_acked(&fresh_id(), "end", FAILOVER).await["id"].clone());
    for receiver in &mut receivers {
        let (ids, reported) = received_until(receiver, "end").await;
        let missing: Vec<_> = acked.iter().filter(|id| !ids.contains(id)).collect();
        assert!(missing.is_empty() || reported, "{missing:?} were acked and are missing without a gap");
    }
    let mut other = V1Client::join(&far, "kitchen").await;
    other.publish_until_acked(&fresh_id(), "new rooms work", FAILOVER).await;
    assert_eq!(other.receive().await["text"], "new rooms work");
    for node in [&near, &far] {
        until(PATIENCE, "/readyz to be 200", async || {
            let response = Request::get("/readyz").send(node).await;
            holds(response.status == 200, || format!("{response:?}"))
        })
        .await;
    }
}

#[tokio::test]
async fn nodes_follow_the_new_master_after_a_death() {
    survives(|sentinels| sentinels.first.kill()).await;
}

#[tokio::test]
async fn nodes_follow_the_new_master_after_a_freeze() {
    survives(|sentinels| sentinels.first.signal(Signal::SIGSTOP)).await;
}

#[tokio::test]
async fn an_ack_waits_for_a_replica_and_fails_without_one() {
    let master = Redis::start().await;
    let replica = master.replica_of().await;
    let node = Node::plan().redis(&master).flag("--wait-replicas", "1").start().await;
    let mut ann = V1Client::join(&node, "lobby").await;
    let mut bob = V1Client::join(&node, "lobby").await;
    ann.publish("with a replica").await;
    let kept: i64 = replica.query(&["XLEN", "parlor:log:{chat_lobby}"]).await;
    assert_eq!(kept, 1, "what is acked is on the replica");
    drop(replica);
    let id = fresh_id();
    for _ in 0..2 {
        let error = ann.try_publish(&id, "without").await;
        assert_eq!((&error["code"], &error["retry"]), (&json!("unavailable"), &json!(true)), "{error}");
    }
    let _replica = master.replica_of().await;
    let ack = until(PATIENCE, "an ack with the new replica", async || {
        let response = ann.try_publish(&id, "without").await;
        if response["type"] == "ack" { Ok(response) } else { Err(response.to_string()) }
    })
    .await;
    assert!(ack["id"].is_string(), "{ack}");
    ann.publish("end").await;
    assert_eq!(texts_of(&bob.receive_until("end").await), ["with a replica", "without", "end"]);
}

#[tokio::test]
async fn decisions_and_records_wait_for_a_replica_too() {
    let master = Redis::start().await;
    let replica = master.replica_of().await;
    let node = Node::plan().redis(&master).flag("--wait-replicas", "1").start().await;
    let mut ann = operator(&node, &master, "ann").await;
    let mut bob = User::registered(&node, "bob").await;
    let id = bob.join(&node, "lobby").await.user().to_owned();
    assert_eq!(ann.post(&node, "/rooms/", &[("room", "plans")]).await.status, 303);
    key(&master, "billing", "publish").await;
    let page = ann.post(&node, "/chat/plans/members/", &[("action", "link")]).await;
    let link = page.body.split("invite&#x2f;").nth(1).and_then(|rest| rest.split("&#x2f;").next());
    let link = format!("/invite/{}/", link.expect("a link"));
    let ban = [("action", "ban"), ("user", &*id)];
    let decisions = [
        ("/admin/users/", &ban[..]),
        ("/admin/keys/", &[("action", "revoke"), ("name", "billing")]),
        ("/admin/rooms/lobby/", &[("action", "close")]),
        ("/chat/plans/members/", &[("action", "remove"), ("name", "bob")]),
    ];
    drop(replica);
    // A call that is answered 503 may have been carried out.
    let sign_up = User::anonymous().sign_up(&node, "carol").await.status;
    assert_eq!((sign_up, bob.post(&node, &link, &[]).await.status), (503, 503));
    for (path, fields) in decisions {
        assert_eq!(ann.post(&node, path, fields).await.status, 503, "{path} {fields:?}");
    }
    let replica = master.replica_of().await;
    assert_eq!(ann.post(&node, "/admin/users/", &ban).await.status, 303);
    let length: i64 = replica.query(&["XLEN", "parlor:{control}:log"]).await;
    assert!(length > 0, "a decision that is made is on the replica");
}
