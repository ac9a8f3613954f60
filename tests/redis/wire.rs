//! The wire format in Redis: nodes deliver what Channels sends, and publish what Channels can read.

use rmpv::Value;

use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::payload::{HI, bytes, event, packed, unpacked};
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;

const CHAT: &str = "asgi__group__chat_lobby";
#[tokio::test]
async fn events_from_channels_are_delivered() {
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut members =
        [TutorialClient::chat(&nodes[0], "lobby").await, TutorialClient::chat(&nodes[1], "lobby").await];
    assert_eq!(redis.publish(CHAT, HI).await, 2, "both nodes listen");
    for member in &mut members {
        assert_eq!(member.receive().await, "[收到消息] hi 你好");
    }
}

#[tokio::test]
async fn a_dot_in_a_type_counts_as_an_underscore() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut member = TutorialClient::chat(&node, "lobby").await;
    redis.publish(CHAT, &event("chat.message", "dotted")).await;
    assert_eq!(member.receive_chat().await, "dotted");
    let mut page = TutorialClient::push(&node, "lobby").await;
    redis.publish("asgi__group__lobby", &event("push.message", "any line")).await;
    assert_eq!(page.receive().await, "any line");
}

#[tokio::test]
async fn a_group_name_of_any_script_is_a_utf8_channel() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut member = TutorialClient::chat(&node, "聊天").await;
    assert_eq!(redis.publish("asgi__group__chat_聊天", HI).await, 1);
    assert_eq!(member.receive_chat().await, "hi 你好");
}

#[tokio::test]
async fn integer_keys_from_django_are_ignored() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut member = TutorialClient::chat(&node, "lobby").await;
    let inner = Value::Map(vec![(1.into(), 2.into())]);
    for extra in [(Value::from(1), Value::from(2)), ("x".into(), inner)] {
        let members = vec![("type".into(), "chat_message".into()), extra, ("message".into(), "hi".into())];
        redis.publish(CHAT, &bytes(&Value::Map(members))).await;
        assert_eq!(member.receive_chat().await, "hi");
    }
}

#[tokio::test]
async fn unknown_members_of_an_event_are_ignored() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut member = TutorialClient::chat(&node, "lobby").await;
    let extra = [
        ("id", Value::from(5)),
        ("negative", Value::from(-5)),
        ("at", Value::F64(1.5)),
        ("at32", Value::F32(1.5)),
        ("raw", Value::Binary(vec![0xff, 0])),
        ("time", Value::Ext(-1, vec![0; 4])),
        ("list", Value::Array(vec![Value::Nil, true.into(), Value::Map(vec![("a".into(), "b".into())])])),
    ];
    let members =
        [&[("message", Value::from("one"))], &extra[..], &[("type", "chat_message".into())]].concat();
    redis.publish(CHAT, &packed(&members)).await;
    assert_eq!(member.receive_chat().await, "one");
}

#[tokio::test]
async fn published_events_are_strict_messagepack_of_any_length() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut channel = redis.subscribe(CHAT).await;
    let mut member = TutorialClient::chat(&node, "lobby").await;
    // The boundaries of fixstr, str8 and str16; control characters; characters that JSON escapes.
    let texts = [0, 31, 32, 255, 256, 60_000].map(|length| "x".repeat(length));
    for text in texts.into_iter().chain(["\u{0}\u{1f}\u{7f}".to_owned(), "😀\"\\<>&聊".to_owned()]) {
        member.publish(&text).await;
        let event = unpacked(&channel.next_payload().await);
        for (key, value) in [("type", "chat_message"), ("message", text.as_str())] {
            assert_eq!(
                event.iter().filter(|(name, seen)| name == key && seen == value).count(),
                1,
                "{event:?}"
            );
        }
        assert_eq!(member.receive_chat().await, text);
    }
}

#[tokio::test]
async fn a_push_line_is_published_whole() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut channel = redis.subscribe("asgi__group__lobby").await;
    let mut page = TutorialClient::push(&node, "lobby").await;
    assert_eq!(Request::post("/push?room=lobby").send(&node).await.status, 200);
    let event = unpacked(&channel.next_payload().await);
    assert_eq!(event[0], ("type".to_owned(), "push_message".to_owned()));
    assert_eq!(event[1], ("message".to_owned(), page.receive().await));
    assert_eq!(event.len(), 2);
}

#[tokio::test]
async fn a_node_subscribes_once_to_a_group_however_many_sockets_it_has() {
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut members = Vec::new();
    for node in &nodes {
        for _ in 0..5 {
            members.push(TutorialClient::chat(node, "lobby").await);
        }
    }
    assert_eq!(redis.subscribers(CHAT).await, 2);
    let listening: String = redis.query(&["CLIENT", "LIST", "TYPE", "pubsub"]).await;
    assert_eq!(listening.lines().count(), 2, "one subscribing connection a node: {listening}");
    // All members of the first node leave but one; then the last one.
    let mut second = members.split_off(5);
    for member in members.drain(1..) {
        member.close().await;
    }
    second[0].publish("one is left there").await;
    assert_eq!(members[0].receive_chat().await, "one is left there");
    assert_eq!(redis.subscribers(CHAT).await, 2);
    members.pop().unwrap().close().await;
    redis.wait_for_subscribers(CHAT, 1).await;
    for member in second {
        drop(member);
    }
    redis.wait_for_subscribers(CHAT, 0).await;
    let channels: Vec<String> = redis.query(&["PUBSUB", "CHANNELS", "asgi__*"]).await;
    assert_eq!(channels, Vec::<String>::new());
}

#[tokio::test]
async fn all_rooms_of_a_node_share_one_subscribing_connection() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut members = Vec::new();
    for n in 0..50 {
        members.push(TutorialClient::chat(&node, &format!("room-{n}")).await);
        members.push(TutorialClient::push(&node, &format!("room-{n}")).await);
    }
    let channels: Vec<String> = redis.query(&["PUBSUB", "CHANNELS", "asgi__group__*"]).await;
    assert_eq!(channels.len(), 100);
    let listening: String = redis.query(&["CLIENT", "LIST", "TYPE", "pubsub"]).await;
    assert_eq!(listening.lines().count(), 1, "{listening}");
    let all: String = redis.query(&["CLIENT", "LIST"]).await;
    assert!(all.lines().count() < 40, "connections of a node with 100 sockets: {all}");
}
