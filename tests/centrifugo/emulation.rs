//! Connections in the body of a response, with commands in further requests.

use serde_json::{Value, json};

use crate::support::body_stream::BodyStream;
use crate::support::centrifugo::{CentrifugoClient, deployment, plan, token_of};
use crate::support::deployment::{LayerKind, on_every_layer};
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::wait::{PATIENCE, holds, until};

/// A connection at `/connection/http_stream`.
struct HttpStream {
    stream: BodyStream,
    node: String,
    session: String,
}

impl HttpStream {
    /// Connects with this command and those that follow it.
    async fn open(node: &Node, commands: &[Value]) -> Self {
        let mut stream = Self::send(node, commands).await;
        let connected = stream.next(|message| message["id"] == 1).await["connect"].take();
        for (name, text) in [("node", &mut stream.node), ("session", &mut stream.session)] {
            connected[name].as_str().expect(name).clone_into(text);
        }
        stream
    }

    async fn send(node: &Node, commands: &[Value]) -> Self {
        let body: Vec<String> = commands.iter().map(Value::to_string).collect();
        let request = Request::post("/connection/http_stream").body(body.join("\n"));
        let stream = BodyStream::open(node, request).await;
        Self { stream, node: String::new(), session: String::new() }
    }

    /// Returns the next message for which this holds.
    async fn next(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        self.stream.next(is_it).await
    }

    /// Sends commands by way of this node, and returns the status.
    async fn command(&self, node: &Node, command: &Value) -> u16 {
        self.send_text(node, &command.to_string()).await
    }

    async fn send_text(&self, node: &Node, data: &str) -> u16 {
        let body = json!({ "node": self.node, "session": self.session, "data": data });
        Request::post("/emulation").body(body.to_string()).send(node).await.status
    }
}

async fn commands_reach_their_connection_from_any_node(layer: LayerKind) {
    let deployment = deployment(layer).await;
    let connect = json!({ "id": 1, "connect": { "token": token_of("ann") } });
    let subscribe = json!({ "id": 2, "subscribe": { "channel": "lobby" } });
    let mut stream = HttpStream::open(deployment.first(), &[connect, subscribe]).await;
    stream.next(|message| message["id"] == 2).await;
    let publish = json!({ "id": 3, "publish": { "channel": "lobby", "data": { "text": "hi" } } });
    assert_eq!(stream.command(deployment.last(), &publish).await, 204);
    let pushed = stream.next(|message| message["push"]["pub"].is_object()).await;
    assert_eq!(pushed["push"]["pub"]["data"], json!({ "text": "hi" }));
    assert_eq!(stream.command(deployment.first(), &json!({ "send": { "data": 1 } })).await, 204);
    let ended = stream.next(|message| message["push"]["disconnect"].is_object()).await;
    assert_eq!(ended["push"]["disconnect"], json!({ "code": 3508, "reason": "not available" }));
    until(PATIENCE, "the connection to be unknown", async || {
        let status = stream.command(deployment.first(), &publish).await;
        holds(status == 404, || status.to_string())
    })
    .await;
}

async fn a_stream_whose_client_has_gone_leaves_at_once(layer: LayerKind) {
    let deployment = deployment(layer).await;
    let node = deployment.first();
    let mut ann = CentrifugoClient::connect(node, "ann").await;
    ann.subscribe("lobby").await;
    ann.push("lobby", "join").await;
    let connect = json!({ "id": 1, "connect": { "token": token_of("bob") } });
    let subscribe = json!({ "id": 2, "subscribe": { "channel": "lobby" } });
    let stream = HttpStream::open(node, &[connect, subscribe]).await;
    assert_eq!(ann.push("lobby", "join").await["info"]["user"], "bob");
    drop(stream);
    assert_eq!(ann.push("lobby", "leave").await["info"]["user"], "bob");
}

async fn many_answers_at_once_reach_a_stream_that_reads(layer: LayerKind) {
    let deployment = deployment(layer).await;
    let connect = json!({ "id": 1, "connect": { "token": token_of("ann") } });
    let subscribe = json!({ "id": 2, "subscribe": { "channel": "lobby" } });
    let mut stream = HttpStream::open(deployment.first(), &[connect, subscribe]).await;
    stream.next(|message| message["id"] == 2).await;
    let mut writer = CentrifugoClient::connect(deployment.first(), "bob").await;
    writer.subscribe("lobby").await;
    for _ in 0..80 {
        writer.publish("lobby", &json!("x".repeat(4000))).await;
    }
    let history = |id: u64| json!({ "id": id, "history": { "channel": "lobby", "limit": 40 } }).to_string();
    let commands: Vec<String> = (3..11).map(history).collect();
    assert_eq!(stream.send_text(deployment.first(), &commands.join("\n")).await, 204);
    for id in 3..11 {
        let answer = stream.next(|message| message["id"] == id).await;
        assert_eq!(answer["history"]["publications"].as_array().map(Vec::len), Some(40), "{id}");
    }
}

