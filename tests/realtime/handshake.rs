//! The WebSocket handshake (RFC 6455 section 4.2): what is accepted, and the statuses of
//! rejections.

use crate::support::http::{Request, Response};
use crate::support::metrics::metric;
use crate::support::node::Node;
use crate::support::tutorial_client::TutorialClient;

const SOCKETS: [&str; 4] = ["/ws/chat/lobby/", "/ws/chat/lobby", "/ws/push/lobby", "/ws/push/lobby/"];

async fn rejected(node: &Node, status: u16, what: &str, change: impl Fn(Request) -> Request) -> Response {
    let mut last = None;
    for path in SOCKETS {
        let request = change(Request::upgrade(path));
        let response = request.send(node).await;
        assert_eq!(response.status, status, "a handshake at {path} {what}: {response:?}");
        last = Some(response);
    }
    last.unwrap()
}

#[tokio::test]
async fn a_valid_handshake_is_accepted_as_in_the_rfc() {
    let node = Node::alone().await;
    for path in SOCKETS {
        let response = Request::upgrade(path).send(&node).await;
        assert_eq!(response.status, 101, "{response:?}");
        assert_eq!(response.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert!(response.header("upgrade").unwrap().eq_ignore_ascii_case("websocket"));
        assert!(response.header("connection").unwrap().eq_ignore_ascii_case("upgrade"));
    }
}

#[tokio::test]
async fn header_values_are_case_insensitive_lists() {
    let node = Node::alone().await;
    for (name, value) in [
        ("Upgrade", "WebSocket"),
        ("Upgrade", "foo, websocket"),
        ("Connection", "keep-alive, Upgrade"),
        ("Connection", "upgrade"),
        ("Connection", "Upgrade,keep-alive"),
    ] {
        let response = Request::upgrade("/ws/chat/lobby/").with(name, value).send(&node).await;
        assert_eq!(response.status, 101, "{name}: {value}: {response:?}");
    }
}

#[tokio::test]
async fn unknown_extensions_and_subprotocols_are_not_accepted() {
    let node = Node::alone().await;
    let offer = Request::upgrade("/ws/chat/lobby/")
        .header("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")
        .header("Sec-WebSocket-Protocol", "graphql-ws");
    let response = offer.send(&node).await;
    assert_eq!(response.header("sec-websocket-extensions"), None);
    assert_eq!(response.header("sec-websocket-protocol"), None);
}

#[tokio::test]
async fn a_handshake_without_a_subprotocol_is_refused_with_what_is_expected() {
    let node = Node::alone().await;
    for offered in ["", "graphql-ws", "parlor.v2"] {
        let request = Request::upgrade("/ws").header("Sec-WebSocket-Protocol", offered);
        let response = request.send(&node).await;
        assert_eq!(response.status, 400, "{offered:?}: {response:?}");
        assert!(response.body.contains("`Sec-WebSocket-Protocol`: expected `parlor.v1`"), "{response:?}");
    }
    let response = Request::upgrade("/ws").send(&node).await;
    assert!(response.status == 400 && response.body.contains("expected `parlor.v1`"), "{response:?}");
}

#[tokio::test]
async fn a_get_without_upgrade_is_426() {
    let node = Node::alone().await;
    for path in SOCKETS {
        for request in
            [Request::get(path), Request::get(path).header("Upgrade", "h2c").header("Connection", "Upgrade")]
        {
            let response = request.send(&node).await;
            assert_eq!(response.status, 426, "{response:?}");
            assert_eq!(response.header("upgrade"), Some("websocket"));
            assert_eq!(response.content_type(), "text/plain");
        }
    }
}

#[tokio::test]
async fn another_version_is_answered_with_the_supported_one() {
    let node = Node::alone().await;
    for version in ["12", "8", "14", "", "13, 8", "thirteen", "013"] {
        let what = format!("with version {version:?}");
        let response =
            rejected(&node, 426, &what, |request| request.with("Sec-WebSocket-Version", version)).await;
        assert_eq!(response.header("sec-websocket-version"), Some("13"), "{what}");
    }
    let response =
        rejected(&node, 426, "without version", |request| request.without("Sec-WebSocket-Version")).await;
    assert_eq!(response.header("sec-websocket-version"), Some("13"));
}

#[tokio::test]
async fn a_handshake_with_post_is_rejected() {
    let node = Node::alone().await;
    rejected(&node, 400, "by POST", |request| request.method("POST")).await;
    rejected(&node, 400, "by POST with a body", |request| request.method("POST").body("hello")).await;
}

#[tokio::test]
async fn a_post_without_upgrade_is_405() {
    let node = Node::alone().await;
    for path in SOCKETS {
        let response = Request::post(path).body("").send(&node).await;
        assert_eq!(response.status, 405, "{response:?}");
        assert!(response.header("allow").unwrap_or_default().contains("GET"), "{response:?}");
    }
}

#[tokio::test]
async fn a_handshake_over_http_1_0_is_rejected() {
    let node = Node::alone().await;
    rejected(&node, 400, "of HTTP/1.0", |request| request.version("HTTP/1.0")).await;
}

#[tokio::test]
async fn a_handshake_needs_exactly_one_host() {
    let node = Node::alone().await;
    rejected(&node, 400, "without Host", |request| request.without("Host")).await;
    rejected(&node, 400, "with two hosts", |request| request.header("Host", "other.example")).await;
    let same = node.address().to_string();
    rejected(&node, 400, "with the same Host twice", |request| request.header("Host", &same)).await;
}

#[tokio::test]
async fn a_malformed_sec_websocket_key_is_rejected() {
    let node = Node::alone().await;
    let bad = [
        ("of one letter", "x"),
        ("that is empty", ""),
        ("of 15 bytes", "AAAAAAAAAAAAAAAAAAAA"),
        ("of 17 bytes", "AAAAAAAAAAAAAAAAAAAAAAA="),
        ("of 24 letters that are no base64", "dGhlIHNhbXBsZSBub25jZQ!!"),
        ("of 32 bytes", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    ];
    for (what, key) in bad {
        rejected(&node, 400, &format!("with a key {what}"), |request| request.with("Sec-WebSocket-Key", key))
            .await;
    }
    rejected(&node, 400, "without key", |request| request.without("Sec-WebSocket-Key")).await;
    let second = "AQIDBAUGBwgJCgsMDQ4PEC==";
    rejected(&node, 400, "with two keys", |request| request.header("Sec-WebSocket-Key", second)).await;
}

#[tokio::test]
async fn a_handshake_without_connection_upgrade_is_rejected() {
    let node = Node::alone().await;
    rejected(&node, 400, "without Connection", |request| request.without("Connection")).await;
    rejected(&node, 400, "that keeps alive", |request| request.with("Connection", "keep-alive")).await;
    rejected(&node, 400, "with a similar word", |request| request.with("Connection", "upgraded")).await;
}

#[tokio::test]
async fn a_handshake_with_a_body_is_rejected() {
    let node = Node::alone().await;
    rejected(&node, 400, "with a body", |request| request.body("hello")).await;
    rejected(&node, 400, "with a chunked body", |request| {
        request.header("Transfer-Encoding", "chunked").raw_body("5\r\nhello\r\n0\r\n\r\n")
    })
    .await;
}

#[tokio::test]
async fn an_unknown_socket_route_is_not_found() {
    let node = Node::alone().await;
    for path in ["/ws/x", "/ws/other/lobby/", "/ws/chat/a/b/", "/ws/push/a/b"] {
        let response = Request::upgrade(path).send(&node).await;
        assert_eq!(response.status, 404, "{path}: {response:?}");
    }
}

#[tokio::test]
async fn a_page_ignores_an_upgrade() {
    let node = Node::alone().await;
    let response = Request::upgrade("/chat/lobby/").send(&node).await;
    assert_eq!(response.status, 200, "{response:?}");
}

#[tokio::test]
async fn rejected_handshakes_leave_nothing_behind() {
    let node = Node::alone().await;
    for _ in 0..20 {
        rejected(&node, 400, "with a bad key", |request| request.with("Sec-WebSocket-Key", "x")).await;
    }
    assert!(metric(&node, "parlor_sockets").await == 0);
    assert!(metric(&node, "parlor_groups").await == 0);
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    ann.publish("hi").await;
    assert_eq!(ann.receive_chat().await, "hi");
}
