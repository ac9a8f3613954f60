//! Positions: what a client missed follows, or the client is informed.

use serde_json::{Value, json};

use crate::support::centrifugo::{CentrifugoClient, deployment, plan};
use crate::support::deployment::{LayerKind, on_every_layer};
use crate::support::process::Signal;
use crate::support::redis::Redis;
use crate::support::wait::{PATIENCE, holds, until};

/// A request to subscribe again after a position.
fn recover(channel: &str, at: &Value, offset: u64) -> Value {
    json!({ "channel": channel, "recover": true, "epoch": at["epoch"], "offset": offset })
}

async fn what_was_missed_follows_once_and_in_order(layer: LayerKind) {
    let deployment = deployment(layer).await;
    let mut ann = CentrifugoClient::connect(deployment.first(), "ann").await;
    let mut bob = CentrifugoClient::connect(deployment.last(), "bob").await;
    let start = ann.subscribe("lobby").await;
    assert_eq!((start["offset"].as_u64(), start["recoverable"].as_bool()), (None, Some(true)), "{start}");
    bob.subscribe("lobby").await;
    bob.publish("lobby", &json!(1)).await;
    assert_eq!(ann.data("lobby", 1).await, [json!(1)]);
    ann.result("unsubscribe", &json!({ "channel": "lobby" })).await;
    for n in 2..=8 {
        bob.publish("lobby", &json!(n)).await;
    }
    // The epoch is that of the empty log, also for messages after it.
    for (offset, missed) in [(1, 7), (0, 8), (8, 0)] {
        let again = ann.result("subscribe", &recover("lobby", &start, offset)).await;
        assert_eq!((&again["recovered"], &again["was_recovering"]), (&json!(true), &json!(true)), "{again}");
        assert_eq!(again["offset"].as_u64().unwrap_or_default(), offset);
        let expected: Vec<Value> = (9 - missed..=8).map(Value::from).collect();
        assert_eq!(ann.data("lobby", usize::try_from(missed).unwrap()).await, expected);
        ann.result("unsubscribe", &json!({ "channel": "lobby" })).await;
    }
    ann.subscribe("lobby").await;
    bob.publish("lobby", &json!(9)).await;
    assert_eq!(ann.push("lobby", "pub").await["offset"], 9);
}

async fn a_position_that_is_lost_is_said_to_be(layer: LayerKind) {
    let deployment = deployment(layer).await;
    let mut ann = CentrifugoClient::connect(deployment.first(), "ann").await;
    let channel = "smallhistory:lobby";
    let start = ann.subscribe(channel).await;
    for n in 1..=4 {
        ann.publish(channel, &json!(n)).await;
    }
    ann.data(channel, 4).await;
    ann.result("unsubscribe", &json!({ "channel": channel })).await;
    let other = json!({ "epoch": "0123456789abcdef" });
    for (request, recovered) in [
        (recover(channel, &start, 2), true),
        (recover(channel, &start, 1), false),
        (recover(channel, &start, 9), false),
        (recover(channel, &other, 3), false),
        (recover(channel, &json!({ "epoch": "no epoch" }), 3), false),
        (recover(channel, &json!({ "epoch": "" }), 3), true),
    ] {
        let again = ann.result("subscribe", &request).await;
        assert_eq!(again["recovered"].as_bool().unwrap_or_default(), recovered, "{request}: {again}");
        if !recovered {
            assert_eq!((&again["offset"], &again["epoch"]), (&json!(4), &start["epoch"]), "{again}");
        }
        ann.result("unsubscribe", &json!({ "channel": channel })).await;
        let mut strict = request.clone();
        strict["flag"] = json!(2);
        if recovered {
            ann.result("subscribe", &strict).await;
            ann.result("unsubscribe", &json!({ "channel": channel })).await;
        } else {
            assert_eq!(ann.error("subscribe", &strict).await, 112, "{strict}");
        }
    }
    ann.subscribe(channel).await;
}

