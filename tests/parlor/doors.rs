//! The doors: by which hosts a node is called, whose word on a client's address counts, and how many may come.

use crate::harness::http::Request;
use crate::harness::node::Node;
use crate::harness::wait::{PATIENCE, holds, until};

#[tokio::test]
async fn a_node_is_called_by_its_hosts_only() {
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
        for request in [Request::get("/chat/"), Request::get("/healthz"), Request::get("/nothing")] {
            let answer = request.with("Host", host).send(&node).await;
            assert_eq!(answer.status == 400, status == 400, "{host}: {answer:?}");
            if status == 400 {
                assert!(answer.body.contains("--allowed-hosts"), "{host}: {answer:?}");
            }
        }
        let answer = Request::upgrade("/ws/chat/lobby/").with("Host", host).send(&node).await;
        assert_eq!(answer.status, if status == 200 { 101 } else { 400 }, "{host}: {answer:?}");
    }
    let answer = Request::get("http://evil.example/chat/").with("Host", "chat.example.com").send(&node).await;
    assert_eq!(answer.status, 400, "a target may name a host, too: {answer:?}");
}

#[tokio::test]
async fn without_a_list_a_node_is_called_by_addresses_and_as_localhost() {
    // A page of a foreign site may make its own name resolve to the node, and is of the node's host then.
    let mut rebound = Request::upgrade("/ws/chat/lobby/");
    rebound = rebound.with("Host", "evil.example").header("Origin", "http://evil.example");
    let node = Node::plan().without_env("PARLOR_ALLOWED_HOSTS").start().await;
    assert_eq!(rebound.send(&node).await.status, 400);
    for host in ["127.0.0.1", "127.0.0.1:1", "[::1]:8000", "10.9.8.7", "localhost:8000", "parlor.localhost"] {
        assert_eq!(Request::get("/chat/").with("Host", host).send(&node).await.status, 200, "{host}");
    }
    // Whose pages may call is another question than how the node is called.
    let plan = Node::plan().without_env("PARLOR_ALLOWED_HOSTS").flag("--allowed-origins", "evil.example");
    assert_eq!(rebound.send(&plan.start().await).await.status, 400);
}

#[tokio::test]
async fn a_proxy_that_is_not_trusted_is_told_of_once() {
    let node = Node::plan().start().await;
    let told = || node.log().all().iter().filter(|line| line.contains("--trusted-proxies")).count();
    for _ in 0..3 {
        Request::get("/chat/").header("X-Forwarded-For", "198.51.100.7").send(&node).await;
    }
    until(PATIENCE, "the hint", async || holds(told() == 1, || told().to_string())).await;
    let trusting = Node::plan().flag("--trusted-proxies", "127.0.0.1").start().await;
    Request::get("/chat/").header("X-Forwarded-For", "198.51.100.7").send(&trusting).await;
    assert!(!trusting.log().text().contains("--trusted-proxies"));
}
