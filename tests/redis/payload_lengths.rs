//! MessagePack that announces more than it carries, and corrupt log entries: neither takes memory
//! or hides others.

use crate::support::handshake::Handshake;
use crate::support::metrics::{metric, wait_for_metric};
use crate::support::node::Node;
use crate::support::payload::{HI, event};
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::v1_client::{V1Client, id_of, texts_of};

const CHAT: &str = "asgi__group__chat_lobby";
const LOG: &str = "parlor:log:{chat_lobby}";

/// Headers that announce a hundred megabytes of text, bytes, list, map or extension, at each place
/// of an event.
fn announced() -> Vec<Vec<u8>> {
    let length = 100_000_000_u32.to_be_bytes();
    let kinds = [0xdb_u8, 0xc6, 0xdd, 0xdf, 0xc9];
    let places: [&[u8]; 5] = [
        b"",
        b"\x82\xa4type\xacchat_message\xa7message",
        b"\x83\xa4type\xacchat_message\xa7message\xa2hi\xa1x",
        b"\x81",
        b"\x81\xa4type",
    ];
    let heads = kinds.iter().map(|kind| [&[*kind][..], &length, b"\x01abc"].concat());
    heads.flat_map(|head| places.map(|place| [place, &head].concat())).collect()
}

#[tokio::test]
async fn an_announced_length_of_100_mb_allocates_nothing() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    redis.publish(CHAT, HI).await;
    ann.receive().await;
    let before = node.kilobytes("VmHWM");
    let mut count = 0;
    for _ in 0..8 {
        for payload in announced() {
            redis.publish(CHAT, &payload).await;
            count += 1;
        }
    }
    redis.publish(CHAT, &event("chat_message", "after them")).await;
    assert_eq!(ann.receive_chat().await, "after them");
    wait_for_metric(&node, "parlor_events_dropped_total{reason=\"malformed\"}", count).await;
    let more = node.kilobytes("VmHWM") - before;
    assert!(more < 20 * 1024, "{more} KB more at most");
}

#[tokio::test]
async fn a_corrupt_log_entry_does_not_hide_the_others() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = V1Client::join(&node, "lobby").await;
    let deep = [b"\x83\xa4type\xacchat_message\xa7message\xa2hi\xa1x", &b"\x91".repeat(10_000)[..]].concat();
    let injected = event("websocket.disconnect", "injected");
    let mut rubbish = announced();
    rubbish.extend([vec![], b"\xc1".to_vec(), b"hello".to_vec(), deep, injected, vec![0x91; 1_000_000]]);
    let mut sent = Vec::new();
    let mut last = "0-0".to_owned();
    for (n, entry) in rubbish.iter().enumerate() {
        redis
            .query::<String>(&[&b"XADD"[..], LOG.as_bytes(), b"*", b"e", entry, b"p", last.as_bytes()])
            .await;
        sent.push(n.to_string());
        last = id_of(&ann.publish(&sent[n]).await);
        assert_eq!(
            ann.receive().await["text"],
            sent[n].as_str(),
            "after {:02x?}",
            &entry[..entry.len().min(8)]
        );
    }
    ann.publish("end").await;
    sent.push("end".to_owned());
    // A node that received it live, and one that reads the log.
    for node in [&node, &Node::on(&redis).await] {
        let mut late = Handshake::to_room("lobby").history(1000).connect(node).await;
        assert_eq!(texts_of(&late.receive_until("end").await), sent);
        assert_eq!(metric(node, "parlor_closed_total{code=\"1011\"}").await, 0);
    }
}

#[tokio::test]
async fn a_log_entry_without_prev_is_a_gap() {
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut ann = V1Client::join(&nodes[0], "lobby").await;
    let mut bob = V1Client::join(&nodes[1], "lobby").await;
    for fields in [&["k", "v"][..], &["e", ""], &["p", "x*y"], &["p", ""]] {
        ann.publish("before").await;
        redis.query::<String>(&[&["XADD", LOG, "*"], fields].concat()).await;
        ann.publish("after").await;
        for member in [&mut ann, &mut bob] {
            assert_eq!(member.receive().await["text"], "before");
            assert_eq!(member.receive_frame("gap").await["reason"], "rewritten", "{fields:?}");
            assert_eq!(member.receive().await["text"], "after");
        }
    }
}