async fn history_is_read_by_offset_in_both_directions(layer: LayerKind) {
    let deployment = deployment(layer).await;
    let mut ann = CentrifugoClient::connect(deployment.last(), "ann").await;
    let start = ann.subscribe("lobby").await;
    for n in 1..=5 {
        ann.publish("lobby", &json!(n)).await;
    }
    let at = |offset: u64| json!({ "offset": offset, "epoch": start["epoch"] });
    for (request, expected) in [
        (json!({ "limit": 0 }), vec![]),
        (json!({ "limit": -1 }), vec![1, 2, 3, 4, 5]),
        (json!({ "limit": 2 }), vec![1, 2]),
        (json!({ "limit": 2, "reverse": true }), vec![5, 4]),
        (json!({ "limit": 2, "since": at(2) }), vec![3, 4]),
        (json!({ "limit": 9, "since": at(5) }), vec![]),
        (json!({ "limit": 9, "since": at(3), "reverse": true }), vec![2, 1]),
    ] {
        let mut asked = request.clone();
        asked["channel"] = json!("lobby");
        let history = ann.result("history", &asked).await;
        assert_eq!((&history["offset"], &history["epoch"]), (&json!(5), &start["epoch"]), "{history}");
        let data: Vec<i64> = history["publications"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|each| each["data"].as_i64().unwrap())
            .collect();
        assert_eq!(data, expected, "{request}");
    }
    let foreign = json!({ "channel": "lobby", "limit": 1, "since": { "offset": 1, "epoch": "f" } });
    assert_eq!(ann.error("history", &foreign).await, 112);
    ann.subscribe("smallhistory:hall").await;
    for n in 1..=4 {
        ann.publish("smallhistory:hall", &json!(n)).await;
    }
    let history = ann.result("history", &json!({ "channel": "smallhistory:hall", "limit": 9 })).await;
    let offsets: Vec<_> =
        history["publications"].as_array().unwrap().iter().map(|each| &each["offset"]).collect();
    assert_eq!(offsets, [3, 4]);
}

on_every_layer! {
    what_was_missed_follows_once_and_in_order
    a_position_that_is_lost_is_said_to_be
    history_is_read_by_offset_in_both_directions
}

#[tokio::test]
async fn a_client_of_a_killed_node_goes_on_at_another() {
    let redis = Redis::start().await;
    let plan = plan().redis(&redis);
    let (mut first, second) = (plan.start().await, plan.start().await);
    let mut ann = CentrifugoClient::connect(&first, "ann").await;
    let mut bob = CentrifugoClient::connect(&second, "bob").await;
    let start = ann.subscribe("lobby").await;
    bob.subscribe("lobby").await;
    bob.publish("lobby", &json!(1)).await;
    assert_eq!(ann.data("lobby", 1).await, [json!(1)]);
    first.kill();
    for n in 2..=4 {
        bob.publish("lobby", &json!(n)).await;
    }
    let mut ann = CentrifugoClient::connect(&second, "ann").await;
    let again = ann.result("subscribe", &recover("lobby", &start, 1)).await;
    assert_eq!(again["recovered"], true, "{again}");
    assert_eq!(ann.data("lobby", 3).await, [json!(2), json!(3), json!(4)]);
}

#[tokio::test]
async fn a_log_that_is_lost_ends_subscriptions_that_are_resumed_elsewhere() {
    let redis = Redis::start().await;
    let node = plan().redis(&redis).start().await;
    let mut ann = CentrifugoClient::connect(&node, "ann").await;
    let start = ann.subscribe("lobby").await;
    ann.publish("lobby", &json!(1)).await;
    ann.data("lobby", 1).await;
    redis.query::<String>(&["FLUSHALL"]).await;
    ann.publish("lobby", &json!(2)).await;
    let ended = ann.push("lobby", "unsubscribe").await;
    assert_eq!(ended["code"], 2500, "{ended}");
    let again = ann.result("subscribe", &recover("lobby", &start, 1)).await;
    assert_eq!(again["recovered"].as_bool(), None, "{again}");
    assert_ne!(again["epoch"], start["epoch"]);
    ann.publish("lobby", &json!(3)).await;
    assert_eq!(ann.push("lobby", "pub").await["data"], 3);
}

