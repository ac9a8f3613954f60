//! Stalled readers of `parlor.v1` are closed with 4408, delay no other client, use bounded memory,
//! and catch up with `since`.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::connection::Connection;
use crate::support::deployment::{Deployment, LayerKind, on_both_layers};
use crate::support::frame::{CLOSE, TEXT};
use crate::support::handshake::Handshake;
use crate::support::metrics::{metric, wait_for_metric};
use crate::support::node::Node;
use crate::support::v1_client::{V1Client, assert_chain, texts_of};
use crate::support::wait::{PATIENCE, seconds};

/// Counts sockets that were closed for silence or slowness.
const TOO_SLOW: &str = "parlor_closed_total{code=\"4408\"}";

/// Reads the messages up to the end of a socket, and the close code if there was one.
async fn rest(wire: &mut Connection) -> (Vec<Value>, Option<u16>) {
    let (mut messages, mut code) = (Vec::new(), None);
    while let Some(frame) = wire.next_frame(PATIENCE).await {
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
    let world = Deployment::with(layer, &[("--max-outbox-bytes", "200000")]).await;
    let mut speaker = V1Client::join(world.last(), "lobby").await;
    let first = speaker.publish("first").await["id"].clone();
    speaker.receive().await;
    let mut slow = Handshake::to_room("lobby").connect_narrow(world.first(), 4096).await;
    let mut listener = V1Client::join(world.first(), "lobby").await;
    let text = "x".repeat(50_000);
    let (mut said, mut slowest) = (0, Duration::ZERO);
    while metric(world.first(), TOO_SLOW).await == 0 {
        for _ in 0..20 {
            let begun = Instant::now();
            speaker.publish(&format!("{said} {text}")).await;
            speaker.receive().await;
            listener.receive().await;
            slowest = slowest.max(begun.elapsed());
            said += 1;
        }
        assert!(said < 900, "45 MB were taken for a socket that does not read");
    }
    assert!(slowest < seconds(2), "somebody waited {slowest:?} for a message");
    let (mut heard, code) = rest(&mut slow).await;
    assert!(matches!(code, None | Some(4408)), "the slow reader ends with {code:?}");
    for _ in 0..20 {
        speaker.publish(&format!("{said} {text}")).await;
        said += 1;
    }
    speaker.publish("end").await;
    // Of the messages queued at the close it reads those that its kernel had received.
    let since = heard.last().map_or(first, |message| message["id"].clone());
    let since = since.as_str().expect("an id").to_owned();
    let mut again = Handshake::to_room("lobby").since(&since).connect(world.last()).await;
    assert_eq!(again.welcome["recovered"], true, "{}", again.welcome);
    heard.extend(again.receive_until("end").await);
    assert_chain(&heard);
    let numbers: Vec<String> =
        texts_of(&heard).iter().map(|text| text.split(' ').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(numbers, (0..said).map(|n| n.to_string()).chain(["end".to_owned()]).collect::<Vec<_>>());
}

async fn too_many_queued_messages_close_a_reader(layer: LayerKind) {
    let flags = [("--max-outbox-bytes", "100000000"), ("--max-outbox-messages", "20")];
    let world = Deployment::with(layer, &flags).await;
    let mut slow = Handshake::to_room("lobby").connect_narrow(world.first(), 4096).await;
    let mut speaker = V1Client::join(world.first(), "lobby").await;
    let text = "x".repeat(50_000);
    for said in 0..600 {
        speaker.publish(&text).await;
        speaker.receive().await;
        if said % 20 == 19 && metric(world.first(), TOO_SLOW).await > 0 {
            break;
        }
    }
    wait_for_metric(world.first(), TOO_SLOW, 1).await;
    rest(&mut slow).await;
}

async fn a_long_history_is_paged_through_a_small_outbox(layer: LayerKind) {
    const MANY: usize = 900;
    let flags = [("--max-outbox-bytes", "100000"), ("--max-outbox-messages", "50")];
    let world = Deployment::with(layer, &flags).await;
    let mut speaker = V1Client::join(world.first(), "lobby").await;
    let text = "x".repeat(10_000);
    for n in 0..MANY {
        speaker.publish(&format!("{n} {text}")).await;
        speaker.receive().await;
    }
    // Nine megabytes for a slow but steady reader.
    let mut reader = Handshake::to_room("lobby").history(1000).connect_narrow(world.last(), 16_384).await;
    let mut heard = Vec::new();
    while heard.len() < MANY {
        let frame = reader.frame_with_opcode(TEXT, PATIENCE).await;
        let frame: Value = serde_json::from_slice(&frame.payload).expect("a frame in JSON");
        heard.extend((frame["type"] == "message").then_some(frame));
        if heard.len() % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert_chain(&heard);
    assert_eq!(metric(world.last(), TOO_SLOW).await, 0);
}

on_both_layers! {
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
    let mut speaker = V1Client::join(&node, "lobby").await;
    let mut listener = V1Client::join(&node, "lobby").await;
    let before = node.kilobytes("VmRSS");
    let text = "x".repeat(4000);
    let (mut said, mut slowest) = (0_usize, Duration::ZERO);
    let closed = async || usize::try_from(metric(&node, TOO_SLOW).await).expect("a count");
    while closed().await < MANY {
        for _ in 0..50 {
            let begun = Instant::now();
            speaker.publish(&text).await;
            speaker.receive().await;
            listener.receive().await;
            slowest = slowest.max(begun.elapsed());
            said += 1;
        }
        assert!(said < 5000, "after 20 MB {} of {MANY} are closed", closed().await);
    }
    let peak = node.kilobytes("VmHWM");
    println!(
        "{MANY} stalled readers: all closed after {said} messages of 4 KB; memory {} MB before, {} MB at most; \
         the others waited {slowest:?} at most",
        before / 1024,
        peak / 1024,
    );
    // The outboxes share the bytes: far less than 1,000 times a megabyte.
    assert!(peak - before < 150 * 1024, "{} MB more", (peak - before) / 1024);
    assert!(slowest < seconds(3), "somebody waited {slowest:?}");
    assert!(metric(&node, "parlor_outbox_high_water_bytes").await > 0);
    drop(stalled);
}
