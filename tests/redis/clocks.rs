//! A clock of Redis or of a node is wrong: nothing is refused as late, lost, or delivered late.

use futures_util::future::join_all;
use jiff::Timestamp;

use crate::push::streams::ask;
use crate::support::handshake::Handshake;
use crate::support::metrics::metric;
use crate::support::node::Node;
use crate::support::process::Signal;
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::v1_client::{V1Client, assert_chain, fresh_id, id_of, texts_of};
use crate::support::wait::{PATIENCE, holds, until};

const HOUR: i64 = 3600;
/// What a node may take to learn Redis' clock and to repair what came before that.
const STEP_READS: i64 = 4;

/// Waits until the node has asked Redis for its time after this call.
async fn wait_until_time_is_learned(node: &Node) {
    const PROBES: &str = "parlor_subscription_lag_seconds_count";
    let before = metric(node, PROBES).await;
    until(PATIENCE, "two probes of Redis", async || {
        let now = metric(node, PROBES).await;
        holds(now >= before + 2, || format!("{before}, then {now}"))
    })
    .await;
}

async fn reads_of_logs(nodes: &[Node]) -> i64 {
    join_all(nodes.iter().map(|node| metric(node, "parlor_log_reads_total"))).await.into_iter().sum()
}

#[tokio::test]
async fn a_clock_of_redis_that_is_set_neither_delays_nor_repeats_messages() {
    let redis = Redis::with_own_clock(&[]).await;
    let nodes = Node::several::<2>(&redis).await;
    let mut ann = V1Client::join(&nodes[0], "lobby").await;
    let mut bob = V1Client::join(&nodes[1], "lobby").await;
    let mut page = TutorialClient::push(&nodes[1], "lobby").await;
    ask(&nodes[0], "POST", "lobby").await;
    page.receive().await;
    let mut first = String::new();
    for hours in [2, 0, -2, 2, -2] {
        let before = reads_of_logs(&nodes).await;
        redis.step_clock(hours * HOUR);
        for n in 0..50 {
            let text = format!("{n} at {hours} h");
            // An error fails this: the message must not be late by any clock.
            let (by_ann, by_bob) = (ann.publish(&text).await, bob.publish(&text).await);
            for client in [&mut ann, &mut bob] {
                let received = [client.receive().await, client.receive().await];
                assert_eq!(texts_of(&received), [text.as_str(); 2]);
                let ids = received.each_ref().map(id_of);
                assert_eq!(ids, [&by_ann, &by_bob].map(id_of), "in order, each once");
            }
            if first.is_empty() {
                first = id_of(&by_ann);
            }
        }
        let reads = reads_of_logs(&nodes).await - before;
        assert!(reads <= STEP_READS, "{reads} pages read for 100 messages at {hours} h");
        page.receive().await;
    }
    // Nor is a message that comes minutes after another taken for one of a time that has not come.
    for minutes in [122, 124] {
        redis.step_clock(minutes * 60);
        join_all(nodes.iter().map(wait_until_time_is_learned)).await;
        let before = reads_of_logs(&nodes).await;
        ann.publish("later").await;
        for client in [&mut ann, &mut bob] {
            assert_eq!(texts_of(&[client.receive().await]), ["later"]);
        }
        assert_eq!(reads_of_logs(&nodes).await, before);
    }
    // A client that returns reads on, over ids of all those times.
    let mut back = Handshake::to_room("lobby").since(&first).connect(&nodes[1]).await;
    assert_eq!(back.welcome["recovered"], true, "{}", back.welcome);
    let messages = back.receive_history().await;
    assert_eq!(messages.len(), 501, "all but the first");
    assert_chain(&messages);
}

#[tokio::test]
async fn a_refused_message_is_not_delivered_later_after_the_clock_was_set() {
    let mut redis = Redis::with_own_clock(&[]).await;
    let node = Node::on(&redis).await;
    let mut ann = V1Client::join(&node, "lobby").await;
    let mut bob = V1Client::join(&node, "lobby").await;
    for hours in [2, -2] {
        redis.step_clock(hours * HOUR);
        ann.publish("before").await;
        assert_eq!(texts_of(&[bob.receive().await]), ["before"]);
        wait_until_time_is_learned(&node).await;
        let mut plain = TutorialClient::chat(&node, "lobby").await;
        redis.signal(Signal::SIGSTOP);
        let id = fresh_id();
        plain.publish("frozen").await;
        let refusal = ann.try_publish(&id, "frozen with an id").await;
        assert_eq!(refusal["code"], "unavailable", "{refusal}");
        assert_eq!(plain.receive_until_closed().await, 1013);
        redis.signal(Signal::SIGCONT);
        // Redis has processed all of its buffers when it answers this.
        redis.query::<String>(&["PING"]).await;
        ann.publish_until_acked(&id, "sent again", PATIENCE).await;
        assert_eq!(texts_of(&[bob.receive().await]), ["sent again"], "at {hours} h");
    }
}

#[tokio::test]
async fn a_node_whose_clock_is_wrong_serves_like_the_others() {
    let mut redis = Redis::start().await;
    let ahead = Node::plan().redis(&redis).clock_off_by(HOUR).start().await;
    let behind = Node::plan().redis(&redis).clock_off_by(-HOUR).start().await;
    let nodes = [Node::on(&redis).await, ahead, behind];
    for (node, seconds) in nodes.iter().zip([0, HOUR, -HOUR]) {
        let line = node.log().wait_for("starting", PATIENCE, |line| line.contains("starting")).await;
        let at: Timestamp = line.split(' ').next().and_then(|at| at.parse().ok()).expect("a time");
        let off = at.as_second() - Timestamp::now().as_second();
        assert!((off - seconds).abs() < 60, "the clock is set: {line}");
    }
    let mut clients = join_all(nodes.iter().map(|node| V1Client::join(node, "lobby"))).await;
    let before = reads_of_logs(&nodes).await;
    for n in 0..30 {
        let text = n.to_string();
        clients[n % 3].publish(&text).await;
        for client in &mut clients {
            assert_eq!(texts_of(&[client.receive().await]), [text.as_str()]);
        }
    }
    let reads = reads_of_logs(&nodes).await - before;
    assert!(reads <= STEP_READS, "{reads} pages read for 30 messages");
    // Nor is a message of such a node delivered after its client was refused.
    redis.signal(Signal::SIGSTOP);
    for client in &mut clients {
        let refusal = client.try_publish(&fresh_id(), "frozen").await;
        assert_eq!(refusal["code"], "unavailable", "{refusal}");
    }
    redis.signal(Signal::SIGCONT);
    redis.query::<String>(&["PING"]).await;
    for n in 0..3 {
        let text = format!("thawed {n}");
        clients[n].publish_until_acked(&fresh_id(), &text, PATIENCE).await;
        for client in &mut clients {
            assert_eq!(texts_of(&[client.receive().await]), [text.as_str()]);
        }
    }
    // A returning client finds its position at each.
    let since = id_of(&clients[0].publish("last").await);
    for node in &nodes {
        let back = Handshake::to_room("lobby").since(&since).connect(node).await;
        assert_eq!(back.welcome["recovered"], true, "{}", back.welcome);
    }
}
