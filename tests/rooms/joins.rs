//! What a join costs Redis, and that a record which is asked for less often than clients join
//! admits none for longer.

use std::time::Instant;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use parlor::MAX_LISTED_MEMBERS;

use crate::support::cli::operator;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::user::User;
use crate::support::v1_client::V1Client;
use crate::support::wait::{PATIENCE, holds, until};

/// Returns how many times a command was called.
async fn calls(redis: &Redis, command: &str) -> u64 {
    let stats: String = redis.query(&["INFO", "commandstats"]).await;
    let line = format!("cmdstat_{command}:calls=");
    let calls = stats.lines().find_map(|text| text.strip_prefix(&line)?.split(',').next());
    calls.map_or(0, |calls| calls.parse().expect("a number"))
}

#[tokio::test]
async fn many_joins_of_a_public_room_ask_for_its_record_once_a_second() {
    const JOINS: u64 = 200;
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut members = vec![V1Client::join(&node, "lobby").await];
    let (before, start) = (calls(&redis, "get").await, Instant::now());
    for _ in 0..JOINS {
        members.push(V1Client::join(&node, "lobby").await);
    }
    // The node reads a record of its own each second, too.
    let most = 2 * (start.elapsed().as_secs() + 2);
    let asked = calls(&redis, "get").await - before;
    assert!(asked <= most, "{asked} GET for {JOINS} joins within {:?}", start.elapsed());
}

#[tokio::test]
async fn joins_of_a_large_room_are_written_together() {
    const JOINS: usize = 150;
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut members: Vec<V1Client> = stream::iter(0..=MAX_LISTED_MEMBERS)
        .then(async |_| V1Client::join(&node, "lobby").await)
        .collect()
        .await;
    let (before, start) = (calls(&redis, "evalsha").await, Instant::now());
    let joins = (0..JOINS).map(async |_| V1Client::join(&node, "lobby").await);
    members.extend(join_all(joins).await);
    let most = 40 * (start.elapsed().as_secs() + 1) + 10;
    let written = calls(&redis, "evalsha").await - before;
    assert!(written <= most, "{written} calls for {JOINS} joins within {:?}", start.elapsed());
    let count = members.last().expect("a member").welcome["count"].as_u64().expect("a count");
    assert!(count > MAX_LISTED_MEMBERS as u64 + 1, "the newcomer is counted: {count}");
    until(PATIENCE, "every member to be counted", async || {
        let counted: Vec<u8> = redis.query(&["HGET", "parlor:m:{chat_lobby}", " m"]).await;
        let counted = u32::from_le_bytes(counted[..4].try_into().expect("a count")) as usize;
        holds(counted == members.len(), || counted.to_string())
    })
    .await;
}

#[tokio::test]
async fn a_room_that_closes_admits_no_client_of_any_node_afterwards() {
    let redis = Redis::start().await;
    let [near, far] = Node::several::<2>(&redis).await;
    let mut operator = operator(&near, &redis, "zed").await;
    for round in 0..5 {
        let room = format!("room-{round}");
        let mut inside = V1Client::join(&far, &room).await;
        let path = format!("/admin/rooms/{room}/");
        let closed = operator.post(&near, &path, &[("action", "close")]).await;
        assert_eq!(closed.status, 303);
        // The far node has applied the decision.
        assert_eq!(inside.closed(PATIENCE).await.0, 4403);
        for node in [&near, &far] {
            let (response, _) = User::anonymous().open_socket(node, &format!("/ws/chat/{room}/")).await;
            assert_eq!(response.status, 404);
        }
    }
}
