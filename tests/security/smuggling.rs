//! Request smuggling: however a proxy may read the bytes, the node answers only the outer request.

use regex::bytes::Regex;

use crate::support::connection::Connection;
use crate::support::frame::{CLOSE, Frame};
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::wait::PATIENCE;

/// The hidden request, recognised by its 404.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";

/// The statuses of all responses up to the end of the connection, which a last request asks for.
async fn statuses(node: &Node, bytes: &[u8]) -> Vec<u16> {
    let mut connection = Connection::connect(node).await;
    connection.send(bytes).await;
    let last = Request::get("/healthz").header("Connection", "close").bytes(node.address());
    connection.send(&last).await;
    let rest = connection.read_to_end(PATIENCE * 2).await;
    let status = Regex::new(r"HTTP/1\.[01] (\d{3}) ").unwrap();
    let found = status.captures_iter(&rest);
    found.map(|found| std::str::from_utf8(&found[1]).unwrap().parse().unwrap()).collect()
}

/// A request with these header lines, a body of five bytes, and more bytes after it.
fn with_lines(lines: &str) -> String {
    format!("POST /push?room=lobby HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n0\r\n\r\n{HIDDEN}")
}

async fn rejected(node: &Node, what: &str, bytes: &[u8]) {
    let seen = statuses(node, bytes).await;
    assert_eq!(seen.first(), Some(&400), "{what}: {seen:?}");
    assert!(!seen.contains(&404), "{what}: the hidden request was answered: {seen:?}");
}

#[tokio::test]
async fn an_ambiguous_length_is_rejected() {
    let node = Node::alone().await;
    for length in [
        "5, 5",
        "5,6",
        "5 5",
        "+5",
        "-1",
        "0x5",
        "5.",
        "5;q=1",
        "five",
        "",
        "18446744073709551621",
        "99999999999999999999999999",
        "\u{b}5",
        "٥",
    ] {
        rejected(
            &node,
            &format!("length {length:?}"),
            with_lines(&format!("Content-Length: {length}")).as_bytes(),
        )
        .await;
    }
    for lines in [
        "Content-Length : 5",
        "Content-Length: 5\r\nContent-Length: 0",
        "Content-Length: 0\r\nContent-length: 5",
        "Content-Length:\r\n 5",
        " Content-Length: 5",
    ] {
        rejected(&node, lines, with_lines(lines).as_bytes()).await;
    }
}

#[tokio::test]
async fn chunks_are_the_only_other_way_to_state_a_length() {
    let node = Node::alone().await;
    for lines in ["Transfer-Encoding: chunked", "Transfer-Encoding: CHUNKED", "Transfer-Encoding: \tchunked"]
    {
        let bytes = with_lines(lines);
        assert_eq!(
            statuses(&node, bytes.as_bytes()).await,
            [200, 404, 200],
            "{lines}: all behind the last chunk"
        );
        let second = bytes.replace(lines, &format!("{lines}\r\nX: {}", "x".repeat(1500)));
        assert_eq!(statuses(&node, second.as_bytes()).await, [200, 404, 200], "{lines} in a longer head");
    }
    for lines in [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding:",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nTransfer-Encoding : chunked",
        "Content-Length: 5\r\nTransfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "X: y\rTransfer-Encoding: chunked",
        "Transfer\0-Encoding: chunked",
    ] {
        rejected(&node, lines, with_lines(lines).as_bytes()).await;
    }
}

#[tokio::test]
async fn of_two_lengths_that_come_in_parts_the_connection_ends() {
    let node = Node::alone().await;
    for lines in
        ["Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5"]
    {
        let bytes = with_lines(lines).into_bytes();
        let middle = bytes.windows(6).position(|part| part == b"-Encod").expect("a header") + 3;
        let mut connection = Connection::connect(&node).await;
        connection.send(&bytes[..middle]).await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        connection.send(&bytes[middle..]).await;
        let rest = String::from_utf8_lossy(&connection.read_to_end(PATIENCE).await).into_owned();
        assert_eq!(rest.matches("HTTP/1.1 ").count(), 1, "{lines}: one answer, then the end: {rest}");
    }
}

#[tokio::test]
async fn an_ambiguous_host_is_rejected() {
    let node = Node::alone().await;
    let own = node.address();
    for lines in [
        "Host: x\r\nHost: y".to_owned(),
        "Host: x\r\nhost: x".to_owned(),
        "Host: x\r\n y".to_owned(),
        "Host : x".to_owned(),
        " Host: x".to_owned(),
        format!("Host: {own}\r\n Host: evil.example"),
        format!("X: y\r\n Host: {own}"),
        format!("Host: {own}, evil.example"),
        format!("Host: {own} evil.example"),
        format!("Host: {own}/evil.example"),
        format!("Host: {own}#evil.example"),
        format!("Host: evil.example@{own}"),
        "Host: x\0y".to_owned(),
        "Host:".to_owned(),
    ] {
        let request = format!("GET /healthz HTTP/1.1\r\n{lines}\r\n\r\n");
        rejected(&node, &lines, request.as_bytes()).await;
    }
}

