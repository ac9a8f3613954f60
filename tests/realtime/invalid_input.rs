//! Invalid messages close the sender with the right code and a reason, and no other socket.

use regex::Regex;
use serde_json::json;

use crate::support::bystander::BystanderRoom;
use crate::support::connection::Connection;
use crate::support::frame::{BINARY, CONTINUATION, Frame, TEXT};
use crate::support::metrics::{metric, wait_for_metric};
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::wait::{PATIENCE, until};

#[tokio::test]
async fn invalid_json_closes_the_sender_with_1007() {
    let mut scene = BystanderRoom::start().await;
    let texts =
        ["not json", "", " ", "{\"message\": \"hi\"", "{\"message\": \"hi\"} x", "{'message': 'hi'}", "NaN"];
    for text in texts {
        scene.expect_close(1007, text, &Frame::text(text).bytes()).await;
    }
}

#[tokio::test]
async fn json_of_another_shape_closes_the_sender_with_1008() {
    let mut scene = BystanderRoom::start().await;
    let texts = [
        "[]",
        "\"hi\"",
        "1",
        "null",
        "true",
        "[{\"message\": \"hi\"}]",
        "{}",
        "{\"Message\": \"hi\"}",
        "{\"message\": 1}",
        "{\"message\": null}",
        "{\"message\": [\"hi\"]}",
        "{\"message\": {\"message\": \"hi\"}}",
    ];
    for text in texts {
        scene.expect_close(1008, text, &Frame::text(text).bytes()).await;
    }
}

#[tokio::test]
async fn a_binary_frame_closes_the_sender_with_1003() {
    let mut scene = BystanderRoom::start().await;
    scene.expect_close(1003, "a binary frame", &Frame::new(BINARY, b"{\"message\": \"hi\"}").bytes()).await;
    scene.expect_close(1003, "an empty binary frame", &Frame::new(BINARY, b"").bytes()).await;
    let parts = [Frame::new(BINARY, b"a").unfinished().bytes(), Frame::new(CONTINUATION, b"b").bytes()];
    scene.expect_close(1003, "a binary message in two frames", &parts.concat()).await;
}

#[tokio::test]
async fn deeply_nested_json_closes_only_the_sender() {
    let mut scene = BystanderRoom::start().await;
    for text in ["[".repeat(60_000), "{\"message\":".repeat(5000), format!("{{\"a\":{}", "[".repeat(60_000))]
    {
        let mut sender = Connection::websocket(&scene.node, "/ws/chat/lobby/").await;
        sender.send_frame(&Frame::text(&text)).await;
        let (code, _) = sender.close_code().await;
        assert!(matches!(code, 1007 | 1008), "{code} for {}…", &text[..20]);
        scene.expect_delivery("deep nesting").await;
    }
}

