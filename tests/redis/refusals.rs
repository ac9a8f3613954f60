//! Redis refuses a command, or holds what the node did not write: each is named for what it is.

use serde_json::json;

use crate::support::event_stream::post;
use crate::support::handshake::Handshake;
use crate::support::http::Request;
use crate::support::metrics::metric;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::v1_client::{V1Client, fresh_id};
use crate::support::wait::{PATIENCE, holds, until};

/// The record of the room `lobby`.
const RECORD: &str = "parlor:record:room:{chat_lobby}";

/// Lines of the node's log that contain all of these.
fn lines(node: &Node, parts: &[&str]) -> Vec<String> {
    let lines = node.log().all().into_iter();
    lines.filter(|line| parts.iter().all(|part| line.contains(part))).collect()
}

#[tokio::test]
async fn a_corrupt_record_is_a_500_and_one_error_that_names_its_key() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let wrong_type: [&[&str]; 2] = [&["DEL", RECORD], &["RPUSH", RECORD, "xyzzy"]];
    let not_json: [&[&str]; 2] = [&["DEL", RECORD], &["SET", RECORD, "{\"owner\": \"xyzzy\"]"]];
    for (count, commands) in [(1, not_json), (2, wrong_type)] {
        for command in commands {
            redis.query::<redis::Value>(command).await;
        }
        let response = Request::get("/push?room=lobby").send(&node).await;
        assert_eq!(response.status, 500, "{response:?}");
        until(PATIENCE, "the error to be logged", async || {
            let errors = lines(&node, &["ERROR", "corrupt record", "room:{chat_lobby}"]);
            holds(errors.len() == count, || format!("{errors:?}"))
        })
        .await;
    }
    assert_eq!(lines(&node, &["xyzzy"]), Vec::<String>::new(), "contents of records are not logged");
}

#[tokio::test]
async fn a_message_to_a_corrupt_room_is_not_to_be_sent_again() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let body = json!({ "message": "hi", "id": "post-1" });
    assert_eq!(post(&node, "lobby", &body).await.status, 200);
    redis.query::<String>(&["SET", RECORD, "[1"]).await;
    let response = post(&node, "lobby", &body).await;
    let json = response.json();
    assert_eq!((response.status, &json["code"], &json["retry"]), (500, &json!("internal"), &json!(false)));
    redis.query::<i64>(&["DEL", RECORD]).await;
    assert_eq!(post(&node, "lobby", &body).await.status, 200, "the node is well once the record is");
}

#[tokio::test]
async fn a_socket_to_a_room_with_a_corrupt_log_is_closed_with_1011() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    redis.query::<String>(&["SET", "parlor:log:{chat_lobby}", "no stream"]).await;
    let handshake = Handshake::to_room("lobby").history(5);
    let mut socket = handshake.try_connect(node.address()).await.expect("a socket");
    let (code, reason) = socket.closed(PATIENCE, |_| ()).await;
    assert_eq!((code, reason.as_str()), (1011, "the log is corrupt"));
}

#[tokio::test]
async fn what_redis_refuses_is_warned_of_once_and_counted_by_kind() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = V1Client::join(&node, "lobby").await;
    let refuse: [(&str, [&[&str]; 2]); 2] = [
        ("out_of_memory", [&["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"]]),
        ("read_only", [&["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"]]),
    ];
    for (kind, [begin, end]) in refuse {
        let series = format!("parlor_redis_refusals_total{{kind=\"{kind}\"}}");
        assert_eq!(metric(&node, &series).await, 0);
        redis.query::<String>(begin).await;
        let id = fresh_id();
        until(PATIENCE, "two refusals to be counted", async || {
            let error = ann.try_publish(&id, "refused").await;
            assert_eq!((&error["code"], &error["retry"]), (&json!("unavailable"), &json!(true)), "{error}");
            let count = metric(&node, &series).await;
            holds(count >= 2, || format!("{count} of {kind}"))
        })
        .await;
        let warnings = || lines(&node, &["WARN", "redis refused a command", kind]);
        until(PATIENCE, "a warning", async || holds(!warnings().is_empty(), String::new)).await;
        redis.query::<String>(end).await;
        until(PATIENCE, "an ack", async || {
            let response = ann.try_publish(&id, "refused").await;
            if response["type"] == "ack" { Ok(()) } else { Err(response.to_string()) }
        })
        .await;
        assert_eq!(warnings().len(), 1, "{:?}", warnings());
    }
}

#[tokio::test]
async fn a_message_that_the_log_does_not_take_is_new_when_it_is_sent_again() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let body = json!({ "message": "hi", "id": "post-1" });
    // The greatest id: nothing can follow it.
    let log = "parlor:log:{chat_lobby}";
    redis.query::<String>(&["XADD", log, "18446744073709551615-18446744073709551615", "e", ""]).await;
    let response = post(&node, "lobby", &body).await;
    assert!(response.status >= 500, "{response:?}");
    assert_eq!(redis.query::<i64>(&["DEL", log]).await, 1);
    let first = post(&node, "lobby", &body).await.json();
    assert_eq!((&first["type"], &first["duplicate"]), (&json!("ack"), &json!(false)), "{first}");
    assert_eq!(redis.query::<i64>(&["XLEN", log]).await, 1);
}

#[tokio::test]
async fn a_message_under_an_id_of_the_server_is_known_by_it() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    // The log has had an id that has not come, so that the server chooses what follows it.
    let (log, later) = ("parlor:log:{chat_lobby}", "9999999999999-0");
    redis.query::<String>(&["XADD", log, later, "e", ""]).await;
    assert_eq!(redis.query::<i64>(&["XDEL", log, later]).await, 1);
    let body = json!({ "message": "hi", "id": "post-1" });
    let first = post(&node, "lobby", &body).await.json();
    assert_eq!(first["id"], "9999999999999-1");
    let again = post(&node, "lobby", &body).await.json();
    assert_eq!((&again["id"], &again["duplicate"]), (&first["id"], &json!(true)));
}
