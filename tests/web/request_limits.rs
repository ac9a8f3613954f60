//! Limits of requests: sizes, times and the number of connections, each with its own status.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::connection::Connection;
use crate::support::event_stream::{EventStream, messages};
use crate::support::http::Request;
use crate::support::metrics::wait_for_metric;
use crate::support::node::Node;
use crate::support::process::Process;
use crate::support::redis::Redis;
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
    for (size, status) in [(140, 413), (120, 200)] {
        let text = "x".repeat(size * 1024);
        for request in [in_chunks(&text, 4096), Request::post("/push?room=lobby").body(&text)] {
            let response = request.send(&node).await;
            assert_eq!(response.status, status, "{size} KiB: {response:?}");
        }
    }
}

/// A POST whose body has no stated length.
fn in_chunks(text: &str, size: usize) -> Request {
    let chunks = text
        .as_bytes()
        .chunks(size)
        .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).expect("ASCII")));
    let body = chunks.chain(["0\r\n\r\n".to_owned()]).collect::<String>();
    Request::post("/push?room=lobby").header("Transfer-Encoding", "chunked").raw_body(body)
}

#[tokio::test]
async fn a_chunked_body_is_read_like_another() {
    let node = Node::alone().await;
    let mut connection = Connection::connect(&node).await;
    let json = r#"{"message": "in parts", "id": "chunked"}"#;
    let posted = messages("lobby").header("Transfer-Encoding", "chunked").header("Accept", "*/*");
    for (size, duplicate) in [(1, "false"), (7, "true"), (100, "true")] {
        let chunks = in_chunks(json, size).bytes(connection.peer());
        let body = &chunks[chunks.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4..];
        let response = posted.clone().raw_body(body).send_on(&mut connection).await;
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(response.json()["duplicate"].to_string(), duplicate, "{response:?}");
    }
}

#[tokio::test]
async fn a_half_closed_request_is_answered_on_every_layer() {
    let redis = Redis::start().await;
    for node in [Node::alone().await, Node::on(&redis).await] {
        for n in 0..3 {
            let body = format!(r#"{{"message": "hi", "id": "half-{n}"}}"#);
            for request in [Request::get("/chat/lobby/"), messages("lobby").body(body)] {
                let mut connection = Connection::connect(&node).await;
                let bytes = request.bytes(connection.peer());
                connection.send(&bytes).await;
                connection.finish_sending().await;
                let response = connection.response().await;
                assert_eq!(response.status, 200, "{response:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_event_stream_whose_client_is_gone_ends_at_once() {
    let node = Node::alone().await;
    let stream = EventStream::open(&node, Request::get("/sse/chat/lobby/")).await;
    wait_for_metric(&node, "parlor_sockets", 1).await;
    drop(stream);
    wait_for_metric(&node, "parlor_sockets", 0).await;
}

#[tokio::test]
async fn an_idle_connection_is_kept_as_long_as_the_setting_says() {
    let node = Node::plan().flag("--keep-alive-seconds", "2").start().await;
    let mut connection = Connection::connect(&node).await;
    for _ in 0..3 {
        assert_eq!(Request::get("/healthz").send_on(&mut connection).await.status, 200);
        tokio::time::sleep(seconds(1)).await;
    }
    let begun = Instant::now();
    assert!(connection.read_to_end(PATIENCE).await.is_empty());
    assert!(begun.elapsed() < seconds(5), "{:?}", begun.elapsed());
    // A head that has begun has its own time, as long as on a new connection.
    let mut connection = Connection::connect(&node).await;
    assert_eq!(Request::get("/healthz").send_on(&mut connection).await.status, 200);
    connection.send(b"GET /healthz HTTP/1.1\r\nHost: ").await;
    tokio::time::sleep(seconds(4)).await;
    connection.send(b"x\r\n\r\n").await;
    assert_eq!(connection.response().await.status, 200);
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
    // What supervisors and monitoring ask is served, once for each connection.
    for path in ["/healthz", "/readyz", "/metrics"] {
        let response = Request::get(path).send(&node).await;
        assert_eq!((response.status, response.header("connection")), (200, Some("close")), "{path}");
    }
    // Open connections stay, and a free place is used again.
    members[0].publish("full house").await;
    for member in &mut members {
        assert_eq!(member.receive_chat().await, "full house");
    }
    members.pop().unwrap().close().await;
    until(PATIENCE, "a free place", async || {
        let response = Request::get("/chat/").send(&node).await;
        holds(response.status == 200, || format!("{response:?}"))
    })
    .await;
}

#[tokio::test]
async fn the_default_connection_limit_follows_the_file_descriptors() {
    // Of few, a quarter is reserved for other uses than connections; of many, 320.
    for (files, connections) in [("4000", "3680"), ("200", "150")] {
        let node = with_files(files).await;
        let wanted = format!("max_connections={connections}");
        node.log().wait_for(&wanted, PATIENCE, |line| line.contains(&wanted)).await;
    }
    let node = with_files("100").await;
    let mut members = Vec::new();
    for _ in 0..68 {
        members.push(TutorialClient::chat(&node, "lobby").await);
    }
    assert_eq!(Request::get("/chat/").send(&node).await.status, 503);
    assert_eq!(Request::get("/healthz").send(&node).await.status, 200);
    members[0].publish("full house").await;
    for member in &mut members {
        assert_eq!(member.receive_chat().await, "full house");
    }
}

/// A node that may open this many files, and has no limit by address.
async fn with_files(count: &str) -> Node {
    let mut limited = Command::new("/bin/sh");
    let script = format!("ulimit -n {count}; exec \"$0\" --listen 127.0.0.1:0 --sockets-per-address 0");
    limited.args(["-c", &script]).arg(env!("CARGO_BIN_EXE_parlor"));
    Node::from_process(Process::spawn("a node with few files", limited.env_clear()), 1).await
}
