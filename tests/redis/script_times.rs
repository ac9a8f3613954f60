//! No script keeps Redis from its other callers for long, however many users a room has.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use parlor::{Broker, Group, Presence};

use crate::support::large_room::LargeRoom;
use crate::support::layer_nodes::LayerNode;
use crate::support::redis::Redis;
use crate::support::wait::{holds, seconds, until};

const USERS: usize = 100_000;
/// Users who come and go at once.
const COMING: usize = 5000;
/// What half of the calls of a script may take at most, in microseconds.
const MAX_MEDIAN_MICROS: u64 = 5000;
/// Calls of a script of which there is a median.
const MIN_CALLS: usize = 10;

/// An entry of `SLOWLOG GET`: its number, its time, its microseconds, the words of the command, and
/// who sent it.
type SlowCall = (u64, u64, u64, Vec<Vec<u8>>, String, String);

#[tokio::test]
async fn no_script_takes_5_ms_in_a_room_of_100_000_users() {
    let redis = Redis::start().await;
    let group = Group::new("chat_lobby");
    let room = LargeRoom::start(&redis, "chat_lobby", USERS).await;
    let (node, other) = (LayerNode::connect(&redis.url()).await, LayerNode::connect(&redis.url()).await);
    other.enter(&group, "ann").await;
    for (setting, value) in [("slowlog-max-len", "1000000"), ("slowlog-log-slower-than", "0")] {
        redis.query::<String>(&["CONFIG", "SET", setting, value]).await;
    }
    let coming: Vec<Arc<str>> = (0..COMING).map(|n| format!("coming{n}/~name{n}").into()).collect();
    join_all(coming.iter().map(async |user| node.layer.subscribe(&group, Some(user)).await))
        .await
        .into_iter()
        .for_each(|joined| joined.expect("a subscription"));
    for n in 0..MIN_CALLS {
        let id = node.append_new(&group, &format!("text {n}")).await;
        assert!(node.layer.redact(&group, id).await.expect("an answer"));
        assert!(node.layer.presence(&group).await.expect("an answer").count > USERS);
    }
    for user in &coming {
        node.layer.unsubscribe(&group, Some(user));
    }
    drop(room);
    until(seconds(60), "all but one user to be gone", async || {
        let fields: usize = redis.query(&["HLEN", "parlor:m:{chat_lobby}"]).await;
        holds(fields <= 3, || format!("{fields} fields"))
    })
    .await;
    let mut times = BTreeMap::<Vec<u8>, Vec<u64>>::new();
    for (_, _, micros, words, ..) in redis.query::<Vec<SlowCall>>(&["SLOWLOG", "GET", "1000000"]).await {
        if words[0] == b"EVALSHA" {
            times.entry(words[1].clone()).or_default().push(micros);
        }
    }
    times.retain(|_, micros| micros.len() >= MIN_CALLS);
    let medians: Vec<(usize, u64)> = times
        .into_values()
        .map(|mut micros| {
            micros.sort_unstable();
            (micros.len(), micros[micros.len() / 2])
        })
        .collect();
    // Joins, removals of users, appends, redactions.
    assert!(medians.len() >= 4, "{medians:?}");
    assert!(medians.iter().all(|(_, median)| *median <= MAX_MEDIAN_MICROS), "{medians:?}");
}
