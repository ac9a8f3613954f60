//! Epochs: the numbers of a log begin again where it may have lost entries, and never otherwise.

use parlor::{Broker, Event, HistoryRange, Id, Offset};
use serde_json::json;

use crate::support::group_log::lobby;
use crate::support::handshake::Handshake;
use crate::support::layer_nodes::LayerNode;
use crate::support::node::Node;
use crate::support::payload::unpacked;
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::v1_client::V1Client;
use crate::support::version_before::VersionBefore;
use crate::support::wait::{PATIENCE, holds, until};

const LOG: &str = "parlor:log:{lobby}";
const CHANNEL: &str = "asgi__group__lobby";

/// Appends an event and returns the offset of the log's newest entry.
async fn append(node: &LayerNode) -> Offset {
    node.append_new(&lobby(), "text").await;
    newest(node).await.expect("an offset")
}

async fn newest(node: &LayerNode) -> Option<Offset> {
    let page = node.layer.history(&lobby(), HistoryRange::Before(None, 1)).await.expect("a page");
    page.events[0].position().expect("a logged event").offset
}

/// Fails unless the second offset is the first one of another epoch.
fn assert_begins(before: Offset, after: Offset) {
    assert_ne!(before.epoch, after.epoch);
    assert_eq!(after.n.get(), 1, "{after}");
}

/// Fails unless the second offset is the next one.
fn assert_continues(before: Offset, after: Offset) {
    assert_eq!((after.epoch, after.n.get()), (before.epoch, before.n.get() + 1));
}

#[tokio::test]
async fn an_emptied_redis_begins_an_epoch() {
    let redis = Redis::start().await;
    let node = LayerNode::connect(&redis.url()).await;
    let first = append(&node).await;
    let second = append(&node).await;
    assert_continues(first, second);
    redis.query::<String>(&["FLUSHALL"]).await;
    assert_begins(second, append(&node).await);
}

#[tokio::test]
async fn a_restarted_redis_begins_an_epoch_in_the_log_that_it_kept() {
    let mut redis = Redis::with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let node = LayerNode::connect(&redis.url()).await;
    append(&node).await;
    let before = append(&node).await;
    redis.kill();
    redis.restart().await;
    node.wait_until_ready().await;
    assert_eq!(redis.query::<i64>(&["XLEN", LOG]).await, 2, "the log is kept");
    let again = LayerNode::connect(&redis.url()).await;
    let after = append(&again).await;
    assert_begins(before, after);
    assert_continues(after, append(&again).await);
}

#[tokio::test]
async fn a_replica_that_takes_over_begins_an_epoch() {
    let master = Redis::start().await;
    let node = LayerNode::connect(&master.url()).await;
    let before = append(&node).await;
    let promoted = master.detached_copy().await;
    let lost = append(&node).await;
    assert_continues(before, lost);
    let there = LayerNode::connect(&promoted.url()).await;
    assert_eq!(newest(&there).await, Some(before), "the second entry is lost");
    assert_begins(before, append(&there).await);
}

#[tokio::test]
async fn a_client_that_was_away_is_informed_where_an_older_redis_took_over() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = V1Client::join(&node, "lobby").await;
    let kept = ann.publish("kept").await["id"].clone();
    let older = redis.detached_copy().await;
    ann.publish("lost").await;
    let there = Node::on(&older).await;
    V1Client::join(&there, "lobby").await.publish("later").await;
    let handshake = Handshake::to_room("lobby").since(kept.as_str().expect("an id"));
    let mut bob = handshake.connect(&there).await;
    let gap = bob.receive_any(&["gap", "message"], PATIENCE).await;
    assert_eq!((&gap["type"], &gap["reason"], &gap["after"]), (&json!("gap"), &json!("rewritten"), &kept));
    let later = bob.receive().await;
    assert_eq!((&later["text"], &later["prev"]), (&json!("later"), &kept));
    // A client that has what followed is not.
    let handshake = Handshake::to_room("lobby").since(later["id"].as_str().expect("an id"));
    let mut bob = handshake.connect(&there).await;
    bob.publish("last").await;
    assert_eq!(bob.receive().await["text"], "last");
}

