//! Malformed events on Redis' channels are counted by kind and dropped, without further effect.

use rmpv::Value;

use crate::support::metrics::{metric, wait_for_metric};
use crate::support::node::Node;
use crate::support::payload::{HI, bytes, event, packed};
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::wait::{PATIENCE, holds, until};

const CHAT: &str = "asgi__group__chat_lobby";
const MALFORMED: &str = "parlor_events_dropped_total{reason=\"malformed\"}";
const UNKNOWN: &str = "parlor_events_dropped_total{reason=\"unknown_type\"}";

/// Payloads that are no event, and their kind.
fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    let hi = ("message", Value::from("hi"));
    let deep = |bytes: &[u8], times: usize| {
        [b"\x83\xa4type\xacchat_message\xa7message\xa2hi\xa1x", &bytes.repeat(times)[..]].concat()
    };
    vec![
        ("nothing", vec![]),
        ("a text", b"hello".to_vec()),
        ("JSON", br#"{"type": "chat_message", "message": "hi"}"#.to_vec()),
        ("nil", vec![0xc0]),
        ("the byte that is never used", vec![0xc1]),
        ("a list", bytes(&Value::Array(vec!["type".into(), "chat_message".into()]))),
        (
            "a list of events",
            bytes(&Value::Array(vec![Value::Map(vec![("type".into(), "chat_message".into())])])),
        ),
        ("an empty map", vec![0x80]),
        ("no type", packed(std::slice::from_ref(&hi))),
        ("a number as type", packed(&[("type", 5.into()), hi.clone()])),
        ("nil as type", packed(&[("type", Value::Nil), hi.clone()])),
        ("bytes as type", packed(&[("type", Value::Binary(b"chat_message".to_vec())), hi.clone()])),
        ("bytes as key", bytes(&Value::Map(vec![(Value::Binary(b"type".to_vec()), "chat_message".into())]))),
        ("a byte after the map", [HI, b"\x00"].concat()),
        ("a second map after the map", [HI, HI].concat()),
        ("a map cut short", HI[..HI.len() - 1].to_vec()),
        ("a head only", vec![0x82]),
        ("bad UTF-8 in the type", [b"\x82\xa4type\xacchat_messag\xff", &HI[HI.len() - 18..]].concat()),
        ("a list of four billion", vec![0xdd, 0xff, 0xff, 0xff, 0xff]),
        ("a map of four billion", vec![0xdf, 0xff, 0xff, 0xff, 0xff]),
        ("a text of four billion", vec![0x81, 0xdb, 0xff, 0xff, 0xff, 0xff, b'x']),
        ("bytes of four billion", deep(&[0xc6, 0xff, 0xff, 0xff, 0xff], 1)),
        ("an extension of four billion", deep(&[0xc9, 0xff, 0xff, 0xff, 0xff, 0x01], 1)),
        ("10,000 lists in one another", deep(&[0x91], 10_000)),
        ("10,000 maps in one another", deep(b"\x81\xa1a", 10_000)),
        ("a million lists in one another", vec![0x91; 1_000_000]),
        ("10,000 lists in one another with an end", [deep(&[0x91], 10_000), vec![0xc0]].concat()),
    ]
}

#[tokio::test]
async fn malformed_payloads_are_counted_and_dropped() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut member = TutorialClient::chat(&node, "lobby").await;
    for (count, (what, payload)) in (1..).zip(malformed()) {
        assert_eq!(redis.publish(CHAT, &payload).await, 1, "the node listens when {what} is sent");
        let text = format!("after {what}");
        redis.publish(CHAT, &event("chat_message", &text)).await;
        assert_eq!(member.receive_chat().await, text);
        until(PATIENCE, &format!("{what} to be counted"), async || {
            let value = metric(&node, MALFORMED).await;
            holds(value == count, || format!("{value} with {count} sent"))
        })
        .await;
    }
}

