//! The log: appended events are kept, recognised by their keys, and delivered without a gap.

use futures_util::future::join_all;
use parlor::{Appended, Broker, Group, HistoryRange, Id, Offset};

use crate::support::layer_nodes::{LayerNode, LayerNodes, assert_chain, clauses, numbers, texts};

async fn an_appended_event_is_delivered_with_the_position_returned(peers: LayerNodes) {
    let group = Group::new("聊天");
    for node in &peers.nodes {
        node.enter(&group, "ann").await;
    }
    let mut positions = Vec::new();
    for n in 0..50 {
        let node = &peers.nodes[n % peers.nodes.len()];
        let Appended::New(id, offset) = node.append(&group, &n.to_string(), None).await else {
            panic!("an event without key is always new")
        };
        assert!(offset.is_some(), "{id}");
        positions.push((id, offset));
    }
    for node in &peers.nodes {
        node.wait_for(&group, 50).await;
        let events = node.events(&group);
        assert_chain(&events);
        let delivered = events.iter().filter_map(|event| event.position());
        assert_eq!(delivered.map(|at| (at.id, at.offset)).collect::<Vec<_>>(), positions);
    }
}

async fn an_idempotency_key_is_shared_and_bound_to_one_event(peers: LayerNodes) {
    let group = Group::new("lobby");
    for node in &peers.nodes {
        node.enter(&group, "ann").await;
    }
    let Appended::New(id, offset) = peers.nodes[0].append(&group, "once", Some("key")).await else {
        panic!("the first one is new")
    };
    for node in &peers.nodes {
        assert_eq!(node.append(&group, "once", Some("key")).await, Appended::Duplicate(id, offset));
        assert_eq!(node.append(&group, "another", Some("key")).await, Appended::Conflict);
    }
    let elsewhere = peers.nodes[0].append(&Group::new("kitchen"), "another", Some("key")).await;
    assert!(matches!(elsewhere, Appended::New(..)), "a key is a group's own: {elsewhere:?}");
    peers.nodes[0].append(&group, "end", None).await;
    for node in &peers.nodes {
        assert_eq!(node.wait_for(&group, 2).await, ["once", "end"]);
    }
}

async fn concurrent_appends_with_one_key_append_once(peers: LayerNodes) {
    let group = Group::new("lobby");
    peers.nodes[0].enter(&group, "ann").await;
    for round in 0..20 {
        let key = format!("round {round}");
        let tries = (0..8).map(|n| {
            let (node, group, key) = (&peers.nodes[n % peers.nodes.len()], &group, &key);
            async move { node.append(group, key, Some(key)).await }
        });
        let responses = join_all(tries).await;
        let new = responses.iter().filter(|response| matches!(response, Appended::New(..))).count();
        assert_eq!(new, 1, "{responses:?}");
    }
    assert_eq!(peers.nodes[0].wait_for(&group, 20).await.len(), 20);
}

