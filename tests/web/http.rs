//! HTTP: redirects, methods, statuses, limits, and the headers of every response.

use serde_json::json;

use crate::support::connection::Connection;
use crate::support::http::Request;
use crate::support::metrics::{metric, wait_for_metric};
use crate::support::node::Node;
use crate::support::tutorial_client::TutorialClient;
use crate::support::wait::seconds;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

#[tokio::test]
async fn short_paths_redirect_to_the_pages() {
    let node = Node::alone().await;
    for (target, status, location) in [
        ("/", 302, "/chat/"),
        ("/chat", 308, "/chat/"),
        ("/dm?user=ann", 308, "/dm/?user=ann"),
        ("/chat/lobby?a=b", 308, "/chat/lobby/?a=b"),
        ("/chat/lobby", 308, "/chat/lobby/"),
        ("/chat/%E8%81%8A%E5%A4%A9", 308, "/chat/%E8%81%8A%E5%A4%A9/"),
        ("/chat/a%20b", 308, "/chat/a%20b/"),
    ] {
        for method in ["GET", "HEAD"] {
            let response = Request::new(method, target).send(&node).await;
            assert_eq!(
                (response.status, response.header("location")),
                (status, Some(location)),
                "{method} {target}"
            );
        }
    }
}

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    let node = Node::alone().await;
    for target in [
        "/nothing",
        "/chats/",
        "/chat/a/b/",
        "/static/",
        "/static/nothing.js",
        "/push/lobby",
        "/healthz/x",
        "//chat/",
        "//evil.example",
        "/CHAT/",
    ] {
        let response = Request::get(target).send(&node).await;
        assert_eq!(response.status, 404, "{target}: {response:?}");
        assert_eq!(response.content_type(), "text/plain", "{target}");
        assert!(!response.body.is_empty(), "{target}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_with_allow() {
    let node = Node::alone().await;
    let style = linked(&Request::get("/chat/").send(&node).await.body)[0].clone();
    let cases = [
        ("/", "POST", &["GET", "HEAD"][..]),
        ("/chat", "POST", &["GET", "HEAD"]),
        ("/chat/", "POST", &["GET", "HEAD"]),
        ("/chat/lobby/", "POST", &["GET", "HEAD"]),
        ("/chat/lobby/", "DELETE", &["GET", "HEAD"]),
        ("/chat/lobby/", "TRACE", &["GET", "HEAD"]),
        ("/chat/lobby/", "BREW", &["GET", "HEAD"]),
        ("/healthz", "POST", &["GET", "HEAD"]),
        ("/readyz", "PUT", &["GET", "HEAD"]),
        ("/metrics", "POST", &["GET", "HEAD"]),
        ("/push?room=lobby", "PUT", &["GET", "POST", "DELETE"]),
        ("/push?room=lobby", "PATCH", &["GET", "POST", "DELETE"]),
        (&style, "POST", &["GET", "HEAD"]),
    ];
    for (target, method, wanted) in cases {
        let response = Request::new(method, target).header("Content-Length", "0").send(&node).await;
        assert_eq!(response.status, 405, "{method} {target}: {response:?}");
        let allow =
            response.header("allow").unwrap_or_else(|| panic!("no Allow in the answer to {method} {target}"));
        let allowed: Vec<_> = allow.split(',').map(str::trim).collect();
        for right in wanted {
            assert!(allowed.contains(right), "{method} {target}: Allow: {allow}");
        }
        assert!(!allowed.contains(&method), "{method} {target}: Allow: {allow}");
    }
}

#[tokio::test]
async fn head_starts_nothing() {
    let node = Node::alone().await;
    let mut page = TutorialClient::push(&node, "lobby").await;
    for target in ["/push?room=lobby", "/sse/chat/lobby/"] {
        let response = Request::new("HEAD", target).send(&node).await;
        assert_eq!((response.status, response.body.as_str()), (405, ""), "HEAD {target}");
        assert!(!response.header("allow").unwrap().contains("HEAD"), "{target}: {response:?}");
    }
    assert_eq!(metric(&node, "parlor_resumes_total{outcome=\"new\"}").await, 0, "no stream was opened");
    page.receives_nothing_for(seconds(3)).await;
}

#[tokio::test]
async fn options_names_the_methods_of_a_path() {
    let node = Node::alone().await;
    for (target, status, allow) in [
        ("/", 204, Some("GET, HEAD, OPTIONS")),
        ("/readyz", 204, Some("GET, HEAD, OPTIONS")),
        ("/push?room=lobby", 204, Some("GET, POST, DELETE, OPTIONS")),
        ("/ws/chat/lobby/", 204, Some("GET, OPTIONS")),
        ("*", 204, Some("OPTIONS")),
        ("/admin/", 404, None),
        ("/nothing", 404, None),
    ] {
        let response = Request::new("OPTIONS", target).send(&node).await;
        assert_eq!((response.status, response.header("allow")), (status, allow), "{target}: {response:?}");
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let node = Node::alone().await;
    let style = linked(&Request::get("/chat/").send(&node).await.body)[0].clone();
    for target in ["/chat/", "/chat/lobby/", "/healthz", "/readyz", &style, "/nothing"] {
        let mut connection = Connection::connect(&node).await;
        let get = Request::get(target).send_on(&mut connection).await;
        let head = Request::new("HEAD", target).send_on(&mut connection).await;
        assert_eq!(head.status, get.status, "{target}");
        for name in ["content-type", "content-length", "etag", "cache-control"] {
            assert_eq!(head.header(name), get.header(name), "{name} of {target}");
        }
        // Had there been a body, this response would begin within it.
        assert_eq!(
            Request::get("/healthz").send_on(&mut connection).await.status,
            200,
            "after HEAD {target}"
        );
    }
}

#[tokio::test]
async fn every_response_carries_the_security_headers() {
    let node = Node::alone().await;
    let style = linked(&Request::get("/chat/").send(&node).await.body)[0].clone();
    let cases = [
        (200, Request::get("/chat/")),
        (200, Request::get("/chat/lobby/")),
        (200, Request::get("/healthz")),
        (200, Request::get("/readyz")),
        (200, Request::get("/metrics")),
        (200, Request::get(&style)),
        (200, Request::post("/push?room=lobby")),
        (302, Request::get("/")),
        (308, Request::get("/chat")),
        (400, Request::get("/chat/a*b/")),
        (400, Request::get("/chat/a*b/").header("Accept", "text/html")),
        (400, Request::get("/chat/").without("Host")),
        (400, Request::upgrade("/ws/chat/lobby/").without("Connection")),
        (403, Request::upgrade("/ws/chat/lobby/").header("Origin", "http://evil.example")),
        (404, Request::get("/nothing")),
        (405, Request::post("/chat/")),
        (413, Request::post("/push?room=lobby").header("Content-Length", "1000000")),
        (426, Request::get("/ws/chat/lobby/")),
    ];
    for (status, request) in cases {
        let response = request.send(&node).await;
        assert_eq!(response.status, status, "{request:?}: {response:?}");
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("content-security-policy", POLICY),
        ] {
            assert_eq!(response.header(name), Some(value), "{name} of {request:?}");
        }
        assert!(response.header("cache-control").is_some(), "a cache would choose for itself: {response:?}");
    }
}

#[tokio::test]
async fn no_response_names_the_software() {
    let node = Node::alone().await;
    for target in ["/chat/", "/nothing"] {
        assert_eq!(Request::get(target).send(&node).await.header("server"), None);
    }
}

#[tokio::test]
async fn responses_carry_a_date() {
    let node = Node::alone().await;
    let response = Request::get("/healthz").send(&node).await;
    assert!(response.header("date").is_some_and(|date| date.ends_with(" GMT")), "{response:?}");
}

#[tokio::test]
async fn a_request_needs_exactly_one_host() {
    let node = Node::alone().await;
    let own = node.address().to_string();
    for target in ["/", "/chat/", "/healthz", "/nothing", "/push?room=lobby"] {
        let without = Request::get(target).without("Host");
        let double = Request::get(target).header("Host", "other.example");
        let twice = Request::get(target).header("Host", &own);
        for request in [without, double, twice] {
            let response = request.send(&node).await;
            assert_eq!(response.status, 400, "{request:?}: {response:?}");
        }
    }
}

#[tokio::test]
async fn http_1_0_needs_no_host() {
    let node = Node::alone().await;
    let response = Request::get("/chat/").without("Host").version("HTTP/1.0").send(&node).await;
    assert_eq!(response.status, 200, "{response:?}");
}

#[tokio::test]
async fn a_connection_serves_several_requests() {
    let node = Node::alone().await;
    let mut connection = Connection::connect(&node).await;
    for (target, status) in
        [("/healthz", 200), ("/chat/", 200), ("/nothing", 404), ("/push?room=a", 200), ("/chat/a/", 200)]
    {
        assert_eq!(Request::get(target).send_on(&mut connection).await.status, status, "{target}");
    }
    // The node reads the body of a request that does not need one.
    assert_eq!(Request::post("/push?room=a").body("hello").send_on(&mut connection).await.status, 200);
    assert_eq!(Request::get("/healthz").send_on(&mut connection).await.status, 200);
}

#[tokio::test]
async fn push_answers_success_as_json() {
    let node = Node::alone().await;
    let response = Request::get("/push?room=lobby").send(&node).await;
    assert_eq!((response.status, response.content_type()), (200, "application/json"));
    assert_eq!(response.json(), json!({ "status": "success" }));
}

#[tokio::test]
async fn health_readiness_and_metrics_are_served() {
    let node = Node::alone().await;
    assert_eq!(Request::get("/healthz").send(&node).await.status, 200);
    let ready = Request::get("/readyz").send(&node).await;
    assert_eq!(ready.status, 200);
    assert!(ready.body.contains("memory"), "a node without Redis says so: {ready:?}");
    let figures = Request::get("/metrics").send(&node).await;
    assert_eq!(figures.status, 200);
    // Prometheus' text format, or its standard successor.
    assert!(matches!(figures.content_type(), "text/plain" | "application/openmetrics-text"), "{figures:?}");
    for name in [
        "parlor_sockets",
        "parlor_groups",
        "parlor_published_total",
        "parlor_delivered_total",
        "parlor_redis_reconnects_total",
    ] {
        assert!(
            figures.body.lines().any(|line| line.starts_with(&format!("{name} "))),
            "{name} in {}",
            figures.body
        );
    }
}

#[tokio::test]
async fn metrics_count_sockets_groups_and_messages() {
    let node = Node::alone().await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    let mut bob = TutorialClient::chat(&node, "lobby").await;
    let page = TutorialClient::push(&node, "lobby").await;
    wait_for_metric(&node, "parlor_sockets", 3).await;
    wait_for_metric(&node, "parlor_groups", 2).await;
    ann.publish("hi").await;
    assert_eq!(ann.receive_chat().await, bob.receive_chat().await);
    wait_for_metric(&node, "parlor_published_total", 1).await;
    wait_for_metric(&node, "parlor_delivered_total", 2).await;
    page.close().await;
    wait_for_metric(&node, "parlor_groups", 1).await;
    ann.close().await;
    drop(bob);
    wait_for_metric(&node, "parlor_sockets", 0).await;
    wait_for_metric(&node, "parlor_groups", 0).await;
}

/// The files that a page names under `/static/`.
pub fn linked(page: &str) -> Vec<String> {
    let names = page.split(['"', '\'']).filter(|part| part.starts_with("/static/"));
    let names: Vec<_> = names.map(str::to_owned).collect();
    assert!(!names.is_empty(), "a page names its files: {page}");
    names
}
