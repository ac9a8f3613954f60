//! Redaction in the layer's contract: no read returns the text, and the log keeps the position.

use std::collections::BTreeSet;

use parlor::{Broker, Control, Group, HistoryRange, Id, Page, REDACTED};

use crate::support::group_log::{lobby, log, redact, shown, whole};
use crate::support::layer_nodes::{LayerNodes, assert_chain, clauses};
use crate::support::wait::{seconds, within};

async fn a_redacted_text_is_gone_and_its_position_remains(peers: LayerNodes) {
    let (first, last) = (&peers.nodes[0], peers.nodes.last().expect("a node"));
    let ids = log(first, "abcde").await;
    assert!(redact(first, ids[1]).await);
    assert!(redact(last, ids[4]).await);
    for node in &peers.nodes {
        let page = whole(node).await;
        assert_eq!((shown(&page.events).as_str(), page.last), ("a-cd-", ids[4]));
        let after = node.layer.history(&lobby(), HistoryRange::After(ids[0])).await.expect("a page");
        assert_eq!(shown(&after.events), "-cd-");
        assert_eq!(after.events[0].position().expect("a place").prev, ids[0]);
        let before =
            node.layer.history(&lobby(), HistoryRange::Before(Some(ids[3]), 2)).await.expect("a page");
        assert_eq!(shown(&before.events), "-c");
        assert_eq!(node.layer.log_length(&lobby()).await.expect("an answer"), 5);
    }
    log(last, "f").await;
    assert_eq!(shown(&whole(first).await.events), "a-cd-f");
}

async fn an_id_that_is_not_in_the_log_cannot_be_redacted(peers: LayerNodes) {
    let node = &peers.nodes[0];
    assert!(!redact(node, Id::START).await);
    let ids = log(node, "ab").await;
    let next = format!("{}-{}", ids[1].millis() + 1000, 7).parse().expect("an id");
    assert!(!redact(node, next).await);
    assert!(!node.layer.redact(&Group::new("kitchen"), ids[0]).await.expect("an answer"));
    assert_eq!(shown(&whole(node).await.events), "ab");
}

async fn every_node_receives_a_redaction_once_after_the_text(peers: LayerNodes) {
    for node in &peers.nodes {
        node.enter(&lobby(), "ann").await;
        // It keeps the newest part of the log from here on.
        assert_eq!(shown(&whole(node).await.events), "");
    }
    let ids = log(&peers.nodes[0], "abc").await;
    for node in &peers.nodes {
        node.wait_for(&lobby(), 3).await;
        assert_eq!(shown(&whole(node).await.events), "abc");
    }
    for node in peers.nodes.iter().chain(&peers.nodes) {
        assert!(redact(node, ids[1]).await, "to ask again is no harm");
        assert_eq!(shown(&whole(node).await.events), "a-c", "here at once");
    }
    for node in &peers.nodes {
        node.wait_for_redactions(&lobby(), &ids[1..2]).await;
        assert_eq!(shown(&whole(node).await.events), "a-c");
        assert_eq!(
            shown(&node.layer.history(&lobby(), HistoryRange::After(ids[0])).await.expect("a page").events),
            "-c"
        );
        assert_eq!(shown(&node.logged(&lobby())), "abc", "the redaction follows the texts, each once");
        assert_eq!(node.layer.redacted(&lobby()), BTreeSet::from([ids[1]]));
    }
    log(&peers.nodes[0], "d").await;
    for node in &peers.nodes {
        node.wait_for(&lobby(), 4).await;
        assert_eq!(shown(&whole(node).await.events), "a-cd");
        assert_eq!(node.redactions(&lobby()), &ids[1..2], "once");
    }
}

/// Fails if the page has a text whose redaction the node received before the request.
fn assert_hidden(page: &Page, reported: &BTreeSet<Id>) {
    assert_chain(&page.events);
    for event in &page.events {
        let id = event.position().expect("a place").id;
        assert!(
            event.kind() == REDACTED || !reported.contains(&id),
            "{id} was redacted and is read: {event:?}"
        );
    }
}

async fn no_text_is_delivered_after_its_redaction_under_load(peers: LayerNodes) {
    let (node, group) = (peers.nodes.last().expect("a node"), lobby());
    node.enter(&lobby(), "ann").await;
    let ids = log(&peers.nodes[0], &"x".repeat(150)).await;
    let covering = async {
        for id in &ids {
            assert!(redact(&peers.nodes[0], *id).await);
            log(&peers.nodes[0], "y").await;
            tokio::task::yield_now().await; // in memory nothing is waited for
        }
    };
    let reading = async {
        let mut readings = 0;
        while node.redactions(&lobby()).len() < ids.len() {
            let reported: BTreeSet<Id> = node.redactions(&lobby()).into_iter().collect();
            let pages = tokio::join!(
                node.layer.history(&group, HistoryRange::Before(None, 200)),
                node.layer.history(&group, HistoryRange::Before(Some(ids[100]), 200)),
                node.layer.history(&group, HistoryRange::After(ids[20])),
            );
            for page in [pages.0, pages.1, pages.2] {
                assert_hidden(&page.expect("a page"), &reported);
                readings += 1;
            }
            tokio::task::yield_now().await;
        }
        readings
    };
    let ((), readings) = tokio::join!(covering, within(seconds(30), "all redactions to arrive", reading));
    assert!(readings > 10, "{readings} readings meanwhile");
    assert_eq!(
        shown(
            &node.layer.history(&lobby(), HistoryRange::After(Id::START)).await.expect("a page").events
                [..150]
        ),
        "-".repeat(150)
    );
}

clauses! {
    a_redacted_text_is_gone_and_its_position_remains
    an_id_that_is_not_in_the_log_cannot_be_redacted
    every_node_receives_a_redaction_once_after_the_text
    no_text_is_delivered_after_its_redaction_under_load
}
