//! Which origins may open a socket: the same host, the allowed list, and clients without an origin
//! and without cookies.

use crate::support::http::Request;
use crate::support::node::Node;

const SOCKETS: [&str; 2] = ["/ws/chat/lobby/", "/ws/push/lobby"];

/// The statuses of a handshake with these headers at both sockets.
async fn responses(node: &Node, wanted: u16, headers: &[(&str, &str)]) {
    for path in SOCKETS {
        let request = headers.iter().fold(Request::upgrade(path), |request, (name, value)| match *name {
            "Host" => request.with(name, value),
            _ => request.header(name, value),
        });
        let response = request.send(node).await;
        assert_eq!(response.status, wanted, "{path} with {headers:?}: {response:?}");
    }
}

#[tokio::test]
async fn a_page_of_the_same_host_is_accepted() {
    let node = Node::alone().await;
    let own = format!("http://{}", node.address());
    responses(&node, 101, &[("Origin", &own)]).await;
    responses(&node, 101, &[("Origin", &own), ("Cookie", "csrftoken=abc")]).await;
    // Behind a proxy that ends TLS the scheme differs, and the host is the page's.
    responses(&node, 101, &[("Host", "chat.example.com"), ("Origin", "https://chat.example.com")]).await;
    responses(&node, 101, &[("Host", "chat.example.com:8443"), ("Origin", "https://chat.example.com:8443")])
        .await;
    responses(&node, 101, &[("Host", "Chat.Example.com"), ("Origin", "https://chat.example.COM")]).await;
}

#[tokio::test]
async fn a_foreign_page_is_rejected() {
    let node = Node::alone().await;
    let host = node.address();
    let foreign = [
        "http://evil.example".to_owned(),
        format!("http://{host}.evil.example"),
        format!("http://evil.example/{host}"),
        format!("http://evil.example#{host}"),
        format!("http://{host}@evil.example"),
        "http://localhost.evil.example".to_owned(),
        "null".to_owned(),
        String::new(),
        "nonsense".to_owned(),
        host.to_string(),
        "file://".to_owned(),
    ];
    for origin in foreign {
        responses(&node, 403, &[("Origin", &origin)]).await;
    }
}

#[tokio::test]
async fn two_origins_are_rejected() {
    let node = Node::alone().await;
    let own = format!("http://{}", node.address());
    for path in SOCKETS {
        let request = Request::upgrade(path).header("Origin", &own).header("Origin", "http://evil.example");
        let response = request.send(&node).await;
        assert!(matches!(response.status, 400 | 403), "{response:?}");
    }
}

#[tokio::test]
async fn a_client_without_origin_is_accepted_only_without_cookies() {
    let node = Node::alone().await;
    responses(&node, 101, &[]).await;
    responses(&node, 403, &[("Cookie", "csrftoken=abc")]).await;
}

#[tokio::test]
async fn a_rejection_is_plain_text() {
    let node = Node::alone().await;
    let response =
        Request::upgrade("/ws/chat/lobby/").header("Origin", "http://evil.example").send(&node).await;
    assert_eq!((response.status, response.content_type()), (403, "text/plain"));
    assert!(!response.body.is_empty(), "a refusal has a text");
}

#[tokio::test]
async fn a_pattern_with_a_dot_allows_the_domain_and_its_subdomains() {
    let node = Node::plan().flag("--allowed-origins", ".example.com").start().await;
    for origin in [
        "http://example.com",
        "https://example.com",
        "https://a.example.com",
        "https://a.b.example.com:8443",
        "https://A.EXAMPLE.com",
    ] {
        responses(&node, 101, &[("Origin", origin)]).await;
    }
    for origin in [
        "http://evilexample.com",
        "http://example.com.evil.org",
        "http://example.org",
        "null",
        "http://.com",
        "https://a.example.comx",
    ] {
        responses(&node, 403, &[("Origin", origin)]).await;
    }
}

#[tokio::test]
async fn a_host_allows_only_that_host() {
    let node = Node::plan().flag("--allowed-origins", "example.com,other.example").start().await;
    for origin in ["http://example.com", "https://example.com", "https://other.example"] {
        responses(&node, 101, &[("Origin", origin)]).await;
    }
    for origin in ["http://a.example.com", "http://xample.com", "http://evil.example"] {
        responses(&node, 403, &[("Origin", origin)]).await;
    }
}

#[tokio::test]
async fn a_full_origin_allows_only_its_scheme_host_and_port() {
    let node = Node::plan()
        .env("PARLOR_ALLOWED_ORIGINS", "https://app.example.com,http://dev.example.com:3000")
        .start()
        .await;
    for origin in ["https://app.example.com", "http://dev.example.com:3000"] {
        responses(&node, 101, &[("Origin", origin)]).await;
        responses(&node, 101, &[("Origin", origin), ("Cookie", "csrftoken=abc")]).await;
    }
    for origin in [
        "http://app.example.com",
        "https://app.example.com:8443",
        "http://dev.example.com",
        "https://x.app.example.com",
    ] {
        responses(&node, 403, &[("Origin", origin)]).await;
    }
}

#[tokio::test]
async fn a_star_allows_every_page() {
    let node = Node::plan().flag("--allowed-origins", "*").start().await;
    for origin in ["http://evil.example", "https://app.example.com:8443"] {
        responses(&node, 101, &[("Origin", origin)]).await;
    }
}
