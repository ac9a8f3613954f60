//! Frames that `parlor.v1` rejects with an `error`, and the socket stays open.

use serde_json::json;

use crate::support::deployment::{Deployment, LayerKind, on_every_layer};
use crate::support::event_stream::messages;
use crate::support::handshake::Handshake;
use crate::support::node::Node;
use crate::support::tutorial_client::TutorialClient;
use crate::support::v1_client::{V1Client, texts_of};
use crate::support::wait::{PATIENCE, seconds};
use crate::support::websocket::Message;

/// Asserts an error with this code, after which the socket still works.
async fn rejected(member: &mut V1Client, frame: Message, code: &str) {
    let what = format!("{frame:?}").chars().take(80).collect::<String>();
    member.send(frame).await;
    let error = member.reply().await;
    assert_eq!(
        (error["type"].as_str(), error["code"].as_str()),
        (Some("error"), Some(code)),
        "{what}: {error}"
    );
    assert_eq!(error["retry"], false, "{what}: {error}");
    assert!(error["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{what}: {error}");
    member.publish("still here").await;
    assert_eq!(member.receive().await["text"], "still here", "{what} was not delivered");
}

async fn a_malformed_frame_is_an_error_and_the_socket_stays_open(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    let texts = [
        "",
        " ",
        "not json",
        "{\"message\": \"hi\"",
        "{\"message\": \"hi\"} x",
        "[]",
        "\"hi\"",
        "1",
        "null",
        "{}",
        "{\"message\": 1}",
        "{\"message\": null}",
        "{\"message\": [\"hi\"]}",
        "{\"message\": {}}",
        "{\"type\": \"message\"}",
        "{\"type\": 1, \"message\": \"hi\"}",
        "{\"type\": null, \"message\": 1}",
        "{\"id\": \"1\"}",
        "{\"type\": \"history\", \"limit\": \"x\"}",
        "{\"type\": \"history\", \"before\": 5}",
        "{\"type\": \"history\", \"limit\": -1}",
    ];
    for text in texts {
        rejected(&mut ann, Message::text(text), "malformed").await;
    }
    rejected(&mut ann, Message::binary("{\"message\": \"hi\"}"), "malformed").await;
    rejected(&mut ann, Message::binary(""), "malformed").await;
    rejected(&mut ann, Message::text("[".repeat(60_000)), "malformed").await;
}

async fn an_unknown_type_is_an_error(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    for kind in
        ["", "Message", "chat.message", "chat_message", "welcome", "ack", "presence", "gap", "bye", "push"]
    {
        rejected(
            &mut ann,
            Message::text(json!({ "type": kind, "message": "hi" }).to_string()),
            "unknown_type",
        )
        .await;
    }
}

async fn a_malformed_client_id_is_an_error(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    for id in ["", " ", "a b", "ä", "a\n", "a.b", "a:b", "{x}", "聊", &"x".repeat(65)] {
        rejected(&mut ann, Message::text(json!({ "message": "hi", "id": id }).to_string()), "bad_id").await;
    }
    for id in [json!(5), json!({}), json!(["a"])] {
        rejected(&mut ann, Message::text(json!({ "message": "hi", "id": id }).to_string()), "bad_id").await;
    }
    for id in ["a", "-", "_", "A-z_0", &"x".repeat(64), "11f0c6d2-ba5a-4c6e-9d0a-7b8a0f6a0c11"] {
        ann.publish_as(id, "fine").await;
        assert_eq!(ann.receive().await["text"], "fine");
    }
}

async fn an_error_carries_the_client_id_of_its_message(layer: LayerKind) {
    let deployment = Deployment::with(layer, &[("--max-message-bytes", "100")]).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    ann.send_json(&json!({ "message": 5, "id": "mine" })).await;
    assert_eq!(ann.expect_error("malformed").await["client_id"], "mine");
    ann.send_json(&json!({ "message": "x".repeat(101), "id": "big" })).await;
    assert_eq!(ann.expect_error("too_large").await["client_id"], "big");
    ann.send(Message::text("not json")).await;
    assert!(ann.expect_error("malformed").await["client_id"].is_null());
}

async fn a_long_text_is_an_error_and_a_huge_one_closes_with_1009(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut reader = V1Client::join(deployment.last(), "lobby").await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    ann.publish(&"x".repeat(65_536)).await;
    for length in [65_537, 100_000, 200_000] {
        ann.send_json(&json!({ "message": "y".repeat(length) })).await;
        let error = ann.expect_error("too_large").await;
        assert_eq!(error["retry"], false);
    }
    ann.publish("end").await;
    // A frame longer than four times the limit is not read.
    ann.send_json(&json!({ "message": "z".repeat(4 * 65_536) })).await;
    let (code, reason) = ann.closed(PATIENCE).await;
    assert_eq!(code, 1009, "{reason}");
    let received = texts_of(&reader.receive_until("end").await);
    assert_eq!((received[0].len(), received.len()), (65_536, 2));
    reader.receives_none_of(&["message", "gap"], seconds(0)).await;
}

async fn an_error_carries_the_id_of_a_frame_that_cannot_be_read(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    let nested = format!(r#"{{"x":{}{},"id":"a"}}"#, "[".repeat(200), "]".repeat(200));
    for (code, text) in [
        ("malformed", r#"{"id":"a","message":"hi"#),
        ("malformed", r#"{"id":"a","message":"hi"} x"#),
        ("malformed", r#"{"message":1e999,"id":"a"}"#),
        ("malformed", &nested),
        ("malformed", r#"{"type":5,"message":"hi","id":"a"}"#),
        ("unknown_type", r#"{"type":"Message","message":"hi","id":"a"}"#),
    ] {
        ann.send(Message::text(text)).await;
        assert_eq!(ann.expect_error(code).await["client_id"], "a", "{text:.60}");
        let posted = messages("lobby").body(text).send(deployment.first()).await;
        assert_eq!((posted.status, &posted.json()["client_id"]), (400, &json!("a")), "{text:.60}");
    }
}

async fn half_a_character_is_published_as_the_replacement_character(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.last(), "lobby").await;
    let mut plain = TutorialClient::chat(deployment.first(), "lobby").await;
    let frame = |id: &str| format!(r#"{{"message":"half \ud83d {id}","id":"{id}"}}"#);
    ann.send(Message::text(frame("v1"))).await;
    assert_eq!(ann.reply().await["client_id"], "v1");
    plain.send(Message::text(frame("plain"))).await;
    assert_eq!(plain.receive_chat().await, "half \u{fffd} v1");
    assert_eq!(plain.receive_chat().await, "half \u{fffd} plain");
    let posted = messages("lobby").body(frame("post")).send(deployment.first()).await;
    assert_eq!((posted.status, &posted.json()["client_id"]), (200, &json!("post")));
    let texts = ["v1", "plain", "post"].map(|id| format!("half \u{fffd} {id}"));
    assert_eq!(ann.receive_texts(3).await, texts);
}

on_every_layer! {
    a_malformed_frame_is_an_error_and_the_socket_stays_open
    an_unknown_type_is_an_error
    a_malformed_client_id_is_an_error
    an_error_carries_the_client_id_of_its_message
    an_error_carries_the_id_of_a_frame_that_cannot_be_read
    half_a_character_is_published_as_the_replacement_character
    a_long_text_is_an_error_and_a_huge_one_closes_with_1009
}

#[tokio::test]
async fn a_push_socket_rejects_frames_and_stays_open() {
    let node = Node::alone().await;
    let mut page = Handshake::at("/ws/push/lobby").connect(&node).await;
    page.send(Message::text("bad")).await;
    page.send(Message::binary("bad")).await;
    page.send(Message::text(r#"{"message": "hi"}"#)).await;
    crate::support::http::Request::post("/push?room=lobby").send(&node).await;
    let line = page.receive_frame("push").await;
    assert!(line["text"].as_str().is_some_and(|text| text.ends_with("实时推送 - 房间: lobby")), "{line}");
}
