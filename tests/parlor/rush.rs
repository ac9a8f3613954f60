//! A rush: many who speak at once and without a pause, and what must not suffer from it.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::harness::client::Client;
use crate::harness::event::event;
use crate::harness::member::{Member, assert_chain, fresh_id, texts_of};
use crate::harness::metrics::metric;
use crate::harness::node::Node;
use crate::harness::redis::Redis;
use crate::harness::wait::{PATIENCE, seconds, until};

/// So many members of a room, in turn at each node.
async fn members(nodes: &[Node], room: &str, count: usize) -> Vec<Member> {
    join_all((0..count).map(|n| Member::join(&nodes[n % nodes.len()], room))).await
}

/// Everybody says so many texts, `speaker:number`, each after the ack of the one before.
async fn all_speak(speakers: &mut [Member], texts: usize) {
    join_all(speakers.iter_mut().enumerate().map(async |(speaker, member)| {
        for n in 0..texts {
            member.say(&format!("{speaker}:{n}")).await;
        }
    }))
    .await;
}

/// Everybody heard the same chain of what [`all_speak`] said, and nothing besides.
async fn all_heard(members: &mut [Member], speakers: usize, texts: usize) {
    members[0].say("end").await;
    let heard = join_all(members.iter_mut().map(async |member| member.hear_until("end").await)).await;
    assert_chain(&heard[0]);
    let mut once = texts_of(&heard[0]);
    assert_eq!(once.len(), speakers * texts + 1);
    once.sort();
    once.dedup();
    assert_eq!(once.len(), speakers * texts + 1, "each once");
    for messages in &heard {
        assert_eq!(texts_of(messages), texts_of(&heard[0]), "one order for all");
    }
}

/// How often scripts were called by their digests.
async fn calls(redis: &Redis) -> u64 {
    let stats: String = redis.query(&["INFO", "commandstats"]).await;
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    line.map_or(0, |line| line.split(',').next().and_then(|calls| calls.parse().ok()).expect("a count"))
}

#[tokio::test]
async fn a_room_that_never_pauses_keeps_its_log() {
    let redis = Redis::start().await;
    let node = Node::plan().redis(&redis).flag("--log-seconds", "2").start().await;
    let mut ann = Member::join(&node, "lobby").await;
    let begun = Instant::now();
    let mut said = 0;
    // Longer than the log's age, and never a second without a word.
    while begun.elapsed() < seconds(6) {
        ann.say(&said.to_string()).await;
        said += 1;
        sleep(Duration::from_millis(50)).await;
    }
    let heard = ann.hear_until(&(said - 1).to_string()).await;
    assert_eq!(heard.len(), said);
    assert_chain(&heard);
    let kept: usize = redis.query(&["XLEN", "parlor:log:{asgi__group__chat_lobby}"]).await;
    assert!(kept > 0, "the log is there");
    assert_eq!(metric(&node, "parlor_gaps_total{reason=\"rewritten\"}").await, 0);
}

#[tokio::test]
async fn a_user_of_redis_who_may_not_change_the_database_can_serve() {
    let user = ["--user", "app", "on", ">secret", "~*", "&*", "+@all", "-select"];
    let redis = Redis::with(&user).await;
    let url = format!("redis://app:secret@{}", redis.address());
    let node = Node::plan().flag("--redis-url", &url).start().await;
    let mut ann = Member::join(&node, "lobby").await;
    ann.say("hi").await;
    assert_eq!(ann.hear().await["text"], "hi");
}

#[tokio::test]
async fn scripts_that_redis_forgets_lose_and_double_nothing() {
    const SPEAKERS: usize = 8;
    const TEXTS: usize = 50;
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut members = members(&nodes, "lobby", SPEAKERS).await;
    let forgets = async {
        loop {
            redis.query::<String>(&["SCRIPT", "FLUSH"]).await;
        }
    };
    tokio::select! {
        () = forgets => {}
        () = all_speak(&mut members, TEXTS) => {}
    }
    all_heard(&mut members, SPEAKERS, TEXTS).await;
}
