//! Reading a log costs what the reader receives, however large its messages are and however many
//! read it.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::event_stream::EventStream;
use crate::support::handshake::Handshake;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::v1_client::{V1Client, assert_chain, id_of, texts_of};
use crate::support::wait::{seconds, within};

const LOG: &str = "parlor:log:{chat_lobby}";
const MESSAGE_BYTES: usize = 64_000;

/// Appends copies of the log's newest entry, and returns the ids of all.
async fn fill(redis: &Redis, copies: usize) -> Vec<String> {
    let script = "local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
        local ids, event = {last[1]}, last[2][2]
        for n = 1, ARGV[1] do
          ids[#ids + 1] = redis.call('XADD', KEYS[1], '*', 'e', event, 'p', ids[#ids])
        end
        return ids";
    redis.query(&["EVAL", script, "1", LOG, &copies.to_string()]).await
}

/// A node whose lobby has this many large messages, and their ids.
async fn site(messages: usize) -> (Redis, Node, Vec<String>) {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut sender = V1Client::join(&node, "lobby").await;
    sender.publish(&"x".repeat(MESSAGE_BYTES)).await;
    sender.close().await;
    // The node does not follow the log any more, which is written by others now.
    redis.wait_for_subscribers("asgi__group__chat_lobby", 0).await;
    let ids = fill(&redis, messages - 1).await;
    (redis, node, ids)
}

/// About the bytes of message frames: each has its text twice.
fn bytes_of(messages: &[Value]) -> usize {
    texts_of(messages).iter().map(|text| 2 * text.len()).sum()
}

#[tokio::test]
async fn a_resume_reads_each_message_of_a_large_log_once() {
    const MESSAGES: usize = 300;
    let (redis, node, ids) = site(MESSAGES).await;
    let before = redis.sent_bytes().await;
    let mut reader = Handshake::to_room("lobby").since(&ids[0]).connect(&node).await;
    assert_eq!(reader.welcome["recovered"], true, "{}", reader.welcome);
    let messages = reader.receive_history().await;
    assert_eq!(messages.iter().map(id_of).collect::<Vec<_>>(), ids[1..]);
    assert_chain(&messages);
    let sent = redis.sent_bytes().await - before;
    assert!(sent < MESSAGES * MESSAGE_BYTES * 5 / 4, "{sent} bytes for {MESSAGES} messages");
}

#[tokio::test]
async fn a_page_of_large_messages_costs_what_the_client_receives() {
    let (redis, node, ids) = site(300).await;
    let mut member = V1Client::join(&node, "lobby").await;
    let before = redis.sent_bytes().await;
    let mut received = 0;
    let mut oldest = ids[200].clone();
    for _ in 0..20 {
        member.send_json(&json!({ "type": "history", "before": oldest, "limit": 200 })).await;
        let page = member.receive_frame("history").await;
        let messages = page["messages"].as_array().expect("messages").clone();
        assert_eq!(page["more"], true);
        received += bytes_of(&messages);
        oldest = id_of(&messages[0]);
    }
    let sent = redis.sent_bytes().await - before;
    assert!(sent < 2 * received, "redis sent {sent} bytes for the {received} of twenty pages");
    // An answer to which the client does not listen.
    let before = redis.sent_bytes().await;
    for _ in 0..20 {
        let mut reader = Handshake::to_room("lobby").history(1000).connect(&node).await;
        assert_eq!(reader.receive().await["text"].as_str().map(str::len), Some(MESSAGE_BYTES));
    }
    let sent = redis.sent_bytes().await - before;
    assert!(sent < 20 * 1024 * 1024, "redis sent {sent} bytes to twenty clients that hung up");
}

#[tokio::test]
async fn the_newest_messages_are_sent_as_far_as_they_fit() {
    let (_redis, node, ids) = site(50).await;
    let mut reader = Handshake::to_room("lobby").history(50).connect(&node).await;
    let messages = reader.receive_history().await;
    assert_eq!(messages.iter().map(id_of).collect::<Vec<_>>(), ids[50 - messages.len()..]);
    let bytes = bytes_of(&messages) / 2;
    assert!((256 * 1024..384 * 1024).contains(&bytes), "{bytes} bytes of text");
    assert_chain(&messages);
    // The rest is there for clients that ask for it.
    let mut all = messages;
    loop {
        let before = id_of(&all[0]);
        reader.send_json(&json!({ "type": "history", "before": before, "limit": 200 })).await;
        let page = reader.receive_frame("history").await;
        let mut older = page["messages"].as_array().expect("messages").clone();
        older.append(&mut all);
        all = older;
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(all.iter().map(id_of).collect::<Vec<_>>(), ids);
    assert_chain(&all);
    assert_eq!(all[0]["prev"], Value::Null);
    // An event stream has it all from the beginning.
    let mut stream = EventStream::after(&node, "lobby", "0-0").await;
    for id in ids {
        assert_eq!(stream.receive_event("message").await.frame["id"], id);
    }
}

#[tokio::test]
async fn many_readers_of_a_large_log_do_not_delay_others() {
    const MESSAGES: usize = 60;
    const READERS: usize = 40;
    let (redis, node, ids) = site(MESSAGES).await;
    let mut other = V1Client::join(&node, "kitchen").await;
    let before = redis.sent_bytes().await;
    let (node, ids) = (&node, &ids);
    let readers = join_all((0..READERS).map(|_| async move {
        let mut reader = Handshake::to_room("lobby").since(&ids[0]).connect(node).await;
        let messages = within(seconds(60), "a large log", reader.receive_history()).await;
        assert_eq!(messages.len(), ids.len() - 1);
    }));
    let mut readers = std::pin::pin!(readers);
    loop {
        // Acknowledged, so in less than a second.
        let said = async {
            other.publish("hi").await;
            other.receive().await;
        };
        tokio::select! {
            _ = &mut readers => break,
            () = said => {}
        }
    }
    let sent = redis.sent_bytes().await - before;
    let most = READERS * MESSAGES * MESSAGE_BYTES;
    assert!(sent < most, "redis sent {sent} bytes for {READERS} readers of one log");
    let peak: String = redis.query(&["INFO", "memory"]).await;
    let peak = peak.lines().find_map(|line| line.strip_prefix("used_memory_peak:")).expect("a peak");
    let (peak, log) = (peak.parse::<usize>().expect("a number"), MESSAGES * MESSAGE_BYTES);
    assert!(peak < log + 32 * 1024 * 1024, "redis used {peak} bytes for a log of {log}");
}