#[tokio::test]
async fn a_chat_message_without_a_text_is_counted_and_dropped() {
    let redis = Redis::start().await;
    let node = Node::plan().redis(&redis).flag("--log-level", "debug").start().await;
    let mut member = TutorialClient::chat(&node, "lobby").await;
    let texts = [
        None,
        Some(Value::Nil),
        Some(5.into()),
        Some(Value::Binary(b"hi".to_vec())),
        Some(Value::Array(vec![])),
    ];
    for (count, text) in (1..).zip(texts) {
        let mut members = vec![("type", Value::from("chat_message"))];
        members.extend(text.map(|text| ("message", text)));
        redis.publish(CHAT, &packed(&members)).await;
        redis.publish(CHAT, &event("chat_message", "next")).await;
        assert_eq!(member.receive_chat().await, "next", "after {members:?}");
        until(PATIENCE, &format!("{members:?} to be counted"), async || {
            let value = metric(&node, MALFORMED).await + metric(&node, UNKNOWN).await;
            holds(value == count, || format!("{value} with {count} sent"))
        })
        .await;
    }
    let dropped = |line: &str| line.contains("no channel lists") && line.contains("group=\"chat_lobby\"");
    node.log().wait_for("a line with the group", PATIENCE, dropped).await;
}

#[tokio::test]
async fn a_text_in_invalid_utf8_is_malformed() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut member = TutorialClient::chat(&node, "lobby").await;
    redis.publish(CHAT, &[&HI[..HI.len() - 1], b"\xff"].concat()).await;
    redis.publish(CHAT, &event("chat_message", "next")).await;
    assert_eq!(member.receive_chat().await, "next");
    wait_for_metric(&node, MALFORMED, 1).await;
}

#[tokio::test]
async fn an_event_that_only_the_protocol_omits_is_no_unknown_type() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut member = TutorialClient::chat(&node, "lobby").await;
    let text = Value::from;
    redis.publish(CHAT, &packed(&[("type", text("chat_typing")), ("user", text("1/ann"))])).await;
    redis.publish(CHAT, &event("chat_message", "after it")).await;
    assert_eq!(member.receive_chat().await, "after it");
    assert_eq!(metric(&node, UNKNOWN).await, 0);
}

#[tokio::test]
async fn events_of_other_types_are_counted_and_dropped() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut member = TutorialClient::chat(&node, "lobby").await;
    let mut page = TutorialClient::push(&node, "lobby").await;
    let kinds = [
        "websocket.receive",
        "websocket_receive",
        "websocket.disconnect",
        "websocket.close",
        "websocket.connect",
        "connect",
        "receive",
        "event",
        "disconnect",
        "push_message",
        "chat_typing",
        "Chat_Message",
        "chat__message",
        "chat-message",
        "",
        "__class__",
    ];
    for (count, kind) in (1..).zip(kinds) {
        let members = [
            ("type", kind.into()),
            ("text", r#"{"message": "injected"}"#.into()),
            ("code", 1000.into()),
            ("message", "no".into()),
        ];
        assert_eq!(redis.publish(CHAT, &packed(&members)).await, 1);
        redis.publish(CHAT, &event("chat_message", kind)).await;
        assert_eq!(member.receive_chat().await, kind);
        wait_for_metric(&node, UNKNOWN, count).await;
    }
    // A push socket accepts only push lines.
    redis.publish("asgi__group__lobby", HI).await;
    redis.publish("asgi__group__lobby", &event("websocket.receive", "no")).await;
    redis.publish("asgi__group__lobby", &event("push_message", "a line")).await;
    assert_eq!(page.receive().await, "a line");
    wait_for_metric(&node, UNKNOWN, 18).await;
    assert!(metric(&node, MALFORMED).await == 0);
}

#[tokio::test]
async fn events_for_rooms_without_members_are_harmless() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut member = TutorialClient::chat(&node, "lobby").await;
    for channel in [
        "asgi__group__chat_kitchen",
        "asgi__group__",
        "asgi__group__chat_*",
        "chat_lobby",
        "asgispecific.0123",
    ] {
        assert_eq!(redis.publish(channel, HI).await, 0, "{channel} has no subscriber");
    }
    member.publish("hi").await;
    assert_eq!(member.receive_chat().await, "hi");
}
