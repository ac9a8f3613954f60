//! Stalled readers of `parlor.v1` are closed with 4408, delay no other client, use bounded memory,
//! and catch up with `since`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::connection::Connection;
use crate::support::deployment::{Deployment, LayerKind, on_every_layer};
use crate::support::frame::{CLOSE, TEXT};
use crate::support::handshake::Handshake;
use crate::support::metrics::{metric, wait_for_metric};
use crate::support::node::Node;
use crate::support::v1_client::{V1Client, assert_chain, id_of, texts_of};
use crate::support::wait::PATIENCE;

/// Counts sockets that were closed for silence or slowness.
const TOO_SLOW: &str = "parlor_closed_total{code=\"4408\"}";

/// The bound on another client's delay. One that waited for a stalled reader would wait until that
/// is closed for its silence, after 60 s.
const MAX_DELAY: Duration = PATIENCE;

/// Reads the messages up to the end of a socket, and the close code if there was one.
async fn rest(connection: &mut Connection) -> (Vec<Value>, Option<u16>) {
    let (mut messages, mut code) = (Vec::new(), None);
    while let Some(frame) = connection.next_frame(PATIENCE).await {
        match frame.opcode {
            TEXT => {
                let frame: Value = serde_json::from_slice(&frame.payload).expect("a frame in JSON");
                messages.extend((frame["type"] == "message").then_some(frame));
            }
            CLOSE => code = Some(frame.close_code().0),
            _ => {}
        }
    }
    (messages, code)
}

