//! Cross-site WebSocket hijacking: a foreign page cannot open a socket with a visitor's cookies.

use crate::support::connection::Connection;
use crate::support::event_stream::stream_of;
use crate::support::handshake::V1;
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::user::User;

/// Every socket path, for a user with a conversation with `bob`.
const SOCKETS: [&str; 6] =
    ["/ws/chat/lobby/", "/ws/chat/lobby", "/ws/push/lobby", "/ws/chat/@bob/", "/ws/push/@bob", "/ws/inbox/"];

/// Origins that are not of this host, in many spellings.
fn foreign(node: &Node) -> Vec<String> {
    let host = node.address();
    let other = host.port() ^ 1;
    vec![
        "http://evil.example".to_owned(),
        format!("http://{host}.evil.example"),
        format!("http://evil.example:{}", host.port()),
        format!("http://127.0.0.1:{other}"),
        format!("http://localhost:{}", host.port()),
        format!("ws://{host}"),
        format!("file://{host}"),
        format!("chrome-extension://{host}"),
        format!("http://{host}, http://evil.example"),
        format!("http://evil.example http://{host}"),
        format!("http://{host}@evil.example"),
        format!("http://evil.example@{host}.x"),
        "null".to_owned(),
        String::new(),
    ]
}

#[tokio::test]
async fn a_foreign_page_cannot_open_a_socket_with_a_session() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    User::registered(&node, "bob").await;
    let ann = User::registered(&node, "ann").await;
    for path in SOCKETS {
        // The inbox requires the subprotocol.
        let plain = [None].into_iter().filter(|_| path != "/ws/inbox/");
        for protocol in plain.chain([Some(V1)]) {
            let knock = || {
                let request = ann.with_cookies(Request::upgrade(path));
                protocol.iter().fold(request, |request, name| request.header("Sec-WebSocket-Protocol", name))
            };
            for origin in foreign(&node) {
                let response = knock().header("Origin", &origin).send(&node).await;
                assert_eq!(response.status, 403, "{path} {protocol:?} for {origin:?}: {response:?}");
            }
            assert_eq!(knock().send(&node).await.status, 403, "{path} {protocol:?} without an origin");
            let own = format!("http://{}", node.address());
            let twice = knock().header("Origin", &own).header("Origin", "http://evil.example");
            assert_eq!(twice.send(&node).await.status, 403, "{path} {protocol:?} with two origins");
        }
    }
    let own = format!("http://{}", node.address());
    let good = ann.with_cookies(Request::upgrade(SOCKETS[0])).header("Origin", &own);
    assert_eq!(good.send(&node).await.status, 101);
}

#[tokio::test]
async fn no_response_is_readable_across_origins() {
    let node = Node::alone().await;
    let mut ann = User::registered(&node, "ann").await;
    let token = ann.token(&node).await;
    for target in [
        "/chat/lobby/",
        "/accounts/login/",
        "/dm/",
        "/api/tickets",
        "/api/openapi.json",
        "/metrics",
        "/static/room.js",
        "/nothing",
        &stream_of("a*b"),
    ] {
        for method in ["GET", "POST", "OPTIONS"] {
            let request = Request::new(method, target)
                .header("Origin", "http://evil.example")
                .header("Access-Control-Request-Method", "POST")
                .header("Access-Control-Request-Headers", "x-csrftoken, authorization")
                .header("X-CSRFToken", &token);
            let response = ann.with_cookies(request).body("").send(&node).await;
            let shared = response
                .headers
                .iter()
                .find(|(name, _)| name.to_ascii_lowercase().starts_with("access-control"));
            assert_eq!(shared, None, "{method} {target}");
        }
    }
}

