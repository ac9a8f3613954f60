//! What is kept and read is bounded in bytes, by room and by address.

use serde_json::json;

use crate::support::deployment::{Deployment, LayerKind, on_every_layer};
use crate::support::handshake::Handshake;
use crate::support::node::Node;
use crate::support::v1_client::{V1Client, assert_chain, fresh_id, id_of};

async fn a_log_keeps_its_newest_bytes(layer: LayerKind) {
    const LOG_BYTES: usize = 2_000_000;
    const MESSAGES: usize = 100;
    let flags = [("--log-bytes", "2000000"), ("--bytes-per-second", "0")];
    let deployment = Deployment::with(layer, &flags).await;
    let mut sender = V1Client::join(deployment.first(), "lobby").await;
    let text = "x".repeat(60_000);
    let mut ids = Vec::new();
    for _ in 0..MESSAGES {
        ids.push(id_of(&sender.publish(&text).await));
        assert_eq!(sender.receive().await["id"], *ids.last().expect("an id"), "members receive all");
    }
    let first = Handshake::to_room("lobby").since(&ids[0]).connect(deployment.last()).await;
    assert_eq!((&first.welcome["recovered"], &first.welcome["reason"]), (&json!(false), &json!("trimmed")));
    let mut reader = V1Client::join(deployment.last(), "lobby").await;
    let (mut kept, mut before) = (Vec::new(), None);
    loop {
        reader.send_json(&json!({ "type": "history", "limit": 200, "before": before })).await;
        let page = reader.receive_frame("history").await;
        let mut messages = page["messages"].as_array().expect("messages").clone();
        before = Some(messages[0]["id"].clone());
        messages.append(&mut kept);
        kept = messages;
        if page["more"] == false {
            break;
        }
    }
    assert_chain(&kept);
    assert_eq!(kept.last().map(|last| last["id"].clone()), Some(json!(ids[MESSAGES - 1])));
    let bytes = kept.len() * text.len();
    assert!((LOG_BYTES * 9 / 10 - 60_000..LOG_BYTES).contains(&bytes), "{bytes} bytes are kept");
}

on_every_layer! {
    a_log_keeps_its_newest_bytes
}

#[tokio::test]
async fn an_address_reads_so_many_pages() {
    let node =
        Node::plan().flag("--reads-per-second", "1").flag("--messages-per-second", "1000").start().await;
    let mut members = [V1Client::join(&node, "lobby").await, V1Client::join(&node, "kitchen").await];
    let mut answers = Vec::new();
    for n in 0..16 {
        let member = &mut members[n % 2];
        member.send_json(&json!({ "type": "history" })).await;
        let answer = member.receive_any(&["history", "error"], crate::support::wait::PATIENCE).await;
        answers.push(answer);
    }
    let read = answers.iter().filter(|answer| answer["type"] == "history").count();
    assert!((10..15).contains(&read), "{answers:?}");
    let refusal = answers.iter().find(|answer| answer["type"] == "error").expect("an error");
    assert_eq!((&refusal["code"], &refusal["retry"]), (&json!("rate"), &json!(true)));
    let resume = Handshake::to_room("lobby").since("1-0").request().send(&node).await;
    assert_eq!(resume.status, 429, "{resume:?}");
    assert!(resume.header("retry-after").is_some(), "{resume:?}");
}

#[tokio::test]
async fn the_bytes_of_an_address_are_those_of_all_its_sockets() {
    let plan = Node::plan().flag("--address-bytes-per-second", "1000");
    let node = plan.flag("--bytes-per-second", "10000000").start().await;
    let text = "x".repeat(60_000);
    let mut refused = 0;
    for _ in 0..12 {
        let mut member = V1Client::join(&node, "lobby").await;
        for _ in 0..2 {
            let answer = member.try_publish(&fresh_id(), &text).await;
            refused += usize::from(answer["code"] == "rate");
        }
    }
    assert!((4..20).contains(&refused), "{refused} of 24 are too many for the address");
}
