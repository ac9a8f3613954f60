//! `/metrics`: two formats, the figures of the process, requests by route, and what was refused.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::json;

use crate::support::centrifugo::signed;
use crate::support::http::{Request, Response};
use crate::support::metrics::{metric, wait_for_metric};
use crate::support::node::{Node, SECRET};
use crate::support::redis::Redis;
use crate::support::v1_client::V1Client;
use crate::support::wait::{PATIENCE, holds, seconds, until};

async fn metrics(node: &Node, accept: Option<&str>) -> Response {
    let request = Request::get("/metrics");
    let response = accept.map_or(request.clone(), |accept| request.header("Accept", accept)).send(node).await;
    assert_eq!(response.status, 200, "{response:?}");
    response
}

/// Reads Prometheus' text format (0.0.4) strictly: each family once, its help, its type, then its
/// samples. Returns the series of each family.
fn parse(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let sample =
        Regex::new(r#"^([a-z_][a-z0-9_]*)(\{[a-z_]+="[^"\\]*"(,[a-z_]+="[^"\\]*")*\})? ([0-9.e+-]+|\+Inf)$"#)
            .unwrap();
    let mut families: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (mut lines, mut name, mut kind) = (text.lines(), String::new(), String::new());
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (named, help) = help.split_once(' ').expect("a help text");
            let ty =
                lines.next().and_then(|line| line.strip_prefix("# TYPE ")).expect("a type after the help");
            let (typed, of) = ty.split_once(' ').expect("a type");
            assert!(named == typed && !help.is_empty(), "{line}: {ty}");
            assert!(["counter", "gauge", "histogram"].contains(&of), "{ty}");
            assert_eq!(of == "counter", named.ends_with("_total"), "{ty}");
            assert!(families.insert(named.to_owned(), BTreeSet::new()).is_none(), "{named} twice");
            (name, kind) = (named.to_owned(), of.to_owned());
            continue;
        }
        let found = sample.captures(line).unwrap_or_else(|| panic!("no sample: {line:?}"));
        let suffix = found[1].strip_prefix(&name).unwrap_or_else(|| panic!("{line} in the family {name}"));
        let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        assert!(suffixes.contains(&suffix), "{line} in the {kind} {name}");
        let series = format!("{}{}", &found[1], found.get(2).map_or("", |labels| labels.as_str()));
        assert!(families.get_mut(&name).expect("a family").insert(series), "{line} twice");
    }
    assert!(families.values().all(|series| !series.is_empty()), "a family without samples");
    families
}

#[tokio::test]
async fn metrics_are_prometheus_text_unless_openmetrics_is_asked_for() {
    let node = Node::alone().await;
    for accept in [None, Some("*/*"), Some("text/plain;version=0.0.4;q=0.5,*/*;q=0.1"), Some("text/html")] {
        let response = metrics(&node, accept).await;
        assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        parse(&response.body);
    }
    let response = metrics(&node, Some("application/openmetrics-text;version=1.0.0,*/*;q=0.1")).await;
    assert!(
        response.header("content-type").unwrap().starts_with("application/openmetrics-text"),
        "{response:?}"
    );
    assert!(response.body.ends_with("\n# EOF\n"), "{response:?}");
}

#[tokio::test]
async fn every_series_is_there_from_the_start() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let before = parse(&metrics(&node, None).await.body);
    for name in [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_start_time_seconds",
    ] {
        assert!(before.contains_key(name), "{name} in {:?}", before.keys());
    }
    let mut ann = V1Client::join(&node, "lobby").await;
    ann.publish("hi").await;
    ann.close().await;
    for (request, status) in [
        (Request::get("/chat/lobby/"), 200),
        (Request::get("/nothing"), 404),
        (Request::upgrade("/ws/chat/lobby/").header("Origin", "http://evil.example"), 403),
    ] {
        assert_eq!(request.send(&node).await.status, status);
    }
    assert_eq!(parse(&metrics(&node, None).await.body), before);
}

#[tokio::test]
async fn requests_are_counted_by_route_and_status() {
    let node = Node::alone().await;
    for (request, route, code) in [
        (Request::get("/chat/lobby/"), "room", "2xx"),
        (Request::get("/chat"), "home", "3xx"),
        (Request::get("/chat/a*b/"), "room", "4xx"),
        (Request::get("/nothing"), "none", "4xx"),
        (Request::upgrade("/ws/chat/lobby/"), "chat_socket", "1xx"),
        (Request::post("/healthz").body(""), "healthz", "4xx"),
    ] {
        let series = format!("parlor_http_requests_total{{route=\"{route}\",code=\"{code}\"}}");
        assert_eq!(metric(&node, &series).await, 0, "{series}");
        request.send(&node).await;
        wait_for_metric(&node, &series, 1).await;
    }
    assert_eq!(metric(&node, "parlor_handshake_seconds_count").await, 1);
    let build = concat!("parlor_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}");
    assert_eq!((metric(&node, build).await, metric(&node, "parlor_ready").await), (1, 1));
    let text = metrics(&node, None).await.body;
    assert!(!text.contains("parlor_redis_up"), "a node without Redis says nothing of it");
}

