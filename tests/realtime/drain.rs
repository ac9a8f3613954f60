//! A draining node sends `bye`, serves until each socket's delay is over, and closes with 1012.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::support::cli::operator;
use crate::support::cluster::Cluster;
use crate::support::connection::Connection;
use crate::support::deployment::{Deployment, LayerKind, on_every_layer};
use crate::support::handshake::Handshake;
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::process::Signal;
use crate::support::redis::Redis;
use crate::support::redis_proxy::RedisProxy;
use crate::support::resuming_client::ResumingClient;
use crate::support::tutorial_client::TutorialClient;
use crate::support::user::{FIELD, User, form};
use crate::support::v1_client::{V1Client, assert_chain, fresh_id, texts_of};
use crate::support::wait::{PATIENCE, holds, seconds, until};

/// How late a close may be beside the delay in `bye`, in milliseconds.
const LATE: u128 = 3000;

/// What a socket received while its node drained.
struct End {
    /// The delay in `bye`.
    delay: u128,
    /// From the receipt of `bye` to the close, in milliseconds.
    since_bye: u128,
    /// From the signal, which comes before `bye` is sent, to the close.
    since_signal: u128,
    received: usize,
}

/// Waits for `bye`, then publishes until shortly before the delay is over, and counts the messages
/// that were acked and delivered before the close.
async fn until_the_end(member: &mut V1Client, stopped: Instant) -> End {
    let bye = member.receive_frame("bye").await;
    let delay = u128::from(bye["reconnect_ms"].as_u64().expect("milliseconds"));
    let announced = Instant::now();
    let message = || json!({ "type": "message", "message": "still served", "id": fresh_id() });
    while announced.elapsed().as_millis() + 200 < delay && member.try_send_json(&message()).await {
        sleep(Duration::from_millis(50)).await;
    }
    let (code, reason) = member.closed(PATIENCE).await;
    let (since_bye, since_signal) = (announced.elapsed().as_millis(), stopped.elapsed().as_millis());
    assert_eq!(code, 1012, "{reason}");
    let frames = member.take_unread();
    let ids = |kind: &str| -> Vec<_> {
        let frames = frames.iter().filter(|frame| frame["type"] == kind);
        frames.map(|frame| frame["id"].clone()).collect()
    };
    let (acked, received) = (ids("ack"), ids("message"));
    // The close may come between the last ack and its message.
    let complete = &acked[..acked.len().saturating_sub(1)];
    assert!(complete.iter().all(|id| received.contains(id)), "{acked:?} were acked, {received:?} received");
    End { delay, since_bye, since_signal, received: acked.len() }
}

async fn each_socket_is_served_until_its_own_bye_delay(layer: LayerKind) {
    const GRACE: u128 = 4000;
    let mut deployment = Deployment::with(layer, &[("--drain-seconds", "4")]).await;
    let mut members = Vec::new();
    for _ in 0..20 {
        members.push(V1Client::join(deployment.first(), "lobby").await);
    }
    let begun = Instant::now();
    deployment.nodes[0].terminate();
    let ends = join_all(members.iter_mut().map(|member| until_the_end(member, begun))).await;
    assert_eq!(deployment.nodes[0].exit(PATIENCE).await.code(), Some(0));
    let whole = begun.elapsed().as_millis();
    assert!(whole < GRACE + 2 * LATE, "the node ended after {whole} ms");
    let mut delays: Vec<u128> = ends.iter().map(|end| end.delay).collect();
    delays.sort_unstable();
    delays.dedup();
    assert!(delays.len() > 10, "different delays: {delays:?}");
    assert!(delays[delays.len() - 1] < GRACE, "within the grace: {delays:?}");
    assert!(delays[0] < GRACE / 2 && delays[delays.len() - 1] > GRACE / 2, "spread: {delays:?}");
    for End { delay, since_bye, since_signal, received } in ends {
        assert!(since_signal >= delay, "closed {since_signal} ms after the signal, before {delay} ms");
        assert!(since_bye < delay + LATE, "closed {since_bye} ms after `bye`, later than {delay} ms");
        assert!(received > 0 || delay < 1000, "a socket with {delay} ms received no message");
    }
}

