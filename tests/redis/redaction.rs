//! Redacted texts: no node delivers one again, however late or disconnected, and every node learns
//! of the redaction.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use parlor::{Broker, Control, HistoryRange, Id};

use crate::support::group_log::{lobby, log, redact, shown, whole};
use crate::support::layer_nodes::{LayerNode, LayerNodes, texts};
use crate::support::redis::Redis;
use crate::support::redis_proxy::RedisProxy;
use crate::support::test_app::test_app;
use crate::support::tutorial_client::TutorialClient;
use crate::support::wait::{PATIENCE, holds, seconds, until};

/// The time in which a node finds that its probes do not arrive: one a second, awaited for three.
const PROBE_TIME: Duration = seconds(4);
const SET: &str = "parlor:x:{lobby}";
const LOG: &str = "parlor:log:{lobby}";

/// A node that reaches Redis through a proxy, and one that does not; both subscribe to the lobby.
async fn through_a_tunnel() -> (Redis, RedisProxy, LayerNode, LayerNode) {
    let redis = Redis::start().await;
    let proxy = RedisProxy::start(&redis).await;
    let (near, far) = (LayerNode::connect(&redis.url()).await, LayerNode::connect(&proxy.url()).await);
    for node in [&near, &far] {
        node.enter(&lobby(), "ann").await;
    }
    (redis, proxy, near, far)
}

#[tokio::test]
async fn a_reconnected_node_receives_missed_redactions() {
    let (_redis, proxy, near, far) = through_a_tunnel().await;
    let ids = log(&near, "abc").await;
    far.wait_for(&lobby(), 3).await;
    assert_eq!(shown(&whole(&far).await.events), "abc");
    proxy.cut();
    until(PATIENCE, "the node to notice", async || holds(far.layer.ready().is_err(), String::new)).await;
    assert!(redact(&near, ids[0]).await);
    // It never received these.
    let more = log(&near, "def").await;
    assert!(redact(&near, more[1]).await);
    assert!(
        far.layer.history(&lobby(), HistoryRange::Before(None, 200)).await.is_err(),
        "it has nothing to read from"
    );
    proxy.open();
    far.wait_until_ready().await;
    assert_eq!(shown(&whole(&far).await.events), "-bcd-f");
    until(PATIENCE, "what was missed", async || {
        let logged = far.logged(&lobby());
        holds(shown(&logged) == "abcd-f", || format!("{logged:?}"))
    })
    .await;
    far.wait_for_redactions(&lobby(), &[more[1], ids[0]]).await;
    log(&near, "g").await;
    far.wait_for(&lobby(), 6).await;
    assert_eq!(shown(&whole(&far).await.events), "-bcd-fg");
}

#[tokio::test]
async fn a_silently_disconnected_node_catches_up_on_redactions() {
    let (_redis, proxy, near, far) = through_a_tunnel().await;
    let ids = log(&near, "abc").await;
    far.wait_for(&lobby(), 3).await;
    assert_eq!(shown(&whole(&far).await.events), "abc");
    proxy.mute_subscribers();
    assert!(redact(&near, ids[1]).await);
    let disconnected_at = Instant::now();
    // Reading again and again keeps its cache in use for as long as possible.
    until(PROBE_TIME + PATIENCE, "the text to be gone", async || {
        let page = whole(&far).await;
        holds(shown(&page.events) == "a-c", || shown(&page.events))
    })
    .await;
    assert!(disconnected_at.elapsed() < PROBE_TIME + PATIENCE, "{:?}", disconnected_at.elapsed());
    // A disconnected node caches nothing.
    assert!(redact(&near, ids[2]).await);
    assert_eq!(shown(&whole(&far).await.events), "a--");
    proxy.open();
    far.wait_until_ready().await;
    until(PATIENCE, "the node to receive the redactions", async || {
        let reported: BTreeSet<Id> = far.redactions(&lobby()).into_iter().collect();
        holds(reported == BTreeSet::from([ids[1], ids[2]]), || format!("{reported:?}"))
    })
    .await;
}