#[tokio::test]
async fn metrics_show_that_redis_is_away() {
    let mut redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = V1Client::join(&node, "lobby").await;
    let vitals = async || (metric(&node, "parlor_ready").await, metric(&node, "parlor_redis_up").await);
    assert_eq!((vitals().await, metric(&node, "parlor_redis_heartbeat").await), ((1, 1), 1));
    redis.kill();
    until(PATIENCE, "the metrics to show it", async || {
        let vitals = vitals().await;
        holds(vitals == (0, 0), || format!("{vitals:?}"))
    })
    .await;
    assert_eq!(ann.try_publish("lost", "lost").await["code"], "unavailable");
    let failures =
        ["unreachable", "timed_out"].map(|why| format!("parlor_layer_failures_total{{reason=\"{why}\"}}"));
    assert!(metric(&node, &failures[0]).await + metric(&node, &failures[1]).await > 0);
    let logged = |line: &str| line.contains("WARN") && line.contains("a request of a client failed");
    node.log().wait_for("the failure", PATIENCE, logged).await;
}

#[tokio::test]
async fn refused_origins_and_hosts_are_logged_once_and_counted() {
    let node = Node::plan().env("PARLOR_ALLOWED_HOSTS", "chat.example.org").start().await;
    let page = |request: Request| {
        request.with("Host", "chat.example.org").header("Origin", "http://chat.example.org:8080")
    };
    for request in [Request::upgrade("/ws/chat/lobby/"), Request::post("/push?room=lobby")] {
        let response = page(request).send(&node).await;
        assert_eq!(response.status, 403, "{response:?}");
        assert!(response.body.contains("--allowed-origins"), "{response:?}");
    }
    assert_eq!(Request::get("/chat/").with("Host", "other.example").send(&node).await.status, 400);
    wait_for_metric(&node, "parlor_refused_total{reason=\"origins\"}", 2).await;
    wait_for_metric(&node, "parlor_refused_total{reason=\"hosts\"}", 1).await;
    let origin = node.log().wait_for("an origin", PATIENCE, |line| line.contains("another origin")).await;
    for word in [
        "WARN",
        "http://chat.example.org:8080",
        "host=\"chat.example.org\"",
        "--allowed-origins",
        "$http_host",
    ] {
        assert!(origin.contains(word), "{word} in {origin}");
    }
    let host = node.log().wait_for("a host", PATIENCE, |line| line.contains("refused a host")).await;
    assert!(host.contains("other.example") && host.contains("--allowed-hosts"), "{host}");
    let lines = node.log().all();
    assert_eq!(lines.iter().filter(|line| line.contains("another origin")).count(), 1, "{lines:?}");
}

#[tokio::test]
async fn a_refused_token_is_logged_with_its_reason_and_never_shown() {
    let plan = Node::plan().env("PARLOR_TOKEN_KEY", SECRET).env("PARLOR_TOKEN_ALGORITHM", "HS256");
    let node = plan.start().await;
    let token = "aaaaaaaa.bbbbbbbb.cccccccc";
    let request = Request::get("/api/rooms").header("Authorization", &format!("Bearer {token}"));
    assert_eq!(request.send(&node).await.status, 401);
    wait_for_metric(&node, "parlor_refused_total{reason=\"tokens\"}", 1).await;
    let line = node.log().wait_for("a token", PATIENCE, |line| line.contains("refused a token")).await;
    assert!(line.contains("WARN") && line.contains("expected a JSON Web Token"), "{line}");
    // A reason that is logged does not hide another one.
    let refused = async |token: &str| {
        let request = Request::get("/api/rooms").header("Authorization", &format!("Bearer {token}"));
        assert_eq!(request.send(&node).await.status, 401);
    };
    let jwt = signed(&json!({ "sub": "ann", "exp": 4_000_000_000_u64 }), "another secret");
    for _ in 0..2 {
        refused(token).await;
        refused(&jwt).await;
    }
    let is_about_signature = |line: &str| line.contains("refused a token") && line.contains("signature");
    node.log().wait_for("a signature", PATIENCE, is_about_signature).await;
    wait_for_metric(&node, "parlor_refused_total{reason=\"tokens\"}", 5).await;
    let lines = node.log().all();
    assert_eq!(lines.iter().filter(|line| line.contains("refused a token")).count(), 2, "{lines:?}");
    tokio::time::sleep(seconds(1)).await;
    assert!(!node.log().text().contains("bbbbbbbb"), "{}", node.log().text());
}
