//! Log injection: input stays within its own log entry.

use crate::support::websocket::Message;
use regex::Regex;
use serde_json::{Value, json};

use crate::support::connection::Connection;
use crate::support::frame::Frame;
use crate::support::handshake::Handshake;
use crate::support::http::Request;
use crate::support::metrics::wait_for_metric;
use crate::support::node::Node;
use crate::support::payload::event;
use crate::support::process::Signal;
use crate::support::redis::Redis;
use crate::support::tutorial_client::encoded;
use crate::support::user::User;
use crate::support::v1_client::V1Client;
use crate::support::wait::PATIENCE;

/// Line ends, and what a terminal or a log reader takes for one.
const ENDS: [&str; 7] = ["\n", "\r\n", "\r", "\u{b}", "\u{85}", "\u{2028}", "\u{1b}[2K\u{1b}[1G"];

/// A line that only the node itself may write.
const FORGED: &str = "2001-01-01T00:00:00.000000Z ERROR parlor: forged";

/// A node on Redis that logs everything and received forged lines on every route; and its log.
async fn log_of(format: &str) -> Vec<String> {
    let redis = Redis::start().await;
    let plan =
        Node::plan().redis(&redis).flag("--log-format", format).flag("--log-level", "debug,parlor=trace");
    let mut node = plan.start().await;
    let mut ann = V1Client::join(&node, "lobby").await;
    let dropped = "parlor_events_dropped_total{reason=\"unknown_type\"}";
    for (count, end) in (1..).zip(ENDS) {
        let line = format!("x{end}{FORGED}{end}");
        let path = encoded(&line);
        for target in [
            format!("/{path}"),
            format!("/chat/{path}/"),
            format!("/static/{path}"),
            format!("/push?room={path}"),
        ] {
            assert!(Request::get(&target).send(&node).await.status >= 400, "{target}");
        }
        for ticket in
            [Handshake::to_room(&line), Handshake::to_room("lobby").query(&format!("history={path}"))]
        {
            assert_eq!(ticket.request().send(&node).await.status, 400, "{}", ticket.target());
        }
        drop(Handshake::to_room("lobby").since(&line).connect(&node).await);
        // As much of it as a header's value may contain.
        let value: String = line.chars().filter(|sign| !sign.is_ascii_control()).collect();
        for name in
            ["Origin", "Sec-WebSocket-Protocol", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "User-Agent"]
        {
            Request::upgrade("/ws/chat/lobby/").with(name, &value).with(name, &path).send(&node).await;
        }
        for name in
            ["X-Forwarded-For", "Forwarded", "Referer", "Authorization", "Cookie", "X-Request-ID", "Host"]
        {
            Request::post("/push?room=lobby").with(name, &value).send(&node).await;
            Request::post("/push?room=lobby").with(name, &path).send(&node).await;
        }
        Request::new("GET", "/healthz").header("X", &line).send(&node).await;
        ann.send(Message::text(line.clone())).await;
        ann.expect_error("malformed").await;
        for frame in [json!({ "type": line }), json!({ "message": "hi", "id": line })] {
            ann.send_json(&frame).await;
            ann.reply().await;
        }
        let mut user = User::anonymous();
        for target in ["/accounts/login/", "/accounts/signup/", "/accounts/guest/"] {
            let fields = [("name", &*line), ("password", &*line), ("nickname", &*line), ("next", &*line)];
            assert!(user.post(&node, target, &fields).await.status >= 400, "{target}");
        }
        let mut connection = Connection::websocket(&node, "/ws/chat/lobby/").await;
        connection.send_frame(&Frame::close(4000, line.as_bytes())).await;
        connection.wait_for_end(PATIENCE).await;
        let mut connection = Connection::websocket(&node, "/ws/chat/lobby/").await;
        connection.send_frame(&Frame::text(&line)).await;
        connection.wait_for_end(PATIENCE).await;
        redis.publish("asgi__group__chat_lobby", &event(&line, &line)).await;
        redis.publish("asgi__group__chat_lobby", line.as_bytes()).await;
        wait_for_metric(&node, dropped, count).await;
    }
    node.signal(Signal::SIGTERM);
    assert_eq!(node.exit(PATIENCE).await.code(), Some(0));
    let lines = node.log().all();
    assert!(lines.len() > ENDS.len(), "{lines:#?}");
    lines
}

#[tokio::test]
async fn input_cannot_begin_a_line_of_a_text_log() {
    let own =
        Regex::new(r"^20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z +(ERROR|WARN|INFO|DEBUG|TRACE) ").unwrap();
    for line in log_of("text").await {
        assert!(own.is_match(&line), "a line that the node did not begin: {line:?}");
        for end in ENDS {
            assert!(!line.contains(end), "the end of a line within a line: {line:?}");
        }
        assert!(!line.contains(" WARN ") || !line.contains(FORGED), "{line:?}");
    }
}

#[tokio::test]
async fn json_logs_stay_one_object_per_line() {
    for line in log_of("json").await {
        let entry: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        assert!(entry.is_object() && entry["level"] != "ERROR", "{line}");
        assert!(entry["timestamp"].as_str().is_some_and(|time| !time.starts_with("2001")), "{line}");
        assert!(!line.contains(['\u{1b}', '\r', '\u{b}']), "{line:?}");
    }
}