#[tokio::test]
async fn a_foreign_page_may_read_why_its_handshake_was_refused_without_cookies() {
    let node = Node::alone().await;
    let own = format!("http://{}", node.address());
    for (origin, token, status, words) in [
        (own.as_str(), None, 426, "`Upgrade`"),
        (&own, Some("a.b.c"), 401, "`Authorization`"),
        ("https://shop.example", None, 403, "--allowed-origins"),
        ("https://shop.example", Some("a.b.c"), 403, "--allowed-origins"),
    ] {
        for path in ["/ws", "/ws/chat/lobby/", "/connection/websocket"] {
            let preflight = Request::new("OPTIONS", path)
                .header("Origin", origin)
                .header("Access-Control-Request-Method", "GET")
                .header("Access-Control-Request-Headers", "authorization");
            let mut probe = Request::get(path).header("Origin", origin);
            if let Some(token) = token {
                probe = probe.header("Authorization", &format!("Bearer {token}"));
            }
            for (request, expected) in [(preflight, 204), (probe, status)] {
                let response = request.send(&node).await;
                assert_eq!(response.status, expected, "{path} {origin} {token:?}: {response:?}");
                assert_eq!(response.header("access-control-allow-origin"), Some("*"));
                assert_eq!(response.header("access-control-allow-headers"), Some("authorization"));
                assert_eq!(response.header("access-control-allow-credentials"), None);
                assert!(expected == 204 || response.body.contains(words), "{path}: {response:?}");
            }
        }
    }
    // A page of the own site, as browsers ask for it.
    let ann = User::registered(&node, "ann").await;
    for (site, status) in [("same-origin", 426), ("cross-site", 403)] {
        let probe = ann.with_cookies(Request::get("/ws").header("Sec-Fetch-Site", site));
        assert_eq!(probe.send(&node).await.status, status, "{site}");
    }
    // Operators' sockets do not exist for others.
    let probe = Request::get("/ws/admin").header("Origin", &own).send(&node).await;
    assert_eq!((probe.status, probe.header("access-control-allow-origin")), (404, None));
}

#[tokio::test]
async fn a_foreign_page_cannot_read_a_stream_with_a_session() {
    let node = Node::alone().await;
    let ann = User::registered(&node, "ann").await;
    for (name, value) in [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
    ] {
        let stream =
            Request::get(&stream_of("lobby")).header("Accept", "text/event-stream").header(name, value);
        let response = ann.with_cookies(stream).send(&node).await;
        assert_eq!(response.status, 403, "{name}: {value}: {response:?}");
    }
}

#[tokio::test]
async fn a_link_cannot_send_the_commands_of_a_visitor() {
    let node = Node::alone().await;
    let ann = User::registered(&node, "ann").await;
    let own = format!("http://{}", node.address());
    let page = format!("{own}/chat/lobby/");
    let navigation = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let links: [&[(&str, &str)]; 6] = [
        &[],
        &[navigation],
        &[navigation, ("Sec-Fetch-Site", "none")],
        &[navigation, ("Sec-Fetch-Site", "same-origin")],
        &[navigation, ("Referer", &page)],
        &[("Sec-Fetch-Site", "none")],
    ];
    let scripts: [&[(&str, &str)]; 3] = [
        &[("Accept", "text/event-stream"), ("Referer", &page)],
        &[("Accept", "text/event-stream"), ("Sec-Fetch-Site", "same-origin")],
        &[("Accept", "*/*"), ("Origin", &own)],
    ];
    for transport in ["sse", "http_stream", "uni_sse", "uni_http_stream"] {
        let path = format!("/connection/{transport}?cf_connect=%7B%22id%22%3A1%2C%22connect%22%3A%7B%7D%7D");
        for (all, status) in [(&links[..], "403"), (&scripts, "200")] {
            for headers in all {
                let request = headers
                    .iter()
                    .fold(Request::get(&path), |request, (name, value)| request.header(name, value));
                let mut connection = Connection::connect(&node).await;
                connection.send(&ann.with_cookies(request).bytes(node.address())).await;
                let head = connection.response_head().await;
                assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{transport} {headers:?}: {head}");
            }
        }
        // A program has no cookies.
        let mut connection = Connection::connect(&node).await;
        connection.send(&Request::get(&path).bytes(node.address())).await;
        assert!(connection.response_head().await.starts_with("HTTP/1.1 200 "), "{transport}");
    }
}