/// Counts the calls of this command.
async fn asked(redis: &Redis, command: &str) -> usize {
    let stats: String = redis.query(&["INFO", "commandstats"]).await;
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |line| line.split(',').next().and_then(|calls| calls.parse().ok()).expect("a number"))
}

async fn wait_until_asked(redis: &Redis, command: &str, wanted: usize) {
    until(PATIENCE, &format!("{command} to be asked for"), async || {
        let count = asked(redis, command).await;
        holds(count >= wanted, || format!("{count} times, not {wanted}"))
    })
    .await;
}

#[tokio::test]
async fn an_event_read_before_its_redaction_has_no_text_after_it() {
    let (redis, proxy, near, far) = through_a_tunnel().await;
    let ids = log(&near, "abc").await;
    far.wait_for(&lobby(), 3).await;
    proxy.delay_replies();
    let before = asked(&redis, "xrevrange").await;
    let newest = async { shown(&whole(&far).await.events) };
    let older = async {
        shown(
            &far.layer.history(&lobby(), HistoryRange::Before(Some(ids[2]), 9)).await.expect("a page").events,
        )
    };
    let covering = async {
        wait_until_asked(&redis, "xrevrange", before + 2).await;
        assert!(redact(&near, ids[0]).await);
        far.wait_for_redactions(&lobby(), &ids[..1]).await;
        Instant::now()
    };
    let read_at = async {
        let pages = tokio::join!(newest, older);
        (pages, Instant::now())
    };
    let (reported, (pages, read)) = tokio::join!(covering, read_at);
    assert!(reported < read, "the answers were late");
    assert_eq!((pages.0.as_str(), pages.1.as_str()), ("-bc", "-b"));
    assert_eq!(shown(&whole(&far).await.events), "-bc");
}

#[tokio::test]
async fn backfill_after_a_redaction_has_no_text() {
    let (redis, proxy, near, far) = through_a_tunnel().await;
    let ids = log(&near, "a").await;
    far.wait_for(&lobby(), 1).await;
    proxy.delay_replies();
    // Logged and never published: every node reads it when the next one arrives.
    let entries: Vec<(String, Vec<Vec<u8>>)> = redis.query(&["XRANGE", LOG, "-", "+"]).await;
    let (prev, event) = (ids[0].to_string(), &entries[0].1[1]);
    let hidden: [&[u8]; 7] = [b"XADD", LOG.as_bytes(), b"*", b"e", event, b"p", prev.as_bytes()];
    let hidden: String = redis.query(&hidden).await;
    let hidden: Id = hidden.parse().expect("an id");
    let before = asked(&redis, "xrange").await;
    log(&near, "b").await;
    wait_until_asked(&redis, "xrange", before + 2).await;
    assert!(redact(&near, hidden).await);
    far.wait_for_redactions(&lobby(), &[hidden]).await;
    assert_eq!(shown(&far.logged(&lobby())), "a", "the answer is on its way");
    far.wait_for(&lobby(), 2).await;
    assert_eq!(shown(&far.logged(&lobby())), "a-b");
}

#[tokio::test]
async fn redactions_are_kept_as_long_as_the_log() {
    let peers = LayerNodes::on_redis().await;
    let (redis, node) = (peers.redis(), &peers.nodes[0]);
    let ids = log(node, "abc").await;
    assert!(!redis.exists(SET).await, "nothing is there while nothing is redacted");
    for id in &ids[..2] {
        assert!(redact(node, *id).await);
    }
    assert!(redis.pttl(SET).await >= redis.pttl(LOG).await, "the set outlives the log");
    redis.query::<bool>(&["PEXPIRE", SET, "20000"]).await;
    redis.query::<i64>(&["XTRIM", LOG, "MINID", "=", &ids[1].to_string()]).await;
    // The first event of a second trims the log.
    let second = ids[2].millis() / 1000;
    until(PATIENCE, "another second", async || {
        let id = node.append_new(&lobby(), "d").await;
        holds(id.millis() / 1000 > second, || id.to_string())
    })
    .await;
    assert!(redis.pttl(SET).await > 50_000, "{}", redis.pttl(SET).await);
    let left: Vec<String> = redis.query(&["ZRANGE", SET, "0", "-1"]).await;
    let same_millisecond = ids[0].millis() == ids[1].millis();
    assert!(same_millisecond || left == [ids[1].to_string()], "{left:?}");
    assert!(shown(&whole(node).await.events).starts_with("-cd"));
}