#[tokio::test]
async fn a_message_over_the_limit_closes_the_sender_with_1009() {
    let mut scene = BystanderRoom::start().await;
    let big = json!({ "message": "x".repeat(70 * 1024) }).to_string();
    scene.expect_close(1009, "70 KiB in one frame", &Frame::text(&big).bytes()).await;
    let just_over = json!({ "message": "x".repeat(65537 - r#"{"message":""}"#.len()) }).to_string();
    assert_eq!(just_over.len(), 65537);
    scene.expect_close(1009, "64 KiB and one byte", &Frame::text(&just_over).bytes()).await;
    let (first, second) = big.split_at(40_000);
    let parts = [Frame::text(first).unfinished().bytes(), Frame::new(CONTINUATION, second).bytes()];
    scene.expect_close(1009, "70 KiB in two frames", &parts.concat()).await;
    scene.expect_close(1009, "70 KiB of binary", &Frame::new(BINARY, vec![0; 70 * 1024]).bytes()).await;
    scene
        .expect_close_at("/ws/push/lobby", 1009, "70 KiB on a push socket", &Frame::text(&big).bytes())
        .await;
}

#[tokio::test]
async fn a_message_of_exactly_the_limit_is_delivered() {
    let node = Node::alone().await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    let text = "x".repeat(65536 - r#"{"message":""}"#.len());
    ann.send(json!({ "message": text }).to_string()).await;
    assert_eq!(ann.receive_chat().await, text);
}

#[tokio::test]
async fn the_message_limit_is_a_setting() {
    let mut scene =
        BystanderRoom::with_node(Node::plan().flag("--max-message-bytes", "100").start().await).await;
    let text =
        |length: usize| Frame::text(&format!(r#"{{"message":"{}"}}"#, "x".repeat(length - 14))).bytes();
    scene.expect_close(1009, "101 bytes", &text(101)).await;
    let mut sender = Connection::websocket(&scene.node, "/ws/chat/kitchen/").await;
    sender.send(&text(100)).await;
    assert_eq!(sender.frame_with_opcode(TEXT, PATIENCE).await.opcode, TEXT);
}

#[tokio::test]
async fn a_binary_frame_closes_a_push_socket_with_1003() {
    let mut scene = BystanderRoom::start().await;
    scene.expect_close_at("/ws/push/lobby", 1003, "a binary frame", &Frame::new(BINARY, "x").bytes()).await;
}

#[tokio::test]
async fn frames_after_an_invalid_one_are_not_delivered() {
    let mut scene = BystanderRoom::start().await;
    let bytes = [Frame::text("bad").bytes(), Frame::text(r#"{"message": "too late"}"#).bytes()].concat();
    scene.expect_close(1007, "bad JSON with more behind it", &bytes).await;
    let bytes = [Frame::close(1000, b"").bytes(), Frame::text(r#"{"message": "too late"}"#).bytes()].concat();
    let mut connection = Connection::websocket(&scene.node, "/ws/chat/lobby/").await;
    connection.send(&bytes).await;
    assert_eq!(connection.close_code().await.0, 1000);
    scene.expect_delivery("a text behind a Close frame").await;
}

#[tokio::test]
async fn invalid_input_on_one_node_does_not_affect_another() {
    let redis = Redis::start().await;
    let [first, second] = Node::several(&redis).await;
    let mut far = TutorialClient::chat(&second, "lobby").await;
    let mut scene = BystanderRoom::with_node(first).await;
    scene.expect_close(1007, "bad JSON", &Frame::text("bad").bytes()).await;
    scene.expect_close(1008, "a number", &Frame::text("{\"message\": 5}").bytes()).await;
    scene.expect_close(1003, "binary", &Frame::new(BINARY, "x").bytes()).await;
    for n in 1..=3 {
        assert_eq!(far.receive_chat().await, format!("all well {n}"));
    }
}

#[tokio::test]
async fn invalid_input_is_logged_once_at_debug_and_never_at_info() {
    let secret = "xyzzy-never-to-be-logged";
    let cases = [
        (1007, Frame::text(&format!("{{\"message\": \"{secret}"))),
        (1008, Frame::text(&format!("[\"{secret}\"]"))),
        (1003, Frame::new(BINARY, secret)),
        (1002, Frame::text(secret).unmasked()),
        (1009, Frame::text(&secret.repeat(4000))),
    ];
    for level in ["debug", "info"] {
        let node = Node::plan().flag("--log-level", level).start().await;
        let mut scene = BystanderRoom::with_node(node).await;
        for (code, frame) in &cases {
            let before = metric(&scene.node, &format!("parlor_closed_total{{code=\"{code}\"}}")).await;
            let mark = scene.node.log().mark();
            scene.expect_close(*code, "bad input", &frame.bytes()).await;
            wait_for_metric(&scene.node, &format!("parlor_closed_total{{code=\"{code}\"}}"), before + 1)
                .await;
            let names_code = Regex::new(&format!(r"\b{code}\b")).unwrap();
            let lines = async || {
                let lines = scene.node.log().since(mark);
                lines.into_iter().filter(|line| names_code.is_match(line)).collect::<Vec<_>>()
            };
            if level == "debug" {
                until(PATIENCE, &format!("one line at debug that names {code}"), async || {
                    match &lines().await[..] {
                        [line] if line.contains("DEBUG") => Ok(()),
                        other => Err(format!("{other:?} of {:?}", scene.node.log().since(mark))),
                    }
                })
                .await;
            } else {
                assert_eq!(lines().await, Vec::<String>::new(), "bad input is no news at info");
            }
            let loud =
                |line: &&String| line.contains("WARN") || line.contains("ERROR") || line.contains("panicked");
            let log = scene.node.log().since(mark);
            assert!(!log.iter().any(|line| loud(&line)), "a visitor's mistake is no warning: {log:?}");
        }
        assert!(!scene.node.log().text().contains(secret), "message texts are never logged");
    }
}

#[tokio::test]
async fn closes_are_counted_by_code() {
    let mut scene = BystanderRoom::start().await;
    scene.expect_close(1007, "bad JSON", &Frame::text("bad").bytes()).await;
    scene.expect_close(1007, "bad JSON", &Frame::text("bad").bytes()).await;
    scene.expect_close(1003, "binary", &Frame::new(BINARY, "x").bytes()).await;
    wait_for_metric(&scene.node, "parlor_closed_total{code=\"1007\"}", 2).await;
    wait_for_metric(&scene.node, "parlor_closed_total{code=\"1003\"}", 1).await;
}
