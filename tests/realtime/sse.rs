//! Server-Sent Events: the same room for clients without WebSocket, and the POST that publishes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::deployment::{Deployment, LayerKind, on_every_layer};
use crate::support::event_stream::{EventStream, messages, post, stream_of};
use crate::support::handshake::guest_cookie;
use crate::support::http::Request;
use crate::support::metrics::wait_for_metric;
use crate::support::tutorial_client::TutorialClient;
use crate::support::v1_client::{V1Client, assert_chain, id_of, texts_of};
use crate::support::wait::{PATIENCE, seconds};

/// The messages up to the one with this text; each event's id is its message's.
async fn hear_until(stream: &mut EventStream, last: &str) -> Vec<Value> {
    let mut received = Vec::new();
    loop {
        let part = stream.receive_event("message").await;
        assert_eq!(part.id.as_deref(), part.frame["id"].as_str(), "{part:?}");
        assert!(part.event.is_none_or(|event| event == "message"));
        received.push(part.frame);
        if received.last().is_some_and(|message| message["text"] == last) {
            return received;
        }
    }
}

async fn a_stream_carries_the_frames_of_the_room(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut stream = EventStream::open(deployment.first(), Request::get(&stream_of("聊天"))).await;
    assert!(stream.head.contains("content-type: text/event-stream"), "{}", stream.head);
    assert!(stream.head.contains("cache-control: no-"), "{}", stream.head);
    let first = stream.next_part(PATIENCE).await.expect("a part");
    assert_eq!((&first.frame["type"], &first.frame["room"]), (&json!("welcome"), &json!("聊天")));
    assert_eq!(first.id, None, "a welcome has no place in the log");
    let mut ann = V1Client::join(deployment.last(), "聊天").await;
    assert_eq!(ann.welcome["count"], 2, "a reader is in the room");
    ann.publish("hi\nthere \r 你好").await;
    let message = ann.receive().await;
    assert_eq!(hear_until(&mut stream, "hi\nthere \r 你好").await, [message]);
    ann.send_json(&json!({ "type": "typing" })).await;
    stream.receive_event("typing").await;
    assert_eq!(stream.receive_event("presence").await.id, None);
}

async fn a_stream_resumes_after_the_last_event_id_on_any_node(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    for n in 0..100 {
        ann.publish(&n.to_string()).await;
    }
    let sent = ann.receive_until("99").await;
    for node in &deployment.nodes {
        let mut stream = EventStream::after(node, "lobby", &id_of(&sent[39])).await;
        let welcome = stream.receive_event("welcome").await.frame;
        assert_eq!((&welcome["recovered"], &welcome["last"]), (&json!(true), &sent[99]["id"]));
        assert_eq!(hear_until(&mut stream, "99").await, sent[40..]);
        let query = format!("{}?since={}", stream_of("lobby"), id_of(&sent[89]));
        let mut stream = EventStream::open(node, Request::get(&query)).await;
        assert_eq!(hear_until(&mut stream, "99").await, sent[90..]);
        // The browser's own header is newer than the URL that it was opened with.
        let request = Request::get(&query).header("Last-Event-ID", &id_of(&sent[97]));
        assert_eq!(hear_until(&mut EventStream::open(node, request).await, "99").await, sent[98..]);
        let mut stream =
            EventStream::open(node, Request::get(&format!("{}?history=5", stream_of("lobby")))).await;
        assert_eq!(hear_until(&mut stream, "99").await, sent[95..]);
        let mut stream = EventStream::after(node, "lobby", "nonsense").await;
        let welcome = stream.receive_event("welcome").await.frame;
        assert_eq!((&welcome["recovered"], &welcome["reason"]), (&json!(false), &json!("malformed")));
        assert_eq!(hear_until(&mut stream, "99").await, sent[50..]);
    }
}

