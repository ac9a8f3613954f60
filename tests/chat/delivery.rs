//! Every member of a room receives each message once, on every node, in one order.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::connection::Connection;
use crate::support::frame::{Frame, TEXT};
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::tutorial_client::{PREFIX, TutorialClient};
use crate::support::wait::PATIENCE;

#[tokio::test]
async fn a_message_comes_back_to_its_sender_with_the_prefix() {
    let node = Node::alone().await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    ann.publish("hi").await;
    assert_eq!(ann.receive().await, "[收到消息] hi");
}

#[tokio::test]
async fn a_message_reaches_every_member_on_every_node() {
    let redis = Redis::start().await;
    let nodes = Node::several::<3>(&redis).await;
    let mut members = Vec::new();
    for node in &nodes {
        members.push(TutorialClient::chat(node, "lobby").await);
        members.push(TutorialClient::chat(node, "lobby").await);
    }
    for sender in 0..members.len() {
        let text = format!("from {sender}");
        members[sender].publish(&text).await;
        for member in &mut members {
            assert_eq!(member.receive_chat().await, text);
        }
    }
}

#[tokio::test]
async fn a_message_stays_in_its_room() {
    let node = Node::alone().await;
    let mut lobby = TutorialClient::chat(&node, "lobby").await;
    let mut kitchen = TutorialClient::chat(&node, "kitchen").await;
    lobby.publish("for the lobby").await;
    assert_eq!(lobby.receive_chat().await, "for the lobby");
    kitchen.publish("for the kitchen").await;
    assert_eq!(kitchen.receive_chat().await, "for the kitchen");
}

#[tokio::test]
async fn room_names_are_case_sensitive() {
    let node = Node::alone().await;
    let mut upper = TutorialClient::chat(&node, "Lobby").await;
    let mut lower = TutorialClient::chat(&node, "lobby").await;
    upper.publish("upper").await;
    assert_eq!(upper.receive_chat().await, "upper");
    lower.publish("lower").await;
    assert_eq!(lower.receive_chat().await, "lower");
}

#[tokio::test]
async fn texts_of_any_script_arrive_intact() {
    let redis = Redis::start().await;
    let [first, second] = Node::several(&redis).await;
    let mut ann = TutorialClient::chat(&first, "聊天").await;
    let mut bob = TutorialClient::chat(&second, "聊天").await;
    let texts = [
        "你好，世界",
        r#""<&>' \ / </script> {"message": 1}"#,
        "😀👩\u{200d}👩\u{200d}👧 🇨🇳",
        "e\u{301} and \u{e9}",
        "a\nb\tc\r\n\u{0}\u{7}\u{2028}\u{feff}",
        "",
        "   ",
        "\u{202e}right to left مرحبا",
    ];
    for text in texts {
        ann.publish(text).await;
        assert_eq!(bob.receive().await, format!("{PREFIX}{text}"));
        assert_eq!(ann.receive().await, format!("{PREFIX}{text}"));
    }
}

