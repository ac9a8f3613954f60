//! Many clients send without a pause; the other clients must not be affected.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::sleep;

use crate::support::connection::Connection;
use crate::support::metrics::metric;
use crate::support::node::Node;
use crate::support::payload::event;
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::v1_client::{V1Client, assert_chain, fresh_id, texts_of};
use crate::support::wait::{PATIENCE, seconds, within};

/// Logged once when events are dropped.
const DROPPED: &str = "parlor_events_dropped_total{reason=\"overflow\"}";

/// Joins a room with this many clients, alternating between the nodes.
async fn members(nodes: &[Node], room: &str, count: usize) -> Vec<V1Client> {
    join_all((0..count).map(|n| V1Client::join(&nodes[n % nodes.len()], room))).await
}

/// Every client publishes this many texts, `sender:number`, each after the previous ack.
async fn all_publish(senders: &mut [V1Client], texts: usize) {
    join_all(senders.iter_mut().enumerate().map(async |(sender, member)| {
        for n in 0..texts {
            member.publish(&format!("{sender}:{n}")).await;
        }
    }))
    .await;
}

/// Asserts that every client received the same chain of what [`all_publish`] sent, and nothing
/// else.
async fn all_heard(members: &mut [V1Client], senders: usize, texts: usize) {
    members[0].publish("end").await;
    let received = join_all(members.iter_mut().map(async |member| member.receive_until("end").await)).await;
    assert_chain(&received[0]);
    let mut once = texts_of(&received[0]);
    assert_eq!(once.len(), senders * texts + 1);
    once.sort();
    once.dedup();
    assert_eq!(once.len(), senders * texts + 1, "each once");
    for messages in &received {
        assert_eq!(texts_of(messages), texts_of(&received[0]), "one order for all");
    }
}

/// Counts the calls of scripts by their digests.
async fn calls(redis: &Redis) -> u64 {
    let stats: String = redis.query(&["INFO", "commandstats"]).await;
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    line.map_or(0, |line| line.split(',').next().and_then(|calls| calls.parse().ok()).expect("a count"))
}

#[tokio::test]
async fn a_room_under_constant_load_keeps_its_log() {
    let redis = Redis::start().await;
    let node = Node::plan().redis(&redis).flag("--log-seconds", "2").start().await;
    let mut ann = V1Client::join(&node, "lobby").await;
    let begun = Instant::now();
    let mut sent = 0;
    // Longer than the log's age, without a second of silence.
    while begun.elapsed() < seconds(6) {
        ann.publish(&sent.to_string()).await;
        sent += 1;
        sleep(Duration::from_millis(50)).await;
    }
    let received = ann.receive_until(&(sent - 1).to_string()).await;
    assert_eq!(received.len(), sent);
    assert_chain(&received);
    let kept: usize = redis.query(&["XLEN", "parlor:log:{chat_lobby}"]).await;
    assert!(kept > 0, "the log is there");
    assert_eq!(metric(&node, "parlor_gaps_total{reason=\"rewritten\"}").await, 0);
}

#[tokio::test]
async fn a_redis_user_without_select_can_serve() {
    let user = ["--user", "app", "on", ">secret", "~*", "&*", "+@all", "-select"];
    let redis = Redis::with(&user).await;
    let url = format!("redis://app:secret@{}", redis.address());
    let node = Node::plan().flag("--redis-url", &url).start().await;
    let mut ann = V1Client::join(&node, "lobby").await;
    ann.publish("hi").await;
    assert_eq!(ann.receive().await["text"], "hi");
}

#[tokio::test]
async fn flushed_scripts_lose_and_duplicate_nothing() {
    const SPEAKERS: usize = 8;
    const TEXTS: usize = 50;
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut members = members(&nodes, "lobby", SPEAKERS).await;
    // A message on a tutorial socket has no id, so a retry cannot be recognised.
    let mut plain =
        [TutorialClient::chat(&nodes[0], "lobby").await, TutorialClient::chat(&nodes[1], "lobby").await];
    let plain_speak = join_all(plain.iter_mut().enumerate().map(async |(sender, client)| {
        for n in 0..TEXTS {
            let text = format!("plain {sender}:{n}");
            client.publish(&text).await;
            while client.receive_chat().await != text {}
        }
    }));
    let forgets = async {
        loop {
            redis.query::<String>(&["SCRIPT", "FLUSH"]).await;
        }
    };
    tokio::select! {
        () = forgets => {}
        _ = futures_util::future::join(plain_speak, all_publish(&mut members, TEXTS)) => {}
    }
    all_heard(&mut members, SPEAKERS + 2, TEXTS).await;
}

