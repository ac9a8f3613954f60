//! Clients that send a byte a second are rejected in time, and other clients are served at once.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::support::connection::Connection;
use crate::support::frame::Frame;
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::tutorial_client::TutorialClient;
use crate::support::wait::{PATIENCE, seconds};

/// Sends a byte a second until the node has answered: the status and the time that it took.
async fn trickled(connection: &mut Connection, bytes: &[u8]) -> (u16, Duration) {
    let begun = Instant::now();
    for byte in bytes.iter().cycle() {
        connection.send(&[*byte]).await;
        if let Ok(response) =
            tokio::time::timeout(seconds(1), connection.response_within(seconds(30), false)).await
        {
            return (response.status, begun.elapsed());
        }
        assert!(begun.elapsed() < seconds(20), "a request may trickle for {:?}", begun.elapsed());
    }
    unreachable!("a cycle has no end")
}

#[tokio::test]
async fn a_slow_body_is_rejected_after_ten_seconds() {
    let node = Node::alone().await;
    let posts = ["/push?room=lobby", "/chat/lobby/messages"].map(async |target| {
        let mut connection = Connection::connect(&node).await;
        let request =
            Request::post(target).header("Content-Length", "1000").raw_body("{").bytes(node.address());
        connection.send(&request).await;
        let (status, time) = trickled(&mut connection, b" ").await;
        assert_eq!(status, 408, "{target}");
        assert!((8..20).contains(&time.as_secs()), "{target}: {time:?}");
        connection.wait_for_end(PATIENCE).await;
    });
    join_all(posts).await;
}

#[tokio::test]
async fn a_slow_handshake_is_rejected_after_ten_seconds() {
    let node = Node::alone().await;
    let mut connection = Connection::connect(&node).await;
    let head = Request::upgrade("/ws/chat/lobby/").bytes(node.address());
    let (status, time) = trickled(&mut connection, &head).await;
    assert_eq!(status, 408);
    assert!((8..20).contains(&time.as_secs()), "{time:?}");
}

#[tokio::test]
async fn many_slow_clients_do_not_block_others() {
    let node = Node::plan().flag("--max-connections", "310").start().await;
    let heads = (0..150).map(|n| {
        let begun = ["", "G", "GET /chat/ HTTP/1.1\r\n", "GET /chat/ HTTP/1.1\r\nHost: x\r\nX-Slow: "][n % 4];
        begun.as_bytes().to_vec()
    });
    let posted = Request::post("/push?room=lobby").header("Content-Length", "1000").bytes(node.address());
    let mut crowd = Vec::new();
    for bytes in heads.chain((0..150).map(|_| posted.clone())) {
        let mut connection = Connection::connect(&node).await;
        connection.send(&bytes).await;
        crowd.push(connection);
    }
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    for n in 0..10 {
        let begun = Instant::now();
        ann.publish(&n.to_string()).await;
        assert_eq!(ann.receive_chat().await, n.to_string());
        assert_eq!(Request::get("/healthz").send(&node).await.status, 200);
        assert!(begun.elapsed() < PATIENCE, "{:?} beside the crowd", begun.elapsed());
        for connection in &mut crowd {
            connection.send(b"x").await;
        }
        tokio::time::sleep(seconds(1)).await;
    }
    for connection in &mut crowd {
        connection.read_to_end(seconds(15)).await;
    }
}

#[tokio::test]
async fn a_slow_frame_delays_only_its_own_socket() {
    let node = Node::alone().await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    let mut slow = Connection::websocket(&node, "/ws/chat/lobby/").await;
    for byte in Frame::text(r#"{"message": "at last"}"#).bytes() {
        ann.publish("quick").await;
        assert_eq!(ann.receive_chat().await, "quick");
        slow.send(&[byte]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(ann.receive_chat().await, "at last");
}
