//! Clients that only receive, in the body of a response.

use serde_json::{Value, json};

use crate::support::body_stream::BodyStream;
use crate::support::centrifugo::{CentrifugoClient, deployment, plan, token, token_of};
use crate::support::deployment::{LayerKind, on_every_layer};
use crate::support::http::Request;
use crate::support::node::Node;

const TRANSPORTS: [&str; 2] = ["uni_sse", "uni_http_stream"];

/// A request with the connect request as its body.
fn post(transport: &str, connect: &str) -> Request {
    Request::post(&format!("/connection/{transport}")).body(connect)
}

/// Opens a stream, and returns it with its first push.
async fn open(node: &Node, request: Request) -> (BodyStream, Value) {
    let mut stream = BodyStream::open(node, request).await;
    let first = stream.next(|_| true).await;
    (stream, first)
}

/// How a stream ends that begins with this.
async fn refused(node: &Node, transport: &str, connect: &str) -> Value {
    let (mut stream, mut first) = open(node, post(transport, connect)).await;
    stream.ended().await;
    first["disconnect"].take()
}

async fn a_client_receives_bare_pushes_of_the_channel_of_its_own(layer: LayerKind) {
    let deployment = deployment(layer).await;
    let token = token_of("ann");
    let connect = json!({ "token": token, "name": "js", "subs": { "lobby": {} } }).to_string();
    let query = format!("/connection/uni_sse?cf_connect=%7B%22token%22%3A%22{token}%22%7D");
    let requests = [Request::get(&query), post(TRANSPORTS[0], &connect), post(TRANSPORTS[1], &connect)];
    let mut streams = Vec::new();
    for request in requests {
        let (stream, first) = open(deployment.first(), request).await;
        let connected = &first["connect"];
        assert!(connected["client"].as_str().is_some_and(|id| !id.is_empty()), "{first}");
        assert_eq!((&connected["ping"], &connected["pong"]), (&json!(25), &json!(false)), "{first}");
        assert_eq!((&connected["session"], &connected["node"]), (&Value::Null, &Value::Null), "{first}");
        let channels: Vec<_> = connected["subs"].as_object().expect("subscriptions").keys().collect();
        assert_eq!(channels, ["#ann"], "{first}");
        streams.push(stream);
    }
    assert!(streams[0].head.contains("content-type: text/event-stream"), "{}", streams[0].head);
    let mut ann = CentrifugoClient::connect(deployment.last(), "ann").await;
    ann.subscribe("lobby").await;
    ann.publish("lobby", &json!("not for them")).await;
    ann.publish("#ann", &json!({ "sum": 1 })).await;
    for stream in &mut streams {
        let published = stream.next(|push| push["pub"].is_object()).await;
        assert_eq!(
            (&published["channel"], &published["pub"]["data"]),
            (&json!("#ann"), &json!({ "sum": 1 }))
        );
        assert_eq!(published["pub"]["offset"], 1, "{published}");
    }
    // The position of the stream before.
    ann.publish("#ann", &json!("missed")).await;
    let epoch = ann.result("history", &json!({ "channel": "#ann" })).await["epoch"].take();
    let subs = json!({ "#ann": { "recover": true, "offset": 1, "epoch": epoch } });
    let connect = json!({ "token": token, "subs": subs }).to_string();
    let (mut stream, first) = open(deployment.last(), post(TRANSPORTS[1], &connect)).await;
    assert_eq!(first["connect"]["subs"]["#ann"]["recovered"], true, "{first}");
    assert_eq!(stream.next(|push| push["pub"].is_object()).await["pub"]["data"], "missed");
}

on_every_layer! {
    a_client_receives_bare_pushes_of_the_channel_of_its_own
}

#[tokio::test]
async fn a_client_without_a_request_is_who_its_handshake_says() {
    let node = plan().start().await;
    for request in [Request::get("/connection/uni_sse"), post(TRANSPORTS[1], "")] {
        let (_, first) = open(&node, request).await;
        assert_eq!(first["connect"]["subs"], Value::Null, "{first}");
    }
}

#[tokio::test]
async fn a_request_that_is_not_accepted_ends_with_its_reason() {
    let node = plan().start().await;
    let connect = |claims: Value| json!({ "token": token(&claims) }).to_string();
    let joining = |channels: Vec<String>| connect(json!({ "sub": "ann", "channels": channels }));
    let expired = connect(json!({ "sub": "ann", "exp": 1 }));
    let forbidden = joining(vec!["#bob".to_owned()]);
    let unnamed = joining(vec!["x/y".to_owned()]);
    let many = joining((0..200).map(|number| format!("room{number}")).collect());
    for transport in TRANSPORTS {
        for (connect, code, reason) in [
            (r#"{"token":"no"}"#, 3500, "invalid token"),
            (&*expired, 3005, "connection expired"),
            (&*forbidden, 3507, "permission denied"),
            (&*unnamed, 3501, "bad request"),
            (&*many, 3505, "channel limit"),
            ("[]", 3501, "bad request"),
            (r#"{"id":1,"connect":{}} {}"#, 3501, "bad request"),
        ] {
            let ended = refused(&node, transport, connect).await;
            assert_eq!(ended, json!({ "code": code, "reason": reason }), "{transport} {connect}");
        }
    }
}
