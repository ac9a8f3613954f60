//! Members in Redis: sets with a heartbeat per node, so that dead nodes and their members are
//! removed.

use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::wait::{PATIENCE, holds, seconds, until};

const GROUP: &str = "parlor:group:chat_lobby";

/// The id of the only node on this Redis.
async fn only_node(redis: &Redis) -> String {
    redis.wait_for_members("parlor:nodes", 1).await.remove(0)
}

/// The ids of two nodes in the order of their start.
async fn two_nodes(redis: &Redis) -> (Node, String, Node, String) {
    let first = Node::on(redis).await;
    let first_id = only_node(redis).await;
    let second = Node::on(redis).await;
    let ids = redis.wait_for_members("parlor:nodes", 2).await;
    let second_id = ids.into_iter().find(|id| *id != first_id).expect("another id");
    (first, first_id, second, second_id)
}

/// Every key that names the node, and its entries in the sets of nodes.
async fn traces(redis: &Redis, node: &str) -> Vec<String> {
    let mut traces: Vec<_> =
        redis.keys("parlor:*").await.into_iter().filter(|key| key.contains(node)).collect();
    for set in redis.keys("parlor:group:*").await.into_iter().chain(["parlor:nodes".to_owned()]) {
        if redis.query::<String>(&["TYPE", &set]).await == "set"
            && redis.members(&set).await.iter().any(|id| id == node)
        {
            traces.push(format!("member of {set}"));
        }
    }
    traces
}

/// Waits until the group's sets have this many members of this node.
async fn wait_for_members(redis: &Redis, node: &str, count: usize) {
    until(PATIENCE, &format!("{count} members at the node in {GROUP}"), async || {
        let (nodes, members) = (redis.members(GROUP).await, redis.members(&format!("{GROUP}:{node}")).await);
        let listed = nodes.iter().any(|id| id == node);
        holds(members.len() == count && listed == (count > 0), || {
            format!("nodes {nodes:?}, members {members:?}")
        })
    })
    .await;
}

#[tokio::test]
async fn a_node_registers_and_renews_its_heartbeat() {
    let redis = Redis::start().await;
    let _node = Node::on(&redis).await;
    let lease = format!("parlor:node:{}", only_node(&redis).await);
    let mut before = redis.pttl(&lease).await;
    let mut renewals = 0;
    until(seconds(12), "two renewals of the lease", async || {
        let left = redis.pttl(&lease).await;
        assert!(
            (5_000..=10_000).contains(&left),
            "{left} ms are left of a lease of 10 s that is renewed every 3 s"
        );
        renewals += u32::from(left > before);
        before = left;
        holds(renewals >= 2, || format!("{renewals} renewals, {left} ms left"))
    })
    .await;
}

#[tokio::test]
async fn members_are_in_the_sets_while_connected() {
    let redis = Redis::start().await;
    let (first, first_id, second, second_id) = two_nodes(&redis).await;
    let ann = TutorialClient::chat(&first, "lobby").await;
    let bob = TutorialClient::chat(&first, "lobby").await;
    let cleo = TutorialClient::chat(&second, "lobby").await;
    wait_for_members(&redis, &first_id, 2).await;
    wait_for_members(&redis, &second_id, 1).await;
    assert_eq!(redis.members(&format!("parlor:node:{first_id}:groups")).await, ["chat_lobby"]);
    ann.close().await;
    wait_for_members(&redis, &first_id, 1).await;
    drop(bob);
    wait_for_members(&redis, &first_id, 0).await;
    assert_eq!(redis.members(GROUP).await, [second_id.as_str()]);
    cleo.close().await;
    wait_for_members(&redis, &second_id, 0).await;
    until(PATIENCE, "empty sets to be gone", async || {
        let keys = redis.keys("parlor:group:*").await;
        holds(keys.is_empty(), || format!("{keys:?}"))
    })
    .await;
}

#[tokio::test]
async fn chat_and_push_are_separate_groups() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let id = only_node(&redis).await;
    let _chat = TutorialClient::chat(&node, "聊天").await;
    let _push = TutorialClient::push(&node, "聊天").await;
    let groups = redis.wait_for_members(&format!("parlor:node:{id}:groups"), 2).await;
    assert_eq!(groups, ["chat_聊天", "聊天"]);
    assert_eq!(redis.members("parlor:group:chat_聊天").await, [id.as_str()]);
    assert_eq!(redis.members("parlor:group:聊天").await, [id.as_str()]);
}

