//! Events of one group that wait together are appended by one call of the script.

use futures_util::future::join_all;
use parlor::Appended;

use crate::support::group_log::lobby;
use crate::support::layer_nodes::LayerNode;
use crate::support::redis::Redis;

const EVENTS: usize = 30;

/// Appends events at once, of which every third one has a key.
async fn append_together(node: &LayerNode, text: &str) -> Vec<Appended> {
    let group = lobby();
    let append = async |n: usize| {
        let key = (n % 3 == 1).then(|| format!("key-{n}"));
        node.append(&group, &format!("{text} {n}"), key.as_deref()).await
    };
    join_all((0..EVENTS).map(append)).await
}

/// Returns how many calls of the script have appended.
async fn calls(redis: &Redis) -> u64 {
    let stats: String = redis.query(&["INFO", "commandstats"]).await;
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_xrevrange:calls=")).unwrap_or("0");
    line.split(',').next().and_then(|calls| calls.parse().ok()).expect("a count")
}

#[tokio::test]
async fn a_batch_finds_the_key_of_each_event_that_has_one() {
    let redis = Redis::start().await;
    let node = LayerNode::connect(&redis.url()).await;
    let before = calls(&redis).await;
    let first = append_together(&node, "text").await;
    assert_eq!(calls(&redis).await - before, 1, "they are one batch");
    let again = append_together(&node, "text").await;
    let others = append_together(&node, "another text").await;
    for (n, ((first, again), other)) in first.iter().zip(&again).zip(&others).enumerate() {
        let Appended::New(id, offset) = *first else { panic!("{first:?} the first time") };
        let is_new = |appended: &Appended| matches!(appended, Appended::New(..));
        if n % 3 == 1 {
            assert_eq!((*again, *other), (Appended::Duplicate(id, offset), Appended::Conflict), "event {n}");
        } else {
            assert!(is_new(again) && is_new(other), "event {n} has no key: {again:?}, {other:?}");
        }
    }
}