#[tokio::test]
async fn members_other_than_message_are_ignored() {
    let node = Node::alone().await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    ann.send(r#" {"id": 7, "message": "hi", "type": "websocket.close"} "#).await;
    assert_eq!(ann.receive_chat().await, "hi");
}

#[tokio::test]
async fn json_escapes_are_decoded() {
    let node = Node::alone().await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    ann.send(r#"{"message": "\u4f60\u597d \ud83d\ude00 \"\\\/"}"#).await;
    assert_eq!(ann.receive_chat().await, "你好 😀 \"\\/");
}

#[tokio::test]
async fn the_trailing_slash_is_optional() {
    let node = Node::alone().await;
    let mut with = TutorialClient::open(&node, "/ws/chat/lobby/").await;
    let mut without = TutorialClient::open(&node, "/ws/chat/lobby").await;
    with.publish("one").await;
    assert_eq!(without.receive_chat().await, "one");
    without.publish("two").await;
    assert_eq!(with.receive_chat().await, "one");
    assert_eq!(with.receive_chat().await, "two");
}

#[tokio::test]
async fn composed_and_decomposed_names_are_one_room() {
    let redis = Redis::start().await;
    let [first, second] = Node::several(&redis).await;
    let mut composed = TutorialClient::chat(&first, "caf\u{e9}").await;
    let mut decomposed = TutorialClient::chat(&second, "cafe\u{301}").await;
    composed.publish("composed").await;
    assert_eq!(decomposed.receive_chat().await, "composed");
    assert_eq!(composed.receive_chat().await, "composed");
    decomposed.publish("decomposed").await;
    assert_eq!(composed.receive_chat().await, "decomposed");
}

#[tokio::test]
async fn a_departure_does_not_affect_the_other_members() {
    let node = Node::alone().await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    let bob = TutorialClient::chat(&node, "lobby").await;
    bob.close().await;
    ann.publish("alone?").await;
    assert_eq!(ann.receive_chat().await, "alone?");
}

#[tokio::test]
async fn frames_sent_right_after_the_handshake_are_not_lost() {
    let redis = Redis::start().await;
    let [node, other] = Node::several(&redis).await;
    let mut receiver = TutorialClient::chat(&other, "lobby").await;
    for round in 0..20 {
        let mut connection = Connection::connect(&node).await;
        let text = |n: i32| Frame::text(&format!(r#"{{"message": "{round}.{n}"}}"#)).bytes();
        let handshake = Request::upgrade("/ws/chat/lobby/").bytes(connection.peer());
        connection.send(&[handshake, text(1), text(2)].concat()).await;
        assert_eq!(connection.response().await.status, 101);
        for n in 1..=2 {
            assert_eq!(receiver.receive_chat().await, format!("{round}.{n}"));
            let frame = connection.frame_with_opcode(TEXT, PATIENCE).await;
            let wanted = json!({ "message": format!("{PREFIX}{round}.{n}") });
            assert_eq!(serde_json::from_slice::<Value>(&frame.payload).unwrap(), wanted);
        }
        drop(connection);
    }
}

#[tokio::test]
async fn a_message_published_right_after_a_join_is_received() {
    let redis = Redis::start().await;
    let [first, second] = Node::several(&redis).await;
    // A new room each time: the node must subscribe before it answers the handshake.
    for round in 0..100 {
        let room = format!("room-{round}");
        let mut sender = TutorialClient::chat(&first, &room).await;
        let mut joined = TutorialClient::chat(&second, &room).await;
        sender.publish("welcome").await;
        assert_eq!(joined.receive_chat().await, "welcome", "in {room}");
        assert_eq!(sender.receive_chat().await, "welcome", "in {room}");
    }
}

#[tokio::test]
async fn a_room_left_and_rejoined_at_once_keeps_delivering() {
    let redis = Redis::start().await;
    let [first, second] = Node::several(&redis).await;
    let mut sender = TutorialClient::chat(&first, "lobby").await;
    // The node's last member leaves while the next one joins: unsubscribing must not overtake
    // subscribing.
    for round in 0..100 {
        let mut joined = TutorialClient::chat(&second, "lobby").await;
        let text = format!("round {round}");
        sender.publish(&text).await;
        assert_eq!(joined.receive_chat().await, text);
        assert_eq!(sender.receive_chat().await, text);
        drop(joined);
    }
}

#[tokio::test]
async fn all_members_receive_concurrent_messages_in_one_order() {
    const SPEAKERS: usize = 6;
    const TEXTS: usize = 40;
    let redis = Redis::start().await;
    let nodes = Node::several::<3>(&redis).await;
    let mut members = Vec::new();
    for n in 0..SPEAKERS {
        members.push(TutorialClient::chat(&nodes[n % nodes.len()], "lobby").await);
    }
    let received = join_all(members.iter_mut().enumerate().map(|(sender, member)| async move {
        for n in 0..TEXTS {
            member.publish(&format!("{sender}:{n}")).await;
            tokio::task::yield_now().await;
        }
        receive_many(member, SPEAKERS * TEXTS).await
    }))
    .await;
    for disconnect in &received {
        assert_eq!(disconnect, &received[0], "every member receives the same order");
    }
    for sender in 0..SPEAKERS {
        let own: Vec<_> = received[0].iter().filter(|text| text.starts_with(&format!("{sender}:"))).collect();
        let wanted: Vec<_> = (0..TEXTS).map(|n| format!("{sender}:{n}")).collect();
        assert_eq!(
            own,
            wanted.iter().collect::<Vec<_>>(),
            "the texts of one speaker, once each and in order"
        );
    }
    expect_silence(&mut members).await;
}

#[tokio::test]
async fn two_hundred_rooms_on_three_nodes_deliver_all_once_in_order() {
    const ROOMS: usize = 200;
    const MEMBERS: usize = 5;
    const TEXTS: usize = 2;
    let redis = Redis::start().await;
    let nodes = Node::several::<3>(&redis).await;
    let mut rooms = join_all((0..ROOMS).map(|room| {
        let nodes = &nodes;
        join_all((0..MEMBERS).map(move |member| async move {
            let node = &nodes[(room + member) % nodes.len()];
            TutorialClient::chat(node, &format!("房间 {room}")).await
        }))
    }))
    .await;
    let speaking = rooms.iter_mut().enumerate().map(|(room, members)| {
        join_all(members.iter_mut().enumerate().map(move |(sender, member)| async move {
            for n in 0..TEXTS {
                member.publish(&format!("{room}/{sender}:{n}")).await;
                tokio::task::yield_now().await;
            }
            receive_many(member, MEMBERS * TEXTS).await
        }))
    });
    for (room, received) in join_all(speaking).await.iter().enumerate() {
        for disconnect in received {
            assert_eq!(disconnect, &received[0], "every member of room {room} receives the same order");
        }
        let once: BTreeSet<_> = received[0].iter().cloned().collect();
        let wanted = (0..MEMBERS).flat_map(|sender| (0..TEXTS).map(move |n| format!("{room}/{sender}:{n}")));
        assert_eq!(once, wanted.collect(), "room {room} receives every text once");
    }
    for members in &mut rooms {
        expect_silence(members).await;
    }
}

/// Receives this many texts.
async fn receive_many(member: &mut TutorialClient, count: usize) -> Vec<String> {
    let mut texts = Vec::with_capacity(count);
    for _ in 0..count {
        texts.push(member.receive_chat().await);
    }
    texts
}

/// Asserts that no message was delivered twice at the end: the next one is new.
async fn expect_silence(members: &mut [TutorialClient]) {
    members[0].publish("the end").await;
    for member in members {
        assert_eq!(member.receive_chat().await, "the end");
    }
}