#[tokio::test]
async fn a_target_host_other_than_the_header_is_rejected() {
    let node = Node::alone().await;
    // A target in absolute form must be accepted (RFC 9112, section 3.2.2).
    let page = Request::get("http://evil.example/nothing").send(&node).await;
    assert!(matches!(page.status, 400 | 404), "{page:?}");
    for origin in ["http://evil.example", "http://evil.example/"] {
        let socket = Request::upgrade("http://evil.example/ws/chat/lobby/").header("Origin", origin);
        let answer = socket.send(&node).await;
        assert!(matches!(answer.status, 400 | 403), "a socket for {origin}: {answer:?}");
        let push = Request::post("http://evil.example/push?room=lobby").header("Origin", origin);
        let answer = push.send(&node).await;
        assert!(matches!(answer.status, 400 | 403), "a stream for {origin}: {answer:?}");
    }
}

#[tokio::test]
async fn malformed_request_lines_are_rejected() {
    let node = Node::alone().await;
    for (what, bytes) in [
        (
            "a carriage return within a value",
            "GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\rGET /hidden HTTP/1.1\r\n\r\n",
        ),
        ("NUL within a value", "GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n"),
        ("NUL within the target", "GET /health\0z HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("a space within the target", "GET /healthz /hidden HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("a line within the target", "GET /healthz\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("a tab behind the method", "GET\t/healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("a version of three numbers", "GET /healthz HTTP/1.1.1\r\nHost: x\r\n\r\n"),
        ("no name before the colon", "GET /healthz HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n"),
        ("a name with a bracket", "GET /healthz HTTP/1.1\r\nHost: x\r\nX[: y\r\n\r\n"),
    ] {
        rejected(&node, what, bytes.as_bytes()).await;
    }
    // The preface of HTTP/2 (RFC 9113, section 3.4), which is not supported here.
    assert_eq!(statuses(&node, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await, Vec::<u16>::new());
}

#[tokio::test]
async fn connect_opens_no_tunnel() {
    let node = Node::alone().await;
    for target in ["127.0.0.1:6379", "evil.example:443", "/ws/chat/lobby/"] {
        let answer = Request::new("CONNECT", target).send(&node).await;
        assert!((400..500).contains(&answer.status), "CONNECT {target}: {answer:?}");
    }
    for protocol in ["h2c", "TLS/1.0", "HTTP/2.0", "tcp"] {
        let asked = Request::get("/healthz").header("Upgrade", protocol).header("Connection", "Upgrade");
        assert_eq!(asked.send(&node).await.status, 200, "{protocol} is ignored");
    }
}

#[tokio::test]
async fn a_request_after_an_accepted_upgrade_is_a_bad_frame() {
    let node = Node::alone().await;
    for path in ["/ws/chat/lobby/", "/ws/push/lobby"] {
        for hidden in [HIDDEN, "POST /push?room=lobby HTTP/1.1\r\nHost: x\r\n\r\n"] {
            let mut connection = Connection::connect(&node).await;
            let bytes = [Request::upgrade(path).bytes(node.address()), hidden.as_bytes().to_vec()].concat();
            connection.send(&bytes).await;
            assert_eq!(connection.response().await.status, 101, "{path}");
            let mut rest = connection.read_to_end(PATIENCE).await;
            let close = Frame::take(&mut rest).expect("a frame");
            assert_eq!((close.opcode, close.close_code().0), (CLOSE, 1002), "{path}");
            assert!(rest.is_empty(), "{path}: {:?}", String::from_utf8_lossy(&rest));
        }
    }
}

#[tokio::test]
async fn a_request_after_a_rejected_upgrade_is_answered_separately() {
    let node = Node::alone().await;
    let upgrade = || Request::upgrade("/ws/chat/lobby/");
    for (wanted, request) in [
        (400, upgrade().with("Sec-WebSocket-Key", "x")),
        (400, Request::upgrade("/ws/chat/a*b/")),
        (403, upgrade().header("Origin", "http://evil.example")),
        (404, Request::upgrade("/ws/other/lobby/")),
        (426, upgrade().with("Sec-WebSocket-Version", "8")),
        (200, Request::upgrade("/chat/lobby/")),
    ] {
        let behind = [request.bytes(node.address()), HIDDEN.as_bytes().to_vec()].concat();
        assert_eq!(statuses(&node, &behind).await, [wanted, 404, 200], "{request:?}");
        // A body has exactly the announced length.
        let within = request.body(HIDDEN).bytes(node.address());
        let seen = statuses(&node, &within).await;
        assert!(!seen[1..].contains(&404) && seen[0] != 101, "{seen:?}");
    }
}