async fn a_closed_slow_reader_catches_up_in_order(layer: LayerKind) {
    let deployment = Deployment::with(layer, &[("--max-outbox-bytes", "200000")]).await;
    let mut sender = V1Client::join(deployment.last(), "lobby").await;
    let first = sender.publish("first").await["id"].clone();
    sender.receive().await;
    let mut slow = Handshake::to_room("lobby").connect_narrow(deployment.first(), 4096).await;
    // The socket receives what is published after its welcome, which a busy node sends some time
    // after the 101.
    let welcome = slow.frame_with_opcode(TEXT, PATIENCE).await;
    let welcome: Value = serde_json::from_slice(&welcome.payload).expect("a frame in JSON");
    assert_eq!((&welcome["type"], &welcome["last"]), (&json!("welcome"), &first), "{welcome}");
    let mut subscriber = V1Client::join(deployment.first(), "lobby").await;
    let text = "x".repeat(50_000);
    let (mut sent, mut slowest) = (0, Duration::ZERO);
    while metric(deployment.first(), TOO_SLOW).await == 0 {
        for _ in 0..20 {
            let begun = Instant::now();
            sender.publish(&format!("{sent} {text}")).await;
            sender.receive().await;
            subscriber.receive().await;
            slowest = slowest.max(begun.elapsed());
            sent += 1;
        }
        assert!(sent < 900, "45 MB were taken for a socket that does not read");
    }
    assert!(slowest < MAX_DELAY, "a member waited {slowest:?} for a message");
    let (mut received, code) = rest(&mut slow).await;
    assert!(matches!(code, None | Some(4408)), "the slow reader ends with {code:?}");
    for _ in 0..20 {
        sender.publish(&format!("{sent} {text}")).await;
        sent += 1;
    }
    sender.publish("end").await;
    // Of the messages queued at the close it reads those that its kernel had received.
    let since = received.last().map_or(first, |message| message["id"].clone());
    let since = since.as_str().expect("an id").to_owned();
    let mut again = Handshake::to_room("lobby").since(&since).connect(deployment.last()).await;
    assert_eq!(again.welcome["recovered"], true, "{}", again.welcome);
    received.extend(again.receive_until("end").await);
    assert_chain(&received);
    let numbers: Vec<String> = texts_of(&received)
        .iter()
        .map(|text| text.split(' ').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(numbers, (0..sent).map(|n| n.to_string()).chain(["end".to_owned()]).collect::<Vec<_>>());
}

async fn too_many_queued_messages_close_a_reader(layer: LayerKind) {
    let flags = [("--max-outbox-bytes", "100000000"), ("--max-outbox-messages", "20")];
    let deployment = Deployment::with(layer, &flags).await;
    let mut slow = Handshake::to_room("lobby").connect_narrow(deployment.first(), 4096).await;
    let mut sender = V1Client::join(deployment.first(), "lobby").await;
    let text = "x".repeat(50_000);
    for sent in 0..600 {
        sender.publish(&text).await;
        sender.receive().await;
        if sent % 20 == 19 && metric(deployment.first(), TOO_SLOW).await > 0 {
            break;
        }
    }
    wait_for_metric(deployment.first(), TOO_SLOW, 1).await;
    rest(&mut slow).await;
}

async fn a_long_history_is_paged_through_a_small_outbox(layer: LayerKind) {
    const MANY: usize = 900;
    let flags = [("--max-outbox-bytes", "100000"), ("--max-outbox-messages", "50")];
    let deployment = Deployment::with(layer, &flags).await;
    let mut sender = V1Client::join(deployment.first(), "lobby").await;
    let text = "x".repeat(10_000);
    let first = id_of(&sender.publish("first").await);
    for n in 0..MANY {
        sender.publish(&format!("{n} {text}")).await;
        sender.receive().await;
    }
    // Nine megabytes for a slow but steady reader.
    let mut reader =
        Handshake::to_room("lobby").since(&first).connect_narrow(deployment.last(), 16_384).await;
    let mut received = Vec::new();
    while received.len() < MANY {
        let frame = reader.frame_with_opcode(TEXT, PATIENCE).await;
        let frame: Value = serde_json::from_slice(&frame.payload).expect("a frame in JSON");
        received.extend((frame["type"] == "message").then_some(frame));
        if received.len() % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert_chain(&received);
    assert_eq!(metric(deployment.last(), TOO_SLOW).await, 0);
}

on_every_layer! {
    a_closed_slow_reader_catches_up_in_order
    too_many_queued_messages_close_a_reader
    a_long_history_is_paged_through_a_small_outbox
}

#[tokio::test]
async fn stalled_readers_cost_bounded_memory_and_delay_no_others() {
    const MANY: usize = 1000;
    let node = Node::plan().start().await;
    let mut stalled = Vec::new();
    for _ in 0..MANY {
        stalled.push(Handshake::to_room("lobby").connect_narrow(&node, 4096).await);
    }
    let mut sender = V1Client::join(&node, "lobby").await;
    let mut subscriber = V1Client::join(&node, "lobby").await;
    let before = node.kilobytes("VmRSS");
    let text = "x".repeat(4000);
    let (mut sent, mut slowest) = (0_usize, Duration::ZERO);
    let closed = async || usize::try_from(metric(&node, TOO_SLOW).await).expect("a count");
    while closed().await < MANY {
        for _ in 0..50 {
            let begun = Instant::now();
            sender.publish(&text).await;
            sender.receive().await;
            subscriber.receive().await;
            slowest = slowest.max(begun.elapsed());
            sent += 1;
        }
        assert!(sent < 5000, "after 20 MB {} of {MANY} are closed", closed().await);
    }
    let peak = node.kilobytes("VmHWM");
    println!(
        "{MANY} stalled readers: all closed after {sent} messages of 4 KB; memory {} MB before, {} MB at most; \
         the others waited {slowest:?} at most",
        before / 1024,
        peak / 1024,
    );
    // The outboxes share the bytes: far less than 1,000 times a megabyte.
    assert!(peak - before < 150 * 1024, "{} MB more", (peak - before) / 1024);
    assert!(slowest < MAX_DELAY, "a member waited {slowest:?}");
    assert!(metric(&node, "parlor_outbox_high_water_bytes").await > 0);
    drop(stalled);
}