#[tokio::test]
async fn each_message_costs_at_most_one_script_under_load() {
    const SPEAKERS: usize = 30;
    const TEXTS: usize = 30;
    // What nodes do besides, about once a second.
    const BESIDES: u64 = 60;
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut members = members(&nodes, "lobby", SPEAKERS).await;
    let before = calls(&redis).await;
    all_publish(&mut members, TEXTS).await;
    let most = u64::try_from(SPEAKERS * TEXTS).unwrap() + BESIDES;
    let scripts = calls(&redis).await - before;
    assert!(scripts <= most, "{scripts} calls of scripts for {SPEAKERS} times {TEXTS} messages");
    all_heard(&mut members, SPEAKERS, TEXTS).await;
}

#[tokio::test]
async fn connections_cut_under_load_lose_and_duplicate_nothing() {
    const SPEAKERS: usize = 10;
    const TEXTS: usize = 50;
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut members = members(&nodes, "lobby", SPEAKERS).await;
    let cuts = async {
        loop {
            sleep(Duration::from_millis(60)).await;
            redis.query::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        }
    };
    tokio::select! {
        () = cuts => {}
        () = all_publish(&mut members, TEXTS) => {}
    }
    all_heard(&mut members, SPEAKERS, TEXTS).await;
    for node in &nodes {
        assert!(metric(node, "parlor_redis_reconnects_total").await > 0, "its line was cut");
    }
}

#[tokio::test]
async fn concurrent_long_messages_arrive_whole_and_in_order() {
    const SPEAKERS: usize = 4;
    const TEXTS: usize = 12;
    let redis = Redis::start().await;
    let wide = Node::plan().redis(&redis).flag("--max-message-bytes", "70000");
    let wide = wide.flag("--max-outbox-bytes", "16000000");
    let nodes = [wide.start().await, wide.start().await];
    let mut plain =
        [TutorialClient::chat(&nodes[0], "lobby").await, TutorialClient::chat(&nodes[1], "lobby").await];
    let mut members = members(&nodes, "lobby", SPEAKERS).await;
    // Each number in a text is its own position, so misplaced bytes show.
    let long = |sender: usize, n: usize| {
        let mut text = format!("{sender}:{n}:");
        while text.len() < 64 * 1024 {
            let place = text.len();
            write!(text, "{sender}.{n}.{place} ").expect("writing to a String cannot fail");
        }
        text.truncate(64 * 1024);
        text
    };
    let resent = join_all(members.iter_mut().enumerate().map(async |(sender, member)| {
        let sent: Vec<(String, String)> = (0..TEXTS).map(|n| (fresh_id(), long(sender, n))).collect();
        for (id, text) in &sent {
            member.send_json(&json!({ "type": "message", "message": text, "id": id })).await;
        }
        let mut late = Vec::new();
        for (n, (id, _)) in sent.iter().enumerate() {
            let reply = member.reply().await;
            assert_eq!(reply["client_id"], **id, "{reply}");
            // A busy machine may take longer for all of them than an append may.
            assert!(reply["type"] == "ack" || reply["retry"] == true, "{reply}");
            if reply["type"] != "ack" {
                late.push(n);
            }
        }
        let mut resent = Vec::new();
        for n in late {
            let ack = member.publish_until_acked(&sent[n].0, &sent[n].1, PATIENCE).await;
            // A duplicate was logged at its first attempt, and only its ack was late.
            resent.extend((ack["duplicate"] != true).then_some(n));
        }
        resent
    }))
    .await;
    let mut disconnects = Vec::new();
    for member in &mut members {
        disconnects.push(member.receive_texts(SPEAKERS * TEXTS).await);
    }
    for client in &mut plain {
        let mut texts = Vec::new();
        while texts.len() < SPEAKERS * TEXTS {
            texts.push(client.receive_chat().await);
        }
        disconnects.push(texts);
    }
    for (sender, late) in resent.iter().enumerate() {
        let prefix = format!("{sender}:");
        let own: Vec<&String> = disconnects[0].iter().filter(|text| text.starts_with(&prefix)).collect();
        assert_eq!(own.len(), TEXTS);
        // Those that were logged at a later attempt come last, each in its turn.
        let in_time = (0..TEXTS).filter(|n| !late.contains(n));
        for (n, text) in in_time.chain(late.iter().copied()).zip(own) {
            assert!(*text == long(sender, n), "text {n} of {sender} is whole and in its place");
        }
    }
    assert!(
        disconnects.iter().all(|disconnect| *disconnect == disconnects[0]),
        "one order on both wires and nodes"
    );
}

