//! Injection: names and values never become keys, patterns or commands of Redis, or lines of a
//! response's head.

use regex::bytes::Regex;
use serde_json::json;

use crate::support::connection::Connection;
use crate::support::event_stream::{messages, post, stream_of};
use crate::support::handshake::{Handshake, V1};
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::redis_monitor::RedisMonitor;
use crate::support::tutorial_client::{TutorialClient, encoded};
use crate::support::v1_client::{V1Client, texts_of};
use crate::support::wait::PATIENCE;

/// Marks everything that must not reach Redis.
const MARK: &str = "xq7";

/// Characters with a meaning in keys, patterns, hash tags, scripts and the protocol of Redis, also
/// after normalisation.
const SIGNS: [&str; 36] = [
    ":", "*", "?", "[", "]", "{", "}", "^", "\\", "$", "\"", "'", "`", "/", "|", ";", ",", "#", "%", "+",
    "=", "<", ">", "&", "!", "~", "\n", "\r\n", "\0", "\t", "\u{1b}", "\u{37e}", "\u{ff0a}", "\u{202e}",
    "\u{200b}", "\u{feff}",
];

/// Names with these characters, each with the mark.
fn hostile() -> Vec<String> {
    let around = SIGNS.iter().flat_map(|sign| {
        [
            format!("{MARK}{sign}"),
            format!("{sign}{MARK}"),
            format!("{MARK}{sign}y"),
            format!("{sign}{MARK}{sign}"),
        ]
    });
    let whole = [
        "{asgi__group__chat_lobby}:xq7",
        "xq7\r\n*1\r\n$8\r\nFLUSHALL\r\n",
        "xq7\" \"FLUSHALL\" \"",
        "chat_lobby:xq7",
        "lobby\0xq7",
        "[l]obby-xq7",
        "*xq7*",
        "xq7'); redis.call('FLUSHALL') --",
        "../xq7",
    ];
    around.chain(whole.map(str::to_owned)).collect()
}

/// Every route that takes a room's name.
fn ways(name: &str) -> Vec<Request> {
    let name = encoded(name);
    let v1 = Request::upgrade(&format!("/ws/chat/{name}/")).header("Sec-WebSocket-Protocol", V1);
    let body = json!({ "message": "hi" }).to_string();
    vec![
        Request::get(&format!("/chat/{name}")),
        Request::get(&format!("/chat/{name}/")),
        Request::upgrade(&format!("/ws/chat/{name}/")),
        v1,
        Request::upgrade(&format!("/ws/push/{name}")),
        Request::get(&format!("/sse/chat/{name}/")),
        Request::post(&format!("/chat/{name}/messages")).body(body),
        Request::post(&format!("/push?room={name}")),
        Request::new("DELETE", &format!("/push?room={name}")),
    ]
}

async fn nothing_of_the_mark(redis: &Redis, watch: &mut RedisMonitor) {
    let marked: Vec<_> =
        watch.commands().await.into_iter().filter(|command| command.contains(MARK)).collect();
    assert!(marked.is_empty(), "commands that a stranger has a part in: {marked:#?}");
    assert_eq!(redis.keys(&format!("*{MARK}*")).await, Vec::<String>::new());
    let (patterns, channels): (i64, Vec<String>) =
        (redis.query(&["PUBSUB", "NUMPAT"]).await, redis.query(&["PUBSUB", "CHANNELS", "*xq7*"]).await);
    assert_eq!((patterns, channels), (0, vec![]), "subscriptions");
}

#[tokio::test]
async fn names_never_reach_redis_as_patterns() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut lobby = V1Client::join(&node, "lobby").await;
    let mut watch = redis.monitor().await;
    for name in hostile() {
        // Behind `#` are the users who alone may enter, and `$` is before what a token opens.
        let is_of_others = name.split_once('#').is_some_and(|(_, users)| !users.is_empty());
        let is_by_token = name.strip_prefix('$') == Some(MARK);
        let expected = if is_of_others || is_by_token { 404 } else { 400 };
        for request in ways(&name) {
            let response = request.send(&node).await;
            assert_eq!(response.status, expected, "{name:?}: {request:?}: {response:?}");
        }
    }
    nothing_of_the_mark(&redis, &mut watch).await;
    lobby.publish("hi").await;
    assert_eq!(lobby.receive().await["text"], "hi");
}

