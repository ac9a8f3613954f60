//! The message rate of a socket: over it, `parlor.v1` answers `rate`, then the socket is closed
//! with 4429.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::connection::Connection;
use crate::support::event_stream::messages;
use crate::support::frame::{CONTINUATION, Frame, PING, PONG, TEXT};
use crate::support::handshake::guest_cookie;
use crate::support::http::Request;
use crate::support::metrics::{metric, wait_for_metric};
use crate::support::node::{Node, Plan};
use crate::support::tutorial_client::TutorialClient;
use crate::support::user::{CSRF, SESSION, User};
use crate::support::v1_client::{V1Client, fresh_id};
use crate::support::wait::{PATIENCE, seconds};

/// Five messages a second, and twenty at once.
fn slow() -> Plan {
    Node::plan().flag("--messages-per-second", "5")
}

/// The most that pass since then.
fn allowed(begun: Instant) -> usize {
    let seconds = usize::try_from(begun.elapsed().as_secs()).expect("a short time");
    20 + 5 * (seconds + 1)
}

async fn say_all(member: &mut V1Client, ids: &[String]) {
    for id in ids {
        member.send_json(&json!({ "message": "again", "id": id })).await;
    }
}

#[tokio::test]
async fn a_flood_closes_only_the_senders_tutorial_socket() {
    let node = slow().start().await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    let mut flooding = TutorialClient::chat(&node, "kitchen").await;
    for _ in 0..30 {
        flooding.publish("again").await;
    }
    assert_eq!(flooding.receive_until_closed().await, 4429);
    let sent = metric(&node, "parlor_acked_total").await;
    assert!((20..28).contains(&sent), "{sent} of 30 passed, twenty at once are allowed");
    ann.publish("unharmed").await;
    assert_eq!(ann.receive_chat().await, "unharmed");
    wait_for_metric(&node, "parlor_closed_total{code=\"4429\"}", 1).await;
    assert!(metric(&node, "parlor_refused_total{reason=\"messages\"}").await >= 1);
}