#[tokio::test]
async fn a_killed_node_is_removed_from_every_set_within_15_seconds() {
    let redis = Redis::start().await;
    let (mut first, first_id, second, second_id) = two_nodes(&redis).await;
    let mut at_first = Vec::new();
    for room in ["lobby", "kitchen", "聊天"] {
        at_first.push(TutorialClient::chat(&first, room).await);
        at_first.push(TutorialClient::push(&first, room).await);
    }
    let mut bob = TutorialClient::chat(&second, "lobby").await;
    redis.wait_for_members(&format!("parlor:node:{first_id}:groups"), 6).await;
    wait_for_members(&redis, &second_id, 1).await;
    first.kill();
    until(seconds(15), "the killed node to be out of every set", async || {
        let traces = traces(&redis, &first_id).await;
        holds(traces.is_empty(), || format!("{traces:?}"))
    })
    .await;
    // The other node and its member stay.
    assert_eq!(redis.members("parlor:nodes").await, [second_id.as_str()]);
    assert_eq!(redis.members(GROUP).await, [second_id.as_str()]);
    bob.publish("still here").await;
    assert_eq!(bob.receive_chat().await, "still here");
}

#[tokio::test]
async fn a_node_started_after_all_died_cleans_up() {
    let redis = Redis::start().await;
    let mut dead = Node::on(&redis).await;
    let dead_id = only_node(&redis).await;
    let _member = TutorialClient::chat(&dead, "lobby").await;
    wait_for_members(&redis, &dead_id, 1).await;
    dead.kill();
    let _next = Node::on(&redis).await;
    until(seconds(15), "the killed node to be out of every set", async || {
        let traces = traces(&redis, &dead_id).await;
        holds(traces.is_empty(), || format!("{traces:?}"))
    })
    .await;
}

#[tokio::test]
async fn a_stopped_node_leaves_every_set_at_once() {
    let redis = Redis::start().await;
    let (mut first, first_id, _second, second_id) = two_nodes(&redis).await;
    let _ann = TutorialClient::chat(&first, "lobby").await;
    let _page = TutorialClient::push(&first, "lobby").await;
    redis.wait_for_members(&format!("parlor:node:{first_id}:groups"), 2).await;
    first.terminate();
    assert_eq!(first.exit(PATIENCE).await.code(), Some(0));
    assert_eq!(
        traces(&redis, &first_id).await,
        Vec::<String>::new(),
        "nothing of the node is left when it has ended"
    );
    assert_eq!(redis.members("parlor:nodes").await, [second_id.as_str()]);
}

#[tokio::test]
async fn a_node_registers_again_when_redis_lost_its_data() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let id = only_node(&redis).await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    let _bob = TutorialClient::chat(&node, "lobby").await;
    wait_for_members(&redis, &id, 2).await;
    redis.query::<String>(&["FLUSHALL"]).await;
    is_back(&redis, &id).await;
    ann.publish("hi").await;
    assert_eq!(ann.receive_chat().await, "hi");
}

#[tokio::test]
async fn a_node_registers_again_when_redis_restarted_empty() {
    let mut redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let id = only_node(&redis).await;
    let _ann = TutorialClient::chat(&node, "lobby").await;
    let _bob = TutorialClient::chat(&node, "lobby").await;
    redis.kill();
    redis.restart().await;
    is_back(&redis, &id).await;
}

/// Waits until the node and its two members of the lobby are in the sets again.
async fn is_back(redis: &Redis, id: &str) {
    until(PATIENCE, "the node to be in the set of nodes again", async || {
        let nodes = redis.members("parlor:nodes").await;
        holds(nodes == [id], || format!("{nodes:?}"))
    })
    .await;
    wait_for_members(redis, id, 2).await;
    until(PATIENCE, "the lease and the list of groups", async || {
        let groups = redis.members(&format!("parlor:node:{id}:groups")).await;
        let left = redis.pttl(&format!("parlor:node:{id}")).await;
        holds(groups == ["chat_lobby"] && left > 0, || format!("groups {groups:?}, lease {left}"))
    })
    .await;
}

#[tokio::test]
async fn the_sets_are_right_after_fast_joins_and_leaves() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let id = only_node(&redis).await;
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
