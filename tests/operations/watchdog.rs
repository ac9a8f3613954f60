//! A node whose event loop stalls ends itself; a node that was frozen continues.

use std::thread::available_parallelism;
use std::time::Instant;

use tokio::time::timeout;

use crate::support::connection::Connection;
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::process::Signal;
use crate::support::redis::Redis;
use crate::support::test_app::test_app;
use crate::support::tutorial_client::TutorialClient;
use crate::support::wait::{PATIENCE, holds, seconds, until};

#[tokio::test]
async fn a_stalled_event_loop_ends_the_node_with_a_reason() {
    let mut node = test_app(&[]).await;
    // Each request blocks one worker for a minute; there are as many workers as cores.
    let cores = available_parallelism().map_or(64, usize::from);
    let mut calls = Vec::new();
    for _ in 0..(4 * cores).max(64) {
        let mut connection = Connection::connect(&node).await;
        let request = Request::get("/stall").bytes(connection.peer());
        connection.send(&request).await;
        calls.push(connection);
    }
    let stalled = Instant::now();
    let status = node.exit(seconds(8)).await;
    assert_eq!(status.code(), Some(70), "{status}");
    assert!(stalled.elapsed() > seconds(3), "it was given time: {:?}", stalled.elapsed());
    let log = node.log().text();
    assert!(log.contains("ERROR") && log.contains("stalled"), "{log}");
}

#[tokio::test]
async fn a_frozen_node_resumes_and_registers_again() {
    let redis = Redis::start().await;
    let mut node = Node::on(&redis).await;
    let id = redis.wait_for_node().await;
    let other = Node::on(&redis).await;
    let (mut ann, mut bob) =
        (TutorialClient::chat(&node, "lobby").await, TutorialClient::chat(&other, "lobby").await);
    bob.publish("hi").await;
    assert_eq!((ann.receive_chat().await, bob.receive_chat().await), ("hi".to_owned(), "hi".to_owned()));

    node.signal(Signal::SIGSTOP);
    // The other node takes this one for dead.
    let present = async |wanted: bool| {
        until(seconds(30), &format!("{id} has seats in the lobby: {wanted}"), async || {
            let nodes = redis.members("parlor:group:{chat_lobby}").await;
            let users = redis.seats("chat_lobby").await;
            let has_seats = users.values().any(|nodes| nodes.contains(&id));
            holds(has_seats == wanted && nodes.contains(&id) == wanted, || format!("{nodes:?} {users:?}"))
        })
        .await;
    };
    present(false).await;
    node.signal(Signal::SIGCONT);

    bob.publish("still there?").await;
    assert_eq!(ann.receive_chat().await, "still there?");
    ann.publish("yes").await;
    assert_eq!(
        (bob.receive_chat().await, bob.receive_chat().await),
        ("still there?".to_owned(), "yes".to_owned())
    );
    present(true).await;
    assert_eq!(Request::get("/readyz").send(&node).await.status, 200);
    // Had the watchdog counted the freeze, it would have ended the node at its next check.
    let ended = timeout(seconds(2), node.exit(PATIENCE)).await;
    assert!(ended.is_err(), "the node ended with {ended:?}");
}
