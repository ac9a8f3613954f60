//! A `parlor.v1` sender gets an error while Redis is away or frozen: nothing is queued, and the
//! same id can be resent.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;

use crate::support::event_stream::post;
use crate::support::handshake::Handshake;
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::process::Signal;
use crate::support::redis::Redis;
use crate::support::v1_client::{V1Client, fresh_id, id_of, text_of, texts_of};
use crate::support::wait::{PATIENCE, holds, seconds, until};

/// The server gives an append a second, and a busy machine takes its time.
const ERROR_LIMIT: Duration = seconds(6);

/// Publishes and gets an error in time.
async fn is_unavailable(member: &mut V1Client, id: &str, text: &str) {
    let sent = Instant::now();
    let error = member.try_publish(id, text).await;
    assert_eq!((&error["code"], &error["retry"]), (&json!("unavailable"), &json!(true)), "{error}");
    assert!(sent.elapsed() < ERROR_LIMIT, "the error came after {:?}", sent.elapsed());
}

#[tokio::test]
async fn a_sender_gets_an_error_in_time_and_can_resend() {
    let mut redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = V1Client::join(&node, "lobby").await;
    let mut bob = V1Client::join(&node, "lobby").await;
    redis.kill();
    let ids = [fresh_id(), fresh_id(), fresh_id()];
    for round in 0..3 {
        for (n, id) in ids.iter().enumerate() {
            is_unavailable(&mut ann, id, &format!("message {n}")).await;
        }
        assert!(round < 3, "the socket stays open");
    }
    redis.restart().await;
    for (n, id) in ids.iter().enumerate() {
        ann.publish_until_acked(id, &format!("message {n}"), PATIENCE).await;
    }
    ann.publish("end").await;
    assert_eq!(texts_of(&bob.receive_until("end").await), ["message 0", "message 1", "message 2", "end"]);
}

#[tokio::test]
async fn a_message_that_timed_out_is_never_delivered_later() {
    let mut redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = V1Client::join(&node, "lobby").await;
    let mut bob = V1Client::join(&node, "lobby").await;
    ann.publish("before").await;
    redis.signal(Signal::SIGSTOP);
    let frozen = Instant::now();
    let mut rejected = Vec::new();
    while frozen.elapsed() < seconds(3) {
        let id = fresh_id();
        is_unavailable(&mut ann, &id, &format!("frozen {id}")).await;
        rejected.push(id);
    }
    redis.signal(Signal::SIGCONT);
    // Redis has processed all of its buffers when it answers this.
    redis.query::<String>(&["PING"]).await;
    ann.publish_until_acked(&fresh_id(), "thawed", PATIENCE).await;
    let received = texts_of(&bob.receive_until("thawed").await);
    assert_eq!(received, ["before", "thawed"], "of {} refused messages", rejected.len());
    sleep(seconds(1)).await;
    for id in &rejected {
        ann.publish_until_acked(id, &format!("frozen {id}"), PATIENCE).await;
    }
    ann.publish("end").await;
    let wanted: Vec<String> =
        rejected.iter().map(|id| format!("frozen {id}")).chain(["end".to_owned()]).collect();
    assert_eq!(texts_of(&bob.receive_until("end").await), wanted, "each once, when it was sent again");
}

#[tokio::test]
async fn a_message_taken_by_a_frozen_redis_is_not_duplicated() {
    // Whether Redis took it and replied late or did not take it, the message is delivered once.
    let mut redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = V1Client::join(&node, "lobby").await;
    let mut bob = V1Client::join(&node, "lobby").await;
    for round in 0..5 {
        let (id, text) = (fresh_id(), format!("round {round}"));
        ann.send_json(&json!({ "message": text, "id": id })).await;
        redis.signal(Signal::SIGSTOP);
        sleep(Duration::from_millis(1500)).await;
        redis.signal(Signal::SIGCONT);
        ann.reply().await;
        ann.publish_until_acked(&id, &text, PATIENCE).await;
    }
    ann.publish("end").await;
    let wanted = ["round 0", "round 1", "round 2", "round 3", "round 4", "end"];
    assert_eq!(texts_of(&bob.receive_until("end").await), wanted);
}

#[tokio::test]
async fn a_post_during_an_outage_is_503() {
    let mut redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let body = json!({ "message": "hi", "id": "post-1" });
    redis.kill();
    let sent = Instant::now();
    let response = post(&node, "lobby", &body).await;
    assert!(sent.elapsed() < ERROR_LIMIT, "the error came after {:?}", sent.elapsed());
    assert_eq!((response.status, &response.json()["code"]), (503, &json!("unavailable")), "{response:?}");
    assert_eq!(response.json()["retry"], true);
    redis.restart().await;
    until(PATIENCE, "the POST to be taken", async || {
        let response = post(&node, "lobby", &body).await;
        holds(response.status == 200, || format!("{response:?}"))
    })
    .await;
}

#[tokio::test]
async fn history_fails_and_typing_is_dropped_during_an_outage() {
    let mut redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = V1Client::join(&node, "lobby").await;
    let id = id_of(&ann.publish("before").await);
    redis.kill();
    ann.send_json(&json!({ "type": "typing" })).await;
    ann.send_json(&json!({ "type": "history" })).await;
    let response = ann.receive_any(&["history", "error"], PATIENCE).await;
    // The node may still have the room's newest messages.
    if response["type"] == "history" {
        assert_eq!(text_of(&response["messages"][0]), "before");
    } else {
        assert_eq!(
            (&response["code"], &response["retry"]),
            (&json!("unavailable"), &json!(true)),
            "{response}"
        );
    }
    until(PATIENCE, "/readyz to be 503", async || {
        let response = Request::get("/readyz").send(&node).await;
        holds(response.status == 503, || format!("{response:?}"))
    })
    .await;
    let rejected = Handshake::to_room("lobby").since(&id).request().send(&node).await;
    assert_eq!(rejected.status, 503, "a socket whose history is unavailable is rejected");
    redis.restart().await;
    until(PATIENCE, "/readyz to be 200", async || {
        let response = Request::get("/readyz").send(&node).await;
        holds(response.status == 200, || format!("{response:?}"))
    })
    .await;
    ann.publish_until_acked(&fresh_id(), "after", PATIENCE).await;
    let received = ann.receive_any(&["message", "gap"], PATIENCE).await;
    assert_eq!(text_of(&received), "before");
}