async fn a_tutorial_socket_receives_until_its_1012_within_the_drain(layer: LayerKind) {
    let mut deployment = Deployment::with(layer, &[("--drain-seconds", "3")]).await;
    let mut members = join_all((0..12).map(|_| TutorialClient::chat(deployment.first(), "lobby"))).await;
    let mut page = TutorialClient::push(deployment.first(), "lobby").await;
    deployment.nodes[0].terminate();
    let begun = Instant::now();
    let closed = join_all(members.iter_mut().map(async |member| {
        let (code, reason) = member.closed().await;
        assert_eq!(code, 1012, "{reason}");
        begun.elapsed()
    }))
    .await;
    let (first, last) = (closed.iter().min().unwrap(), closed.iter().max().unwrap());
    assert!(*last < seconds(3) + PATIENCE && *last > *first + Duration::from_millis(500), "{closed:?}");
    assert_eq!(page.closed().await.0, 1012);
    assert_eq!(deployment.nodes[0].exit(PATIENCE).await.code(), Some(0));
}

async fn a_draining_node_rejects_sockets_and_serves_all_else(layer: LayerKind) {
    let mut deployment = Deployment::with(layer, &[("--drain-seconds", "60")]).await;
    // Of this many sockets one has a delay that is long enough.
    let mut members = join_all((0..30).map(|_| V1Client::join(deployment.first(), "lobby"))).await;
    assert_eq!(Request::get("/readyz").send(deployment.first()).await.status, 200);
    deployment.nodes[0].terminate();
    members[0].receive_frame("bye").await;
    let begun = Instant::now();
    while begun.elapsed() < seconds(4) {
        for (request, status) in [
            (Request::get("/readyz"), 503),
            (Handshake::to_room("lobby").request(), 503),
            (Request::get("/sse/chat/lobby/"), 503),
            (Request::get("/chat/lobby/"), 200),
            (Request::get("/healthz"), 200),
            (Request::get("/metrics"), 200),
        ] {
            let response = request.send(deployment.first()).await;
            assert_eq!(
                (response.status, response.header("connection")),
                (status, Some("close")),
                "{response:?}"
            );
        }
        sleep(Duration::from_millis(200)).await;
    }
    assert!(deployment.nodes[0].runs(), "people are still there");
    deployment.nodes[0].terminate();
    assert_eq!(deployment.nodes[0].exit(PATIENCE).await.code(), Some(0));
}

/// The client of a socket that is closed returns once its connection has ended.
async fn a_connection_ends_with_its_socket_and_not_with_the_drain(layer: LayerKind) {
    let mut deployment = Deployment::with(layer, &[("--drain-seconds", "60")]).await;
    let mut members = join_all((0..30).map(|_| V1Client::join(deployment.first(), "lobby"))).await;
    deployment.nodes[0].terminate();
    let delays = join_all(members.iter_mut().map(async |member| {
        member.receive_frame("bye").await["reconnect_ms"].as_u64().expect("milliseconds")
    }))
    .await;
    let mut members: Vec<_> = delays.into_iter().zip(members).collect();
    members.sort_by_key(|(delay, _)| *delay);
    let (_, last) = members.pop().expect("thirty members");
    last.close().await;
    let (_, mut first) = members.swap_remove(0);
    assert_eq!(first.closed(PATIENCE).await.0, 1012);
    first.close().await;
    assert!(deployment.nodes[0].runs(), "the others have time");
    deployment.nodes[0].terminate();
    assert_eq!(deployment.nodes[0].exit(PATIENCE).await.code(), Some(0));
}

