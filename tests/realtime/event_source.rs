//! A browser's `EventSource` gives up after any status but 200: what is refused for now only ends
//! its stream, with the time until it asks again.

use crate::support::cluster::Cluster;
use crate::support::connection::Connection;
use crate::support::event_stream::stream_of;
use crate::support::http::{Request, Response};
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::wait::{PATIENCE, holds, until};

/// The request of `EventSource`, and that of any other client.
async fn both(node: &Node, headers: &[(&str, &str)]) -> (Response, Response) {
    let request = headers
        .iter()
        .fold(Request::get(&stream_of("lobby")), |request, (name, value)| request.header(name, value));
    let (browser, other) =
        (request.clone().header("Accept", "text/event-stream"), request.header("Accept", "*/*"));
    tokio::join!(browser.send(node), other.send(node))
}

fn is_asked_to_return(response: &Response, status: u16) {
    assert_eq!((response.status, response.content_type()), (200, "text/event-stream"), "{response:?}");
    let (retry, comment) = response.body.split_once('\n').expect("two lines");
    let time: u64 = retry.strip_prefix("retry: ").expect("a time").parse().expect("a number");
    assert!((1000..=10_000).contains(&time), "{response:?}");
    assert!(comment.starts_with(&format!(": {status} ")) && comment.ends_with("\n\n"), "{response:?}");
}

#[tokio::test]
async fn an_event_source_is_asked_to_return_while_redis_is_away() {
    let mut redis = Redis::start().await;
    let [node, behind] =
        [Node::plan().redis(&redis), Node::plan().redis(&redis).flag("--trusted-proxies", "127.0.0.1")];
    let (node, behind) = tokio::join!(node.start(), behind.start());
    redis.kill();
    for node in [&node, &behind] {
        until(PATIENCE, "the node to be not ready", async || {
            let status = Request::get("/readyz").send(node).await.status;
            holds(status == 503, || status.to_string())
        })
        .await;
    }
    let (browser, other) = both(&node, &[]).await;
    is_asked_to_return(&browser, 503);
    assert_eq!(other.status, 503, "{other:?}");
    // A trusted proxy asks another node, as deploy/nginx.conf does.
    assert_eq!(both(&behind, &[]).await.0.status, 503);
}

#[tokio::test]
async fn an_event_source_over_a_limit_is_asked_to_return() {
    let node = Node::plan().env("PARLOR_HANDSHAKES_PER_SECOND", "1").start().await;
    until(PATIENCE, "the limit of handshakes", async || {
        let status = Request::upgrade("/ws/chat/lobby/").send(&node).await.status;
        holds(status == 429, || status.to_string())
    })
    .await;
    // Both at once: each second allows another one.
    let (browser, other) = both(&node, &[]).await;
    is_asked_to_return(&browser, 429);
    assert_eq!(other.status, 429, "{other:?}");
}

#[tokio::test]
async fn an_event_source_that_may_not_enter_gets_the_status() {
    let node = Node::alone().await;
    let (browser, other) = both(&node, &[("Origin", "http://evil.example")]).await;
    assert_eq!((browser.status, other.status), (403, 403));
}

#[tokio::test]
async fn a_proxy_without_nodes_asks_an_event_source_to_return() {
    let site = Cluster::with_nodes(0).await;
    let request = Request::get(&stream_of("lobby")).header("Accept", "text/event-stream");
    let response = request.send_on(&mut Connection::connect_to(site.nginx.address()).await).await;
    is_asked_to_return(&response, 503);
}
