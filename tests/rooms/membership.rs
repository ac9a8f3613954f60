//! Members in Redis: a set of nodes and a hash of users for each group, from which dead nodes and
//! their users are removed.

use std::time::Duration;

use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::wait::{PATIENCE, holds, seconds, until};

const GROUP: &str = "parlor:group:{chat_lobby}";
/// How long a user may be away without having left.
const GRACE: Duration = Duration::from_secs(5);

/// The names of two nodes in the order of their start.
async fn two_nodes(redis: &Redis) -> (Node, String, Node, String) {
    let first = Node::on(redis).await;
    let first_id = redis.wait_for_node().await;
    let second = Node::on(redis).await;
    let ids = redis.wait_for_nodes(2).await;
    let second_id = ids.into_iter().find(|id| *id != first_id).expect("another id");
    (first, first_id, second, second_id)
}

/// Waits until the lobby has this many users of this node.
async fn wait_for_members(redis: &Redis, node: &str, count: usize) {
    until(GRACE + PATIENCE, &format!("{count} users of {node} in the lobby"), async || {
        let (nodes, users) = (redis.members(GROUP).await, redis.seats("chat_lobby").await);
        let here = users.values().filter(|nodes| nodes.iter().any(|id| id == node)).count();
        let listed = nodes.iter().any(|id| id == node);
        holds(here == count && listed == (count > 0), || format!("nodes {nodes:?}, users {users:?}"))
    })
    .await;
}

#[tokio::test]
async fn a_node_beats_every_two_seconds() {
    let redis = Redis::start().await;
    let _node = Node::on(&redis).await;
    let id = redis.wait_for_node().await;
    let beat = async || redis.query::<u64>(&["HGET", "parlor:beats", &id]).await;
    let first = beat().await;
    until(seconds(12), "three more beats", async || {
        let now = beat().await;
        holds(now >= first + 3, || format!("{first}, then {now}"))
    })
    .await;
}

#[tokio::test]
async fn members_are_in_redis_while_connected_and_in_their_grace() {
    let redis = Redis::start().await;
    let (first, first_id, second, second_id) = two_nodes(&redis).await;
    let ann = TutorialClient::chat(&first, "lobby").await;
    let bob = TutorialClient::chat(&first, "lobby").await;
    let cleo = TutorialClient::chat(&second, "lobby").await;
    wait_for_members(&redis, &first_id, 2).await;
    wait_for_members(&redis, &second_id, 1).await;
    ann.close().await;
    wait_for_members(&redis, &first_id, 1).await;
    drop(bob);
    wait_for_members(&redis, &first_id, 0).await;
    assert_eq!(redis.members(GROUP).await, [second_id.as_str()]);
    cleo.close().await;
    wait_for_members(&redis, &second_id, 0).await;
    until(PATIENCE, "nothing to be left of the group", async || {
        let keys = redis.keys("parlor:*:{*").await;
        holds(keys.is_empty(), || format!("{keys:?}"))
    })
    .await;
}

#[tokio::test]
async fn chat_and_push_are_separate_groups() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let id = redis.wait_for_node().await;
    let _chat = TutorialClient::chat(&node, "聊天").await;
    let _push = TutorialClient::push(&node, "聊天").await;
    for group in ["parlor:group:{chat_聊天}", "parlor:group:{聊天}"] {
        assert_eq!(redis.wait_for_members(group, 1).await, [id.as_str()]);
        assert_eq!(redis.query::<String>(&["TYPE", group]).await, "set");
        assert!(redis.pttl(group).await > 0, "it does not outlive a day");
    }
}

#[tokio::test]
async fn a_killed_node_is_removed_where_others_are_within_15_seconds() {
    let redis = Redis::start().await;
    let (mut first, first_id, second, second_id) = two_nodes(&redis).await;
    let mut at_first = Vec::new();
    for room in ["lobby", "kitchen", "聊天"] {
        at_first.push(TutorialClient::chat(&first, room).await);
        at_first.push(TutorialClient::push(&first, room).await);
    }
    let mut bob = TutorialClient::chat(&second, "lobby").await;
    wait_for_members(&redis, &second_id, 1).await;
    first.kill();
    until(seconds(15), "the killed node to be out of the lobby", async || {
        let (nodes, users) = (redis.members(GROUP).await, redis.seats("chat_lobby").await);
        holds(nodes == [second_id.as_str()] && users.len() == 1, || format!("{nodes:?} {users:?}"))
    })
    .await;
    // A member that comes to another of its rooms finds no other user there soon.
    let _cleo = TutorialClient::chat(&second, "kitchen").await;
    until(seconds(5), "the killed node to be out of the kitchen", async || {
        let users = redis.seats("chat_kitchen").await;
        holds(users.values().all(|nodes| *nodes == [&*second_id]), || format!("{users:?} {first_id}"))
    })
    .await;
    bob.publish("still here").await;
    assert_eq!(bob.receive_chat().await, "still here");
}