#[tokio::test]
async fn a_failover_does_not_restore_a_redacted_text() {
    let peers = LayerNodes::on_redis().await;
    let redis = peers.redis();
    for node in &peers.nodes {
        node.enter(&lobby(), "ann").await;
    }
    let ids = log(&peers.nodes[0], "ab").await;
    assert!(redact(&peers.nodes[0], ids[0]).await);
    for node in &peers.nodes {
        node.wait_for_redactions(&lobby(), &ids[..1]).await;
    }
    // As if the new master had not received it.
    redis.query::<i64>(&["DEL", SET]).await;
    redis.query::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    for node in &peers.nodes {
        until(PATIENCE, "the node to be back", async || holds(node.recoveries() == 2, String::new)).await;
        assert_eq!(texts(&whole(node).await.events), ["", "b"]);
        assert_eq!(
            shown(
                &node
                    .layer
                    .history(&lobby(), HistoryRange::Before(Some(ids[1]), 9))
                    .await
                    .expect("a page")
                    .events
            ),
            "-"
        );
    }
}

/// Opens a socket of the test application that resumes.
async fn watch(redis: &Redis, query: &str) -> (crate::support::node::Node, TutorialClient) {
    let node = test_app(&["--redis-url", &redis.url()]).await;
    let client = TutorialClient::open(&node, &format!("/watch/lobby{query}")).await;
    (node, client)
}

#[tokio::test]
async fn a_resuming_client_receives_missed_redactions() {
    let redis = Redis::start().await;
    let peer = LayerNode::connect(&redis.url()).await;
    let ids = log(&peer, "abcd").await;
    for id in [ids[0], ids[3]] {
        assert!(redact(&peer, id).await);
    }
    let (node, mut back) = watch(&redis, &format!("?since={}", ids[2])).await;
    let (welcome, place) = (format!("welcome {}", ids[3]), format!("nothing at {}", ids[3]));
    for expected in [&welcome, &place, &format!("redacted {}", ids[0])] {
        assert_eq!(back.receive().await, *expected);
    }
    let mut new = TutorialClient::open(&node, "/watch/lobby?history=9").await;
    for expected in [&welcome, &format!("nothing at {}", ids[0]), "b", "c", &place] {
        assert_eq!(new.receive().await, *expected);
    }
    // A connected client receives it once.
    assert!(redact(&peer, ids[1]).await);
    log(&peer, "e").await;
    for client in [&mut back, &mut new] {
        assert_eq!(client.receive().await, format!("redacted {}", ids[1]));
        assert_eq!(client.receive().await, "e");
    }
}

#[tokio::test]
async fn a_client_reading_history_receives_new_redactions() {
    const COUNT: usize = 600;
    let redis = Redis::start().await;
    let peer = LayerNode::connect(&redis.url()).await;
    let first = peer.append_new(&lobby(), "first").await;
    let mut ids = Vec::new();
    for _ in 0..COUNT {
        ids.push(peer.append_new(&lobby(), &"x".repeat(30_000)).await);
    }
    let (node, mut slow) = watch(&redis, &format!("?since={first}")).await;
    assert!(slow.receive().await.starts_with("welcome"));
    assert_eq!(slow.receive().await.len(), 30_000, "it has the first of them");
    // It reads no more, and the rest fits into no buffer.
    let mut quick = TutorialClient::open(&node, "/watch/lobby").await;
    assert!(quick.receive().await.starts_with("welcome"));
    assert!(redact(&peer, ids[0]).await);
    let reported = format!("redacted {}", ids[0]);
    assert_eq!(quick.receive().await, reported);
    for _ in 1..COUNT {
        assert_eq!(slow.receive().await.len(), 30_000);
    }
    assert_eq!(slow.receive().await, reported);
    peer.append_new(&lobby(), "last").await;
    assert_eq!(slow.receive().await, "last");
}
