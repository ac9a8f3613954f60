//! Room names: one rule for pages, sockets and push; an invalid name is 400 with the rule in the
//! text.

use crate::support::http::{Request, Response};
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::tutorial_client::{TutorialClient, encoded};
use crate::support::wait::PATIENCE;

/// Names as they appear in a path, percent-encoded where a browser would do so.
const BAD: [&str; 27] = [
    ".",
    "..",
    "%2e",
    "%2e%2e",
    "%2E.",
    "a%2Fb",
    "a*b",
    "a%2Ab",
    "%7Ba%7D",
    "{a}",
    "a%00b",
    "a%0Ab",
    "a%0D%0Ab",
    "a%09b",
    "a%7Fb",
    "%20a",
    "a%20",
    "%20",
    "a%20%20b",
    "a%C2%A0b",
    "a%3Cb%3E",
    "a%26b",
    "a%22b",
    "%F0%9F%98%80",
    "a%E2%80%8Bb",
    "%ff%fe",
    "a%zz",
];

fn is_refused_with_the_rule(response: &Response, limit: &str, what: &str) {
    assert_eq!(response.status, 400, "{what}: {response:?}");
    assert_eq!(response.content_type(), "text/plain", "{what}");
    for word in ["letters", "digits", limit] {
        assert!(
            response.body.contains(word),
            "{word:?} of the rule in the answer to {what}: {:?}",
            response.body
        );
    }
}

/// Every route that takes a name in its path or query.
fn ways(name: &str) -> [Request; 6] {
    [
        Request::get(&format!("/chat/{name}/")),
        Request::upgrade(&format!("/ws/chat/{name}/")),
        Request::upgrade(&format!("/ws/chat/{name}")),
        Request::upgrade(&format!("/ws/push/{name}/")),
        Request::upgrade(&format!("/ws/push/{name}")),
        Request::post(&format!("/push?room={}", name.replace('&', "%26").replace('+', "%2B"))),
    ]
}

#[tokio::test]
async fn an_invalid_name_is_rejected_everywhere_with_the_rule() {
    let node = Node::alone().await;
    let long = "x".repeat(65);
    let wide = "%E8%81%8A".repeat(65);
    for name in BAD.into_iter().chain([long.as_str(), &wide]) {
        for request in ways(name) {
            let response = request.send(&node).await;
            is_refused_with_the_rule(&response, "64", &format!("{request:?}"));
        }
    }
}

#[tokio::test]
async fn all_rejections_state_the_same_rule() {
    let node = Node::alone().await;
    let rule = ways("a*b")[0].send(&node).await.body;
    for request in ways("a%2Fb") {
        assert_eq!(request.send(&node).await.body, rule, "{request:?}");
    }
}

#[tokio::test]
async fn an_empty_name_is_rejected() {
    let node = Node::alone().await;
    let pages = ["/chat//", "/push?room=", "/push?room", "/push"].map(Request::get);
    let sockets = ["/ws/chat//", "/ws/chat/", "/ws/push//", "/ws/push/"].map(Request::upgrade);
    for request in pages.into_iter().chain(sockets) {
        let response = request.send(&node).await;
        is_refused_with_the_rule(&response, "64", &format!("{request:?}"));
    }
}

#[tokio::test]
async fn a_push_request_needs_a_valid_room_for_any_method() {
    let node = Node::alone().await;
    for method in ["GET", "POST", "DELETE"] {
        for target in
            ["/push", "/push?", "/push?room=", "/push?rooms=lobby", "/push?room=a*b", "/push?room=%ff"]
        {
            let response = Request::new(method, target).send(&node).await;
            is_refused_with_the_rule(&response, "64", &format!("{method} {target}"));
        }
    }
}

#[tokio::test]
async fn names_of_any_script_are_rooms() {
    let redis = Redis::start().await;
    let [first, second] = Node::several(&redis).await;
    let (ascii, wide) = ("x".repeat(64), "聊".repeat(64));
    // 64 letters after composition, 128 before it.
    let decomposed = "e\u{301}".repeat(64);
    let names = [
        "a",
        "聊天",
        "a b",
        "a.b",
        "...",
        "a_b-c",
        "-",
        "_",
        "नमस्ते",
        "٣٤",
        "Ω",
        "𝒳",
        "ไทย",
        &ascii,
        &wide,
        &decomposed,
    ];
    for name in names {
        let page = Request::get(&format!("/chat/{}/", encoded(name))).send(&first).await;
        assert_eq!(page.status, 200, "the page of {name:?}: {page:?}");
        let mut ann = TutorialClient::chat(&first, name).await;
        let mut bob = TutorialClient::chat(&second, name).await;
        ann.publish(name).await;
        assert_eq!(bob.receive_chat().await, name);
        let push = Request::post(&format!("/push?room={}", encoded(name))).send(&second).await;
        assert_eq!(push.status, 200, "push in {name:?}: {push:?}");
    }
}

#[tokio::test]
async fn a_push_line_shows_the_composed_name() {
    let node = Node::alone().await;
    let mut page = TutorialClient::push(&node, "cafe\u{301}").await;
    assert_eq!(Request::post("/push?room=cafe%CC%81").send(&node).await.status, 200);
    let line = page.receive_within(PATIENCE).await;
    assert!(line.ends_with("房间: caf\u{e9}"), "{line:?}");
}

#[tokio::test]
async fn the_name_limit_is_a_setting() {
    let node = Node::plan().flag("--max-name-chars", "5").start().await;
    for request in ways("sixsix") {
        is_refused_with_the_rule(&request.send(&node).await, "5", &format!("{request:?}"));
    }
    let mut ann = TutorialClient::chat(&node, "fives").await;
    ann.publish("hi").await;
    assert_eq!(ann.receive_chat().await, "hi");
}

#[tokio::test]
async fn no_name_reaches_redis_as_a_pattern() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut lobby = TutorialClient::chat(&node, "lobby").await;
    for name in ["lobb[y]", "*", "l%3Fbby", "lobb%5By%5D"] {
        let response = Request::upgrade(&format!("/ws/chat/{name}/")).send(&node).await;
        assert_eq!(response.status, 400, "{name}: {response:?}");
    }
    let patterns: i64 = redis.query(&["PUBSUB", "NUMPAT"]).await;
    assert_eq!(patterns, 0, "subscriptions by pattern");
    lobby.publish("hi").await;
    assert_eq!(lobby.receive_chat().await, "hi");
}