#[tokio::test]
async fn nothing_precedes_a_message_that_was_trimmed() {
    let redis = Redis::start().await;
    let plan = plan().redis(&redis);
    let nodes = [plan.start().await, plan.start().await];
    let mut ann = CentrifugoClient::connect(&nodes[0], "ann").await;
    let start = ann.subscribe("lobby").await;
    for n in 1..=5 {
        ann.publish("lobby", &json!(n)).await;
    }
    assert_eq!(redis.query::<i64>(&["XTRIM", "parlor:log:{chat_lobby}", "MAXLEN", "2"]).await, 3);
    // This node has cached nothing.
    let mut bob = CentrifugoClient::connect(&nodes[1], "bob").await;
    bob.subscribe("lobby").await;
    for (offset, expected) in [(2, vec![]), (3, vec![]), (5, vec![4])] {
        let since = json!({ "offset": offset, "epoch": start["epoch"] });
        let request = json!({ "channel": "lobby", "limit": 9, "reverse": true, "since": since });
        let history = bob.result("history", &request).await;
        let publications = history["publications"].as_array().cloned().unwrap_or_default();
        let offsets: Vec<_> = publications.iter().map(|each| each["offset"].as_i64().unwrap()).collect();
        assert_eq!(offsets, expected, "{offset}");
    }
}

#[tokio::test]
async fn a_join_is_answered_though_its_log_cannot_be_read() {
    let mut redis = Redis::start().await;
    let node = plan().redis(&redis).start().await;
    let mut bob = CentrifugoClient::connect(&node, "bob").await;
    bob.subscribe("lobby").await;
    let mut ann = CentrifugoClient::connect(&node, "ann").await;
    ann.publish("#ann", &json!("its own channel is read")).await;
    ann.data("#ann", 1).await;
    redis.signal(Signal::SIGSTOP);
    assert_eq!(ann.error("subscribe", &json!({ "channel": "lobby" })).await, 100);
    redis.signal(Signal::SIGCONT);
    until(PATIENCE, "the channel to be joined", async || {
        let reply = ann.call("subscribe", &json!({ "channel": "lobby" })).await;
        holds(reply["subscribe"].is_object(), || reply.to_string())
    })
    .await;
}

#[tokio::test]
async fn a_client_whose_own_channel_may_lack_messages_connects_again() {
    let redis = Redis::start().await;
    let node = plan().redis(&redis).start().await;
    let mut ann = CentrifugoClient::connect(&node, "ann").await;
    ann.publish("#ann", &json!(1)).await;
    ann.data("#ann", 1).await;
    for key in redis.keys("parlor:log:*").await {
        redis.query::<i64>(&["DEL", &key]).await;
    }
    ann.send(&json!({ "id": 9, "publish": { "channel": "#ann", "data": 2 } }).to_string()).await;
    assert_eq!(ann.closed().await, (3001, "shutdown".to_owned()));
    let mut again = CentrifugoClient::connect(&node, "ann").await;
    again.publish("#ann", &json!(3)).await;
    assert_eq!(again.data("#ann", 1).await, [json!(3)]);
}

#[tokio::test]
async fn a_client_with_a_token_connects_again_after_redis_has_lost_its_data() {
    let redis = Redis::start().await;
    let node = plan().redis(&redis).start().await;
    let mut ann = CentrifugoClient::connect(&node, "ann").await;
    redis.query::<String>(&["FLUSHALL"]).await;
    redis.query::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    assert_eq!(ann.closed().await, (3001, "shutdown".to_owned()));
    CentrifugoClient::connect(&node, "ann").await.subscribe("lobby").await;
}