#[tokio::test]
async fn a_node_started_after_all_died_cleans_up() {
    let redis = Redis::start().await;
    let mut dead = Node::on(&redis).await;
    let dead_id = redis.wait_for_node().await;
    let _member = TutorialClient::chat(&dead, "lobby").await;
    wait_for_members(&redis, &dead_id, 1).await;
    dead.kill();
    let next = Node::on(&redis).await;
    let _member = TutorialClient::chat(&next, "lobby").await;
    until(seconds(20), "the killed node to be out of the lobby", async || {
        let users = redis.seats("chat_lobby").await;
        holds(users.len() == 1 && !redis.members(GROUP).await.contains(&dead_id), || format!("{users:?}"))
    })
    .await;
}

#[tokio::test]
async fn the_users_of_a_stopped_node_leave_after_the_grace() {
    let redis = Redis::start().await;
    let (mut first, first_id, second, second_id) = two_nodes(&redis).await;
    let _ann = TutorialClient::chat(&first, "lobby").await;
    let _page = TutorialClient::push(&first, "lobby").await;
    let _bob = TutorialClient::chat(&second, "lobby").await;
    wait_for_members(&redis, &first_id, 1).await;
    first.terminate();
    assert_eq!(first.exit(PATIENCE).await.code(), Some(0));
    assert_eq!(redis.nodes().await, [second_id.as_str()]);
    assert_eq!(redis.members(GROUP).await, [second_id.as_str()]);
    assert!(!redis.exists(&format!("parlor:top:{first_id}")).await);
    until(GRACE + PATIENCE, "its user to leave", async || {
        let users = redis.seats("chat_lobby").await;
        holds(users.values().all(|nodes| *nodes == [&*second_id]), || format!("{users:?}"))
    })
    .await;
}

#[tokio::test]
async fn a_node_writes_its_members_again_when_redis_lost_its_data() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let id = redis.wait_for_node().await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    let _bob = TutorialClient::chat(&node, "lobby").await;
    wait_for_members(&redis, &id, 2).await;
    redis.query::<String>(&["FLUSHALL"]).await;
    is_back(&redis, &id).await;
    ann.publish("hi").await;
    assert_eq!(ann.receive_chat().await, "hi");
}

#[tokio::test]
async fn a_node_writes_its_members_again_when_redis_restarted_empty() {
    let mut redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let id = redis.wait_for_node().await;
    let _ann = TutorialClient::chat(&node, "lobby").await;
    let _bob = TutorialClient::chat(&node, "lobby").await;
    redis.kill();
    redis.restart().await;
    is_back(&redis, &id).await;
}

/// Waits until the node and its two users of the lobby are in Redis again.
async fn is_back(redis: &Redis, id: &str) {
    until(PATIENCE, "the node to beat again", async || {
        let nodes = redis.nodes().await;
        holds(nodes == [id], || format!("{nodes:?}"))
    })
    .await;
    until(seconds(30), "its two users", async || {
        let users = redis.seats("chat_lobby").await;
        holds(users.len() == 2 && users.values().all(|nodes| *nodes == [id]), || format!("{users:?}"))
    })
    .await;
    until(seconds(30), "the node in the group", async || {
        let nodes = redis.members(GROUP).await;
        holds(nodes == [id], || format!("{nodes:?}"))
    })
    .await;
}

#[tokio::test]
async fn the_hash_is_right_after_fast_joins_and_leaves() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let id = redis.wait_for_node().await;
    let stays = TutorialClient::chat(&node, "lobby").await;
    for _ in 0..5 {
        let crowd =
            futures_util::future::join_all((0..20).map(|_| TutorialClient::chat(&node, "lobby"))).await;
        drop(crowd);
    }
    wait_for_members(&redis, &id, 1).await;
    stays.close().await;
    wait_for_members(&redis, &id, 0).await;
}
