//! What a join costs Redis, and that a record which is asked for less often than clients join
//! admits none for longer.

use std::time::Instant;

use crate::support::cli::operator;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::user::User;
use crate::support::v1_client::V1Client;
use crate::support::wait::PATIENCE;

/// Returns how many times `GET` was called.
async fn gets(redis: &Redis) -> u64 {
    let stats: String = redis.query(&["INFO", "commandstats"]).await;
    let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_get:calls=")?.split(',').next());
    calls.map_or(0, |calls| calls.parse().expect("a number"))
}

#[tokio::test]
async fn many_joins_of_a_public_room_ask_for_its_record_once_a_second() {
    const JOINS: u64 = 200;
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut members = vec![V1Client::join(&node, "lobby").await];
    let (before, start) = (gets(&redis).await, Instant::now());
    for _ in 0..JOINS {
        members.push(V1Client::join(&node, "lobby").await);
    }
    // The node reads a record of its own each second, too.
    let most = 2 * (start.elapsed().as_secs() + 2);
    let asked = gets(&redis).await - before;
    assert!(asked <= most, "{asked} GET for {JOINS} joins within {:?}", start.elapsed());
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