#[tokio::test]
async fn a_large_room_does_not_delay_a_small_one() {
    const MANY: usize = 2000;
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut crowd = Vec::new();
    for _ in 0..MANY {
        // These clients need not read: the messages are few.
        crowd.push(Connection::websocket(&node, "/ws/chat/hall/").await);
    }
    let mut loud = members(std::slice::from_ref(&node), "hall", 3).await;
    let mut small = V1Client::join(&node, "kitchen").await;
    // Deliveries go to the last to join last.
    let mut last = TutorialClient::chat(&node, "hall").await;
    let (timed, others) = loud.split_first_mut().expect("three of them");
    let mut whole = Vec::new();
    let hall = async {
        loop {
            let (text, begun) = (fresh_id(), Instant::now());
            timed.publish(&text).await;
            while last.receive_chat().await != text {}
            whole.push(begun.elapsed());
        }
    };
    let keep_it_busy = join_all(others.iter_mut().map(async |member| {
        loop {
            member.publish("on and on").await;
            sleep(Duration::from_millis(4)).await;
        }
    }));
    let mut waits = Vec::new();
    let kitchen = async {
        for n in 0..100 {
            let begun = Instant::now();
            small.publish(&n.to_string()).await;
            assert_eq!(small.receive().await["text"], n.to_string());
            waits.push(begun.elapsed());
        }
    };
    tokio::select! {
        () = hall => {}
        _ = keep_it_busy => {}
        () = kitchen => {}
    }
    whole.sort();
    waits.sort();
    let (hall, kitchen) = (whole[whole.len() / 2], waits[waits.len() / 2]);
    println!("{} in the hall took {hall:?}, the kitchen {kitchen:?}, {:?} at most", whole.len(), waits[99]);
    assert!(kitchen < hall / 2, "{kitchen:?} in the kitchen, {hall:?} in the hall");
    assert!(waits[99] < PATIENCE, "{waits:?}");
}

/// Time for a flood of 100 MB on a busy machine.
const FLOOD_TIME: Duration = Duration::from_mins(2);

#[tokio::test]
async fn logged_messages_survive_a_flood_that_the_node_drops() {
    let redis = Redis::with(&["--client-output-buffer-limit", "pubsub", "0", "0", "0"]).await;
    let node = Node::plan().redis(&redis).flag("--max-outbox-bytes", "1000000000").start().await;
    let mut stalled = Vec::new();
    for _ in 0..500 {
        stalled.push(Connection::narrow(&node, 4096).upgrade("/ws/chat/hall/").await);
    }
    let mut member = V1Client::join(&node, "kitchen").await;
    // Redis itself sends 50 MB at once, more than the node queues: whether events are dropped does
    // not depend on how fast this process publishes. Redis on a busy machine may send them so
    // slowly that the node keeps up: then it is flooded again.
    let flood = event("chat_message", &"x".repeat(400_000));
    let script = "for _ = 1, 125 do redis.call('PUBLISH', ARGV[1], ARGV[2]) end return 1";
    let floods = async {
        while metric(&node, DROPPED).await == 0 {
            let command = [b"EVAL", script.as_bytes(), b"0", b"asgi__group__chat_hall", &flood];
            redis.query::<i64>(&command).await;
        }
    };
    let talks = async {
        let mut sent = 0;
        while metric(&node, DROPPED).await == 0 || sent < 30 {
            let text = sent.to_string();
            // Redis and the node are saturated by the flood, for as long as the machine needs for
            // it: an append may exceed its timeout.
            member.publish_until_acked(&fresh_id(), &text, FLOOD_TIME).await;
            assert_eq!(member.receive().await["text"], text);
            sent += 1;
        }
    };
    let both = Box::pin(async { tokio::join!(floods, talks) });
    within(FLOOD_TIME, "dropped events", both).await;
    println!("{} dropped", metric(&node, DROPPED).await);
}
