//! The removal of a log in the layer's contract: as if it had expired.

use parlor::{Broker, HistoryRange, Offset};

use crate::support::group_log::{lobby, log, redact, shown, whole};
use crate::support::layer_nodes::{LayerNode, LayerNodes, clauses};

async fn clear(node: &LayerNode) -> bool {
    node.layer.clear_log(&lobby()).await.expect("an answer")
}

/// The offset that the next event will have.
async fn next_offset(node: &LayerNode) -> Offset {
    node.layer.next_offset(&lobby()).await.expect("an answer").expect("an offset")
}

async fn a_log_that_was_removed_begins_again(peers: LayerNodes) {
    let (first, last) = (&peers.nodes[0], peers.nodes.last().expect("a node"));
    assert!(!clear(first).await, "there is none");
    let ids = log(first, "abc").await;
    let before = next_offset(last).await;
    redact(first, ids[1]).await;
    assert!(clear(last).await);
    assert!(!clear(first).await, "it is gone");
    for node in &peers.nodes {
        assert_eq!(shown(&whole(node).await.events), "");
        let after = node.layer.history(&lobby(), HistoryRange::After(ids[0])).await.expect("a page");
        assert!(after.events.is_empty() && !after.more, "{after:?}");
    }
    let promised = next_offset(first).await;
    assert!(promised.epoch != before.epoch && promised.n.get() == 1, "{promised} after {before}");
    let next = log(first, "de").await;
    assert!(next[0] > ids[2], "ids only rise");
    let page = whole(last).await;
    assert_eq!(shown(&page.events), "de");
    assert_eq!(page.events[0].position().and_then(|at| at.offset), Some(promised));
    assert_eq!(last.layer.find(&lobby(), before).await.expect("an answer"), None);
}

async fn every_node_receives_one_gap_and_reads_nothing_that_was_removed(peers: LayerNodes) {
    for node in &peers.nodes {
        node.enter(&lobby(), "ann").await;
    }
    let ids = log(&peers.nodes[0], "abc").await;
    for node in &peers.nodes {
        node.wait_for(&lobby(), 3).await;
        // It keeps the log in its memory from here on.
        assert_eq!(shown(&whole(node).await.events), "abc");
    }
    assert!(clear(&peers.nodes[0]).await);
    assert_eq!(shown(&whole(&peers.nodes[0]).await.events), "", "here at once");
    log(&peers.nodes[0], "d").await;
    for node in &peers.nodes {
        node.wait_for(&lobby(), 4).await;
        assert_eq!(shown(&whole(node).await.events), "d");
        assert_eq!(node.gaps(&lobby()), [ids[2]]);
    }
}

clauses! {
    a_log_that_was_removed_begins_again
    every_node_receives_one_gap_and_reads_nothing_that_was_removed
}