#[tokio::test]
async fn ids_and_cookies_never_reach_redis_as_patterns() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let own = format!("http://{}", node.address());
    let mut ann = V1Client::join(&node, "lobby").await;
    let mut watch = redis.monitor().await;
    for value in hostile() {
        drop(Handshake::to_room("lobby").since(&value).connect(&node).await);
        ann.send_json(&json!({ "message": "hi", "id": value })).await;
        ann.expect_error("bad_id").await;
        ann.send_json(&json!({ "type": "history", "before": value })).await;
        ann.expect_error("malformed").await;
        assert_eq!(post(&node, "lobby", &json!({ "message": "hi", "id": value })).await.status, 400);
        if value.chars().any(|sign| sign.is_ascii_control() || sign == ';') {
            continue; // this value ends the header or the cookie
        }
        for name in ["parlor_guest", "parlor_session", "csrftoken"] {
            let cookie = format!("{name}={value}");
            let page = Request::get("/chat/lobby/").header("Cookie", &cookie).send(&node).await;
            assert_eq!(page.status, 200, "{cookie}: {page:?}");
            let socket = Request::upgrade("/ws/chat/lobby/").header("Origin", &own).header("Cookie", &cookie);
            assert_eq!(socket.send(&node).await.status, 101, "{cookie}");
        }
        let mut connection = Connection::connect(&node).await;
        let stream = Request::get(&stream_of("lobby")).header("Last-Event-ID", &value).bytes(node.address());
        connection.send(&stream).await;
    }
    nothing_of_the_mark(&redis, &mut watch).await;
}

#[tokio::test]
async fn redis_commands_in_a_message_are_text() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = Handshake::to_room("lobby").connect(&node).await;
    let mut plain = TutorialClient::chat(&node, "lobby").await;
    let mut watch = redis.monitor().await;
    let texts = [
        "\r\n*1\r\n$8\r\nFLUSHALL\r\n",
        "x\r\nFLUSHALL\r\n",
        "\"\r\nFLUSHALL\r\n\"",
        "'] redis.call('FLUSHALL') --",
        "\0FLUSHALL\0",
        "{asgi__group__chat_lobby}",
    ];
    for text in texts {
        ann.publish(text).await;
        plain.publish(text).await;
        assert_eq!(
            messages("lobby").body(json!({ "message": text }).to_string()).send(&node).await.status,
            200
        );
        for _ in 0..3 {
            assert_eq!(ann.receive().await["text"], text);
            assert_eq!(plain.receive_chat().await, text);
        }
    }
    let flushed = Regex::new(r#"^\S+ \[[^\]]*\] "(?i:FLUSHALL)""#).unwrap();
    for command in watch.commands().await {
        assert!(!flushed.is_match(command.as_bytes()), "{command}");
    }
    let mut late = Handshake::to_room("lobby").history(100).connect(&node).await;
    assert_eq!(texts_of(&late.receive_history().await).len(), 3 * texts.len());
}

#[tokio::test]
async fn similar_room_names_are_separate_rooms() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let names = [
        "lobby",
        "LOBBY",
        "lobby.",
        "lobby-",
        "_lobby",
        "chat_lobby",
        "asgi__group__chat_lobby",
        "parlor",
        "nil",
        "0-0",
    ];
    let mut members = Vec::new();
    for name in names {
        members.push(V1Client::join(&node, name).await);
    }
    for (member, name) in members.iter_mut().zip(names) {
        assert_eq!((&member.welcome["room"], &member.welcome["count"]), (&json!(name), &json!(1)));
        member.publish(name).await;
    }
    for (member, name) in members.iter_mut().zip(names) {
        assert_eq!(member.receive().await["text"], name);
        member.receives_none_of(&["message", "gap"], PATIENCE / 200).await;
    }
}

#[tokio::test]
async fn names_cannot_inject_response_headers() {
    let node = Node::alone().await;
    let line = Regex::new(r"(?i)[\r\n]\s*(x-injected|set-cookie: injected|location: http)").unwrap();
    let breaks = [
        "%0d%0a",
        "%0a",
        "%0d",
        "%0D%0A%20",
        "%250d%250a",
        "%u000d%u000a",
        "%E5%98%8D%E5%98%8A",
        "%c0%8a",
        "%e2%80%a8",
    ];
    let lines = ["X-Injected:%20yes", "Set-Cookie:%20injected=1", "Location:%20http://evil.example/"];
    for name in breaks.iter().flat_map(|end| lines.map(|line| format!("a{end}{line}{end}{end}<b>"))) {
        for target in [
            format!("/{name}"),
            format!("/chat/{name}"),
            format!("/chat/{name}/"),
            format!("/static/{name}"),
            format!("/sse/chat/{name}/"),
            format!("/push?room={name}"),
            format!("/chat/?room={name}&next={name}"),
            format!("/chat?{name}"),
        ] {
            for accept in ["text/html", "*/*"] {
                let mut connection = Connection::connect(&node).await;
                let request = Request::get(&target).header("Accept", accept).header("Connection", "close");
                connection.send(&request.bytes(node.address())).await;
                let response = connection.read_to_end(PATIENCE).await;
                let seen = String::from_utf8_lossy(&response);
                assert!(
                    response.starts_with(b"HTTP/1.1 ") && !seen.starts_with("HTTP/1.1 5"),
                    "{target}: {seen}"
                );
                assert!(!line.is_match(&response), "{target}: {seen}");
            }
        }
    }
}
