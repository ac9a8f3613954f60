//! A room's push stream: started and stopped over HTTP, one line per tick for every socket on every
//! node.

use std::time::{Duration, Instant};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::json;

use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::tutorial_client::{TutorialClient, encoded};
use crate::support::wait::{PATIENCE, seconds, within};

/// Starts (POST) or stops (DELETE) the stream of the room.
pub async fn ask(node: &Node, method: &str, room: &str) {
    let response = Request::new(method, &format!("/push?room={}", encoded(room))).send(node).await;
    assert_eq!(response.status, 200, "{method}: {response:?}");
    assert_eq!(response.json(), json!({ "status": "success" }));
    assert_eq!(response.content_type(), "application/json");
}

/// The local time in `[YYYY-MM-DD HH:MM:SS] 实时推送 - 房间: room`; any other line fails the test.
pub fn time_in(line: &str, room: &str) -> DateTime {
    let stamp =
        line.strip_prefix('[').and_then(|line| line.strip_suffix(&format!("] 实时推送 - 房间: {room}")));
    let stamp = stamp.unwrap_or_else(|| panic!("the line {line:?} of room {room}"));
    assert_eq!(stamp.len(), "2026-11-22 19:33:41".len(), "{line:?}");
    DateTime::strptime("%Y-%m-%d %H:%M:%S", stamp).unwrap_or_else(|error| panic!("{error} in {line:?}"))
}

/// The time between two lines.
const PERIOD: Duration = seconds(2);
/// How much the clocks of Redis and the test may differ over a few lines.
const EARLY: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_stream_sends_one_line_every_two_seconds() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    keeps_time(&node).await;
}

#[tokio::test]
async fn a_node_without_redis_streams() {
    keeps_time(&Node::alone().await).await;
}

async fn keeps_time(node: &Node) {
    let mut page = TutorialClient::push(node, "lobby").await;
    let asked = Instant::now();
    ask(node, "POST", "lobby").await;
    let first = time_in(&page.receive().await, "lobby");
    // A line may be late on a busy machine; none is early.
    let delay = (asked.elapsed() + EARLY).checked_sub(PERIOD).expect("no line within the first period");
    for n in 1..=3 {
        let now = time_in(&page.receive().await, "lobby");
        let after = asked.elapsed();
        assert!(after + EARLY > PERIOD * (n + 1), "line {n} came {after:?} after the start");
        let step = now.duration_since(first).unsigned_abs();
        assert!(now >= first, "a line of {first}, then one of {now}");
        // The times in the lines are whole seconds.
        let wanted = (PERIOD * n).saturating_sub(delay + seconds(1))..PERIOD * n + PATIENCE;
        assert!(wanted.contains(&step), "line {n} shows {now}, {step:?} after {first}");
    }
}

#[tokio::test]
async fn every_push_socket_on_every_node_gets_the_same_lines_once() {
    let redis = Redis::start().await;
    let [first, second] = Node::several(&redis).await;
    let mut pages = [
        TutorialClient::push(&first, "聊天").await,
        TutorialClient::push(&first, "聊天").await,
        TutorialClient::push(&second, "聊天").await,
    ];
    ask(&first, "POST", "聊天").await;
    for _ in 0..3 {
        let line = pages[0].receive().await;
        time_in(&line, "聊天");
        for page in &mut pages[1..] {
            assert_eq!(page.receive().await, line);
        }
    }
}

#[tokio::test]
async fn a_get_starts_the_stream_as_in_the_tutorial() {
    let node = Node::alone().await;
    let mut page = TutorialClient::push(&node, "lobby").await;
    ask(&node, "GET", "lobby").await;
    time_in(&page.receive().await, "lobby");
}

#[tokio::test]
async fn a_second_start_does_not_duplicate_the_stream() {
    let redis = Redis::start().await;
    let [first, second] = Node::several(&redis).await;
    let mut here = TutorialClient::push(&first, "lobby").await;
    let mut there = TutorialClient::push(&second, "lobby").await;
    let started = Instant::now();
    ask(&first, "POST", "lobby").await;
    here.receive().await;
    ask(&first, "POST", "lobby").await;
    ask(&second, "POST", "lobby").await;
    ask(&second, "GET", "lobby").await;
    there.receive().await;
    for _ in 0..4 {
        assert_eq!(here.receive().await, there.receive().await);
    }
    // Five ticks of two seconds; the lines of a duplicated stream would need six seconds.
    assert!(started.elapsed() + EARLY > PERIOD * 5, "five lines within {:?}", started.elapsed());
}

#[tokio::test]
async fn a_stream_reaches_only_its_room() {
    let node = Node::alone().await;
    let mut lobby = TutorialClient::push(&node, "lobby").await;
    let mut kitchen = TutorialClient::push(&node, "kitchen").await;
    ask(&node, "POST", "kitchen").await;
    time_in(&kitchen.receive().await, "kitchen");
    time_in(&kitchen.receive().await, "kitchen");
    ask(&node, "POST", "lobby").await;
    // The first line of the lobby is its own.
    time_in(&lobby.receive().await, "lobby");
}

