//! What one address takes is bounded: its connections before a byte of them is read, and its
//! requests before anything is asked for them.

use futures_util::future::select_all;
use serde_json::json;

use crate::support::connection::Connection;
use crate::support::event_stream::post;
use crate::support::frame::{Frame, PING, PONG, TEXT};
use crate::support::http::{Request, Response};
use crate::support::metrics::metric;
use crate::support::node::{Node, Plan};
use crate::support::redis::Redis;
use crate::support::routes::{Row, rows};
use crate::support::tutorial_client::TutorialClient;
use crate::support::v1_client::{V1Client, fresh_id};
use crate::support::wait::{PATIENCE, holds, until, within};

const OTHER: [u8; 4] = [127, 0, 0, 2];

/// A node with the limits of addresses.
fn plan() -> Plan {
    Node::plan()
        .env("PARLOR_SOCKETS_PER_ADDRESS", "1000")
        .env("PARLOR_HANDSHAKES_PER_SECOND", "1000")
        .flag("--keep-alive-seconds", "60")
}

/// Asks for a page on a new connection from another address.
async fn page_of_another(node: &Node) -> Response {
    let mut connection = Connection::connect_from(OTHER, node.address()).await;
    Request::get("/accounts/login/").send_on(&mut connection).await
}

#[tokio::test]
async fn idle_connections_of_one_address_do_not_fill_a_node() {
    let node = plan().flag("--max-connections", "40").start().await;
    let (mut kept, mut statuses) = (Vec::new(), Vec::new());
    for _ in 0..60 {
        let mut connection = Connection::connect(&node).await;
        statuses.push(Request::get("/accounts/login/").send_on(&mut connection).await.status);
        kept.push(connection);
    }
    // Half of all for one address.
    assert_eq!(statuses[..20], [200; 20]);
    assert_eq!(statuses[20..], [429; 40]);
    let refused = Request::get("/accounts/login/").send(&node).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("5")), "{refused:?}");
    assert_eq!(Request::get("/healthz").send(&node).await.status, 200, "a probe");
    assert_eq!(page_of_another(&node).await.status, 200);
    drop(kept);
    until(PATIENCE, "the address to have room again", async || {
        let status = Request::get("/accounts/login/").send(&node).await.status;
        holds(status == 200, || status.to_string())
    })
    .await;
}

#[tokio::test]
async fn silent_connections_of_one_address_do_not_fill_a_node() {
    let node = plan().flag("--max-connections", "100").start().await;
    let mut silent = Vec::new();
    for _ in 0..700 {
        silent.push(Connection::connect(&node).await);
    }
    for _ in 0..20 {
        // The head of a silent one may take 10 s.
        let response = within(PATIENCE / 4, "an answer to another", page_of_another(&node)).await;
        assert_eq!(response.status, 200, "{response:?}");
    }
    drop(silent);
}

#[tokio::test]
async fn a_proxys_connection_counts_for_the_client_of_its_request() {
    let node =
        plan().flag("--trusted-proxies", "127.0.0.1").flag("--connections-per-address", "2").start().await;
    let page = |client: &str| Request::get("/accounts/login/").header("X-Forwarded-For", client);
    let mut proxy = Vec::new();
    for wanted in [200, 200, 429] {
        let mut connection = Connection::connect(&node).await;
        assert_eq!(page("192.0.2.1").send_on(&mut connection).await.status, wanted);
        proxy.push(connection);
    }
    assert_eq!(page("192.0.2.2").send(&node).await.status, 200, "another client");
    assert_eq!(page("192.0.2.2").send_on(&mut proxy[0]).await.status, 200, "another, by the first");
    assert_eq!(page("192.0.2.1").send(&node).await.status, 200, "one less of the first client");
}

#[tokio::test]
async fn idle_connections_make_room_on_a_full_node() {
    let node = Node::plan().flag("--max-connections", "4").start().await;
    let mut idle = Vec::new();
    for _ in 0..4 {
        let mut connection = Connection::connect(&node).await;
        assert_eq!(Request::get("/accounts/login/").send_on(&mut connection).await.status, 200);
        idle.push(connection);
    }
    let mut busy = Connection::connect(&node).await;
    assert_eq!(Request::get("/accounts/login/").send_on(&mut busy).await.status, 200);
    for connection in &mut idle {
        connection.wait_for_end(PATIENCE).await;
    }
}