#[tokio::test]
async fn few_bytes_wait_for_a_stream_that_does_not_read() {
    let node = plan().start().await;
    let connect = json!({ "id": 1, "connect": { "token": token_of("ann") } });
    let subscribe = json!({ "id": 2, "subscribe": { "channel": "lobby" } });
    let mut stream = HttpStream::open(&node, &[connect, subscribe]).await;
    stream.next(|message| message["id"] == 2).await;
    let mut writer = CentrifugoClient::connect(&node, "bob").await;
    writer.subscribe("lobby").await;
    for _ in 0..5 {
        writer.publish("lobby", &json!("x".repeat(60_000))).await;
    }
    // More than the buffers of a connection hold.
    let history = |id: u64| json!({ "id": id, "history": { "channel": "lobby", "limit": 5 } }).to_string();
    let commands: Vec<String> = (3..103).map(history).collect();
    assert_eq!(stream.send_text(&node, &commands.join("\n")).await, 204);
    // Lines without a command.
    let lines = "\n".repeat(60_000);
    let mut accepted = 0;
    while stream.send_text(&node, &lines).await == 204 {
        accepted += 1;
        assert!(accepted < 20, "{accepted} messages of 60 KB");
    }
}

on_every_layer! {
    many_answers_at_once_reach_a_stream_that_reads
    a_stream_whose_client_has_gone_leaves_at_once
    commands_reach_their_connection_from_any_node
}

#[tokio::test]
async fn another_node_does_not_know_that_a_connection_has_ended() {
    let deployment = deployment(LayerKind::Redis).await;
    let connect = json!({ "id": 1, "connect": { "token": token_of("ann") } });
    let mut stream = HttpStream::open(deployment.first(), &[connect]).await;
    let publish = json!({ "id": 2, "publish": { "channel": "lobby", "data": 1 } });
    assert_eq!(stream.command(deployment.last(), &json!({ "send": { "data": 1 } })).await, 204);
    stream.next(|message| message["push"]["disconnect"].is_object()).await;
    until(PATIENCE, "the connection to be unknown", async || {
        let status = stream.command(deployment.first(), &publish).await;
        holds(status == 404, || status.to_string())
    })
    .await;
    assert_eq!(stream.command(deployment.last(), &publish).await, 204);
    stream.node.push('x');
    assert_eq!(stream.command(deployment.last(), &publish).await, 404, "no such node");
}

#[tokio::test]
async fn commands_without_a_connection_are_refused() {
    let redis = Redis::start().await;
    let node = plan().redis(&redis).start().await;
    let session = "a".repeat(32);
    for (body, status) in [
        (json!({ "node": "nosuchno", "session": session, "data": "{}" }), 404),
        (json!({ "node": "x*\r\nPING", "session": session, "data": "{}" }), 404),
        (json!({ "node": "", "session": "", "data": "" }), 404),
        (json!({ "node": "x", "session": session, "data": {} }), 400),
        (json!([]), 400),
        (json!({}), 400),
    ] {
        let answer = Request::post("/emulation").body(body.to_string()).send(&node).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
    }
    let foreign = Request::post("/emulation").body("{}").header("Origin", "https://evil.example");
    assert_eq!(foreign.send(&node).await.status, 403);
    let empty = Request::post("/connection/http_stream").body("").send(&node).await;
    assert_eq!(empty.status, 400, "{empty:?}");
    let foreign =
        Request::post("/connection/http_stream").body("{}").header("Origin", "https://evil.example");
    assert_eq!(foreign.send(&node).await.status, 403);
}

#[tokio::test]
async fn a_stream_without_a_token_that_is_valid_ends_with_its_reason() {
    let node = plan().start().await;
    let mut stream = HttpStream::send(&node, &[json!({ "id": 1, "connect": { "token": "no" } })]).await;
    let ended = stream.next(|message| message["push"]["disconnect"].is_object()).await;
    assert_eq!(ended["push"]["disconnect"]["code"], 3500, "{ended}");
    let mut stream = HttpStream::send(&node, &[json!({ "id": 1, "subscribe": { "channel": "a" } })]).await;
    let ended = stream.next(|message| message["push"]["disconnect"].is_object()).await;
    assert_eq!(ended["push"]["disconnect"]["code"], 3501, "{ended}");
}
