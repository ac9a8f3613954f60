//! Disconnect commands: every node closes the matching sockets and no others.

use std::slice;
use std::time::Instant;

use futures_util::future::try_join_all;
use parlor::{ConnectionChange, Control, Disconnect, Instruction, now};

use crate::support::cli::key;
use crate::support::event_stream::{EventStream, stream_of};
use crate::support::handshake::Handshake;
use crate::support::http::Request;
use crate::support::layer_nodes::{LayerNode, LayerNodes, clauses};
use crate::support::metrics::wait_for_metric;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::redis_proxy::RedisProxy;
use crate::support::tutorial_client::TutorialClient;
use crate::support::user::User;
use crate::support::wait::{PATIENCE, holds, seconds, until};

const CONTROL_CHANNEL: &str = "parlor:{control}:c";
const CONTROL_LOG: &str = "parlor:{control}:log";

fn about_group(group: &str, code: u16) -> Disconnect {
    Disconnect { group: Some(group.to_owned()), code, reason: "closed".to_owned(), ..Disconnect::default() }
}

async fn every_node_receives_every_disconnect_in_order(peers: LayerNodes) {
    let whole = Disconnect {
        user: Some("a1b2c3d4e5f60718".to_owned()),
        login: Some("聊天".to_owned()),
        group: Some("lobby".to_owned()),
        code: 4401,
        reason: "\"signed out\"".to_owned(),
        ..Disconnect::default()
    };
    let disconnects = [whole, about_group("lobby", 4403), Disconnect { code: 1012, ..Disconnect::default() }];
    for orders in [&disconnects[..1], &disconnects[1..]] {
        let from = peers.nodes.last().expect("a node");
        from.layer.disconnect(orders).await.expect("the layer to take orders");
    }
    for node in &peers.nodes {
        assert_eq!(node.wait_for_disconnects(3).await, disconnects);
    }
}

fn about_user(expires_at: u64) -> Instruction {
    Instruction {
        user: "a1b2c3d4e5f60718".to_owned(),
        client: Some("\"c\"".to_owned()),
        change: ConnectionChange::Refresh { expires_at: Some(expires_at), info: Some("{}".into()) },
    }
}

/// The number that an instruction was made of.
fn number(instruction: &Instruction) -> Option<u64> {
    match instruction.change {
        ConnectionChange::Refresh { expires_at, .. } => expires_at,
        _ => None,
    }
}

async fn every_node_receives_every_instruction_in_order(peers: LayerNodes) {
    let instructions = [1, 2, u64::MAX].map(about_user);
    for instruction in &instructions {
        let from = peers.nodes.last().expect("a node");
        from.layer.instruct(instruction).await.expect("the layer to take an instruction");
    }
    for node in &peers.nodes {
        assert_eq!(node.wait_for_instructions(3).await, instructions);
    }
}

clauses! {
    every_node_receives_every_disconnect_in_order
    every_node_receives_every_instruction_in_order
}

#[tokio::test]
async fn a_reconnected_node_learns_it_may_have_missed_commands() {
    let peers = LayerNodes::on_redis().await;
    let redis = peers.redis();
    let before: Vec<usize> = peers.nodes.iter().map(LayerNode::recoveries).collect();
    redis.query::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    for (node, before) in peers.nodes.iter().zip(before) {
        until(PATIENCE, "a node to learn it", async || {
            holds(node.recoveries() == before + 1, || node.recoveries().to_string())
        })
        .await;
    }
    peers.nodes[0].layer.disconnect(&[about_group("lobby", 4403)]).await.expect("the layer to take an order");
    for node in &peers.nodes {
        node.wait_for_disconnects(1).await;
    }
}

