//! Messages with data: any JSON, kept and delivered byte for byte.

use rmpv::Value as Packed;
use serde_json::{Value, json};

use crate::support::api_client::site;
use crate::support::deployment::{Deployment, LayerKind, on_every_layer};
use crate::support::event_stream::EventStream;
use crate::support::handshake::Handshake;
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::payload::{packed, unpacked};
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::v1_client::V1Client;
use crate::support::websocket::{Message, WebSocket};

/// JSON that a program which reads and writes it again would change.
const RAW: &str = r#"{"z" : 1.0e2, "a":[ "\u00e4", "</script>", 12345678901234567890 ], "a": null}"#;

/// The next frame of a message on a socket, as it is written.
async fn written(socket: &mut WebSocket) -> String {
    loop {
        let Some(Message::Text(text)) = socket.next_data().await else { panic!("no text") };
        if text.contains(r#""type":"message""#) {
            return text.to_string();
        }
    }
}

async fn data_is_delivered_byte_for_byte(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let (near, far) = (deployment.first(), deployment.last());
    let mut plain = TutorialClient::chat(far, "lobby").await;
    let mut live = Handshake::to_room("lobby").try_connect(far.address()).await.expect("a socket");
    let mut stream = EventStream::open(far, Request::get("/sse/chat/lobby/")).await;
    let mut ann = V1Client::join(near, "lobby").await;
    ann.send(Message::text(format!(r#"{{"data": {RAW}, "event": "move", "id": "1"}}"#))).await;
    assert_eq!(ann.reply().await["type"], "ack");
    ann.send(Message::text(format!(r#"{{"text": "said", "data": {RAW}, "id": "2"}}"#))).await;
    assert_eq!(ann.reply().await["type"], "ack");
    let sent = [(r#""text":null,"event":"move""#, "only data"), (r#""text":"said","event":null"#, "both")];
    for (members, what) in sent {
        let frame = written(&mut live).await;
        assert!(frame.contains(&format!(r#""data":{RAW}"#)) && frame.contains(members), "{what}: {frame}");
    }
    for expected in [json!(null), json!("said")] {
        let frame = stream.receive_event("message").await.frame;
        assert_eq!((&frame["text"], &frame["data"]["a"]), (&expected, &json!(null)), "{frame}");
    }
    assert_eq!(plain.receive_chat().await, "said", "the plain wire shows texts");
    let mut late =
        Handshake::to_room("lobby").history(10).try_connect(far.address()).await.expect("a socket");
    for (members, what) in sent {
        let frame = written(&mut late).await;
        assert!(frame.contains(&format!(r#""data":{RAW}"#)) && frame.contains(members), "{what}: {frame}");
    }
    // The same message again, and another one under its id.
    ann.send(Message::text(format!(r#"{{"data": {RAW}, "event": "move", "id": "1"}}"#))).await;
    assert_eq!(ann.reply().await["duplicate"], true);
    ann.send_json(&json!({ "data": 1, "event": "move", "id": "1" })).await;
    ann.expect_error("conflict").await;
}

async fn data_over_the_limit_is_refused(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    let nested = format!(r#"{{"data": {}{}}}"#, "[".repeat(200), "]".repeat(200));
    for (frame, code) in [
        (json!({ "data": "x".repeat(65_536) }).to_string(), "too_large"),
        (json!({ "text": "x".repeat(40_000), "data": "x".repeat(40_000) }).to_string(), "too_large"),
        (json!({ "data": null }).to_string(), "malformed"),
        (json!({ "data": 1, "event": "" }).to_string(), "malformed"),
        (r#"{"data": 1e999}"#.to_owned(), "malformed"),
        (nested, "malformed"),
    ] {
        ann.send(Message::text(frame)).await;
        ann.expect_error(code).await;
    }
    ann.publish("still here").await;
    assert_eq!(ann.receive_texts(1).await, ["still here"]);
}

async fn the_api_takes_and_returns_data(layer: LayerKind) {
    let (deployment, api) = site(layer).await;
    let mut live =
        Handshake::to_room("lobby").try_connect(deployment.last().address()).await.expect("a socket");
    let request = api.post("/api/rooms/lobby/messages", &json!({ "text": "replaced" }));
    let request = request.body(format!(r#"{{"data": {RAW}, "event": "order"}}"#));
    assert_eq!(request.send(deployment.first()).await.status, 201);
    let frame = written(&mut live).await;
    assert!(frame.contains(&format!(r#""data":{RAW}"#)), "{frame}");
    let page = api.get("/api/rooms/lobby/messages").send(deployment.first()).await;
    assert!(page.body.contains(&format!(r#""text":null,"event":"order","data":{RAW}"#)), "{}", page.body);
    for (body, status) in [
        (json!({ "data": "x".repeat(65_536) }), 413),
        (json!({ "data": 1, "event": "x".repeat(65) }), 400),
        (json!({ "event": "nothing else" }), 400),
    ] {
        let refused = api.post("/api/rooms/lobby/messages", &body).send(deployment.first()).await;
        assert_eq!(refused.status, status, "{}", refused.body);
    }
}

on_every_layer! {
    data_is_delivered_byte_for_byte
    data_over_the_limit_is_refused
    the_api_takes_and_returns_data
}

#[tokio::test]
async fn data_is_exchanged_with_djangos_consumers() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut consumer = redis.subscribe("asgi__group__chat_lobby").await;
    let mut ann = V1Client::join(&node, "lobby").await;
    ann.send_json(&json!({ "data": { "x": 1 }, "event": "move" })).await;
    let members = loop {
        let members = unpacked(&consumer.next_payload().await);
        if members.iter().any(|(name, value)| name == "type" && value == "chat_message") {
            break members;
        }
    };
    let has =
        |name: &str, value: &str| members.iter().any(|member| *member == (name.to_owned(), value.to_owned()));
    assert!(has("message", "") && has("data", r#"{"x":1}"#) && has("event", "move"), "{members:?}");
    ann.receive().await;
    for (data, expected) in [("[1, 2]", json!([1, 2])), ("no JSON", Value::Null)] {
        let event = [("type", "chat_message"), ("message", "hi"), ("event", "x"), ("data", data)];
        let event: Vec<(&str, Packed)> = event.into_iter().map(|(name, text)| (name, text.into())).collect();
        redis.publish("asgi__group__chat_lobby", &packed(&event)).await;
        let received = ann.receive().await;
        assert_eq!((&received["text"], &received["data"]), (&json!("hi"), &expected), "{received}");
    }
}
