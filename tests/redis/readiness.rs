//! `/readyz` follows what Redis does and says, at once.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::cli::operator;
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::v1_client::{V1Client, fresh_id};
use crate::support::wait::{PATIENCE, holds, seconds, until};

/// Waits until `/readyz` has this status and contains these texts.
async fn wait_for_readiness(node: &Node, status: u16, texts: &[&str]) {
    until(PATIENCE, &format!("/readyz to be {status} with {texts:?}"), async || {
        let response = Request::get("/readyz").send(node).await;
        let fits = response.status == status && texts.iter().all(|text| response.body.contains(text));
        holds(fits, || format!("{response:?}"))
    })
    .await;
}

#[tokio::test]
async fn readiness_follows_refused_writes_in_redis_own_words() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let min_replicas = ["CONFIG", "SET", "min-replicas-to-write"];
    let refusals: [(&str, [&[&str]; 2]); 3] = [
        ("OOM", [&["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"]]),
        ("NOREPLICAS", [&[&min_replicas[..], &["1"]].concat(), &[&min_replicas[..], &["0"]].concat()]),
        ("READONLY", [&["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"]]),
    ];
    for (words, [begin, end]) in refusals {
        redis.query::<String>(begin).await;
        // No client writes: the node's own writes show it.
        wait_for_readiness(&node, 503, &[words, "(for "]).await;
        redis.query::<String>(end).await;
        wait_for_readiness(&node, 200, &["ready (redis)"]).await;
    }
}

#[tokio::test]
async fn a_full_disk_makes_a_node_unready_until_redis_has_saved_again() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = V1Client::join(&node, "lobby").await;
    redis.query::<String>(&["CONFIG", "SET", "save", "3600 1000000"]).await;
    redis.fill_disk();
    // A child saves, and ends at its first write.
    redis.query::<String>(&["BGSAVE"]).await;
    wait_for_readiness(&node, 503, &["MISCONF", "(for "]).await;
    let id = fresh_id();
    let error = ann.try_publish(&id, "refused").await;
    assert_eq!((&error["code"], &error["retry"]), (&json!("unavailable"), &json!(true)), "{error}");
    redis.free_disk();
    redis.query::<String>(&["BGSAVE"]).await;
    wait_for_readiness(&node, 200, &["ready (redis)"]).await;
    ann.publish_until_acked(&id, "refused", PATIENCE).await;
}

#[tokio::test]
async fn a_command_that_the_acl_forbids_later_makes_the_node_unready() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = operator(&node, &redis, "ann").await;
    redis.query::<String>(&["ACL", "SETUSER", "default", "-getex"]).await;
    assert_eq!(ann.get(&node, "/admin/").await.status, 503);
    wait_for_readiness(&node, 503, &["NOPERM", "getex"]).await;
    let warned = |line: &str| line.contains("WARN") && line.contains("NOPERM") && line.contains("getex");
    node.log().wait_for("a warning in Redis' words", PATIENCE, warned).await;
}

#[tokio::test]
async fn each_different_cause_of_an_outage_is_logged_and_in_readyz() {
    let mut redis = Redis::reserve();
    let node = Node::plan().redis(&redis).switch("--wait-for-redis").start().await;
    wait_for_readiness(&node, 503, &["Connection refused", "(for "]).await;
    redis.restart().await;
    wait_for_readiness(&node, 200, &[]).await;
    // Its connections break, and the next ones meet a password.
    redis.query::<String>(&["CONFIG", "SET", "requirepass", "new"]).await;
    let url = redis.url().replace("redis://", "redis://:new@");
    let client = redis::Client::open(url).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
    for kind in ["pubsub", "normal"] {
        let mut kill = redis::cmd("CLIENT");
        kill.arg("KILL").arg("TYPE").arg(kind).arg("SKIPME").arg("yes");
        kill.exec_async(&mut connection).await.expect("CLIENT KILL");
    }
    wait_for_readiness(&node, 503, &["NOAUTH", "requires a password", "REDIS_URL"]).await;
    let logged = |line: &str| line.contains("WARN") && line.contains("NOAUTH");
    node.log().wait_for("the second cause", PATIENCE, logged).await;
    redis.kill();
    wait_for_readiness(&node, 503, &["Connection refused"]).await;
    let count = |text: &str| node.log().all().iter().filter(|line| line.contains(text)).count();
    until(PATIENCE, "each cause of each outage to be logged once", async || {
        let counts = (count("redis subscription lost; reconnecting"), count("for another reason"));
        holds(counts == (2, 2), || node.log().text())
    })
    .await;
}

#[tokio::test]
async fn a_node_is_ready_only_after_it_wrote() {
    let redis = Redis::start().await;
    redis.query::<String>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let node = Node::plan().redis(&redis).switch("--wait-for-redis").start().await;
    let begun = Instant::now();
    while begun.elapsed() < seconds(3) {
        assert_eq!(Request::get("/readyz").send(&node).await.status, 503);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    wait_for_readiness(&node, 503, &["OOM"]).await;
    redis.query::<String>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    wait_for_readiness(&node, 200, &[]).await;
}
