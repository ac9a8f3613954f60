//! Without Redis: sockets stay open, publishers get errors, the node is not ready, and recovers by
//! itself.

use std::time::Instant;

use futures_util::future::join_all;

use crate::support::http::Request;
use crate::support::metrics::metric;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::wait::{PATIENCE, holds, seconds, until};

/// `{"type": "chat_message", "message": "probe"}` from another program.
const PROBE: &[u8] = b"\x82\xa4type\xacchat_message\xa7message\xa5probe";

async fn status(node: &Node, request: Request) -> u16 {
    request.send(node).await.status
}

async fn wait_for_readiness(node: &Node, wanted: u16) {
    until(PATIENCE, &format!("/readyz to be {wanted}"), async || {
        let response = Request::get("/readyz").send(node).await;
        holds(response.status == wanted, || format!("{response:?}"))
    })
    .await;
}

/// Restarts Redis; the next text that the client in the lobby receives is a new one.
async fn comes_back(redis: &mut Redis, node: &Node, receiver: &mut TutorialClient) {
    redis.restart().await;
    wait_for_readiness(node, 200).await;
    let mut sender = TutorialClient::chat(node, "lobby").await;
    sender.publish("back").await;
    assert_eq!(receiver.receive_chat().await, "back");
}

#[tokio::test]
async fn sockets_survive_an_outage_and_receive_again() {
    let mut redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut members = join_all(
        (0..100).map(|n| TutorialClient::chat(&nodes[n % 2], ["lobby", "kitchen", "聊天", "attic"][n % 4])),
    )
    .await;
    redis.kill();
    for node in &nodes {
        wait_for_readiness(node, 503).await;
    }
    redis.restart().await;
    let back = Instant::now();
    for room in ["lobby", "kitchen", "聊天", "attic"] {
        // Each room's members are on one node.
        until(PATIENCE, &format!("the node to listen to {room} again"), async || {
            let receivers = redis.publish(&format!("asgi__group__chat_{room}"), PROBE).await;
            holds(receivers == 1, || format!("{receivers} listeners"))
        })
        .await;
    }
    join_all(members.iter_mut().map(|member| async {
        assert_eq!(member.receive_chat().await, "probe");
    }))
    .await;
    assert!(back.elapsed() < PATIENCE, "all receive again {:?} after Redis came back", back.elapsed());
    for node in &nodes {
        wait_for_readiness(node, 200).await;
        assert!(metric(node, "parlor_redis_reconnects_total").await > 0);
    }
    // The same sockets can send again.
    members[0].publish("all here?").await;
    for member in members.iter_mut().step_by(4) {
        assert_eq!(member.receive_chat().await, "all here?");
    }
}

#[tokio::test]
async fn publishing_during_an_outage_closes_only_the_sender_with_1013() {
    let mut redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut sender = TutorialClient::chat(&node, "lobby").await;
    let mut receiver = TutorialClient::chat(&node, "lobby").await;
    redis.kill();
    let sent = Instant::now();
    sender.publish("is this accepted?").await;
    let (code, reason) = sender.closed().await;
    assert_eq!(code, 1013, "{reason}");
    assert!(!reason.is_empty());
    assert!(sent.elapsed() < PATIENCE, "the sender got the error after {:?}", sent.elapsed());
    // What was rejected is never delivered: the next text is the first received.
    comes_back(&mut redis, &node, &mut receiver).await;
}

#[tokio::test]
async fn during_an_outage_a_node_is_live_but_not_ready() {
    let mut redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut receiver = TutorialClient::chat(&node, "lobby").await;
    assert_eq!(status(&node, Request::get("/readyz")).await, 200);
    redis.kill();
    wait_for_readiness(&node, 503).await;
    for path in ["/ws/chat/lobby/", "/ws/chat/kitchen/", "/ws/push/lobby"] {
        assert_eq!(status(&node, Request::upgrade(path)).await, 503, "{path}");
    }
    for method in ["POST", "DELETE"] {
        assert_eq!(status(&node, Request::new(method, "/push?room=lobby")).await, 503, "{method} /push");
    }
    assert_eq!(status(&node, Request::get("/healthz")).await, 200);
    assert_eq!(status(&node, Request::get("/chat/lobby/")).await, 200, "pages need no Redis");
    comes_back(&mut redis, &node, &mut receiver).await;
}

