//! Silent and slow peers are pinged and closed with 4408, and do not affect others.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::connection::Connection;
use crate::support::frame::{CLOSE, Frame, PING};
use crate::support::metrics::{metric, wait_for_metric};
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::wait::{PATIENCE, seconds};

/// Counts sockets that were closed for silence or slowness.
const TOO_SLOW: &str = "parlor_closed_total{code=\"4408\"}";

#[tokio::test]
async fn a_silent_peer_is_pinged_after_25_s_and_closed_after_60_s() {
    let node = Node::alone().await;
    let mut silent = Connection::websocket(&node, "/ws/chat/lobby/").await;
    let mut polite = TutorialClient::chat(&node, "lobby").await;
    let begun = Instant::now();
    // The polite client answers pings. A busy machine adds to the server's times.
    let (mut pings, mut end) = (Vec::new(), None);
    let listens = async {
        while let Some(frame) = silent.next_frame(seconds(80)).await {
            match frame.opcode {
                PING => pings.push(begun.elapsed().as_secs_f64()),
                CLOSE => {
                    end = Some((frame.close_code(), begun.elapsed().as_secs_f64()));
                    break;
                }
                other => panic!("a frame with opcode {other}"),
            }
        }
    };
    tokio::select! {
        () = listens => {}
        () = polite.receives_nothing_for(seconds(85)) => panic!("the silent peer was not closed"),
    }
    let ((code, reason), after) = end.expect("a Close frame before the end of the connection");
    assert_eq!(code, 4408, "{reason}");
    assert!((59.0..70.0).contains(&after), "closed after {after} s");
    assert!(pings.len() >= 2, "pings at {pings:?}");
    assert!((24.0..35.0).contains(&pings[0]) && (49.0..59.0).contains(&pings[1]), "pings at {pings:?}");
    silent.wait_for_end(PATIENCE).await;
    polite.publish("I am still here").await;
    assert_eq!(polite.receive_chat().await, "I am still here");
}

#[tokio::test]
async fn a_slow_reader_is_closed_without_delaying_others() {
    const TEXTS: usize = 600;
    let redis = Redis::start().await;
    let node = Node::plan().redis(&redis).flag("--max-outbox-bytes", "200000").start().await;
    // A member that never reads; the kernels buffer far less than what is sent.
    let mut slow = Connection::narrow(&node, 4096).upgrade("/ws/chat/lobby/").await;
    let mut sender = TutorialClient::chat(&node, "lobby").await;
    let mut receiver = TutorialClient::chat(&node, "lobby").await;
    let text = "x".repeat(50_000);
    for n in 0..TEXTS {
        let text = format!("{n} {text}");
        let said = Instant::now();
        sender.publish(&text).await;
        assert_eq!(sender.receive_chat().await, text);
        assert_eq!(receiver.receive_chat().await, text);
        assert!(said.elapsed() < PATIENCE, "text {n} took {:?}", said.elapsed());
        if n % 20 == 19 && metric(&node, TOO_SLOW).await > 0 {
            break;
        }
    }
    wait_for_metric(&node, TOO_SLOW, 1).await;
    wait_for_metric(&node, "parlor_sockets", 2).await;
    let code = slow.wait_for_end(PATIENCE).await;
    assert!(matches!(code, None | Some(4408)), "the slow reader ends with {code:?}");
}

#[tokio::test]
async fn a_briefly_slow_reader_loses_nothing() {
    let node = Node::plan().flag("--max-outbox-bytes", "8000000").start().await;
    let mut slow = Connection::narrow(&node, 32_768).upgrade("/ws/chat/lobby/").await;
    let mut sender = TutorialClient::chat(&node, "lobby").await;
    let text = "x".repeat(50_000);
    for n in 0..100 {
        sender.publish(&format!("{n} {text}")).await;
        sender.receive().await;
    }
    for n in 0..100 {
        let frame = slow
            .next_frame(PATIENCE)
            .await
            .unwrap_or_else(|| panic!("the end of the connection before text {n}"));
        let value: Value = serde_json::from_slice(&frame.payload).unwrap();
        assert!(
            value["message"].as_str().unwrap().starts_with(&format!("[收到消息] {n} x")),
            "text {n} is next"
        );
    }
}

#[tokio::test]
async fn a_sender_that_does_not_read_is_closed_in_bounded_memory() {
    let node = Node::plan().flag("--max-outbox-bytes", "200000").start().await;
    let mut flood = Connection::narrow(&node, 4096).upgrade("/ws/chat/lobby/").await;
    let mut other = TutorialClient::chat(&node, "kitchen").await;
    let frame = Frame::text(&json!({ "message": "x".repeat(50_000) }).to_string()).bytes();
    let mut sent = 0;
    // Pings cause pongs, and texts come back: both queue for a reader that does not read.
    let ping = Frame::new(PING, "x".repeat(125)).bytes();
    while metric(&node, TOO_SLOW).await == 0 && sent < 600 {
        let burst = [frame.clone(), ping.repeat(20)].concat();
        let write = tokio::time::timeout(Duration::from_millis(500), flood.send(&burst));
        if write.await.is_err() {
            // The node has stopped reading this socket, which also bounds its memory.
            break;
        }
        sent += 1;
    }
    assert!(sent < 600, "30 MB were taken for a socket that does not read");
    other.publish("hi").await;
    assert_eq!(other.receive_chat().await, "hi");
}
