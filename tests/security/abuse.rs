//! Abusive clients affect only themselves, and what they use is bounded.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::connection::Connection;
use crate::support::frame::{CONTINUATION, Frame, PING, TEXT};
use crate::support::http::Request;
use crate::support::metrics::{metric, wait_for_metric};
use crate::support::node::Node;
use crate::support::tutorial_client::TutorialClient;
use crate::support::wait::{PATIENCE, holds, seconds, until, within};

/// How long each flood lasts.
const FLOOD_TIME: Duration = seconds(6);
/// Pings of one write.
const PINGS: usize = 16_000;
/// The bytes of a pong without a payload.
const PONG_BYTES: usize = 2;

/// Sends the same bytes until the connection ends or the time is over.
async fn flood(connection: &mut Connection, bytes: &[u8], time: Duration) {
    let _ = tokio::time::timeout(time, async { while connection.try_send(bytes).await.is_ok() {} }).await;
}

#[tokio::test]
async fn endless_empty_fragments_do_not_delay_others() {
    let node = Node::alone().await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    let empty = Frame::new(CONTINUATION, "").unfinished().bytes().repeat(4000);
    // More of them than the node has workers.
    let mut floods: Vec<Connection> = Vec::new();
    for _ in 0..8 {
        let mut connection = Connection::websocket(&node, "/ws/chat/kitchen/").await;
        connection.send_frame(&Frame::new(TEXT, "{").unfinished()).await;
        floods.push(connection);
    }
    let attack = futures_util::future::join_all(
        floods.iter_mut().map(|connection| async { flood(connection, &empty, FLOOD_TIME).await }),
    );
    let life = async {
        for n in 0..10 {
            let sent = Instant::now();
            ann.publish(&n.to_string()).await;
            assert_eq!(ann.receive_chat().await, n.to_string());
            // A text that waits for the floods' end takes as long as they do.
            assert!(sent.elapsed() < FLOOD_TIME, "text {n} took {:?}", sent.elapsed());
        }
    };
    tokio::join!(attack, life);
}

#[tokio::test]
async fn the_node_reads_other_sockets_between_many_pings_of_one() {
    const TEXTS: usize = 50;
    /// A node that reads others after 61 turns only, as a tokio runtime may, answers 12,000.
    const MAX_PONGS_PER_TEXT: usize = 5_000;
    let node = Node::alone().await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    let mut connection = Connection::websocket(&node, "/ws/chat/kitchen/").await;
    let pings = Frame::new(PING, "").bytes().repeat(PINGS);
    connection.send(&pings).await;
    let mut answered = 0;
    let attack = async {
        loop {
            // The node has the next ones to answer while the pongs of those before are read.
            connection.send(&pings).await;
            let mut unread = PINGS * PONG_BYTES;
            while unread > 0 {
                let count = connection.read_at_most(unread).await;
                assert!(count > 0, "the node closed the connection");
                unread -= count;
                answered += count / PONG_BYTES;
            }
        }
    };
    let life = async {
        for n in 0..TEXTS {
            ann.publish(&n.to_string()).await;
            assert_eq!(ann.receive_chat().await, n.to_string());
        }
    };
    tokio::select! {
        () = attack => {}
        () = life => {}
    }
    assert!(answered > PINGS, "a flood of {answered} pings");
    assert!(answered < TEXTS * MAX_PONGS_PER_TEXT, "{} pongs between two texts", answered / TEXTS);
}