#[tokio::test]
async fn a_disconnect_of_a_group_closes_only_its_subscribers() {
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let (mut inside, mut outside, mut streams) = (Vec::new(), Vec::new(), Vec::new());
    for node in &nodes {
        for _ in 0..100 {
            inside.push(TutorialClient::chat(node, "lobby").await);
        }
        outside.push(TutorialClient::chat(node, "kitchen").await);
        outside.push(TutorialClient::push(node, "lobby").await);
        streams.push(EventStream::open(node, Request::get(&stream_of("lobby"))).await);
    }
    let other = LayerNode::connect(&redis.url()).await;
    let given = Instant::now();
    let order = Disconnect { reason: "closed\nby us".to_owned(), ..about_group("chat_lobby", 4403) };
    other.layer.disconnect(slice::from_ref(&order)).await.expect("the layer to take an order");
    for socket in &mut inside {
        assert_eq!(socket.closed().await, (4403, "closed by us".to_owned()));
    }
    for stream in &mut streams {
        stream.wait_for_end(PATIENCE).await;
    }
    assert!(given.elapsed() < PATIENCE, "{:?}", given.elapsed());
    outside[0].publish("still here").await;
    for receiver in [0, 2] {
        assert_eq!(outside[receiver].receive_chat().await, "still here");
    }
    for node in &nodes {
        wait_for_metric(node, "parlor_sockets", 2).await;
        let mut back = TutorialClient::chat(node, "lobby").await;
        back.publish("on we go").await;
        assert_eq!(back.receive_chat().await, "on we go");
    }
}

#[tokio::test]
async fn malformed_disconnects_are_counted_and_dropped() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    let wrong: [&[u8]; 8] = [
        b"",
        b"\xff\xfe",
        b"[]",
        br#"{"group": "chat_lobby"}"#,
        br#"{"group": "chat_lobby", "code": 1005, "reason": ""}"#,
        br#"{"group": "chat_lobby", "code": 99999, "reason": ""}"#,
        br#"{"group": "chat_lobby", "code": 4403, "reason": "", "address": "127.0.0.1"}"#,
        br#"{"group": 7, "code": 4403, "reason": ""}"#,
    ];
    for order in wrong {
        redis.publish(CONTROL_CHANNEL, order).await;
    }
    wait_for_metric(&node, "parlor_events_dropped_total{reason=\"malformed\"}", 8).await;
    // In the log, behind the newest entry.
    let newest: Vec<(String, Vec<String>)> =
        redis.query(&["XREVRANGE", CONTROL_LOG, "+", "-", "COUNT", "1"]).await;
    let before = format!("{}.{}", newest[0].0, newest[0].1[1]);
    let fields = ["n", "abc", "p", &before, "d", r#"{"group": 7, "code": 4403, "reason": ""}"#];
    redis.query::<String>(&[&["XADD", CONTROL_LOG, "*"][..], &fields].concat()).await;
    wait_for_metric(&node, "parlor_events_dropped_total{reason=\"malformed\"}", 9).await;
    ann.publish("hi").await;
    assert_eq!(ann.receive_chat().await, "hi");
}

#[tokio::test]
async fn a_command_that_pubsub_lost_is_applied_within_seconds() {
    let redis = Redis::start().await;
    let proxy = RedisProxy::start(&redis).await;
    let (near, far) = (LayerNode::connect(&redis.url()).await, LayerNode::connect(&proxy.url()).await);
    proxy.mute_subscribers();
    let order = about_group("lobby", 4403);
    near.layer.disconnect(slice::from_ref(&order)).await.expect("the layer to take an order");
    until(seconds(4), "the command", async || {
        let received = far.disconnects();
        holds(received == [order.clone()], || format!("{received:?}"))
    })
    .await;
    near.layer.instruct(&about_user(1)).await.expect("the layer to take an instruction");
    near.layer.disconnect(slice::from_ref(&order)).await.expect("the layer to take an order");
    near.layer.instruct(&about_user(2)).await.expect("the layer to take an instruction");
    assert_eq!(far.wait_for_instructions(2).await, [1, 2].map(about_user));
    assert_eq!(far.disconnects().len(), 2);
}

