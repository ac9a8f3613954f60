//! What a foreign page starts in a visitor's browser spends nothing of the visitor's.

use crate::support::event_stream::stream_of;
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::user::User;

const FOREIGN: &str = "http://evil.example";

/// Every kind of request that a foreign page can start, as the browser sends it.
fn started_by_a_foreign_page() -> Vec<Request> {
    let script =
        |request: Request| request.header("Content-Type", "text/plain").body("{\"message\": \"hi\"}");
    let form = |request: Request| {
        request.header("Content-Type", "application/x-www-form-urlencoded").body("name=ann&password=guess")
    };
    let requests = vec![
        Request::upgrade("/ws/chat/lobby/"),
        Request::upgrade("/ws/push/lobby"),
        Request::get(&stream_of("lobby")),
        Request::get("/push?room=lobby"),
        script(Request::post("/chat/lobby/messages")),
        script(Request::post("/api/tickets")),
        form(Request::post("/accounts/login/")),
        form(Request::post("/accounts/signup/")),
        form(Request::post("/accounts/guest/")),
        form(Request::post("/accounts/logout/")),
    ];
    requests.into_iter().map(|request| request.header("Origin", FOREIGN)).collect()
}

#[tokio::test]
async fn a_foreign_page_spends_no_limit_of_its_visitor() {
    let node = Node::plan()
        .env("PARLOR_HANDSHAKES_PER_SECOND", "1")
        .env("PARLOR_LOGINS_PER_MINUTE", "2")
        .env("PARLOR_MESSAGES_PER_SECOND", "1")
        .start()
        .await;
    for request in started_by_a_foreign_page() {
        for _ in 0..20 {
            let response = request.send(&node).await;
            assert_eq!(response.status, 403, "{request:?}: {response:?}");
        }
    }
    User::registered(&node, "ann").await;
    let mut visitor = TutorialClient::chat(&node, "lobby").await;
    visitor.publish("hi").await;
    assert_eq!(visitor.receive_chat().await, "hi");
    assert_eq!(Request::get("/push?room=lobby").send(&node).await.status, 200);
}

#[tokio::test]
async fn a_foreign_page_is_rejected_without_asking_redis() {
    let mut redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let ann = User::registered(&node, "ann").await;
    redis.kill();
    for request in started_by_a_foreign_page() {
        let response = ann.with_cookies(request.clone()).send(&node).await;
        assert_eq!(response.status, 403, "{request:?}: {response:?}");
    }
}