async fn a_reader_that_resumes_under_load_misses_nothing(layer: LayerKind) {
    const LAST: usize = 600;
    let deployment = Deployment::start(layer).await;
    let mut flood = V1Client::join(deployment.first(), "lobby").await;
    flood.publish("0").await;
    let mut received = vec![flood.receive().await];
    let speak = async {
        for n in 1..=LAST {
            flood.publish(&n.to_string()).await;
        }
    };
    let last = LAST.to_string();
    let listen = async {
        let mut visits = 0;
        while received.last().unwrap()["text"] != last {
            let node = &deployment.nodes[visits % deployment.nodes.len()];
            let mut stream = EventStream::after(node, "lobby", &id_of(received.last().unwrap())).await;
            assert_eq!(stream.receive_event("welcome").await.frame["recovered"], true);
            visits += 1;
            for _ in 0..=(visits * 7) % 40 {
                received.push(stream.receive_event("message").await.frame);
                if received.last().unwrap()["text"] == last {
                    break;
                }
            }
        }
    };
    tokio::join!(speak, listen);
    assert_chain(&received);
    assert_eq!(texts_of(&received), (0..=LAST).map(|n| n.to_string()).collect::<Vec<_>>());
}

async fn a_quiet_stream_has_a_comment_every_25_seconds(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut stream = EventStream::open(deployment.first(), Request::get(&stream_of("lobby"))).await;
    let begun = Instant::now();
    loop {
        let part = stream.next_part(seconds(35)).await.expect("the stream to go on");
        if part.comment.is_some() {
            assert_eq!(part.frame, Value::Null, "a comment says nothing");
            break;
        }
    }
    let after = begun.elapsed();
    assert!((seconds(23)..seconds(35)).contains(&after), "{after:?}");
}

async fn a_reader_returns_soon_after_the_end_of_its_stream(layer: LayerKind) {
    let mut deployment = Deployment::with(layer, &[("--drain-seconds", "2")]).await;
    let mut stream = EventStream::open(deployment.first(), Request::get(&stream_of("lobby"))).await;
    let welcome = stream.receive_event("welcome").await;
    assert!((1000..=2000).contains(&welcome.retry.expect("the time until a return")), "{welcome:?}");
    deployment.nodes[0].terminate();
    let bye = stream.receive_event("bye").await;
    assert_eq!(bye.retry, None, "it would count from the end of the stream: {bye:?}");
    let delay = bye.frame["reconnect_ms"].as_u64().expect("milliseconds");
    assert!(delay < 2000, "{bye:?}");
    stream.wait_for_end(PATIENCE).await;
    assert_eq!(deployment.nodes[0].exit(PATIENCE).await.code(), Some(0));
}

async fn a_reader_that_leaves_is_no_longer_counted(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.last(), "lobby").await;
    let mut stream = EventStream::open(deployment.first(), Request::get(&stream_of("lobby"))).await;
    let user = stream.receive_event("welcome").await.frame["user"].clone();
    drop(stream);
    let mut changes = Vec::new();
    while changes.last() != Some(&json!("leave")) {
        let frame = ann.receive_any(&["presence"], PATIENCE).await;
        changes.extend((frame["user"] == user).then(|| frame["change"].clone()));
    }
    assert_eq!(changes, ["join", "leave"]);
    wait_for_metric(deployment.last(), "parlor_sockets", 1).await;
}