async fn a_node_without_sockets_serves_until_requests_end(layer: LayerKind) {
    let mut deployment = Deployment::with(layer, &[("--drain-seconds", "60")]).await;
    deployment.nodes[0].terminate();
    let begun = Instant::now();
    while begun.elapsed() < seconds(4) {
        let response = Request::get("/chat/").send(deployment.first()).await;
        assert_eq!(response.status, 200, "{response:?}");
        sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(deployment.nodes[0].exit(PATIENCE).await.code(), Some(0));
}

async fn a_second_signal_ends_the_drain_at_once(layer: LayerKind) {
    for second in [Signal::SIGTERM, Signal::SIGINT] {
        let mut deployment = Deployment::with(layer, &[("--drain-seconds", "60")]).await;
        let mut members = join_all((0..10).map(|_| V1Client::join(deployment.first(), "lobby"))).await;
        deployment.nodes[0].terminate();
        join_all(members.iter_mut().map(|member| member.receive_frame("bye"))).await;
        deployment.nodes[0].signal(second);
        let begun = Instant::now();
        join_all(members.iter_mut().map(async |member| {
            assert_eq!(member.closed(PATIENCE).await.0, 1012);
        }))
        .await;
        assert_eq!(deployment.nodes[0].exit(PATIENCE).await.code(), Some(0));
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    }
}

async fn an_interrupt_ends_the_drain_at_once(layer: LayerKind) {
    let mut deployment = Deployment::with(layer, &[("--drain-seconds", "60")]).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    let mut plain = TutorialClient::chat(deployment.first(), "lobby").await;
    deployment.nodes[0].signal(Signal::SIGINT);
    assert_eq!((ann.closed(PATIENCE).await.0, plain.closed().await.0), (1012, 1012));
    assert_eq!(deployment.nodes[0].exit(PATIENCE).await.code(), Some(0));
}

async fn a_node_without_sockets_stops_at_once(layer: LayerKind) {
    let mut deployment = Deployment::with(layer, &[("--drain-seconds", "60")]).await;
    V1Client::join(deployment.first(), "lobby").await.close().await;
    deployment.nodes[0].terminate();
    assert_eq!(deployment.nodes[0].exit(PATIENCE).await.code(), Some(0));
}

on_every_layer! {
    each_socket_is_served_until_its_own_bye_delay
    a_tutorial_socket_receives_until_its_1012_within_the_drain
    a_draining_node_rejects_sockets_and_serves_all_else
    a_connection_ends_with_its_socket_and_not_with_the_drain
    a_node_without_sockets_serves_until_requests_end
    a_second_signal_ends_the_drain_at_once
    an_interrupt_ends_the_drain_at_once
    a_node_without_sockets_stops_at_once
}

#[tokio::test]
async fn draining_without_redis_keeps_the_announced_delays() {
    let mut redis = Redis::start().await;
    let mut node = Node::plan().redis(&redis).flag("--drain-seconds", "2").start().await;
    let mut ann = V1Client::join(&node, "lobby").await;
    redis.kill();
    node.terminate();
    let bye = ann.receive_frame("bye").await;
    assert_eq!(bye, json!({ "type": "bye", "reconnect_ms": bye["reconnect_ms"] }));
    assert_eq!(ann.closed(PATIENCE).await.0, 1012);
    assert_eq!(node.exit(PATIENCE).await.code(), Some(0));
}

#[tokio::test]
async fn changes_of_rights_under_way_at_sigterm_are_answered_and_made() {
    const MANY: usize = 12;
    const BAN: &str = r#""banned":true"#;
    let redis = Redis::start().await;
    let proxy = RedisProxy::start(&redis).await;
    let mut node = Node::plan().env("REDIS_URL", &proxy.url()).start().await;
    let mut zed = operator(&node, &redis, "zed").await;
    let (token, origin) = (zed.token(&node).await, format!("http://{}", node.address()));
    let mut requests = Vec::new();
    for number in 0..MANY {
        let user = User::registered(&node, &format!("user{number}")).await;
        let id = user.join(&node, "lobby").await.user().to_owned();
        let ban = form("/admin/users/", &[("action", "ban"), ("user", &id), (FIELD, &token)]);
        let request = zed.with_cookies(ban.header("Origin", &origin));
        requests.push((request, Connection::connect(&node).await));
    }
    proxy.hold_from(BAN);
    let bans = join_all(requests.iter_mut().map(async |(request, connection)| {
        connection.send(&request.bytes(connection.peer())).await;
        connection.response().await
    }));
    let begun = async {
        until(PATIENCE, "a change that is announced", async || {
            let announced = redis.members("parlor:{control}:announced").await;
            holds(!announced.is_empty(), String::new)
        })
        .await;
        node.terminate();
        proxy.open();
    };
    let (answers, ()) = tokio::join!(bans, begun);
    for answer in answers {
        assert_eq!(answer.status, 303, "{}", answer.body);
    }
    let mut banned = 0;
    for record in redis.keys("parlor:record:user:*").await {
        banned += usize::from(redis.query::<String>(&["GET", &record]).await.contains(BAN));
    }
    assert_eq!(banned, MANY);
    assert_eq!(node.exit(PATIENCE).await.code(), Some(0));
}

#[tokio::test]
async fn a_connection_is_served_after_the_node_accepts_no_more() {
    let mut node = Node::plan().start().await;
    let mut connection = Connection::connect(&node).await;
    node.terminate();
    until(PATIENCE, "the node to refuse connections", async || {
        holds(TcpStream::connect(node.address()).await.is_err(), String::new)
    })
    .await;
    // As a load balancer sends it that has not noticed yet.
    let response = Request::get("/chat/").send_on(&mut connection).await;
    assert_eq!((response.status, response.header("connection")), (200, Some("close")), "{response:?}");
    assert_eq!(node.exit(PATIENCE).await.code(), Some(0));
}

#[tokio::test]
async fn a_rolling_restart_loses_no_message() {
    const MANY: usize = 60;
    let mut site = Cluster::with_nodes(3).await;
    let users: Vec<_> = (0..MANY).map(|_| ResumingClient::connect(site.nginx.address(), "lobby")).collect();
    for user in &users {
        user.wait_until_connected(PATIENCE).await;
    }
    let address = site.nginx.address();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let sender = tokio::spawn(publish_until_stopped(address, stopped));
    for node in 0..3 {
        site.node(node).terminate();
        assert_eq!(site.node(node).exit(PATIENCE).await.code(), Some(0));
        site.start(node).await;
    }
    stop.send(true).unwrap();
    let sent = sender.await.expect("a speaker who is acked in the end");
    let mut longest = Duration::ZERO;
    for user in &users {
        user.wait_for_text(&sent[sent.len() - 1], PATIENCE).await;
        let notes = user.observations();
        assert_eq!(notes.reported, Vec::<Value>::new(), "no loss was reported");
        assert_chain(&notes.messages);
        let texts = texts_of(&notes.messages);
        let first = sent.iter().position(|text| *text == texts[0]).expect("a text that was said");
        assert_eq!(texts, sent[first..], "everything from the first one on, each once");
        longest = longest.max(notes.waits.into_iter().max().unwrap_or_default());
    }
    let arrivals: usize = users.iter().map(|user| user.observations().arrivals.len()).sum();
    println!("{} messages, {arrivals} arrivals of {MANY} people, longest wait {longest:?}", sent.len());
    assert!(longest < PATIENCE, "a client waited {longest:?} beyond the delay");
    assert!(arrivals < 5 * MANY, "{arrivals} arrivals");
}

#[tokio::test]
async fn only_a_node_that_died_is_logged_as_dead() {
    let redis = Redis::start().await;
    let mut stopped = Node::on(&redis).await;
    let name = redis.wait_for_node().await;
    let [observer, mut killed] = Node::several(&redis).await;
    redis.wait_for_nodes(3).await;
    stopped.terminate();
    assert_eq!(stopped.exit(PATIENCE).await.code(), Some(0));
    killed.kill();
    // A node that said that it ends is known earlier.
    let is_dead = |line: &str| line.contains("dead node found");
    observer.log().wait_for("a dead node", seconds(15) + PATIENCE, is_dead).await;
    let dead: Vec<_> = observer.log().all().into_iter().filter(|line| is_dead(line)).collect();
    assert!(dead.len() == 1 && !dead[0].contains(&name), "{name} has ended: {dead:?}");
}

/// Publishes numbers until it is stopped; retries what was not acked on whichever node answers.
async fn publish_until_stopped(
    address: std::net::SocketAddr,
    stopped: tokio::sync::watch::Receiver<bool>,
) -> Vec<String> {
    let mut sent: Vec<String> = Vec::new();
    while !*stopped.borrow() || sent.len() < 50 {
        let text = sent.len().to_string();
        let id = crate::support::v1_client::fresh_id();
        let acked = async {
            while !post_once(address, &id, &text).await {
                sleep(Duration::from_millis(20)).await;
            }
        };
        crate::support::wait::within(PATIENCE, "an ack at any node", acked).await;
        sent.push(text);
        sleep(Duration::from_millis(5)).await;
    }
    sent
}

/// Publishes over HTTP, once.
async fn post_once(address: std::net::SocketAddr, id: &str, text: &str) -> bool {
    let request = crate::support::event_stream::messages("lobby");
    let body = json!({ "message": text, "id": id }).to_string();
    let mut connection = Connection::connect_to(address).await;
    request.body(body).send_on(&mut connection).await.status == 200
}