#[tokio::test]
async fn tiny_fragments_count_as_messages() {
    let node = Node::plan().env("PARLOR_MESSAGES_PER_SECOND", "50").start().await;
    let mut sender = Connection::websocket(&node, "/ws/chat/lobby/").await;
    sender.send_frame(&Frame::new(TEXT, "{").unfinished()).await;
    let tiny = Frame::new(CONTINUATION, "").unfinished().bytes();
    sender.send(&tiny.repeat(1000)).await;
    assert_eq!(sender.close_code().await.0, 4429);
    // Long ones count as bytes.
    let mut sender = Connection::websocket(&node, "/ws/chat/lobby/").await;
    sender.send_frame(&Frame::new(TEXT, "{\"message\": \"").unfinished()).await;
    let long = Frame::new(CONTINUATION, "x".repeat(600)).unfinished().bytes();
    sender.send(&long.repeat(100)).await;
    sender.send_frame(&Frame::new(CONTINUATION, "\"}")).await;
    let echo = sender.frame_with_opcode(TEXT, PATIENCE).await;
    assert!(echo.payload.len() > 60_000, "{} bytes", echo.payload.len());
}

#[tokio::test]
async fn messages_that_never_end_are_given_up_when_there_are_many() {
    let node = Node::alone().await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    // 36 MB, of which the node holds 32 MB for as long as their clients like.
    let part = Frame::new(TEXT, "x".repeat(64_000)).unfinished().bytes();
    let mut hoard = Vec::new();
    for _ in 0..600 {
        let mut connection = Connection::websocket(&node, "/ws/chat/kitchen/").await;
        connection.send(&part).await;
        hoard.push(connection);
    }
    until(seconds(60), "the oldest ones to be closed", async || {
        let closed = metric(&node, "parlor_closed_total{code=\"4408\"}").await;
        holds(closed > 60, || closed.to_string())
    })
    .await;
    ann.publish("hi").await;
    assert_eq!(ann.receive_chat().await, "hi");
    assert_eq!(hoard[0].close_code().await.0, 4408);
}

#[tokio::test]
async fn unread_pongs_close_the_socket() {
    let node = Node::plan().flag("--max-outbox-bytes", "100000").start().await;
    let mut flooding = Connection::narrow(&node, 4096).upgrade("/ws/chat/lobby/").await;
    // The largest payload of a control frame: the pongs fill the buffers of both kernels with the
    // fewest frames, so that the time does not depend on how fast the node answers one.
    let pings = Frame::new(PING, [b'x'; 125]).bytes().repeat(1_000);
    within(seconds(60), "the end of the flooding socket", async {
        while flooding.try_send(&pings).await.is_ok() {}
    })
    .await;
    wait_for_metric(&node, "parlor_closed_total{code=\"4408\"}", 1).await;
}

#[tokio::test]
async fn a_client_that_reads_no_responses_frees_its_connection() {
    let node = Node::plan().flag("--max-connections", "1").start().await;
    let mut greedy = Connection::narrow(&node, 4096);
    let requests = Request::get("/static/parlor.css").bytes(node.address()).repeat(100);
    // Until the node stops reading requests because it cannot write its responses.
    flood(&mut greedy, &requests, seconds(3)).await;
    assert_eq!(Request::get("/accounts/login/").send(&node).await.status, 503, "the only place is taken");
    until(seconds(60), "the place to be free again", async || {
        let status = Request::get("/accounts/login/").send(&node).await.status;
        holds(status == 200, || status.to_string())
    })
    .await;
}

#[tokio::test]
async fn a_closed_stdout_does_not_panic() {
    let mut help = Command::new(env!("CARGO_BIN_EXE_parlor"))
        .arg("--help")
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    drop(help.stdout.take());
    let ended = help.wait_with_output().expect("an end");
    let text = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && text.is_empty(), "{}: {text}", ended.status);
}

#[tokio::test]
async fn a_push_socket_in_a_chat_group_counts_no_drops() {
    let node = Node::alone().await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    // Its group is `chat_lobby`, like that of the chat room `lobby`.
    let mut push = TutorialClient::push(&node, "chat_lobby").await;
    ann.publish("hi").await;
    assert_eq!(ann.receive_chat().await, "hi");
    push.receives_nothing_for(PATIENCE / 20).await;
    assert_eq!(metric(&node, "parlor_delivered_total").await, 1);
    assert_eq!(metric(&node, "parlor_events_dropped_total{reason=\"unknown_type\"}").await, 0);
}
