//! Requests whose body comes after its client has lost a right: they count as if all of the request
//! came then.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::support::cli::{command, key};
use crate::support::connection::Connection;
use crate::support::event_stream::messages;
use crate::support::http::{Request, Response};
use crate::support::node::Node;
use crate::support::operator_site::OperatorSite;
use crate::support::user::{FIELD, User, form};
use crate::support::wait::PATIENCE;

/// Longer than a node trusts in who a client was when the head came.
const HOLD: Duration = Duration::from_millis(300);

/// A request whose head has been sent.
struct HeldBack {
    connection: Connection,
    body: Vec<u8>,
}

impl HeldBack {
    async fn send_head(node: &Node, request: &Request) -> Self {
        let mut connection = Connection::connect(node).await;
        let bytes = request.bytes(node.address());
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
        let (head, body) = bytes.split_at(end);
        assert!(!body.is_empty());
        connection.send(head).await;
        Self { connection, body: body.to_vec() }
    }

    async fn send_body(mut self) -> Response {
        sleep(HOLD).await;
        self.connection.send(&self.body).await;
        self.connection.response_within(PATIENCE, false).await
    }
}

#[tokio::test]
async fn an_operator_acts_no_more_once_the_role_is_gone() {
    let mut site = OperatorSite::start().await;
    let node = &site.nodes[0];
    let accomplice = User::registered(node, "eve").await;
    let id = accomplice.join(node, "hall").await.user().to_owned();
    let token = site.ann.token(node).await;
    let fields = [("action", "staff_on"), ("user", &*id), (FIELD, &token)];
    let request = site.ann.with_cookies(form("/admin/users/", &fields));
    let request = request.header("Origin", &format!("http://{}", node.address()));
    let held = HeldBack::send_head(node, &request).await;
    command(&site.redis, &["user", "staff", "ann", "off"]).await;
    assert_eq!(held.send_body().await.status, 404);
    assert_eq!(accomplice.clone().get(node, "/admin/").await.status, 404);
}

#[tokio::test]
async fn a_revoked_key_publishes_no_more() {
    let site = OperatorSite::start().await;
    let node = &site.nodes[0];
    let billing = key(&site.redis, "billing", "publish").await;
    let request = Request::post("/api/rooms/lobby/messages").header("Content-Type", "application/json");
    let request = request.header("Authorization", &format!("Bearer {billing}")).body(r#"{"text":"late"}"#);
    let held = HeldBack::send_head(node, &request).await;
    command(&site.redis, &["key", "revoke", "billing"]).await;
    assert_eq!(held.send_body().await.status, 401);
    let length: i64 = site.redis.single().query(&["XLEN", "parlor:log:{chat_lobby}"]).await;
    assert_eq!(length, 0);
}

#[tokio::test]
async fn banned_and_logged_out_clients_say_nothing_more_under_their_name() {
    let mut site = OperatorSite::start().await;
    let (gus, cat) = (User::guest(&site.nodes[1]).await, User::registered(&site.nodes[1], "cat").await);
    for user in [gus, cat] {
        let id = user.join(&site.nodes[1], "hall").await.user().to_owned();
        let request = user.with_cookies(messages("lobby")).body(json!({ "message": "late" }).to_string());
        let request = request.header("Origin", &format!("http://{}", site.nodes[1].address()));
        let held = HeldBack::send_head(&site.nodes[1], &request).await;
        assert_eq!(site.post("/admin/users/", &[("action", "ban"), ("user", &id)]).await, 303);
        assert_eq!(held.send_body().await.status, 403);
    }
    let length: i64 = site.redis.single().query(&["XLEN", "parlor:log:{chat_lobby}"]).await;
    assert_eq!(length, 0);
}

#[tokio::test]
async fn what_the_head_alone_refuses_is_refused_before_the_body() {
    let node = Node::alone().await;
    for (request, status) in [
        (Request::post("/admin/users/").body("a=b"), 404),
        (Request::post("/api/rooms/lobby/messages").body("{}"), 401),
        (
            Request::post("/api/rooms/lobby/messages").header("Authorization", "Bearer plk_a_b").body("{}"),
            401,
        ),
        (Request::new("PUT", "/chat/lobby/messages").body("{}"), 405),
        (messages("lobby").header("Origin", "https://evil.example").body("{}"), 403),
    ] {
        let mut held = HeldBack::send_head(&node, &request).await;
        let response = held.connection.response_within(PATIENCE, false).await;
        assert_eq!(response.status, status, "{request:?}");
    }
}
