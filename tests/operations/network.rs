//! Allowed hosts, trusted proxies, and limits of sockets and handshakes.

use futures_util::StreamExt;

use crate::support::connection::Connection;
use crate::support::handshake::Handshake;
use crate::support::http::{Request, Response};
use crate::support::metrics::{metric, wait_for_metric};
use crate::support::node::Node;
use crate::support::tutorial_client::TutorialClient;
use crate::support::wait::{PATIENCE, holds, until};

#[tokio::test]
async fn a_page_of_an_app_connects_if_its_origin_is_allowed() {
    let apps = ["capacitor://localhost", "tauri://localhost", "chrome-extension://abcdefghijklmnop"];
    let (open, closed) = (Node::plan().flag("--allowed-origins", &apps.join(",")), Node::plan());
    let (open, closed) = (open.start().await, closed.flag("--allowed-origins", "localhost").start().await);
    for app in apps {
        let socket = Request::upgrade("/ws/chat/lobby/").header("Origin", app).with("Host", "localhost");
        assert_eq!(socket.send(&open).await.status, 101, "{app}");
        assert_eq!(socket.send(&closed).await.status, 403, "{app}");
    }
    let other = Request::upgrade("/ws/chat/lobby/").header("Origin", "capacitor://localhost:1");
    assert_eq!(other.send(&open).await.status, 403, "exactly");
}

#[tokio::test]
async fn probes_may_call_a_node_by_any_address() {
    let node = Node::plan().flag("--allowed-hosts", "chat.example.com").start().await;
    for host in ["10.244.2.73:8000", "127.0.0.1", "[fd00::7]:8000"] {
        for (path, status) in [
            ("/healthz", 200),
            ("/readyz", 200),
            ("/metrics", 200),
            ("/chat/", 400),
            ("/static/room.js", 400),
        ] {
            let response = Request::get(path).with("Host", host).send(&node).await;
            assert_eq!(response.status, status, "{path} of {host}: {response:?}");
        }
    }
    for host in ["evil.example", "localhost", "10.244.2.73.evil.example"] {
        let response = Request::get("/healthz").with("Host", host).send(&node).await;
        assert_eq!(response.status, 400, "{host}: {response:?}");
    }
}

#[tokio::test]
async fn a_node_serves_only_its_allowed_hosts() {
    let node = Node::plan().flag("--allowed-hosts", "chat.example.com,.example.org").start().await;
    for (host, status) in [
        ("chat.example.com", 200),
        ("CHAT.example.com:8443", 200),
        ("example.org", 200),
        ("a.b.example.org", 200),
        ("evil.example", 400),
        ("chat.example.com.evil.example", 400),
        ("evilexample.org", 400),
        ("127.0.0.1", 400),
        ("localhost", 400),
    ] {
        for request in [Request::get("/chat/"), Request::get("/api/openapi.json"), Request::get("/nothing")] {
            let response = request.with("Host", host).send(&node).await;
            assert_eq!(response.status == 400, status == 400, "{host}: {response:?}");
            if status == 400 {
                assert!(response.body.contains("--allowed-hosts"), "{host}: {response:?}");
            }
        }
        let response = Request::upgrade("/ws/chat/lobby/").with("Host", host).send(&node).await;
        assert_eq!(response.status, if status == 200 { 101 } else { 400 }, "{host}: {response:?}");
    }
    let response =
        Request::get("http://evil.example/chat/").with("Host", "chat.example.com").send(&node).await;
    assert_eq!(response.status, 400, "a target may name a host, too: {response:?}");
}

#[tokio::test]
async fn by_default_a_node_serves_addresses_and_localhost() {
    // A foreign site may make its own name resolve to the node; the Origin is of the node's host
    // then.
    let mut rebound = Request::upgrade("/ws/chat/lobby/");
    rebound = rebound.with("Host", "evil.example").header("Origin", "http://evil.example");
    let node = Node::plan().without_env("PARLOR_ALLOWED_HOSTS").start().await;
    assert_eq!(rebound.send(&node).await.status, 400);
    for host in ["127.0.0.1", "127.0.0.1:1", "[::1]:8000", "10.9.8.7", "localhost:8000", "parlor.localhost"] {
        assert_eq!(Request::get("/chat/").with("Host", host).send(&node).await.status, 200, "{host}");
    }
    // Allowed origins are another setting than allowed hosts.
    let plan = Node::plan().without_env("PARLOR_ALLOWED_HOSTS").flag("--allowed-origins", "evil.example");
    assert_eq!(rebound.send(&plan.start().await).await.status, 400);
}

#[tokio::test]
async fn an_untrusted_proxy_is_logged_once() {
    let node = Node::plan().start().await;
    let reported = || node.log().all().iter().filter(|line| line.contains("--trusted-proxies")).count();
    for _ in 0..3 {
        Request::get("/chat/").header("X-Forwarded-For", "198.51.100.7").send(&node).await;
    }
    until(PATIENCE, "the hint", async || holds(reported() == 1, || reported().to_string())).await;
    let trusting = Node::plan().flag("--trusted-proxies", "127.0.0.1").start().await;
    Request::get("/chat/").header("X-Forwarded-For", "198.51.100.7").send(&trusting).await;
    assert!(!trusting.log().text().contains("--trusted-proxies"));
}