#[tokio::test]
async fn each_message_over_the_rate_is_rejected_and_can_be_resent() {
    let node = slow().start().await;
    let mut ann = V1Client::join(&node, "lobby").await;
    let mut bob = V1Client::join(&node, "lobby").await;
    let ids: Vec<String> = (0..30).map(|_| fresh_id()).collect();
    say_all(&mut ann, &ids).await;
    let mut late = Vec::new();
    for id in &ids {
        let response = ann.reply().await;
        assert_eq!(response["client_id"], **id, "answers come in order: {response}");
        if response["type"] == "error" {
            assert_eq!((&response["code"], &response["retry"]), (&json!("rate"), &json!(true)), "{response}");
            late.push(id.clone());
        }
    }
    assert!((3..=10).contains(&late.len()), "{} of 30 were too fast", late.len());
    for id in late {
        let begun = Instant::now();
        loop {
            let response = ann.try_publish(&id, "again").await;
            if response["type"] == "ack" {
                assert_eq!(response["duplicate"], false, "what was refused was not logged: {response}");
                break;
            }
            assert!(begun.elapsed() < seconds(5), "{response}");
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
    assert_eq!(bob.receive_texts(30).await, vec!["again"; 30]);
}

#[tokio::test]
async fn an_inbox_over_the_rate_is_warned_before_it_is_closed() {
    let node = slow().start().await;
    let ann = User::registered(&node, "ann").await;
    let mut hers: V1Client = ann.handshake_at("/ws/inbox/").connect(&node).await;
    for _ in 0..200 {
        if !hers.try_send_json(&json!({ "message": "hi" })).await {
            break;
        }
    }
    hers.expect_error("unknown_type").await;
    let error = hers.receive_any(&["error"], PATIENCE).await;
    let mut codes = vec![error["code"].clone()];
    while codes.last() == Some(&json!("unknown_type")) {
        codes.push(hers.receive_any(&["error"], PATIENCE).await["code"].clone());
    }
    assert_eq!(codes.last(), Some(&json!("rate")), "{codes:?}");
    assert_eq!(hers.closed(PATIENCE).await.0, 4429);
}

#[tokio::test]
async fn posted_messages_have_the_rate_limit_of_sockets() {
    let node = slow().start().await;
    let begun = Instant::now();
    let post = async |n: u64| {
        // A new guest each time: the limit is per address.
        let request = messages("lobby").body(json!({ "message": n.to_string() }).to_string());
        let own = format!("http://{}", node.address());
        let response = request.header("Origin", &own).header("Cookie", &guest_cookie(n)).send(&node).await;
        if response.status == 429 {
            assert_eq!(response.header("retry-after"), Some("1"), "{response:?}");
        }
        response.status
    };
    assert_eq!(post(0).await, 200);
    let statuses = join_all((1..60).map(post)).await;
    let passed = 1 + statuses.iter().filter(|status| **status == 200).count();
    assert!((20..=allowed(begun)).contains(&passed), "{passed} of 60 passed: {statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    assert!(metric(&node, "parlor_refused_total{reason=\"messages\"}").await >= 1);
    let mut ann = V1Client::join(&node, "lobby").await;
    ann.publish("by a socket").await;
}

#[tokio::test]
async fn push_starts_and_tickets_are_rate_limited_like_messages() {
    let node = slow().start().await;
    let begun = Instant::now();
    let statuses = join_all((0..60).map(async |n| {
        // Each is a stream of its own, which the nodes would keep for a minute.
        Request::post(&format!("/push?room=room-{n}")).send(&node).await.status
    }))
    .await;
    let passed = statuses.iter().filter(|status| **status == 200).count();
    assert!((20..=allowed(begun)).contains(&passed), "{passed} of 60 passed: {statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    let mut ann = User::registered(&node, "ann").await;
    let token = ann.token(&node).await;
    let begun = Instant::now();
    let statuses = join_all((0..60).map(async |_| {
        let request = Request::post("/api/tickets").header("Origin", &format!("http://{}", node.address()));
        let request = ann.with_cookies(request.header("X-CSRFToken", &token).body(""));
        request.send(&node).await.status
    }))
    .await;
    let passed = statuses.iter().filter(|status| **status == 201).count();
    assert!((20..=allowed(begun)).contains(&passed), "{passed} of 60 passed: {statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[tokio::test]
async fn log_outs_are_rate_limited_like_messages() {
    let node = slow().start().await;
    let begun = Instant::now();
    // At once: a busy machine takes longer for one after another than the limit allows for.
    let statuses = join_all((0..60).map(async |n| {
        // A session that does not exist.
        let mut user = User::anonymous();
        user.set_cookie(SESSION, &format!("{n:0>43}"));
        user.set_cookie(CSRF, &"x".repeat(32));
        user.log_out(&node).await.status
    }))
    .await;
    let passed = statuses.iter().filter(|status| **status == 303).count();
    assert!((20..=allowed(begun)).contains(&passed), "{passed} of 60 passed: {statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[tokio::test]
async fn a_client_that_ignores_rate_errors_is_closed() {
    let node = slow().start().await;
    for path in ["/ws/chat/lobby/", "/ws/push/lobby"] {
        let mut ann = crate::support::handshake::Handshake::at(path).connect(&node).await;
        let ids: Vec<String> = (0..60).map(|_| fresh_id()).collect();
        say_all(&mut ann, &ids).await;
        assert_eq!(ann.closed(PATIENCE).await.0, 4429, "{path}");
        let reported = ann.take_unread().iter().filter(|frame| frame["code"] == "rate").count();
        assert!((20..40).contains(&reported), "{path}: {reported} errors");
    }
}

#[tokio::test]
async fn bytes_are_rate_limited_as_well_as_messages() {
    // A thousand bytes a second. The burst is two messages of the largest size, and a frame may
    // have four times the size of its text.
    let node =
        Node::plan().flag("--bytes-per-second", "1000").flag("--max-message-bytes", "1000").start().await;
    let mut ann = V1Client::join(&node, "lobby").await;
    let sent = |id: String| json!({ "message": "x".repeat(900), "id": id });
    let mut responses: Vec<Value> = Vec::new();
    for _ in 0..12 {
        ann.send_json(&sent(fresh_id())).await;
        responses.push(ann.reply().await);
    }
    let passed = responses.iter().filter(|response| response["type"] == "ack").count();
    assert!((7..=10).contains(&passed), "{passed} of 12 passed: {responses:?}");
    assert!(responses[..7].iter().all(|response| response["type"] == "ack"), "{responses:?}");
    assert!(metric(&node, "parlor_refused_total{reason=\"bytes\"}").await >= 2);
}

#[tokio::test]
async fn pings_and_fragments_count_as_a_flood() {
    let node = slow().flag("--bytes-per-second", "10000").start().await;
    let [ping, response] = [PING, PONG].map(|kind| Frame::new(kind, "x").bytes());
    let fragment = Frame::new(CONTINUATION, "").unfinished().bytes();
    for (what, first, again) in [
        ("pings", ping.clone(), ping),
        ("pongs", response.clone(), response),
        ("fragments", Frame::new(TEXT, "{").unfinished().bytes(), fragment),
    ] {
        let mut connection = Connection::websocket(&node, "/ws/chat/lobby/").await;
        connection.send(&first).await;
        let again = again.repeat(1000);
        let flooded = async { while connection.try_send(&again).await.is_ok() {} };
        // Until the node has closed it, which then reads no more.
        let _ = tokio::time::timeout(seconds(10), flooded).await;
        wait_for_metric(&node, "parlor_sockets", 0).await;
        assert!(metric(&node, "parlor_closed_total{code=\"4429\"}").await >= 1, "{what}");
    }
    wait_for_metric(&node, "parlor_closed_total{code=\"4429\"}", 3).await;
}

#[tokio::test]
async fn a_client_within_the_rate_is_never_rejected() {
    let node = slow().start().await;
    let mut ann = V1Client::join(&node, "lobby").await;
    let begun = Instant::now();
    for n in 0..40 {
        // The first twenty at once, then a little slower than five a second.
        if n >= 20 {
            tokio::time::sleep(Duration::from_millis(205)).await;
        }
        ann.publish(&n.to_string()).await;
    }
    assert!(begun.elapsed() < seconds(20));
    assert_eq!(metric(&node, "parlor_refused_total{reason=\"messages\"}").await, 0);
}