async fn a_post_is_answered_like_a_message_on_a_socket(layer: LayerKind) {
    let deployment = Deployment::with(layer, &[("--max-message-bytes", "100")]).await;
    let mut ann = V1Client::join(deployment.last(), "lobby").await;
    let mut plain = TutorialClient::chat(deployment.first(), "lobby").await;
    let hi = json!({ "type": "message", "message": "hi", "id": "p-1" });
    let response = post(deployment.first(), "lobby", &hi).await;
    assert_eq!((response.status, response.content_type()), (200, "application/json"));
    let message = ann.receive().await;
    let ack = |duplicate: bool| json!({ "type": "ack", "room": "lobby", "client_id": "p-1", "id": message["id"], "duplicate": duplicate });
    assert_eq!((response.json(), plain.receive_chat().await), (ack(false), "hi".to_owned()));
    assert_eq!(post(deployment.last(), "lobby", &hi).await.json(), ack(true));
    let response = post(deployment.first(), "lobby", &json!({ "message": "without id" })).await;
    assert_eq!((response.status, &response.json()["client_id"]), (200, &Value::Null));
    let cases = [
        (400, "malformed", "not json".to_owned()),
        (400, "malformed", String::new()),
        (400, "malformed", json!({ "message": 1 }).to_string()),
        (400, "malformed", json!({}).to_string()),
        (400, "bad_id", json!({ "message": "hi", "id": "a b" }).to_string()),
        (409, "conflict", json!({ "message": "other", "id": "p-1" }).to_string()),
        (413, "too_large", json!({ "message": "x".repeat(101), "id": "p-2" }).to_string()),
    ];
    for (status, code, body) in cases {
        let response = messages("lobby").body(&body).send(deployment.first()).await;
        assert_eq!(response.status, status, "{body} {response:?}");
        let error = response.json();
        assert_eq!(
            (&error["type"], &error["code"], &error["retry"]),
            (&json!("error"), &json!(code), &json!(false)),
            "{body}"
        );
    }
    let response = messages("lobby").body("x".repeat(200_000)).send(deployment.first()).await;
    assert_eq!(response.status, 413, "{response:?}");
    assert_eq!(texts_of(&[ann.receive().await]), ["without id"]);
    ann.receives_none_of(&["message"], Duration::from_millis(300)).await;
}

async fn a_post_belongs_to_the_browsers_user_and_origin(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.last(), "lobby").await;
    let host = deployment.first().address();
    let own = format!("http://{host}");
    let body = json!({ "message": "hi" }).to_string();
    let request = messages("lobby").header("Cookie", &guest_cookie(5));
    let response = request.clone().header("Origin", &own).body(&body).send(deployment.first()).await;
    assert_eq!(response.status, 200, "{response:?}");
    let bob = crate::support::handshake::Handshake::to_room("lobby")
        .with_guest(5)
        .connect(deployment.first())
        .await;
    assert_eq!(ann.receive().await["user"], bob.user());
    for origin in ["http://evil.example", "null"] {
        let response = request.clone().header("Origin", origin).body(&body).send(deployment.first()).await;
        assert_eq!(response.status, 403, "{response:?}");
        let stream =
            Request::get(&stream_of("lobby")).header("Cookie", &guest_cookie(5)).header("Origin", origin);
        assert_eq!(stream.send(deployment.first()).await.status, 403, "{origin}");
    }
    ann.receives_none_of(&["message"], Duration::from_millis(300)).await;
}

async fn invalid_rooms_and_parameters_are_rejected(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    for path in ["/sse/chat/a%2Fb/", "/sse/chat/%2e%2e/", "/sse/chat/lobby/?history=abc"] {
        let response = Request::get(path).send(deployment.first()).await;
        assert_eq!(response.status, 400, "{path}: {response:?}");
    }
    let response =
        Request::post("/chat/a%2Fb/messages").body("{\"message\": \"hi\"}").send(deployment.first()).await;
    assert_eq!(response.status, 400, "{response:?}");
    for (method, path) in
        [("GET", "/chat/lobby/messages"), ("DELETE", "/chat/lobby/messages"), ("POST", "/sse/chat/lobby/")]
    {
        let response = Request::new(method, path).send(deployment.first()).await;
        assert!(matches!(response.status, 404 | 405), "{method} {path}: {response:?}");
    }
}

on_every_layer! {
    a_stream_carries_the_frames_of_the_room
    a_stream_resumes_after_the_last_event_id_on_any_node
    a_reader_that_resumes_under_load_misses_nothing
    a_quiet_stream_has_a_comment_every_25_seconds
    a_reader_returns_soon_after_the_end_of_its_stream
    a_reader_that_leaves_is_no_longer_counted
    a_post_is_answered_like_a_message_on_a_socket
    a_post_belongs_to_the_browsers_user_and_origin
    invalid_rooms_and_parameters_are_rejected
}
