//! Tutorial and `parlor.v1` sockets in one room, and events that are not in the log.

use std::collections::BTreeMap;

use rmpv::Value as Packed;
use serde_json::{Value, json};

use crate::support::deployment::{Deployment, LayerKind, on_every_layer};
use crate::support::handshake::Handshake;
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::payload::{HI, packed, unpacked};
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::v1_client::{V1Client, assert_chain, id_of, texts_of};
use crate::support::wait::seconds;

const CHAT: &str = "asgi__group__chat_lobby";

async fn tutorial_and_v1_sockets_share_a_room(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut plain = TutorialClient::chat(deployment.first(), "lobby").await;
    let mut v1 = V1Client::join(deployment.last(), "lobby").await;
    plain.publish("from plain").await;
    assert_eq!(plain.receive_chat().await, "from plain");
    let message = v1.receive().await;
    assert_eq!(message["text"], "from plain");
    assert!(message["id"].is_string() && message["at"].is_number(), "it passed the log: {message}");
    assert_eq!(message["user"].as_str().map(str::len), Some(16), "{message}");
    v1.publish("from v1").await;
    assert_eq!(plain.receive_chat().await, "from v1");
    // The tutorial protocol has no presence, typing, acks or errors.
    v1.send_json(&json!({ "type": "typing" })).await;
    v1.send_json(&json!({ "type": "nonsense" })).await;
    v1.expect_error("unknown_type").await;
    V1Client::join(deployment.first(), "lobby").await.close().await;
    plain.receives_nothing_for(seconds(6)).await;
}

async fn a_tutorial_socket_has_no_history(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    for n in 0..5 {
        ann.publish(&n.to_string()).await;
    }
    let id = id_of(&ann.receive_until("2").await[2]);
    let mut plain = Vec::new();
    for query in ["", "?history=2", &format!("?since={id}"), "?history=abc"] {
        plain.push(TutorialClient::open(deployment.last(), &format!("/ws/chat/lobby/{query}")).await);
    }
    ann.publish("end").await;
    for member in &mut plain {
        assert_eq!(member.receive_chat().await, "end");
    }
}

async fn a_push_line_is_a_frame_of_its_own(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut page = Handshake::at("/ws/push/lobby").connect(deployment.last()).await;
    let mut plain = TutorialClient::push(deployment.first(), "lobby").await;
    assert_eq!(Request::post("/push?room=lobby").send(deployment.first()).await.status, 200);
    let line = page.receive_frame("push").await;
    assert_eq!(line, json!({ "type": "push", "room": "lobby", "text": plain.receive().await }));
}

on_every_layer! {
    tutorial_and_v1_sockets_share_a_room
    a_tutorial_socket_has_no_history
    a_push_line_is_a_frame_of_its_own
}

#[tokio::test]
async fn events_from_django_are_delivered_without_an_id() {
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut members = [V1Client::join(&nodes[0], "lobby").await, V1Client::join(&nodes[1], "lobby").await];
    let before = members[0].publish("before").await;
    redis.publish(CHAT, HI).await;
    members[1].publish("after").await;
    for member in &mut members {
        let received = member.receive_until("after").await;
        assert_eq!(texts_of(&received), ["before", "hi 你好", "after"]);
        assert_eq!(
            received[1],
            json!({
                "type": "message", "room": "lobby", "text": "hi 你好",
                "user": null, "name": null, "id": null, "prev": null, "at": null,
            })
        );
        assert_eq!((&received[0]["id"], &received[2]["prev"]), (&before["id"], &before["id"]));
    }
    let mut later = Handshake::to_room("lobby").history(10).connect(&nodes[0]).await;
    assert_eq!(texts_of(&later.receive_history().await), ["before", "after"], "it is in no log");
}

#[tokio::test]
async fn an_event_with_a_malformed_id_is_harmless() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = V1Client::join(&node, "lobby").await;
    let mut bob = V1Client::join(&node, "lobby").await;
    ann.publish("first").await;
    let strange: [Packed; 8] = [
        5.into(),
        Packed::Nil,
        "".into(),
        "zzz".into(),
        "9999999999999-0".into(),
        "0-0".into(),
        "1-1".into(),
        Packed::Binary(vec![0xff]),
    ];
    let mut count = 0;
    for id in &strange {
        for prev in &strange {
            let members = [
                ("type", "chat_message".into()),
                ("message", "strange".into()),
                ("id", id.clone()),
                ("prev", prev.clone()),
                ("user", 5.into()),
            ];
            redis.publish(CHAT, &packed(&members)).await;
            ann.publish(&format!("true {count}")).await;
            count += 1;
        }
    }
    ann.publish("end").await;
    for member in [&mut ann, &mut bob] {
        let all = member.receive_until("end").await;
        let logged: Vec<Value> = all.into_iter().filter(|message| message["text"] != "strange").collect();
        assert_eq!(logged.len(), count + 2);
        assert_chain(&logged);
    }
}

#[tokio::test]
async fn a_published_message_is_readable_by_channels() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut channel = redis.subscribe(CHAT).await;
    let mut ann = V1Client::join(&node, "lobby").await;
    for text in ["hi 你好".to_owned(), "x".repeat(60_000), "\u{0}".to_owned()] {
        let ack = ann.publish(&text).await;
        let message = ann.receive().await;
        let event: BTreeMap<String, String> = unpacked(&channel.next_payload().await).into_iter().collect();
        let names: Vec<&str> = event.keys().map(String::as_str).collect();
        assert_eq!(names, ["id", "message", "name", "offset", "prev", "type", "user"]);
        assert_eq!((event["type"].as_str(), &event["message"]), ("chat_message", &text));
        assert_eq!((event["id"].as_str(), event["user"].as_str()), (id_of(&ack).as_str(), ann.user()));
        assert!(message["prev"].is_null() || message["prev"] == event["prev"], "{message} {event:?}");
    }
}