#[tokio::test]
async fn an_entry_of_the_version_before_ends_an_epoch() {
    let redis = Redis::start().await;
    let node = LayerNode::connect(&redis.url()).await;
    node.enter(&lobby(), "ann").await;
    let before = append(&node).await;
    VersionBefore::new(&redis, "lobby").append(&Event::new("test").with("text", "of before")).await;
    // The node pages through the messages that it has.
    node.wait_for(&lobby(), 2).await;
    assert_eq!(newest(&node).await, None);
    assert_begins(before, append(&node).await);
    assert_eq!(node.wait_for(&lobby(), 3).await, ["text", "of before", "text"], "nothing is lost or doubled");
}

#[tokio::test]
async fn a_trimmed_log_counts_on() {
    let redis = Redis::start().await;
    let node = LayerNode::connect(&redis.url()).await;
    append(&node).await;
    let before = append(&node).await;
    assert_eq!(redis.query::<i64>(&["XTRIM", LOG, "MAXLEN", "1"]).await, 1);
    assert_continues(before, append(&node).await);
}

#[tokio::test]
async fn a_log_whose_end_was_erased_begins_an_epoch() {
    let redis = Redis::start().await;
    let node = LayerNode::connect(&redis.url()).await;
    append(&node).await;
    // An id that has not come: the next one is smaller.
    let last: Vec<(String, Vec<Vec<u8>>)> = redis.query(&["XREVRANGE", LOG, "+", "-", "COUNT", "1"]).await;
    let later = format!("{}0-0", last[0].0.split('-').next().expect("a time"));
    redis.query::<String>(&["XADD", LOG, &later, "e", "", "p", &last[0].0]).await;
    assert_eq!(redis.query::<i64>(&["XDEL", LOG, &later]).await, 1);
    let before = newest(&node).await.expect("an offset");
    assert_begins(before, append(&node).await);
}

#[tokio::test]
async fn an_offset_that_is_none_begins_an_epoch() {
    let redis = Redis::start().await;
    let node = LayerNode::connect(&redis.url()).await;
    for offset in ["", "x", "0123456789abcdef:", "0123456789abcdef:x"] {
        let fields = ["XADD", LOG, "*", "e", "", "p", "0-0", "b", "0", "o", offset];
        redis.query::<String>(&fields).await;
        assert_eq!((newest(&node).await, append(&node).await.n.get()), (None, 1), "{offset:?}");
    }
}

#[tokio::test]
async fn both_ways_to_append_count_in_one_epoch() {
    let redis = Redis::start().await;
    let _replica = redis.replica_of().await;
    let plan = Node::plan().redis(&redis);
    // The second one appends on a connection that may block.
    let nodes = [plan.start().await, plan.clone().flag("--wait-replicas", "1").start().await];
    let mut members =
        [TutorialClient::chat(&nodes[0], "lobby").await, TutorialClient::chat(&nodes[1], "lobby").await];
    for n in 0..6 {
        members[n % 2].publish(&n.to_string()).await;
        for member in &mut members {
            assert_eq!(member.receive_chat().await, n.to_string());
        }
    }
    let entries: Vec<(String, Vec<Vec<u8>>)> =
        redis.query(&["XRANGE", "parlor:log:{chat_lobby}", "-", "+"]).await;
    let offset = |fields: &[Vec<u8>]| {
        let offset = fields.chunks_exact(2).find(|pair| pair[0] == b"o").expect("an offset");
        String::from_utf8(offset[1].clone()).expect("a text").parse::<Offset>().expect("an offset")
    };
    let offsets: Vec<_> = entries.iter().map(|(_, fields)| offset(fields)).collect();
    assert_eq!(offsets[0].n.get(), 1);
    for pair in offsets.windows(2) {
        assert_continues(pair[0], pair[1]);
    }
}

