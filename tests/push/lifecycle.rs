//! The life of a push stream: it ends when it is stopped or has no member left, and survives the
//! end of a node.

use std::time::{Duration, Instant};

use super::streams::{ask, time_in};
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::wait::{PATIENCE, seconds, until};

/// Longer than two ticks: a socket without a line for this long has no stream.
const TWO_TICKS: Duration = seconds(5);

/// The stream has ended: at most one line was on its way when it was stopped, and no other follows.
async fn expect_end(page: &mut TutorialClient) {
    if tokio::time::timeout(TWO_TICKS, page.receive()).await.is_ok() {
        page.receives_nothing_for(TWO_TICKS).await;
    }
}

#[tokio::test]
async fn a_delete_at_any_node_ends_the_stream() {
    let redis = Redis::start().await;
    let [first, second] = Node::several(&redis).await;
    let mut page = TutorialClient::push(&first, "lobby").await;
    ask(&first, "POST", "lobby").await;
    page.receive().await;
    ask(&second, "DELETE", "lobby").await;
    expect_end(&mut page).await;
    let state: String = redis.query(&["GET", "parlor:t:{lobby}"]).await;
    assert_eq!(state, "off", "nodes that were away learn it");
    ask(&second, "POST", "lobby").await;
    time_in(&page.receive().await, "lobby");
}

#[tokio::test]
async fn a_delete_without_redis_ends_the_stream() {
    let node = Node::alone().await;
    let mut page = TutorialClient::push(&node, "lobby").await;
    ask(&node, "POST", "lobby").await;
    page.receive().await;
    ask(&node, "DELETE", "lobby").await;
    expect_end(&mut page).await;
}

#[tokio::test]
async fn a_delete_of_no_stream_succeeds() {
    let node = Node::alone().await;
    ask(&node, "DELETE", "lobby").await;
}

#[tokio::test]
async fn a_stream_ends_after_its_last_member_left() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let key = "parlor:t:{lobby}";
    let mut page = TutorialClient::push(&node, "lobby").await;
    ask(&node, "POST", "lobby").await;
    page.receive().await;
    // With a member, nodes renew the state's expiry, to a minute at most.
    redis.query::<i64>(&["PEXPIRE", key, "20000"]).await;
    until(seconds(10), "the stream's state to be touched by the node that has a member", async || {
        let left = redis.pttl(key).await;
        assert!(left > 0, "the state of a stream with members is there and expires: {left}");
        if (20_001..=60_000).contains(&left) { Ok(()) } else { Err(left.to_string()) }
    })
    .await;
    // Without a member, no node renews it.
    page.close().await;
    untouched(&redis, key).await;
    // A member that joins within the minute receives the stream, a later one does not.
    let mut back = TutorialClient::push(&node, "lobby").await;
    back.receive().await;
    back.close().await;
    untouched(&redis, key).await;
    redis.query::<i64>(&["PEXPIRE", key, "1"]).await;
    until(seconds(2), "the state to be gone", async || {
        if redis.exists(key).await { Err(format!("{} ms left", redis.pttl(key).await)) } else { Ok(()) }
    })
    .await;
    let mut late = TutorialClient::push(&node, "lobby").await;
    late.receives_nothing_for(TWO_TICKS).await;
}

/// Waits until no node has renewed the stream's state for five seconds.
async fn untouched(redis: &Redis, key: &str) {
    until(seconds(10), "a state that is not touched for five seconds", async || {
        let left = redis.pttl(key).await;
        assert!((0..=60_000).contains(&left), "a minute remains at most: {left}");
        if left < 55_000 { Ok(()) } else { Err(left.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn a_stream_survives_the_loss_of_its_state() {
    let redis = Redis::start().await;
    let [first, second] = Node::several(&redis).await;
    let mut pages =
        [TutorialClient::push(&first, "lobby").await, TutorialClient::push(&second, "lobby").await];
    ask(&first, "POST", "lobby").await;
    for loss in [vec!["DEL", "parlor:t:{lobby}"], vec!["FLUSHALL"], vec!["PEXPIRE", "parlor:t:{lobby}", "1"]]
    {
        for page in &mut pages {
            page.receive().await;
        }
        redis.query::<redis::Value>(&loss).await;
        for _ in 0..2 {
            let lines = [pages[0].receive().await, pages[1].receive().await];
            assert_eq!(lines[0], lines[1], "one node publishes each line, after {loss:?}");
        }
    }
    ask(&second, "DELETE", "lobby").await;
    for page in &mut pages {
        expect_end(page).await;
    }
}

#[tokio::test]
async fn a_stream_survives_the_death_of_its_starter() {
    let redis = Redis::start().await;
    let [mut first, second] = Node::several(&redis).await;
    let mut doomed = TutorialClient::push(&first, "lobby").await;
    let mut page = TutorialClient::push(&second, "lobby").await;
    ask(&first, "POST", "lobby").await;
    goes_on_without(&mut first, &mut doomed, &mut page).await;
}

#[tokio::test]
async fn a_stream_survives_the_death_of_another_node() {
    let redis = Redis::start().await;
    let [first, mut second] = Node::several(&redis).await;
    let mut page = TutorialClient::push(&first, "lobby").await;
    let mut doomed = TutorialClient::push(&second, "lobby").await;
    ask(&first, "POST", "lobby").await;
    goes_on_without(&mut second, &mut doomed, &mut page).await;
}

/// Kills a node just after a tick: the other nodes' ticks go on.
async fn goes_on_without(node: &mut Node, doomed: &mut TutorialClient, page: &mut TutorialClient) {
    for _ in 0..2 {
        assert_eq!(doomed.receive().await, page.receive().await);
    }
    node.kill();
    let killed = Instant::now();
    page.receive().await;
    assert!(killed.elapsed() < PATIENCE, "the next tick came {:?} after the kill", killed.elapsed());
    let next = Instant::now();
    page.receive().await;
    assert!(next.elapsed() < PATIENCE, "and then every two seconds: {:?}", next.elapsed());
}
