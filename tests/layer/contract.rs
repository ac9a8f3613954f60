//! The clauses of the layer's contract (see the documentation of `parlor::layer`), on all layers.
//!
//! Any other implementation of the layer has to pass this suite.

use std::time::{Duration, Instant};

use parlor::{Broker, Control, Group};

use crate::support::layer_nodes::{LayerNodes, clauses, event, last};
use crate::support::wait::{PATIENCE, until};

const PERIOD: Duration = Duration::from_millis(400);

async fn an_event_reaches_every_subscribed_node_once(peers: LayerNodes) {
    for round in 0..50 {
        let group = Group::new(&format!("group {round}"));
        for node in &peers.nodes {
            node.enter(&group, "ann").await;
            node.enter(&group, "bob").await;
        }
        peers.nodes[0].publish(&group, "first").await;
        for texts in last(&peers, &group, 1).await {
            assert_eq!(texts, ["first"]);
        }
    }
}

async fn events_arrive_in_one_order_and_in_the_publishers(peers: LayerNodes) {
    let group = Group::new("聊天");
    for node in &peers.nodes {
        node.enter(&group, "ann").await;
    }
    let publishers = (0..4).map(|publisher| {
        let (node, group) = (&peers.nodes[publisher % peers.nodes.len()], &group);
        async move {
            for count in 0..50 {
                node.publish(group, &format!("{publisher} {count:02}")).await;
            }
        }
    });
    futures_util::future::join_all(publishers).await;
    let disconnects = last(&peers, &group, 200).await;
    assert!(
        disconnects.iter().all(|disconnect| disconnect == &disconnects[0]),
        "the nodes received different orders"
    );
    for publisher in 0..4 {
        let own: Vec<_> =
            disconnects[0].iter().filter(|text| text.starts_with(&format!("{publisher} "))).collect();
        assert_eq!(own.len(), 50);
        assert!(own.is_sorted(), "publisher {publisher} was received as {own:?}");
    }
}

async fn a_group_without_local_members_is_unsubscribed(peers: LayerNodes) {
    let (left, kept) = (Group::new("left"), Group::new("kept"));
    for node in &peers.nodes {
        for round in 0..20 {
            node.enter(&left, &round.to_string()).await;
            node.layer.unsubscribe(&left, Some(&round.to_string().into()));
        }
        node.enter(&kept, "ann").await;
        node.wait_for_members(&left, 0).await;
    }
    if let Some(redis) = &peers.redis {
        redis.wait_until_unsubscribed("left").await;
    }
    peers.nodes[0].publish(&left, "without members").await;
    last(&peers, &kept, 0).await;
    assert!(peers.nodes.iter().all(|node| node.texts(&left).is_empty()));
}

async fn members_are_counted_across_nodes(peers: LayerNodes) {
    let group = Group::new("counted");
    for (n, node) in peers.nodes.iter().enumerate() {
        for user in 0..3 {
            // Each twice, as with two tabs.
            node.enter(&group, &format!("{user}-of-{n}")).await;
            node.enter(&group, &format!("{user}-of-{n}")).await;
        }
        node.enter(&group, "at-all").await;
        node.layer.unsubscribe(&group, Some(&format!("0-of-{n}").into()));
        node.layer.unsubscribe(&group, Some(&format!("0-of-{n}").into()));
        node.layer.unsubscribe(&group, Some(&format!("1-of-{n}").into()));
    }
    for node in &peers.nodes {
        node.wait_for_members(&group, 2 * peers.nodes.len() + 1).await;
    }
}

async fn one_node_publishes_each_tick_and_never_early(peers: LayerNodes) {
    let group = Group::new("ticking");
    for node in &peers.nodes {
        node.enter(&group, "ann").await;
        let tick = node.layer.tick(&group, &event("early"), PERIOD, false).await.expect("an answer");
        assert_eq!(tick, None, "a ticker that was not started");
    }
    let start = Instant::now();
    for node in &peers.nodes {
        node.layer.start_interval(&group, PERIOD).await.expect("a ticker");
        node.wait_for_ticker(&group).await;
    }
    let started = Instant::now();
    // Missed ticks are skipped: a busy machine may pause this loop for more than a period.
    let (mut round, mut skipped) = (started, 0);
    while round.duration_since(started) < PERIOD * 7 / 2 {
        let before = std::mem::replace(&mut round, Instant::now());
        for node in &peers.nodes {
            let next = node.layer.tick(&group, &event("tick"), PERIOD, false).await.expect("an answer");
            assert!(next.is_some_and(|next| next <= PERIOD), "{next:?}");
        }
        skipped += whole_periods(before.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let most = whole_periods(start.elapsed());
    let least = whole_periods(round.duration_since(started)).saturating_sub(skipped);
    for node in &peers.nodes {
        node.layer.stop_interval(&group).await.expect("a stop");
        assert_eq!(node.layer.tick(&group, &event("late"), PERIOD, false).await.expect("an answer"), None);
    }
    peers.nodes[0].publish(&group, "last").await;
    for node in &peers.nodes {
        let mut texts = until(PATIENCE, "the last text", async || {
            let texts = node.texts(&group);
            if texts.last().is_some_and(|text| text == "last") {
                Ok(texts)
            } else {
                Err(format!("{texts:?}"))
            }
        })
        .await;
        texts.pop();
        assert!((least..=most).contains(&texts.len()), "{least} to {most} ticks: {texts:?}");
        assert_eq!(texts, vec!["tick"; texts.len()]);
    }
}

fn whole_periods(time: Duration) -> usize {
    usize::try_from(time.as_millis() / PERIOD.as_millis()).expect("a few periods")
}

clauses! {
    an_event_reaches_every_subscribed_node_once
    events_arrive_in_one_order_and_in_the_publishers
    a_group_without_local_members_is_unsubscribed
    members_are_counted_across_nodes
    one_node_publishes_each_tick_and_never_early
}
