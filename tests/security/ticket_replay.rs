//! A ticket opens one socket: not a second one, not later, not elsewhere.

use futures_util::future::join_all;

use crate::support::event_stream::stream_of;
use crate::support::handshake::{Handshake, V1};
use crate::support::http::{Request, Response};
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::user::{SESSION, User};
use crate::support::wait::{PATIENCE, holds, seconds, until};

/// A ticket of a user with a session.
async fn ticket_of(person: &mut User, node: &Node) -> String {
    let token = person.token(node).await;
    let own = format!("http://{}", node.address());
    let request = Request::post("/api/tickets").header("Origin", &own).header("X-CSRFToken", &token).body("");
    let response = person.send(node, request).await;
    assert_eq!((response.status, &response.json()["expires_in"]), (201, &30.into()), "{response:?}");
    assert_eq!(response.header("cache-control"), Some("no-store"), "tickets are never cached");
    response.json()["ticket"].as_str().expect("a ticket").to_owned()
}

async fn knock(node: &Node, ticket: &str) -> Response {
    Request::upgrade(&format!("/ws/chat/lobby/?ticket={ticket}"))
        .header("Sec-WebSocket-Protocol", V1)
        .send(node)
        .await
}

#[tokio::test]
async fn a_ticket_opens_one_socket_as_its_user() {
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut ann = User::registered(&nodes[0], "ann").await;
    let id = ann.join(&nodes[0], "lobby").await.user().to_owned();
    let ticket = ticket_of(&mut ann, &nodes[0]).await;
    let member = Handshake::to_room("lobby").query(&format!("ticket={ticket}")).connect(&nodes[1]).await;
    assert_eq!(member.user(), id);
    for node in &nodes {
        let response = knock(node, &ticket).await;
        assert_eq!(response.status, 403, "the second time: {response:?}");
    }
    assert_ne!(ticket_of(&mut ann, &nodes[0]).await, ticket_of(&mut ann, &nodes[0]).await);
}

#[tokio::test]
async fn a_ticket_used_concurrently_opens_one_socket() {
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut ann = User::registered(&nodes[0], "ann").await;
    for _ in 0..5 {
        let ticket = ticket_of(&mut ann, &nodes[0]).await;
        let responses = join_all((0..20).map(|n| knock(&nodes[n % 2], &ticket))).await;
        let mut statuses: Vec<u16> = responses.iter().map(|response| response.status).collect();
        statuses.sort_unstable();
        assert_eq!((statuses[0], &statuses[1..]), (101, &[403; 19][..]));
    }
}

#[tokio::test]
async fn a_ticket_expires_after_half_a_minute() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = User::registered(&node, "ann").await;
    let ticket = ticket_of(&mut ann, &node).await;
    let keys = redis.keys("parlor:record:ticket:*").await;
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert!(!keys[0].contains(&ticket), "only a hash of it is kept");
    let left = redis.pttl(&keys[0]).await;
    assert!((20_000..=30_000).contains(&left), "{left} ms");
    redis.query::<i64>(&["PEXPIRE", &keys[0], "1"]).await;
    until(PATIENCE, "the ticket to be gone", async || {
        holds(!redis.exists(&keys[0]).await, || "there".to_owned())
    })
    .await;
    assert_eq!(knock(&node, &ticket).await.status, 403);
}

#[tokio::test]
async fn a_ticket_is_valid_only_for_sockets_and_event_streams() {
    let node = Node::alone().await;
    let mut ann = User::registered(&node, "ann").await;
    let ticket = ticket_of(&mut ann, &node).await;
    let by_header =
        Request::post("/api/tickets").header("Authorization", &format!("Bearer {ticket}")).body("");
    assert_eq!(by_header.send(&node).await.status, 401);
    let mut thief = User::anonymous();
    thief.set_cookie(SESSION, &ticket);
    let page = thief.get(&node, &format!("/dm/?ticket={ticket}")).await;
    assert!(matches!(page.status, 303 | 401 | 403 | 404), "a page of ann's: {page:?}");
    let more = Request::post(&format!("/api/tickets?ticket={ticket}")).body("").send(&node).await;
    assert!(matches!(more.status, 401 | 403), "{more:?}");
    let sent = Request::post(&format!("/chat/lobby/messages?ticket={ticket}")).body(r#"{"message": "hi"}"#);
    assert_ne!(sent.send(&node).await.status, 500);
    // None of this has used it up; an event stream may.
    let mut receiver = crate::support::v1_client::V1Client::join(&node, "lobby").await;
    let stream = Request::get(&format!("{}?ticket={ticket}", stream_of("lobby")));
    let _feed = crate::support::event_stream::EventStream::open(&node, stream).await;
    while receiver.receive_any(&["presence"], PATIENCE).await["change"] != "join" {}
    assert_eq!(knock(&node, &ticket).await.status, 403, "it was used");
}

#[tokio::test]
async fn a_ticket_ends_with_its_session() {
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut ann = User::registered(&nodes[0], "ann").await;
    let unused = ticket_of(&mut ann, &nodes[0]).await;
    let used = ticket_of(&mut ann, &nodes[0]).await;
    let mut member = Handshake::to_room("lobby").query(&format!("ticket={used}")).connect(&nodes[1]).await;
    assert_eq!(ann.log_out(&nodes[0]).await.status, 303);
    assert_eq!(member.closed(seconds(1)).await.0, 4401);
    for node in &nodes {
        assert_eq!(knock(node, &unused).await.status, 403);
    }
}

#[tokio::test]
async fn an_invalid_ticket_does_not_fall_back_to_a_guest() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let ann = User::registered(&node, "ann").await;
    let mut watch = redis.monitor().await;
    for ticket in ["", "xq7", "xq7%2A", "xq7%3A%0A%00", &"xq7".repeat(1000), "%FF"] {
        let target = format!("/ws/chat/lobby/?ticket={ticket}");
        let response = knock(&node, ticket).await;
        assert_eq!(response.status, 403, "{target:.60}: {response:?}");
        // A valid cookie does not replace an invalid ticket.
        let own = format!("http://{}", node.address());
        let response = ann.with_cookies(Request::upgrade(&target).header("Origin", &own)).send(&node).await;
        assert_eq!(response.status, 403, "{target:.60} with a login: {response:?}");
        let response = Request::get(&format!("{}?ticket={ticket}", stream_of("lobby"))).send(&node).await;
        assert!(matches!(response.status, 401 | 403), "{target:.60}: {response:?}");
    }
    let marked: Vec<_> =
        watch.commands().await.into_iter().filter(|command| command.contains("xq7")).collect();
    assert!(marked.is_empty(), "{marked:?}");
}