#[tokio::test]
async fn a_socket_that_joins_another_node_later_gets_the_stream() {
    let redis = Redis::start().await;
    let [first, second] = Node::several(&redis).await;
    let mut early = TutorialClient::push(&first, "lobby").await;
    ask(&first, "POST", "lobby").await;
    early.receive().await;
    let mut late = TutorialClient::push(&second, "lobby").await;
    let line = late.receive().await;
    // Lines may have come while the other node was joined.
    let before_it = async { while early.receive().await != line {} };
    within(PATIENCE, "the line on the first node", before_it).await;
}

#[tokio::test]
async fn a_stream_may_be_started_on_a_node_without_members() {
    let redis = Redis::start().await;
    let [first, second] = Node::several(&redis).await;
    let mut page = TutorialClient::push(&second, "lobby").await;
    ask(&first, "POST", "lobby").await;
    time_in(&page.receive().await, "lobby");
}

#[tokio::test]
async fn a_stream_started_before_the_first_member_reaches_it() {
    let redis = Redis::start().await;
    let [first, second] = Node::several(&redis).await;
    ask(&first, "POST", "lobby").await;
    let mut page = TutorialClient::push(&second, "lobby").await;
    time_in(&page.receive().await, "lobby");
}

#[tokio::test]
async fn a_reconnect_on_another_node_continues_the_stream() {
    let redis = Redis::start().await;
    let [first, second] = Node::several(&redis).await;
    let mut page = TutorialClient::push(&first, "lobby").await;
    ask(&first, "POST", "lobby").await;
    page.receive().await;
    page.close().await;
    let mut again = TutorialClient::push(&second, "lobby").await;
    time_in(&again.receive().await, "lobby");
}

#[tokio::test]
async fn lines_carry_the_local_time_of_the_node() {
    // A zone with its own name needs no time zone database. POSIX counts westwards.
    for (name, minutes) in [("PAR-5:30", 330), ("PAR+3", -180)] {
        let node = Node::plan().env("TZ", name).start().await;
        let mut page = TutorialClient::push(&node, "lobby").await;
        ask(&node, "POST", "lobby").await;
        let shown = time_in(&page.receive().await, "lobby");
        let now = Timestamp::now().to_zoned(TimeZone::UTC).datetime() + minutes.minutes();
        let late = now.duration_since(shown).as_secs();
        assert!((-1..10).contains(&late), "the line shows {shown} when it is {now} in {name}");
    }
}

#[tokio::test]
async fn a_push_room_named_like_a_chat_group_is_separate() {
    let redis = Redis::start().await;
    for node in [Node::on(&redis).await, Node::alone().await] {
        let mut chat = TutorialClient::chat(&node, "lobby").await;
        let mut page = TutorialClient::push(&node, "chat_lobby").await;
        ask(&node, "POST", "chat_lobby").await;
        chat.publish("before").await;
        assert_eq!(chat.receive_chat().await, "before");
        // The push socket receives its own lines and no chat.
        time_in(&page.receive().await, "chat_lobby");
        chat.publish("after").await;
        assert_eq!(chat.receive_chat().await, "after");
        time_in(&page.receive().await, "chat_lobby");
        // A push client that leaves does not end the chat's subscription.
        page.close().await;
        chat.publish("still here").await;
        assert_eq!(chat.receive_chat().await, "still here");
    }
}

#[tokio::test]
async fn text_frames_of_a_push_client_are_ignored() {
    let node = Node::alone().await;
    let mut page = TutorialClient::push(&node, "lobby").await;
    let mut chat = TutorialClient::chat(&node, "lobby").await;
    for text in ["hi", r#"{"message": "hi"}"#, "[]", ""] {
        page.send(text).await;
    }
    ask(&node, "POST", "lobby").await;
    time_in(&page.receive().await, "lobby");
    chat.publish("own").await;
    assert_eq!(chat.receive_chat().await, "own");
}

#[tokio::test]
async fn the_trailing_slash_of_a_push_socket_is_optional() {
    let node = Node::alone().await;
    let mut with = TutorialClient::open(&node, "/ws/push/lobby/").await;
    let mut without = TutorialClient::open(&node, "/ws/push/lobby").await;
    ask(&node, "POST", "lobby").await;
    assert_eq!(with.receive().await, without.receive().await);
}

#[tokio::test]
async fn a_plus_in_the_query_is_a_space() {
    let node = Node::alone().await;
    let mut page = TutorialClient::push(&node, "a b").await;
    let response = Request::post("/push?x=1&room=a+b").send(&node).await;
    assert_eq!(response.status, 200, "{response:?}");
    time_in(&page.receive().await, "a b");
}
