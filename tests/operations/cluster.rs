//! Several nodes behind a real nginx: clients survive the death and the restart of nodes.

use std::time::Instant;

use crate::support::cluster::Cluster;
use crate::support::crowd::Crowd;
use crate::support::metrics::metric;
use crate::support::wait::PATIENCE;

/// The number of clients in the room.
const MANY: usize = 100;

/// The number of sockets of a node, which its end closes.
async fn sockets(site: &mut Cluster, node: usize) -> usize {
    let sockets = metric(site.node(node), "parlor_sockets").await;
    usize::try_from(sockets).expect("a number of sockets")
}

#[tokio::test]
async fn clients_of_a_killed_node_reconnect_to_others_at_once() {
    let mut site = Cluster::with_nodes(3).await;
    let crowd = Crowd::connect(MANY, site.nginx.address(), "lobby").await;
    assert_eq!(site.nodes_of("chat_lobby").await, [0, 1, 2], "people on every node");
    let lost = sockets(&mut site, 1).await;
    site.node(1).kill();
    let killed = Instant::now();
    crowd.wait_for_returns(lost, PATIENCE).await;
    crowd.wait_for_text("all here?", PATIENCE).await;
    assert!(
        killed.elapsed() < PATIENCE,
        "every client was back and received a message after {:?}",
        killed.elapsed()
    );
}

#[tokio::test]
async fn a_rolling_restart_behind_nginx_keeps_every_client() {
    let mut site = Cluster::with_nodes(3).await;
    let crowd = Crowd::connect(MANY, site.nginx.address(), "lobby").await;
    let mut moved = 0;
    for node in 0..3 {
        moved += sockets(&mut site, node).await;
        site.node(node).terminate();
        crowd.wait_for_returns(moved, PATIENCE).await;
        assert_eq!(site.node(node).exit(PATIENCE).await.code(), Some(0));
        site.start(node).await;
    }
    crowd.wait_for_text("all here?", PATIENCE).await;
    crowd.wait_for_returns(moved, PATIENCE).await;
}
