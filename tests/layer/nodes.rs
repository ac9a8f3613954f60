//! What the layer reports about nodes, groups and logs.

use parlor::{Broker, Control, Group, NodeFigures, NodeInfo, Presence};

use crate::support::layer_nodes::{LayerNodes, clauses};
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::wait::{PATIENCE, holds, seconds, until};

async fn every_node_lists_every_live_node(peers: LayerNodes) {
    let mut names: Vec<&str> = peers.nodes.iter().map(|node| node.layer.node_name()).collect();
    names.sort_unstable();
    for node in &peers.nodes {
        let nodes = until(PATIENCE, "all nodes to be known", async || {
            let nodes = node.layer.nodes().await.expect("an answer");
            let known: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
            holds(known == names, || format!("{known:?}")).map(|()| nodes.clone())
        })
        .await;
        assert!(nodes.iter().all(|node| node.since_ms > 1_700_000_000_000), "{nodes:?}");
    }
}

async fn every_node_reports_its_own_figures(peers: LayerNodes) {
    for (n, node) in (1..).zip(&peers.nodes) {
        node.set_figures(NodeFigures { sockets: n, groups: 10 * n, published: 100 * n, delivered: 1000 * n });
    }
    for node in &peers.nodes {
        until(PATIENCE, "the figures of all nodes", async || {
            let nodes = node.layer.nodes().await.expect("an answer");
            let own = (1..).zip(&peers.nodes).all(|(n, peer)| {
                nodes.iter().any(|info| {
                    let figures = (info.sockets, info.groups, info.published, info.delivered);
                    info.name == peer.layer.node_name() && figures == (n, 10 * n, 100 * n, 1000 * n)
                })
            });
            holds(own, || format!("{nodes:?}"))
        })
        .await;
    }
}

/// Waits until the node lists these groups with these numbers of users.
async fn wait_for_groups(peers: &LayerNodes, wanted: &[(String, usize)]) {
    for node in &peers.nodes {
        until(PATIENCE, "groups", async || {
            let groups = node.layer.groups().await.expect("an answer");
            holds(groups == wanted, || format!("{groups:?}, not {wanted:?}"))
        })
        .await;
    }
}

async fn groups_are_listed_by_their_users_on_all_nodes(peers: LayerNodes) {
    wait_for_groups(&peers, &[]).await;
    for (n, node) in peers.nodes.iter().enumerate() {
        for user in 0..3 {
            node.enter(&Group::new("big"), &format!("{user} of {n}")).await;
        }
        for name in ["both", "聊天", "left"] {
            node.enter(&Group::new(name), "ann").await;
        }
        node.enter(&Group::new("both"), "ann").await;
        node.layer.unsubscribe(&Group::new("left"), Some(&"ann".into()));
    }
    peers.nodes[0].enter(&Group::new("both"), "bob").await;
    let expected = [("big", 3 * peers.nodes.len()), ("both", 2), ("聊天", 1)]
        .map(|(name, users)| (name.to_owned(), users));
    wait_for_groups(&peers, &expected).await;
}

async fn at_most_a_thousand_groups_are_listed_the_largest_first(peers: LayerNodes) {
    for n in 0..1100 {
        let group = Group::new(&format!("group {n:04}"));
        let node = &peers.nodes[n % peers.nodes.len()];
        drop(node.layer.subscribe(&group, Some(&"ann".into())));
        if n >= 1050 {
            drop(node.layer.subscribe(&group, Some(&"bob".into())));
        }
    }
    let busy = (1050..1100).map(|n| (format!("group {n:04}"), 2));
    let expected: Vec<_> = busy.chain((0..950).map(|n| (format!("group {n:04}"), 1))).collect();
    wait_for_groups(&peers, &expected).await;
}

async fn a_log_reports_its_number_of_events(peers: LayerNodes) {
    let groups = ["kitchen", "lobby"].map(Group::new);
    for count in 0..5 {
        for node in &peers.nodes {
            assert_eq!(node.layer.log_length(&groups[1]).await.expect("an answer"), count);
            let figures = node.layer.log_figures(&groups).await.expect("an answer");
            let figures: Vec<_> = figures.iter().map(|log| (log.events, log.per_minute)).collect();
            assert_eq!(figures, [(0, 0), (count, count as u64)]);
        }
        peers.nodes[0].append(&groups[1], &count.to_string(), None).await;
    }
}

clauses! {
    every_node_lists_every_live_node
    every_node_reports_its_own_figures
    groups_are_listed_by_their_users_on_all_nodes
    at_most_a_thousand_groups_are_listed_the_largest_first
    a_log_reports_its_number_of_events
}

/// The figures of a node's heartbeat.
async fn facts(redis: &Redis, node: &str) -> Option<NodeInfo> {
    let facts: Option<String> = redis.query(&["HGET", "parlor:facts", node]).await;
    facts.map(|json| serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error} in {json}")))
}

#[tokio::test]
async fn a_heartbeat_carries_the_nodes_current_figures() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let name = redis.wait_for_node().await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    let _bob = TutorialClient::chat(&node, "lobby").await;
    let _page = TutorialClient::push(&node, "kitchen").await;
    ann.publish("hi").await;
    assert_eq!(ann.receive_chat().await, "hi");
    until(seconds(5), "the facts to say so", async || {
        let info = facts(&redis, &name).await.expect("facts");
        let counts = (info.sockets, info.groups, info.published, info.delivered);
        let lag = info.lag_ms.is_some_and(|lag| lag > 0.0 && lag < 3000.0);
        holds(info.name == name && counts == (3, 2, 1, 2) && lag, || format!("{info:?}"))
    })
    .await;
}

#[tokio::test]
async fn an_ended_node_and_its_groups_are_no_longer_listed() {
    let mut peers = LayerNodes::on_redis().await;
    for node in &peers.nodes {
        node.enter(&Group::new("both"), "ann").await;
    }
    let last = peers.nodes.pop().expect("two nodes");
    last.enter(&Group::new("alone"), "ann").await;
    wait_for_groups(&peers, &[("alone".to_owned(), 1), ("both".to_owned(), 1)]).await;
    let left = &peers.nodes[0];
    last.layer.close().await;
    wait_for_groups(&peers, &[("both".to_owned(), 1)]).await;
    assert_eq!(left.layer.nodes().await.expect("an answer").len(), 1);
}
