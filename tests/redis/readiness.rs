//! `/readyz` follows what Redis does and says, at once.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::cli::operator;
use crate::support::http::Request;
use crate::support::metrics::metric;
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

/// What Redis refuses.
struct Refusal {
    /// Redis' word for it, and the kind that is counted.
    word: &'static str,
    kind: &'static str,
    /// The exit code of a start.
    code: i32,
    /// The commands that begin and end it.
    begin: &'static [&'static str],
    end: &'static [&'static str],
}

const REFUSALS: [Refusal; 4] = [
    Refusal {
        word: "OOM",
        kind: "out_of_memory",
        code: 75,
        begin: &["CONFIG", "SET", "maxmemory", "1"],
        end: &["CONFIG", "SET", "maxmemory", "0"],
    },
    Refusal {
        word: "NOREPLICAS",
        kind: "no_replicas",
        code: 75,
        begin: &["CONFIG", "SET", "min-replicas-to-write", "1"],
        end: &["CONFIG", "SET", "min-replicas-to-write", "0"],
    },
    Refusal {
        word: "READONLY",
        kind: "read_only",
        code: 75,
        begin: &["REPLICAOF", "127.0.0.1", "1"],
        end: &["REPLICAOF", "NO", "ONE"],
    },
    Refusal {
        word: "NOPERM",
        kind: "not_permitted",
        code: 2,
        begin: &["ACL", "SETUSER", "default", "-hset"],
        end: &["ACL", "SETUSER", "default", "+@all"],
    },
];

#[tokio::test]
async fn what_redis_refuses_is_named_at_the_start_and_later_and_counted() {
    let redis = Redis::start().await;
    let plan = Node::plan().redis(&redis);
    let running = plan.start().await;
    for Refusal { word, kind, code, begin, end } in REFUSALS {
        redis.query::<String>(begin).await;
        let text = plan.ended_with(code).await;
        assert!(text.contains(word), "{text}");
        // No client writes: the nodes' own writes show it.
        let waiting = plan.clone().switch("--wait-for-redis").start().await;
        for node in [&running, &waiting] {
            wait_for_readiness(node, 503, &[word, "(for "]).await;
            let series = format!("parlor_redis_refusals_total{{kind=\"{kind}\"}}");
            assert!(metric(node, &series).await > 0, "{series}");
            let warned = |line: &str| line.contains("WARN") && line.contains(word);
            node.log().wait_for("a warning in Redis' words", PATIENCE, warned).await;
        }
        redis.query::<String>(end).await;
        // What an ACL refuses is known of one command, and believed for a while.
        if kind != "not_permitted" {
            for node in [&running, &waiting] {
                wait_for_readiness(node, 200, &["ready (redis)"]).await;
            }
        }
    }
}

#[tokio::test]
async fn a_redis_that_reads_its_data_is_waited_for_or_ends_a_start() {
    let settings = ["--key-load-delay", "3000", "--loading-process-events-interval-bytes", "1024"];
    let mut redis = Redis::with(&settings).await;
    redis.query::<String>(&["DEBUG", "POPULATE", "1000"]).await;
    redis.query::<String>(&["SAVE"]).await;
    redis.kill();
    redis.restart().await;
    let plan = Node::plan().redis(&redis);
    let text = plan.ended_with(75).await;
    assert!(text.contains("LOADING"), "{text}");
    let node = plan.switch("--wait-for-redis").start().await;
    wait_for_readiness(&node, 503, &["LOADING"]).await;
    assert!(metric(&node, "parlor_redis_refusals_total{kind=\"loading\"}").await > 0);
    wait_for_readiness(&node, 200, &[]).await;
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
