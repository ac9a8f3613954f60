//! The end of a node and of its sockets.

use serde_json::json;

use crate::support::connection::Connection;
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::process::Signal;
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::wait::{PATIENCE, holds, until};

#[tokio::test]
async fn sigterm_closes_sockets_with_1012_and_exits_with_0() {
    let redis = Redis::start().await;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        for mut node in [Node::on(&redis).await, Node::alone().await] {
            let mut ann = TutorialClient::chat(&node, "lobby").await;
            let mut page = TutorialClient::push(&node, "lobby").await;
            node.signal(signal);
            let (code, reason) = ann.closed().await;
            assert_eq!(code, 1012, "{reason}");
            assert_eq!(page.closed().await.0, 1012);
            assert_eq!(node.exit(PATIENCE).await.code(), Some(0));
        }
    }
}

#[tokio::test]
async fn idle_peers_do_not_delay_the_stop() {
    let redis = Redis::start().await;
    let mut node = Node::on(&redis).await;
    // A socket that never answers the Close frame, an incomplete head, an incomplete body, and an
    // idle connection.
    let mut silent = Connection::websocket(&node, "/ws/chat/lobby/").await;
    let mut idle = Connection::connect(&node).await;
    assert_eq!(Request::get("/healthz").send_on(&mut idle).await.status, 200);
    let mut head = Connection::connect(&node).await;
    head.send(b"GET /chat/ HTTP/1.1\r\nHost: x\r\n").await;
    let mut body = Connection::connect(&node).await;
    let request = Request::post("/push?room=lobby").header("Content-Length", "10").raw_body("half");
    let bytes = request.bytes(body.peer());
    body.send(&bytes).await;
    let _empty = Connection::connect(&node).await;
    node.terminate();
    assert_eq!(silent.close_code().await.0, 1012);
    assert_eq!(node.exit(PATIENCE).await.code(), Some(0));
    assert_eq!(redis.nodes().await, Vec::<String>::new(), "the node said that it ends");
}

#[tokio::test]
async fn a_stopping_node_finishes_open_requests() {
    let mut node = Node::alone().await;
    let mut wire = Connection::connect(&node).await;
    let request =
        Request::post("/push?room=lobby").header("Content-Length", "5").header("Expect", "100-continue");
    let bytes = request.bytes(wire.peer());
    wire.send(&bytes).await;
    assert_eq!(wire.response().await.status, 100, "the node asks for the body: the request is being served");
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    node.terminate();
    assert_eq!(ann.closed().await.0, 1012, "the node is stopping");
    wire.send(b"hello").await;
    let answer = wire.response().await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "status": "success" })));
    assert_eq!(node.exit(PATIENCE).await.code(), Some(0));
}

#[tokio::test]
async fn a_stopping_node_accepts_no_connections() {
    let mut node = Node::alone().await;
    let address = node.address();
    // An open request keeps the node until it is finished.
    let mut wire = Connection::connect(&node).await;
    let request =
        Request::post("/push?room=lobby").header("Content-Length", "5").header("Expect", "100-continue");
    let bytes = request.bytes(wire.peer());
    wire.send(&bytes).await;
    assert_eq!(wire.response().await.status, 100);
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    node.terminate();
    assert_eq!(ann.closed().await.0, 1012);
    until(PATIENCE, "connections to be refused", async || {
        let connection = Connection::try_connect(address).await;
        holds(connection.is_err(), || "a connection".to_owned())
    })
    .await;
    assert!(node.runs(), "the request is not finished yet");
}

#[tokio::test]
async fn a_second_signal_is_harmless() {
    let mut node = Node::alone().await;
    let mut silent = Connection::websocket(&node, "/ws/chat/lobby/").await;
    node.terminate();
    assert_eq!(silent.close_code().await.0, 1012);
    if node.runs() {
        node.signal(Signal::SIGINT);
    }
    let status = node.exit(PATIENCE).await;
    assert_eq!(status.code(), Some(0), "{status}");
}

#[tokio::test]
async fn a_node_stops_in_time_without_redis() {
    let mut redis = Redis::start().await;
    let mut node = Node::on(&redis).await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    redis.kill();
    node.terminate();
    assert_eq!(ann.closed().await.0, 1012);
    assert_eq!(node.exit(PATIENCE).await.code(), Some(0));
}

#[tokio::test]
async fn a_port_can_be_reused_at_once() {
    let mut node = Node::alone().await;
    let address = node.address().to_string();
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    node.terminate();
    assert_eq!(ann.closed().await.0, 1012);
    node.exit(PATIENCE).await;
    let again = Node::bare_plan().flag("--listen", &address).start().await;
    assert_eq!(Request::get("/healthz").send(&again).await.status, 200);
}

#[tokio::test]
async fn a_node_that_announces_its_address_is_ready() {
    let redis = Redis::start().await;
    // All start at the same time, so that each may be late. Each is asked as soon as it announces
    // its address: while the others still start, a node may lose its subscription, and says so.
    let plan = Node::plan().redis(&redis);
    let started = (0..12).map(async |_| {
        let node = plan.start().await;
        let answer = Request::get("/readyz").send(&node).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        node
    });
    let _others = futures_util::future::join_all(started).await;
    let node = Node::on(&redis).await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    ann.publish("at once").await;
    assert_eq!(ann.receive_chat().await, "at once");
}
