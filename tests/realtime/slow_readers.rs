//! Readers of `parlor.v1` that stall: closed with 4408, nobody is delayed, memory is bounded, and `since` brings the rest.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::connection::Wire;
use crate::support::deployment::{Layer, World, on_both_layers};
use crate::support::frame::{CLOSE, TEXT};
use crate::support::join::Ticket;
use crate::support::member::{Member, assert_chain, texts_of};
use crate::support::metrics::{metric, wait_for_metric};
use crate::support::node::Node;
use crate::support::wait::{PATIENCE, seconds};

/// Sockets that were closed for their silence or slowness.
const TOO_SLOW: &str = "parlor_closed_total{code=\"4408\"}";

/// What a socket still has to read, up to its end: the messages, and the close code if there was one.
async fn rest(wire: &mut Wire) -> (Vec<Value>, Option<u16>) {
    let (mut messages, mut code) = (Vec::new(), None);
    while let Some(frame) = wire.frame(PATIENCE).await {
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

async fn a_reader_that_was_closed_catches_up_in_order(layer: Layer) {
    let world = World::with(layer, &[("--max-outbox-bytes", "200000")]).await;
    let mut speaker = Member::join(world.far(), "lobby").await;
    let first = speaker.say("first").await["id"].clone();
    speaker.hear().await;
    let mut slow = Ticket::to("lobby").narrow(world.near(), 4096).await;
    let mut listener = Member::join(world.near(), "lobby").await;
    let text = "x".repeat(50_000);
    let (mut said, mut slowest) = (0, Duration::ZERO);
    while metric(world.near(), TOO_SLOW).await == 0 {
        for _ in 0..20 {
            let begun = Instant::now();
            speaker.say(&format!("{said} {text}")).await;
            speaker.hear().await;
            listener.hear().await;
            slowest = slowest.max(begun.elapsed());
            said += 1;
        }
        assert!(said < 900, "45 MB were taken for a socket that does not read");
    }
    assert!(slowest < seconds(2), "somebody waited {slowest:?} for a message");
    let (mut heard, code) = rest(&mut slow).await;
    assert!(matches!(code, None | Some(4408)), "the slow reader ends with {code:?}");
    for _ in 0..20 {
        speaker.say(&format!("{said} {text}")).await;
        said += 1;
    }
    speaker.say("end").await;
    // Of what was on its way when it was closed, it has read as much as its kernel had taken.
    let since = heard.last().map_or(first, |message| message["id"].clone());
    let since = since.as_str().expect("an id").to_owned();
    let mut again = Ticket::to("lobby").since(&since).enter(world.far()).await;
    assert_eq!(again.welcome["recovered"], true, "{}", again.welcome);
    heard.extend(again.hear_until("end").await);
    assert_chain(&heard);
    let numbers: Vec<String> =
        texts_of(&heard).iter().map(|text| text.split(' ').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(numbers, (0..said).map(|n| n.to_string()).chain(["end".to_owned()]).collect::<Vec<_>>());
}

async fn too_many_messages_are_too_much_as_well(layer: Layer) {
    let flags = [("--max-outbox-bytes", "100000000"), ("--max-outbox-messages", "20")];
    let world = World::with(layer, &flags).await;
    let mut slow = Ticket::to("lobby").narrow(world.near(), 4096).await;
    let mut speaker = Member::join(world.near(), "lobby").await;
    let text = "x".repeat(50_000);
    for said in 0..600 {
        speaker.say(&text).await;
        speaker.hear().await;
        if said % 20 == 19 && metric(world.near(), TOO_SLOW).await > 0 {
            break;
        }
    }
    wait_for_metric(world.near(), TOO_SLOW, 1).await;
    rest(&mut slow).await;
}

async fn a_long_past_is_read_in_pages_however_small_the_outbox(layer: Layer) {
    const MANY: usize = 900;
    let flags = [("--max-outbox-bytes", "100000"), ("--max-outbox-messages", "50")];
    let world = World::with(layer, &flags).await;
    let mut speaker = Member::join(world.near(), "lobby").await;
    let text = "x".repeat(10_000);
    for n in 0..MANY {
        speaker.say(&format!("{n} {text}")).await;
        speaker.hear().await;
    }
    // Nine megabytes for somebody who reads, but not fast.
    let mut reader = Ticket::to("lobby").history(1000).narrow(world.far(), 16_384).await;
    let mut heard = Vec::new();
    while heard.len() < MANY {
        let frame = reader.frame_of(TEXT, PATIENCE).await;
        let frame: Value = serde_json::from_slice(&frame.payload).expect("a frame in JSON");
        heard.extend((frame["type"] == "message").then_some(frame));
        if heard.len() % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert_chain(&heard);
    assert_eq!(metric(world.far(), TOO_SLOW).await, 0);
}

on_both_layers! {
    a_reader_that_was_closed_catches_up_in_order
    too_many_messages_are_too_much_as_well
    a_long_past_is_read_in_pages_however_small_the_outbox
}

#[tokio::test]
async fn a_thousand_stalled_readers_cost_bounded_memory_and_delay_nobody() {
    const MANY: usize = 1000;
    let node = Node::plan().start().await;
    let mut stalled = Vec::new();
    for _ in 0..MANY {
        stalled.push(Ticket::to("lobby").narrow(&node, 4096).await);
    }
    let mut speaker = Member::join(&node, "lobby").await;
    let mut listener = Member::join(&node, "lobby").await;
    let before = node.kilobytes("VmRSS");
    let text = "x".repeat(4000);
    let (mut said, mut slowest) = (0_usize, Duration::ZERO);
    let closed = async || usize::try_from(metric(&node, TOO_SLOW).await).expect("a count");
    while closed().await < MANY {
        for _ in 0..50 {
            let begun = Instant::now();
            speaker.say(&text).await;
            speaker.hear().await;
            listener.hear().await;
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
    // The outboxes share the bytes of what they hold: far less than 1,000 times a megabyte.
    assert!(peak - before < 150 * 1024, "{} MB more", (peak - before) / 1024);
    assert!(slowest < seconds(3), "somebody waited {slowest:?}");
    assert!(metric(&node, "parlor_outbox_high_water_bytes").await > 0);
    drop(stalled);
}