#[tokio::test]
async fn every_request_counts_against_its_address() {
    let node = plan().flag("--requests-per-second", "1").start().await;
    let browser = |target: &str| Request::get(target).header("Accept", "text/html");
    let over = until(PATIENCE, "the limit of requests", async || {
        let response = browser("/accounts/login/").send(&node).await;
        if response.status == 429 { Ok(response) } else { Err(response.status.to_string()) }
    })
    .await;
    assert_eq!((over.content_type(), over.header("retry-after")), ("text/plain", Some("1")), "{over:?}");
    for target in ["/chat/lobby/", "/chat/", "/nothing", "/push?room=a", "/api/openapi.json", "/admin/"] {
        assert_eq!(browser(target).send(&node).await.status, 429, "{target}");
    }
    for target in ["/healthz", "/readyz", "/metrics", "/static/room.js"] {
        assert_eq!(browser(target).send(&node).await.status, 200, "{target}");
    }
    for keys in [Request::get("/api/rooms"), Request::post("/centrifugo/api/info")] {
        assert_eq!(keys.send(&node).await.status, 401, "keys have limits of their own");
    }
    assert_eq!(Request::upgrade("/ws/chat/lobby/").send(&node).await.status, 101);
    assert_eq!(page_of_another(&node).await.status, 200);
}

#[test]
fn what_keys_call_has_the_limits_of_keys() {
    let keys = |row: &Row| row.scope.is_some() || row.path.starts_with("/centrifugo/api/");
    let rows: Vec<_> = rows().into_iter().filter(keys).collect();
    assert!(rows.len() > 5, "{rows:?}");
    for row in rows {
        assert!(row.rate.as_ref().is_some_and(|rate| rate.split(',').any(|it| it == "api")), "{row:?}");
    }
}

#[tokio::test]
async fn the_limits_of_an_address_end_with_those_that_are_off() {
    let node =
        Node::plan().flag("--requests-per-second", "1").flag("--connections-per-address", "1").start().await;
    let mut kept = Vec::new();
    for _ in 0..40 {
        let mut connection = Connection::connect(&node).await;
        assert_eq!(Request::get("/accounts/login/").send_on(&mut connection).await.status, 200);
        kept.push(connection);
    }
}

#[tokio::test]
async fn an_address_writes_in_so_many_rooms() {
    let node =
        Node::plan().env("PARLOR_MESSAGES_PER_SECOND", "50").flag("--address-rooms", "3").start().await;
    let mut members = Vec::new();
    for room in ["attic", "cellar", "hall", "kitchen"] {
        members.push(V1Client::join(&node, room).await);
    }
    // However often it writes in a room.
    for _ in 0..3 {
        members[0].publish("hi").await;
    }
    let mut plain = TutorialClient::chat(&node, "cellar").await;
    plain.publish("hi").await;
    members[1].receive().await;
    assert_eq!(post(&node, "hall", &json!({ "message": "hi" })).await.status, 200);
    let refusal = members[3].try_publish("a", "hi").await;
    assert_eq!((&refusal["code"], &refusal["retry"]), (&json!("rate"), &json!(true)), "{refusal}");
    let refusal = post(&node, "kitchen", &json!({ "message": "hi" })).await;
    assert_eq!((refusal.status, refusal.header("retry-after")), (429, Some("60")), "{refusal:?}");
    let mut plain = TutorialClient::chat(&node, "kitchen").await;
    plain.publish("hi").await;
    assert_eq!(plain.closed().await.0, 4429);
    assert_eq!(metric(&node, "parlor_refused_total{reason=\"address_logs\"}").await, 3);
    // The others go on, and so does another address.
    for member in &mut members[..3] {
        member.publish("hi again").await;
    }
    let mut other = Connection::connect_from(OTHER, node.address()).await;
    let body = json!({ "message": "hi" }).to_string();
    let request = Request::post("/chat/kitchen/messages").header("Content-Type", "application/json");
    assert_eq!(request.body(body).send_on(&mut other).await.status, 200);
}