/// Opens a socket and keeps it, or is rejected with this status.
async fn come(node: &Node, path: &str, headers: &[(&str, &str)]) -> Result<Connection, Response> {
    let mut connection = Connection::connect(node).await;
    let request =
        headers.iter().fold(Request::upgrade(path), |request, (name, value)| request.header(name, value));
    let response = request.send_on(&mut connection).await;
    if response.status == 101 { Ok(connection) } else { Err(response) }
}

fn assert_too_many(response: &Response) {
    assert_eq!(response.status, 429, "{response:?}");
    let after = response.header("Retry-After").and_then(|after| after.parse::<u32>().ok());
    assert!(after.is_some_and(|after| (1..=60).contains(&after)), "{response:?}");
}

#[tokio::test]
async fn sockets_are_limited_per_address() {
    let node = Node::plan().flag("--sockets-per-address", "100").start().await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    let crowd = futures_util::stream::iter(0..5000)
        .map(|_| come(&node, "/ws/chat/lobby/", &[]))
        .buffer_unordered(50)
        .collect::<Vec<_>>()
        .await;
    let (inside, rejected): (Vec<_>, Vec<_>) = crowd.into_iter().partition(Result::is_ok);
    assert_eq!((inside.len(), rejected.len()), (99, 4901), "and ann is the hundredth");
    for response in &rejected {
        assert_too_many(response.as_ref().err().unwrap());
    }
    assert_eq!(metric(&node, "parlor_refused_total{reason=\"sockets_per_address\"}").await, 4901);
    ann.publish("still here").await;
    assert_eq!(ann.receive_chat().await, "still here");
    drop(inside);
    until(PATIENCE, "places that are free again", async || {
        let came = come(&node, "/ws/chat/lobby/", &[]).await;
        holds(came.is_ok(), || format!("{:?}", came.err()))
    })
    .await;
}

#[tokio::test]
async fn event_streams_count_as_sockets() {
    let node = Node::plan().flag("--sockets-per-address", "2").start().await;
    let _ann = come(&node, "/ws/chat/lobby/", &[]).await.unwrap();
    let mut feed = Connection::connect(&node).await;
    feed.send(&Request::get("/sse/chat/lobby/").bytes(node.address())).await;
    wait_for_metric(&node, "parlor_sockets", 2).await;
    assert_too_many(&come(&node, "/ws/push/lobby", &[]).await.err().unwrap());
    assert_too_many(&Request::get("/sse/chat/lobby/").send(&node).await);
    assert_eq!(Request::get("/chat/").send(&node).await.status, 200, "pages are no sockets");
}

#[tokio::test]
async fn sockets_are_limited_per_user() {
    let node =
        Node::plan().flag("--sockets-per-user", "2").flag("--trusted-proxies", "127.0.0.0/8").start().await;
    let ann = Handshake::to_room("lobby").with_guest(1);
    let (first, _second) = (ann.connect(&node).await, ann.connect(&node).await);
    assert!(ann.try_connect(node.address()).await.is_err(), "a third");
    let _bob = Handshake::to_room("lobby").with_guest(2).connect(&node).await;
    assert_eq!(metric(&node, "parlor_refused_total{reason=\"sockets_per_user\"}").await, 1);
    first.close().await;
    until(PATIENCE, "a free place", async || {
        let came = ann.try_connect(node.address()).await;
        holds(came.is_ok(), || format!("{:?}", came.err()))
    })
    .await;
}

#[tokio::test]
async fn handshakes_over_the_rate_are_rejected_until_later() {
    let node = Node::plan().flag("--handshakes-per-second", "1").start().await;
    let mut rejected = 0;
    for _ in 0..15 {
        match come(&node, "/ws/chat/lobby/", &[]).await {
            Ok(_) => {}
            Err(response) => {
                assert_too_many(&response);
                rejected += 1;
            }
        }
    }
    assert!((3..=5).contains(&rejected), "{rejected} of 15 were refused, ten at once are allowed");
    assert_too_many(&Request::get("/sse/chat/lobby/").send(&node).await);
    until(PATIENCE, "the next one", async || {
        let came = come(&node, "/ws/chat/lobby/", &[]).await;
        holds(came.is_ok(), || format!("{:?}", came.err()))
    })
    .await;
}

#[tokio::test]
async fn only_a_trusted_proxy_sets_the_client_address() {
    let plan = Node::plan().flag("--sockets-per-address", "1");
    let path = "/ws/chat/lobby/";
    let from = |text: &'static str| [("X-Forwarded-For", text)];
    // A client that is no proxy could claim any address.
    let open = plan.start().await;
    let _first = come(&open, path, &from("198.51.100.1")).await.unwrap();
    assert_too_many(&come(&open, path, &from("198.51.100.2")).await.err().unwrap());
    let node = plan.flag("--trusted-proxies", "127.0.0.1,10.0.0.0/8").start().await;
    let mut inside = Vec::new();
    for address in ["198.51.100.1", "198.51.100.2, 10.1.2.3", "2001:db8::1", "6.6.6.6, 198.51.100.3"] {
        inside.push(come(&node, path, &from(address)).await.unwrap());
    }
    for again in [
        "198.51.100.1",
        // The client's own claims are on the left.
        "1.2.3.4, 198.51.100.2",
        "1.2.3.4, 198.51.100.3, 10.9.9.9",
        // One subscriber has a whole network of these.
        "2001:db8::ffff:1",
    ] {
        assert_too_many(&come(&node, path, &from(again)).await.err().unwrap());
    }
    assert!(come(&node, path, &from("2001:db8:0:1::1")).await.is_ok());
}