#[tokio::test]
async fn published_maps_of_any_size_count_the_offset() {
    let redis = Redis::start().await;
    let node = LayerNode::connect(&redis.url()).await;
    node.enter(&lobby(), "ann").await;
    let mut channel = redis.subscribe(CHANNEL).await;
    // With `type`, `id`, `prev` and `offset`: around 16, from where on a map has a longer header.
    for members in (9..16).chain([251, 252, 253, 300]) {
        let event = (0..members).fold(Event::new("test"), |event, n| event.with(&format!("m{n}"), "x"));
        node.layer.append(&lobby(), &event, None).await.expect("an append");
        let published = unpacked(&channel.next_payload().await);
        assert_eq!(published.len(), members + 4);
        let (name, offset) = published.last().expect("a member");
        assert_eq!((name.as_str(), offset.parse().ok()), ("offset", newest(&node).await));
        let page = node.layer.history(&lobby(), HistoryRange::Before(None, 1)).await.expect("a page");
        let position = page.events[0].position();
        until(PATIENCE, "the event as it was published", async || {
            let logged = node.logged(&lobby());
            let last = logged.last().and_then(|event| event.position());
            holds(last == position, || format!("{last:?}, not {position:?}"))
        })
        .await;
    }
}

/// Returns the id and the number of the first entry with this number or a greater one.
async fn found(node: &LayerNode, epoch: u64, n: u64) -> Option<(Id, u64)> {
    let offset = Offset { epoch, n: n.try_into().expect("a number") };
    let found = node.layer.find(&lobby(), offset).await.expect("an answer")?;
    Some((found.id, found.offset.expect("an offset").n.get()))
}

#[tokio::test]
async fn a_number_is_found_though_entries_were_erased() {
    let redis = Redis::start().await;
    let node = LayerNode::connect(&redis.url()).await;
    let mut ids = vec![Id::START];
    for _ in 0..40 {
        ids.push(node.append_new(&lobby(), "text").await);
    }
    let epoch = newest(&node).await.expect("an offset").epoch;
    for n in [5, 20, 30] {
        assert_eq!(redis.query::<i64>(&["XDEL", LOG, &ids[n].to_string()]).await, 1);
    }
    assert_eq!(redis.query::<i64>(&["XTRIM", LOG, "MAXLEN", "30"]).await, 7);
    for (n, first) in [(1, 9), (5, 9), (8, 9), (9, 9), (10, 10), (20, 21), (29, 29), (30, 31), (40, 40)] {
        let id = ids[usize::try_from(first).expect("small")];
        assert_eq!(found(&node, epoch, n).await, Some((id, first)), "{n}");
    }
}

#[tokio::test]
async fn entries_of_one_millisecond_are_found() {
    let redis = Redis::start().await;
    let node = LayerNode::connect(&redis.url()).await;
    let before = append(&node).await;
    let last: Vec<(String, Vec<Vec<u8>>)> = redis.query(&["XREVRANGE", LOG, "+", "-", "COUNT", "1"]).await;
    // As a server writes them whose clock was set back: all are of one millisecond.
    let (ms, _) = last[0].0.split_once('-').expect("an id");
    let later = ms.parse::<u64>().expect("a time") + 3_600_000;
    let id = |n: u64| format!("{later}-{}", n * n);
    let mut prev = last[0].0.clone();
    for n in 2..=100 {
        let offset = Offset { n: n.try_into().expect("a number"), ..before }.to_string();
        prev = redis.query(&["XADD", LOG, &id(n), "e", "", "p", &prev, "b", "1", "o", &offset]).await;
    }
    for n in 2..=100 {
        let id = id(n).parse().expect("an id");
        assert_eq!(found(&node, before.epoch, n).await, Some((id, n)));
    }
    let first = last[0].0.parse().expect("an id");
    assert_eq!(found(&node, before.epoch, 1).await, Some((first, 1)));
}

#[tokio::test]
async fn a_number_is_found_in_the_last_epoch_only() {
    let redis = Redis::start().await;
    let node = LayerNode::connect(&redis.url()).await;
    let before = append(&node).await;
    redis.query::<String>(&["XADD", LOG, "*", "e", "", "p", "0-0"]).await;
    assert_eq!(found(&node, before.epoch, 1).await, None, "nothing has a number after it");
    let first = node.append_new(&lobby(), "text").await;
    let after = newest(&node).await.expect("an offset");
    let second = node.append_new(&lobby(), "text").await;
    assert_eq!(found(&node, before.epoch, 1).await, None);
    assert_eq!(found(&node, after.epoch, 1).await, Some((first, 1)));
    assert_eq!(found(&node, after.epoch, 2).await, Some((second, 2)));
}
