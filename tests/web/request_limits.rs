//! Limits of requests: sizes, times and the number of connections, each with its own status.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::connection::Connection;
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::process::Process;
use crate::support::tutorial_client::TutorialClient;
use crate::support::wait::{PATIENCE, holds, seconds, until};

#[tokio::test]
async fn two_content_lengths_are_rejected() {
    let node = Node::alone().await;
    let chunks = "5\r\nhello\r\n0\r\n\r\n";
    for (first, second) in [("Content-Length", "Transfer-Encoding"), ("Transfer-Encoding", "Content-Length")]
    {
        let value = |name: &str| if name == "Content-Length" { "5" } else { "chunked" };
        let request =
            Request::post("/push?room=lobby").header(first, value(first)).header(second, value(second));
        let response = request.raw_body(chunks).send(&node).await;
        assert_eq!(response.status, 400, "{first} before {second}: {response:?}");
    }
    let different =
        Request::post("/push?room=lobby").header("Content-Length", "5").header("Content-Length", "6");
    let response = different.raw_body("hello").send(&node).await;
    assert_eq!(response.status, 400, "{response:?}");
}

#[tokio::test]
async fn a_rejected_body_is_not_parsed_as_the_next_request() {
    let node = Node::alone().await;
    let mut connection = Connection::connect(&node).await;
    let smuggled = "0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let request = Request::post("/push?room=lobby")
        .header("Content-Length", "4")
        .header("Transfer-Encoding", "chunked");
    let bytes = request.raw_body(smuggled).bytes(connection.peer());
    connection.send(&bytes).await;
    let rest = String::from_utf8(connection.read_to_end(PATIENCE).await).unwrap();
    assert!(rest.starts_with("HTTP/1.1 400 "), "{rest}");
    assert_eq!(rest.matches("HTTP/1.1 ").count(), 1, "one answer, then the end: {rest}");
}

#[tokio::test]
async fn a_large_head_is_rejected() {
    let node = Node::alone().await;
    for request in [
        Request::get("/chat/").header("X-Large", &"x".repeat(20 * 1024)),
        Request::upgrade("/ws/chat/lobby/").header("X-Large", &"x".repeat(17 * 1024)),
        (0..2000).fold(Request::get("/chat/"), |request, n| request.header(&format!("X-{n}"), "0123456789")),
    ] {
        let response = request.send(&node).await;
        assert_eq!(response.status, 431, "{response:?}");
    }
    let response = Request::get("/chat/").header("X-Large", &"x".repeat(12 * 1024)).send(&node).await;
    assert_eq!(response.status, 200, "12 KiB are allowed: {response:?}");
}

#[tokio::test]
async fn a_large_body_is_rejected() {
    let node = Node::alone().await;
    let large = "x".repeat(140 * 1024);
    let announced = Request::post("/push?room=lobby").body(&large);
    let response = announced.send(&node).await;
    assert_eq!(response.status, 413, "{response:?}");
    // Chunks could hide a second length, and no client needs them.
    let chunked = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    let chunked = Request::post("/push?room=lobby").header("Transfer-Encoding", "chunked").raw_body(chunked);
    let response = chunked.send(&node).await;
    assert_eq!(response.status, 400, "{response:?}");
    let response = Request::post("/push?room=lobby").body("x".repeat(120 * 1024)).send(&node).await;
    assert_eq!(response.status, 200, "120 KiB are allowed: {response:?}");
}

#[tokio::test]
async fn an_incomplete_head_is_rejected_after_ten_seconds() {
    let node = Node::alone().await;
    let mut connection = Connection::connect(&node).await;
    let begun = Instant::now();
    connection.send(b"GET /chat/ HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
    let rest = String::from_utf8(connection.read_to_end(seconds(20)).await).unwrap();
    assert!(rest.starts_with("HTTP/1.1 408 "), "{rest:?}");
    assert!((9..20).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_slow_head_is_rejected_too() {
    let node = Node::alone().await;
    let mut connection = Connection::connect(&node).await;
    let begun = Instant::now();
    connection.send(b"GET /chat/ HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
    // One byte each half second: the limit covers the whole head and not a pause.
    let status = loop {
        connection.send(b"x").await;
        let next =
            tokio::time::timeout(Duration::from_millis(500), connection.response_within(seconds(20), false));
        if let Ok(response) = next.await {
            break response.status;
        }
        assert!(begun.elapsed() < seconds(20), "the head may trickle for {:?}", begun.elapsed());
    };
    assert_eq!(status, 408);
}

#[tokio::test]
async fn an_incomplete_body_is_rejected_after_ten_seconds() {
    let node = Node::alone().await;
    let mut connection = Connection::connect(&node).await;
    let begun = Instant::now();
    let request = Request::post("/push?room=lobby").header("Content-Length", "10").raw_body("half");
    let bytes = request.bytes(connection.peer());
    connection.send(&bytes).await;
    let response = connection.response_within(seconds(20), false).await;
    assert_eq!(response.status, 408, "{response:?}");
    assert!((9..20).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_request_that_is_not_http_is_rejected() {
    let node = Node::alone().await;
    for bytes in [
        &b"hello\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ] {
        let mut connection = Connection::connect(&node).await;
        connection.send(bytes).await;
        let rest = String::from_utf8_lossy(&connection.read_to_end(PATIENCE).await).into_owned();
        assert!(rest.starts_with("HTTP/1.1 400 "), "{bytes:?}: {rest:?}");
    }
    assert_eq!(Request::get("/healthz").send(&node).await.status, 200);
}

#[tokio::test]
async fn a_connection_over_the_limit_is_503() {
    let node = Node::plan().flag("--max-connections", "3").start().await;
    let mut members = Vec::new();
    for _ in 0..3 {
        members.push(TutorialClient::chat(&node, "lobby").await);
    }
    for request in [Request::upgrade("/ws/chat/lobby/"), Request::get("/chat/")] {
        let response = request.send(&node).await;
        assert_eq!(response.status, 503, "{response:?}");
    }
    // Open connections stay, and a free place is used again.
    members[0].publish("full house").await;
    for member in &mut members {
        assert_eq!(member.receive_chat().await, "full house");
    }
    members.pop().unwrap().close().await;
    until(PATIENCE, "a free place", async || {
        let response = Request::get("/healthz").send(&node).await;
        holds(response.status == 200, || format!("{response:?}"))
    })
    .await;
}

#[tokio::test]
async fn the_default_connection_limit_follows_the_file_descriptors() {
    // 320 of them are reserved for other uses than connections.
    let mut limited = Command::new("/bin/sh");
    limited.args(["-c", "ulimit -n 323; exec \"$0\" --listen 127.0.0.1:0"]).arg(env!("CARGO_BIN_EXE_parlor"));
    let node = Node::from_process(Process::spawn("a node with few files", limited.env_clear()), 1).await;
    let mut members = Vec::new();
    for _ in 0..3 {
        members.push(TutorialClient::chat(&node, "lobby").await);
    }
    assert_eq!(Request::get("/healthz").send(&node).await.status, 503);
    members[0].publish("full house").await;
    for member in &mut members {
        assert_eq!(member.receive_chat().await, "full house");
    }
}