#[tokio::test]
async fn a_member_that_left_during_an_outage_is_removed_afterwards() {
    let mut redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let stays = TutorialClient::chat(&node, "lobby").await;
    let leaves = TutorialClient::chat(&node, "lobby").await;
    let alone = TutorialClient::chat(&node, "kitchen").await;
    redis.kill();
    leaves.close().await;
    alone.close().await;
    redis.restart().await;
    let id = redis.wait_for_node().await;
    until(seconds(5) + PATIENCE, "one member in the lobby and none elsewhere", async || {
        let groups = redis.keys("parlor:m:*").await;
        let users = redis.seats("chat_lobby").await;
        let is_here = users.len() == 1 && users.values().all(|nodes| *nodes == [&*id]);
        holds(groups == ["parlor:m:{chat_lobby}"] && is_here, || format!("{groups:?} {users:?}"))
    })
    .await;
    redis.wait_for_subscribers("asgi__group__chat_lobby", 1).await;
    redis.wait_for_subscribers("asgi__group__chat_kitchen", 0).await;
    drop(stays);
}

#[tokio::test]
async fn a_cut_subscribing_connection_is_replaced_and_closes_no_socket() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    let mut bob = TutorialClient::push(&node, "lobby").await;
    for round in 0..3 {
        redis.query::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        redis.wait_for_subscribers("asgi__group__chat_lobby", 1).await;
        redis.wait_for_subscribers("asgi__group__lobby", 1).await;
        let text = format!("round {round}");
        ann.publish(&text).await;
        assert_eq!(ann.receive_chat().await, text);
    }
    redis.publish("asgi__group__lobby", b"\x82\xa4type\xacpush_message\xa7message\xa4line").await;
    assert_eq!(bob.receive().await, "line");
}

#[tokio::test]
async fn cut_command_connections_are_replaced() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    ann.publish("before").await;
    assert_eq!(ann.receive_chat().await, "before");
    redis.query::<i64>(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    // The node has seen the ends of the connections when it has answered another request.
    assert_eq!(status(&node, Request::get("/healthz")).await, 200);
    // A pooled connection that Redis closed before is no reason to reject a message.
    ann.publish("after").await;
    assert_eq!(ann.receive_chat().await, "after");
}

#[tokio::test]
async fn a_start_without_redis_fails_with_one_sentence() {
    let redis = Redis::reserve();
    let text = Node::plan().redis(&redis).ended_with(75).await;
    let wanted = format!("could not connect to Redis at {}: ", redis.address());
    assert!(text.contains(&wanted), "{wanted:?} in {text:?}");
    assert_eq!(text.lines().count(), 1, "{text:?}");
    assert!(text.contains("REDIS_URL") || text.contains("--redis-url"), "the setting is named: {text:?}");
}

#[tokio::test]
async fn a_start_waiting_for_redis_continues_when_it_is_up() {
    let mut redis = Redis::reserve();
    let mut process = Node::plan().redis(&redis).switch("--wait-for-redis").spawn();
    process.stderr.wait_for("a line about Redis", PATIENCE, |line| line.contains(&redis.address())).await;
    assert!(process.ended().is_none(), "the node waits");
    redis.restart().await;
    let node = Node::from_process(process, 1).await;
    wait_for_readiness(&node, 200).await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    ann.publish("hi").await;
    assert_eq!(ann.receive_chat().await, "hi");
}

#[tokio::test]
async fn a_start_waiting_for_redis_can_be_stopped() {
    let redis = Redis::reserve();
    let plan = Node::plan().redis(&redis).env("PARLOR_WAIT_FOR_REDIS", "true");
    let mut process = plan.spawn();
    process.stderr.wait_for("a line about Redis", PATIENCE, |line| line.contains(&redis.address())).await;
    process.signal(crate::support::process::Signal::SIGTERM);
    assert_eq!(process.exit(PATIENCE).await.code(), Some(0));
}

#[tokio::test]
async fn a_push_stream_continues_after_a_short_cut() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut page = TutorialClient::push(&node, "lobby").await;
    assert_eq!(status(&node, Request::post("/push?room=lobby")).await, 200);
    page.receive().await;
    redis.query::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    redis.query::<i64>(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    page.receive().await;
}