#[tokio::test]
async fn instructions_leave_disconnects_in_the_log_for_a_node_that_was_away() {
    let redis = Redis::start().await;
    let proxy = RedisProxy::start(&redis).await;
    let (near, far) = (LayerNode::connect(&redis.url()).await, LayerNode::connect(&proxy.url()).await);
    near.layer.instruct(&about_user(0)).await.expect("the layer to take an instruction");
    far.wait_for_instructions(1).await;
    let askings = far.askings();
    proxy.cut();
    let order = about_group("lobby", 4403);
    let expire = Instruction { change: ConnectionChange::Expire, ..about_user(0) };
    near.layer.disconnect(slice::from_ref(&order)).await.expect("the layer to take an order");
    near.layer.instruct(&expire).await.expect("the layer to take an instruction");
    for first in (0..10_500).step_by(500) {
        let subscriptions: Vec<_> = (first..first + 500).map(about_user).collect();
        let taken = subscriptions.iter().map(|instruction| near.layer.instruct(instruction));
        try_join_all(taken).await.expect("the layer to take instructions");
    }
    proxy.open();
    let received = until(seconds(10), "what the node missed", async || {
        let received = far.instructions();
        holds(received.len() == 2 + 4096, || format!("{} instructions", received.len())).map(|()| received)
    })
    .await;
    assert_eq!(far.disconnects(), [order]);
    assert_eq!(received[1], expire);
    // Those that were sent at once came in any order.
    let mut numbers: Vec<Option<u64>> = received[2..].iter().map(number).collect();
    numbers.sort_unstable();
    assert!(numbers[numbers.len() - 4000..].iter().copied().eq((6500..10_500).map(Some)));
    assert_eq!(far.askings(), askings, "the log has every decision");
    let kept: u64 = redis.query(&["XLEN", CONTROL_LOG]).await;
    assert!((4096..5000).contains(&kept), "{kept} entries");
}

#[tokio::test]
async fn a_node_asks_every_connection_again_once_its_position_is_lost() {
    let peers = LayerNodes::on_redis().await;
    let redis = peers.redis();
    let foreign = ["XADD", CONTROL_LOG, "*", "of", "another program"];
    for (count, loss) in (2..).zip([&["DEL", CONTROL_LOG][..], &["FLUSHALL"], &foreign]) {
        redis.query::<::redis::Value>(loss).await;
        for node in &peers.nodes {
            until(seconds(5), &format!("a node to notice {loss:?}"), async || {
                holds(node.askings() == count, || node.askings().to_string())
            })
            .await;
            node.wait_until_ready().await;
        }
        let order = about_group("lobby", 4403);
        peers.nodes[0].layer.disconnect(slice::from_ref(&order)).await.expect("the layer to take an order");
        for node in &peers.nodes {
            node.wait_for_disconnects(count - 1).await;
        }
    }
}

#[tokio::test]
async fn a_key_revoked_during_a_disconnect_keeps_no_socket() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let key = key(&redis, "billing", "publish,read").await;
    let mut socket = Handshake::to_room("lobby").token(&key).connect(&node).await;
    socket.publish("hi").await;
    let record: Vec<String> = redis.query(&["KEYS", "parlor:record:key:*"]).await;
    assert_eq!(redis.query::<i64>(&["DEL", &record[0]]).await, 1, "{record:?}");
    redis.query::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    assert_eq!(socket.closed(PATIENCE).await.0, 4401);
}

#[tokio::test]
async fn a_login_too_many_closes_the_sockets_of_the_oldest() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut socket = User::registered(&node, "ann").await.join(&node, "lobby").await;
    let logins = format!("parlor:index:logins:{}", socket.user());
    for number in 0..48 {
        redis.query::<i64>(&["ZADD", &logins, &now().to_string(), &format!("other login {number}")]).await;
    }
    User::logged_in(&node, "ann").await;
    socket.publish("still here").await;
    User::logged_in(&node, "ann").await;
    assert_eq!(socket.closed(PATIENCE).await.0, 4401);
}