#[tokio::test]
async fn an_address_leaves_so_many_bytes_of_messages_incomplete() {
    const PART: usize = 60_000;
    /// The sockets whose parts are more than 8 MiB.
    const MANY: usize = 8 * 1024 * 1024 / PART + 1;
    let plan = Node::plan().env("PARLOR_BYTES_PER_SECOND", "262144");
    let node = plan.flag("--address-bytes-per-second", "1000000000").start().await;
    let part = Frame::new(TEXT, "x".repeat(PART)).unfinished();
    let (mut held, mut refused) = (Vec::new(), 0);
    for n in 0..MANY + 10 {
        let mut connection = Connection::websocket(&node, "/ws/chat/lobby/").await;
        connection.send_frame(&part).await;
        if n + 1 >= MANY {
            assert_eq!(connection.close_code().await.0, 4429);
            refused += 1;
        } else {
            // The node has taken the part before the next one comes.
            connection.send_frame(&Frame::new(PING, "")).await;
            connection.frame_with_opcode(PONG, PATIENCE).await;
        }
        held.push(connection);
    }
    assert_eq!(metric(&node, "parlor_refused_total{reason=\"address_bytes\"}").await, refused);
    let mut other = Connection::connect_from(OTHER, node.address()).await.upgrade("/ws/chat/lobby/").await;
    other.send_frame(&part).await;
    other.send_frame(&Frame::new(PING, "")).await;
    other.frame_with_opcode(PONG, PATIENCE).await;
    // What is complete or gone counts no more.
    drop(held);
    until(PATIENCE, "the address to have room again", async || {
        let mut connection = Connection::websocket(&node, "/ws/chat/lobby/").await;
        connection.send_frame(&part).await;
        connection.send_frame(&Frame::new(PING, "")).await;
        let answer = connection.next_frame(PATIENCE).await;
        holds(answer.as_ref().is_some_and(|frame| frame.opcode == PONG), || format!("{answer:?}"))
    })
    .await;
}

#[tokio::test]
async fn an_address_leaves_so_many_idempotency_keys() {
    const SOCKETS: usize = 4;
    let redis = Redis::start().await;
    // In bursts of 1 MiB, of which each message is 1 KiB, however short.
    let plan = Node::plan().redis(&redis).env("PARLOR_BYTES_PER_SECOND", "262144");
    let node = plan.flag("--address-bytes-per-second", "1").start().await;
    let mut members = Vec::new();
    for _ in 0..SOCKETS {
        members.push(V1Client::join(&node, "lobby").await);
    }
    for n in 0..1200 {
        let id = format!("{:0>64}", fresh_id());
        let reply = members[n % SOCKETS].try_publish(&id, "").await;
        assert!(reply["type"] == "ack" || reply["code"] == "rate", "{reply}");
    }
    let keys = redis.keys("parlor:sent:*").await;
    assert!((1000..=1030).contains(&keys.len()), "{} keys", keys.len());
    let bytes: usize = redis.query(&["MEMORY", "USAGE", &keys[0]]).await;
    assert!(bytes <= 512, "{bytes} bytes of {}", keys[0]);
}

#[tokio::test]
async fn an_address_leaves_so_many_bytes_of_bodies_incomplete() {
    const MANY: usize = 100;
    const BODY: usize = 8 * 1024 * 1024 / MANY;
    let plan = Node::plan().env("PARLOR_BYTES_PER_SECOND", "262144");
    let node = plan.flag("--address-bytes-per-second", "1000000000").start().await;
    let request = Request::post("/chat/lobby/messages").header("Content-Length", &BODY.to_string());
    let request = request.header("Content-Type", "application/json").raw_body("{").bytes(node.address());
    let mut held = Vec::new();
    for _ in 0..=MANY {
        let mut connection = Connection::connect(&node).await;
        connection.send(&request).await;
        held.push(connection);
    }
    let body = json!({ "message": "x".repeat(BODY / 2) });
    let answer = post(&node, "lobby", &body).await;
    assert_eq!(answer.status, 200, "what is declared is not held yet: {answer:?}");
    for connection in &mut held {
        connection.send(&vec![b' '; BODY - 2]).await;
    }
    let answers = held.iter_mut().map(|connection| Box::pin(connection.response()));
    let (refusal, ..) = select_all(answers).await;
    assert_eq!((refusal.status, refusal.header("retry-after")), (429, Some("5")), "{refusal:?}");
    let mut other = Connection::connect_from(OTHER, node.address()).await;
    let messages = Request::post("/chat/lobby/messages").header("Content-Type", "application/json");
    let answer = messages.body(body.to_string()).send_on(&mut other).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    drop(held);
    until(PATIENCE, "the address to have room again", async || {
        let answer = post(&node, "lobby", &body).await;
        holds(answer.status == 200, || format!("{answer:?}"))
    })
    .await;
}
