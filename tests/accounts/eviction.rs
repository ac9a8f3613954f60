//! The end of a session or a ban closes its sockets on every node, and no others.

use std::time::Instant;

use serde_json::json;

use crate::support::cli::{command, operator};
use crate::support::event_stream::{EventStream, stream_of};
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::user::{SESSION, User};
use crate::support::v1_client::V1Client;
use crate::support::wait::PATIENCE;

/// The node closes the client with this code soon after `since`. Without a disconnect command the
/// socket would stay open for as long as the session is valid, which is days.
async fn expect_closed(member: &mut V1Client, code: u16, since: Instant) {
    assert_eq!(member.closed(PATIENCE).await.0, code);
    assert!(since.elapsed() < PATIENCE, "after {:?}", since.elapsed());
}

#[tokio::test]
async fn logging_out_closes_the_sessions_sockets_on_every_node() {
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut ann = User::registered(&nodes[0], "ann").await;
    let elsewhere = User::logged_in(&nodes[1], "ann").await;
    let bob = User::registered(&nodes[1], "bob").await;
    let mut sockets = Vec::new();
    for node in &nodes {
        sockets.push(ann.join(node, "lobby").await);
        sockets.push(ann.join(node, "kitchen").await);
        sockets.push(ann.handshake_at("/ws/push/lobby").connect(node).await);
        sockets.push(ann.handshake_at("/ws/inbox/").connect(node).await);
        sockets.push(ann.join(node, "@bob").await);
    }
    let stream = ann.with_cookies(Request::get(&stream_of("lobby")));
    let mut stream = EventStream::open(&nodes[1], stream).await;
    let (_, mut plain) = ann.open_socket(&nodes[1], "/ws/chat/lobby/").await;
    let mut same = elsewhere.join(&nodes[0], "lobby").await;
    let mut other = bob.join(&nodes[0], "lobby").await;
    let mut guest = User::guest(&nodes[0]).await.join(&nodes[1], "lobby").await;

    assert_eq!(ann.log_out(&nodes[0]).await.status, 303);
    let since = Instant::now();
    for socket in &mut sockets {
        expect_closed(socket, 4401, since).await;
    }
    assert_eq!(plain.close_code().await.0, 4401);
    stream.wait_for_end(PATIENCE).await;
    for member in [&mut same, &mut other, &mut guest] {
        member.publish("still here").await;
        member.receive_until("still here").await;
    }
}

#[tokio::test]
async fn a_session_deleted_from_the_store_opens_nothing() {
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let ann = User::registered(&nodes[0], "ann").await;
    let id = ann.join(&nodes[0], "lobby").await.user().to_owned();
    for key in redis.keys("parlor:record:login:*").await {
        redis.query::<i64>(&["DEL", &key]).await;
    }
    for node in &nodes {
        let member = ann.join(node, "lobby").await;
        assert_ne!(member.user(), id, "as if the cookie was not there");
        assert!(
            member.welcome["name"].as_str().is_some_and(|name| name.starts_with('~')),
            "{}",
            member.welcome
        );
    }
}

#[tokio::test]
async fn a_ban_closes_every_socket_and_blocks_every_route() {
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut op = operator(&nodes[0], &redis, "op").await;
    let own = |node: &Node| format!("http://{}", node.address());
    for mut person in [User::registered(&nodes[0], "ann").await, User::guest(&nodes[0]).await] {
        let mut sockets = Vec::new();
        for node in &nodes {
            sockets.push(person.join(node, "lobby").await);
            sockets.push(person.handshake_at("/ws/push/lobby").connect(node).await);
        }
        let stream = person.with_cookies(Request::get(&stream_of("lobby")));
        let mut stream = EventStream::open(&nodes[1], stream).await;
        let id = sockets[0].user().to_owned();
        let act = async |op: &mut User, action: &str| {
            let response = op.post(&nodes[0], "/admin/users/", &[("action", action), ("user", &id)]).await;
            assert_eq!(response.status, 303, "{action}: {response:?}");
        };
        act(&mut op, "ban").await;
        let since = Instant::now();
        for socket in &mut sockets {
            expect_closed(socket, 4403, since).await;
        }
        stream.wait_for_end(PATIENCE).await;
        for node in &nodes {
            let knocks = Request::upgrade("/ws/chat/lobby/").header("Origin", &own(node));
            let post = Request::post("/chat/lobby/messages").body(r#"{"message": "hi"}"#);
            let post = post.header("Origin", &own(node));
            for request in [knocks, post, Request::get(&stream_of("lobby")), Request::get("/chat/lobby/")] {
                let response = person.with_cookies(request).send(node).await;
                assert_eq!(response.status, 403, "a banned client: {response:?}");
            }
        }
        if person.cookie(SESSION).is_some() {
            let response = person.log_in(&nodes[1], "ann").await;
            assert_eq!(response.status, 403, "a banned account: {response:?}");
        }
        act(&mut op, "unban").await;
    }
    User::logged_in(&nodes[1], "ann").await;
}

#[tokio::test]
async fn a_change_of_the_staff_role_closes_live_sockets() {
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut ann = User::registered(&nodes[0], "ann").await;
    for (turn, status) in [("on", 200), ("off", 404)] {
        let mut near = ann.join(&nodes[0], "lobby").await;
        let mut far = ann.join(&nodes[1], "lobby").await;
        command(&redis, &["user", "staff", "ann", turn]).await;
        let since = Instant::now();
        expect_closed(&mut near, 1012, since).await;
        expect_closed(&mut far, 1012, since).await;
        for node in &nodes {
            assert_eq!(ann.get(node, "/admin/").await.status, status, "{turn}");
        }
    }
}

#[tokio::test]
async fn a_second_login_in_one_browser_closes_the_first_sessions_sockets() {
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut ann = User::registered(&nodes[0], "ann").await;
    User::registered(&nodes[0], "bob").await;
    let mut near = ann.join(&nodes[0], "lobby").await;
    let mut far = ann.join(&nodes[1], "lobby").await;
    let old = ann.cookie(SESSION).expect("a login").to_owned();
    assert_eq!(ann.log_in(&nodes[0], "bob").await.status, 303);
    let since = Instant::now();
    expect_closed(&mut near, 4401, since).await;
    expect_closed(&mut far, 4401, since).await;
    let mut thief = User::anonymous();
    thief.set_cookie(SESSION, &old);
    let member = thief.join(&nodes[1], "lobby").await;
    assert_ne!(member.welcome["name"], json!("ann"));
}

#[tokio::test]
async fn a_login_in_one_tab_reconnects_the_other_tabs_of_its_guest() {
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    User::registered(&nodes[0], "ann").await;
    let mut browser = User::guest(&nodes[0]).await;
    let mut other_tab = browser.join(&nodes[1], "lobby").await;
    assert_eq!(browser.log_in(&nodes[0], "ann").await.status, 303);
    expect_closed(&mut other_tab, 1012, Instant::now()).await;
    assert_eq!(browser.join(&nodes[1], "lobby").await.welcome["name"], json!("ann"));
}