async fn the_log_is_read_in_pages_in_both_directions(peers: LayerNodes) {
    let group = Group::new("lobby");
    let node = &peers.nodes[0];
    let empty = node.layer.history(&group, HistoryRange::Before(None, 10)).await.expect("a page");
    assert!(empty.events.is_empty() && !empty.more);
    for n in 0..60 {
        node.append(&group, &n.to_string(), None).await;
    }
    let node = &peers.nodes[peers.nodes.len() - 1];
    let newest = node.layer.history(&group, HistoryRange::Before(None, 20)).await.expect("a page");
    assert_eq!(texts(&newest.events), (40..60).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(newest.more);
    assert_chain(&newest.events);
    let first = newest.events[0].position().unwrap().id;
    assert_eq!(newest.last, newest.events[19].position().unwrap().id);
    let before = node.layer.history(&group, HistoryRange::Before(Some(first), 200)).await.expect("a page");
    assert_eq!(texts(&before.events), (0..40).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(!before.more);
    let after = node.layer.history(&group, HistoryRange::After(first)).await.expect("a page");
    assert_eq!((texts(&after.events), after.more), (texts(&newest.events[1..]), false));
    assert_eq!(after.last, newest.last);
    let nothing = node.layer.history(&group, HistoryRange::After(newest.last)).await.expect("a page");
    assert!(nothing.events.is_empty() && !nothing.more);
}

async fn entries_count_from_one_in_one_epoch_at_every_node(peers: LayerNodes) {
    let group = Group::new("lobby");
    for node in &peers.nodes {
        node.enter(&group, "ann").await;
    }
    for n in 0..20 {
        let node = &peers.nodes[n % peers.nodes.len()];
        node.append(&group, &n.to_string(), Some(&n.to_string())).await;
        // What is known already takes no number.
        node.append(&group, &n.to_string(), Some(&n.to_string())).await;
    }
    let mut epochs = Vec::new();
    for node in &peers.nodes {
        node.wait_for(&group, 20).await;
        let page = node.layer.history(&group, HistoryRange::Before(None, 200)).await.expect("a page");
        for events in [node.events(&group), page.events] {
            assert_eq!(numbers(&events), (1..=20).collect::<Vec<_>>());
            epochs.extend(events.iter().map(|event| event.position().unwrap().offset.unwrap().epoch));
        }
    }
    epochs.dedup();
    assert_eq!(epochs.len(), 1, "{epochs:x?}");
    peers.nodes[0].append(&Group::new("kitchen"), "first", None).await;
    let kitchen = HistoryRange::Before(None, 1);
    let kitchen = peers.nodes[0].layer.history(&Group::new("kitchen"), kitchen).await.expect("a page");
    assert_eq!(numbers(&kitchen.events), [1], "each log counts its own");
}

/// Returns the id, the id before and the number of the first event with this number or a greater
/// one.
async fn found(node: &LayerNode, group: &Group, epoch: u64, n: u64) -> Option<(Id, Id, u64)> {
    let offset = Offset { epoch, n: n.try_into().expect("a number") };
    let found = node.layer.find(group, offset).await.expect("an answer")?;
    Some((found.id, found.prev, found.offset.expect("an offset").n.get()))
}

async fn an_event_is_found_by_its_number(peers: LayerNodes) {
    let group = Group::new("lobby");
    let mut ids = vec![Id::START];
    for n in 0..60 {
        ids.push(peers.nodes[0].append_new(&group, &n.to_string()).await);
    }
    let node = &peers.nodes[peers.nodes.len() - 1];
    let epoch = node.layer.next_offset(&group).await.expect("an answer").expect("an offset").epoch;
    for (n, ids) in (1..).zip(ids.windows(2)) {
        assert_eq!(found(node, &group, epoch, n).await, Some((ids[1], ids[0], n)));
        assert_eq!(found(node, &group, epoch ^ 1, n).await, None, "{n} of another epoch");
    }
    assert_eq!(found(node, &group, epoch, 61).await, None, "it is not there yet");
    assert_eq!(found(node, &group, epoch, u64::MAX).await, None);
    assert_eq!(found(node, &Group::new("kitchen"), epoch, 1).await, None, "an empty log");
}

async fn appended_events_survive_lost_subscriptions_once_and_in_order(peers: LayerNodes) {
    const LAST: usize = 500;
    let group = Group::new("lobby");
    for node in &peers.nodes {
        node.enter(&group, "ann").await;
    }
    for n in 0..=LAST {
        peers.nodes[0].append(&group, &n.to_string(), Some(&n.to_string())).await;
        if let (Some(redis), 50) = (&peers.redis, n % 100) {
            redis.kill_subscribers().await;
        }
    }
    for node in &peers.nodes {
        let received = node.wait_for(&group, LAST + 1).await;
        assert_eq!(received, (0..=LAST).map(|n| n.to_string()).collect::<Vec<_>>());
        assert_chain(&node.events(&group));
    }
}

clauses! {
    an_appended_event_is_delivered_with_the_position_returned
    an_idempotency_key_is_shared_and_bound_to_one_event
    concurrent_appends_with_one_key_append_once
    the_log_is_read_in_pages_in_both_directions
    entries_count_from_one_in_one_epoch_at_every_node
    an_event_is_found_by_its_number
    appended_events_survive_lost_subscriptions_once_and_in_order
}
