//! A stored record that is not what the nodes wrote is an error with its key, never a missing one.

use serde_json::json;

use crate::support::cli::operator;
use crate::support::event_stream::post;
use crate::support::handshake::{Handshake, V1};
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::user::User;
use crate::support::v1_client::{V1Client, id_of};
use crate::support::wait::{PATIENCE, holds, until};

/// What no record holds, and no log line may show.
const CORRUPT: &str = "xyzzy";

/// A node on a Redis of its own, whose records a test overwrites.
struct Site {
    redis: Redis,
    node: Node,
}

impl Site {
    async fn start() -> Self {
        let redis = Redis::start().await;
        let node = Node::on(&redis).await;
        Self { redis, node }
    }

    /// The only key of this pattern.
    async fn key(&self, pattern: &str) -> String {
        let keys = self.redis.keys(pattern).await;
        assert_eq!(keys.len(), 1, "{pattern}: {keys:?}");
        keys[0].clone()
    }

    async fn overwrite(&self, key: &str, value: &str) {
        self.redis.query::<String>(&["SET", key, value]).await;
    }

    /// Waits for an error that names this part of a key, and checks that no line has the value.
    async fn logs(&self, part: &str) {
        until(PATIENCE, "the error to be logged", async || {
            let lines = self.node.log().all();
            let named = |line: &&String| line.contains("ERROR") && line.contains("corrupt record");
            holds(lines.iter().filter(named).any(|line| line.contains(part)), || format!("{lines:?}"))
        })
        .await;
        assert!(!self.node.log().text().contains(CORRUPT), "{}", self.node.log().text());
    }
}

#[tokio::test]
async fn a_corrupt_session_is_a_500_and_no_logout() {
    let site = Site::start().await;
    let mut ann = User::registered(&site.node, "ann").await;
    let key = site.key("parlor:record:login:*").await;
    let good: String = site.redis.query(&["GET", &key]).await;
    for corrupt in ["", "{", r#"{"user":"xyzzy"}"#, r#""xyzzy""#] {
        site.overwrite(&key, corrupt).await;
        assert_eq!(ann.get(&site.node, "/chat/").await.status, 500, "{corrupt:?}");
        let (response, _) = ann.open_socket(&site.node, "/ws/chat/lobby/").await;
        assert_eq!(response.status, 500, "{corrupt:?}");
    }
    site.logs("login:").await;
    site.overwrite(&key, &good).await;
    assert_eq!(ann.get(&site.node, "/dm/").await.status, 200, "the session is there again");
}

#[tokio::test]
async fn a_corrupt_ticket_is_a_500() {
    let site = Site::start().await;
    let mut ann = User::registered(&site.node, "ann").await;
    let token = ann.token(&site.node).await;
    let own = format!("http://{}", site.node.address());
    let request = Request::post("/api/tickets").header("Origin", &own).header("X-CSRFToken", &token).body("");
    let ticket = ann.send(&site.node, request).await.json()["ticket"].as_str().expect("a ticket").to_owned();
    let key = site.key("parlor:record:ticket:*").await;
    site.overwrite(&key, CORRUPT).await;
    let target = format!("/ws/chat/lobby/?ticket={ticket}");
    let open =
        async || Request::upgrade(&target).header("Sec-WebSocket-Protocol", V1).send(&site.node).await.status;
    assert_eq!(open().await, 500);
    site.logs("ticket:").await;
    assert_eq!(open().await, 403, "a corrupt ticket is used up like any other");
}

#[tokio::test]
async fn a_corrupt_audit_entry_is_a_500_of_the_audit_page() {
    let site = Site::start().await;
    let mut ann = operator(&site.node, &site.redis, "ann").await;
    assert_eq!(ann.get(&site.node, "/admin/audit/").await.status, 200);
    site.redis.query::<i64>(&["ZADD", "parlor:index:auditors", "1", "ann"]).await;
    site.redis.query::<i64>(&["ZADD", "parlor:index:audit:ann", "1", CORRUPT]).await;
    assert_eq!(ann.get(&site.node, "/admin/audit/").await.status, 500);
    site.logs("audit").await;
    site.redis.query::<i64>(&["ZREM", "parlor:index:audit:ann", CORRUPT]).await;
    assert_eq!(ann.get(&site.node, "/admin/audit/").await.status, 200);
}

#[tokio::test]
async fn an_account_whose_name_breaks_the_rule_of_today_still_works() {
    let site = Site::start().await;
    let mut ann = User::registered(&site.node, "ann").await;
    let mut operator = operator(&site.node, &site.redis, "zed").await;
    let key = site.key("parlor:record:user:ann").await;
    let good: String = site.redis.query(&["GET", &key]).await;
    site.overwrite(&key, &good.replace(r#""name":"ann""#, r#""name":"a n n""#)).await;
    assert_eq!(ann.get(&site.node, "/chat/").await.status, 200);
    assert_eq!(User::anonymous().log_in(&site.node, "ann").await.status, 303);
    assert_eq!(operator.get(&site.node, "/admin/users/").await.status, 200);
}

#[tokio::test]
async fn a_corrupt_account_is_a_500() {
    let site = Site::start().await;
    let mut ann = User::registered(&site.node, "ann").await;
    let mut operator = operator(&site.node, &site.redis, "zed").await;
    site.overwrite("parlor:record:user:ann", CORRUPT).await;
    assert_eq!(ann.get(&site.node, "/chat/").await.status, 500);
    assert_eq!(User::anonymous().log_in(&site.node, "ann").await.status, 500);
    site.logs("user:ann").await;
    let keys = site.redis.keys("parlor:record:user:*").await;
    for key in keys {
        site.overwrite(&key, CORRUPT).await;
    }
    assert_eq!(operator.get(&site.node, "/admin/").await.status, 500, "not a page that is not there");
}

#[tokio::test]
async fn a_corrupt_ban_of_a_guest_is_a_500() {
    let site = Site::start().await;
    let mut guest = User::guest(&site.node).await;
    let user = guest.join(&site.node, "lobby").await.user().to_owned();
    site.redis.query::<i64>(&["RPUSH", &format!("parlor:record:ban:{user}"), CORRUPT]).await;
    assert_eq!(guest.get(&site.node, "/chat/").await.status, 500);
    site.logs("ban:").await;
}

#[tokio::test]
async fn a_corrupt_unread_record_is_a_500_where_it_is_needed() {
    let site = Site::start().await;
    let mut ann = User::registered(&site.node, "ann").await;
    let mut bob = User::registered(&site.node, "bob").await;
    let mut his = bob.join(&site.node, "@ann").await;
    let id = id_of(&his.publish("hi").await);
    let mut hers = ann.join(&site.node, "@bob").await;
    hers.send_json(&json!({ "type": "read", "id": id })).await;
    until(PATIENCE, "the marker", async || {
        let keys = site.redis.keys("parlor:record:read:*").await;
        holds(keys.len() == 1, || format!("{keys:?}"))
    })
    .await;
    assert_eq!(ann.get(&site.node, "/dm/").await.status, 200);
    site.overwrite(&site.key("parlor:record:read:*").await, CORRUPT).await;
    hers.send_json(&json!({ "type": "read", "id": id })).await;
    hers.expect_error("internal").await;
    site.logs("read:").await;
    assert_eq!(his.publish("again").await["type"], "ack", "the message is in the log");
    site.overwrite(&site.key("parlor:index:unread:*").await, CORRUPT).await;
    assert_eq!(ann.get(&site.node, "/dm/").await.status, 500);
    site.logs("unread:").await;
    assert_eq!(bob.get(&site.node, "/dm/").await.status, 200, "his list does not need it");
}

#[tokio::test]
async fn a_corrupt_idempotency_key_is_no_conflict_and_no_reason_to_retry() {
    let site = Site::start().await;
    let body = json!({ "message": "hi", "id": "post-1" });
    assert_eq!(post(&site.node, "lobby", &body).await.status, 200);
    let key = site.key("parlor:sent:*").await;
    let good: String = site.redis.query(&["GET", &key]).await;
    let digest = good.split(' ').nth(1).expect("an id and a digest");
    for corrupt in [CORRUPT, "", &format!("xyzzy {digest}")] {
        site.overwrite(&key, corrupt).await;
        let response = post(&site.node, "lobby", &body).await;
        let error = response.json();
        assert_eq!((response.status, &error["code"]), (500, &json!("internal")), "{corrupt:?}: {error}");
        let after = json!({ "message": "another", "id": "post-2" });
        assert_eq!(post(&site.node, "lobby", &after).await.status, 200, "{corrupt:?}");
    }
    site.logs("parlor:sent:").await;
}

#[tokio::test]
async fn a_redaction_that_names_no_message_does_not_hide_the_log() {
    let site = Site::start().await;
    let mut ann = V1Client::join(&site.node, "lobby").await;
    let id = id_of(&ann.publish("hi").await);
    let millis = id.split('-').next().expect("an id");
    let set = "parlor:x:{chat_lobby}";
    site.redis.query::<i64>(&["ZADD", set, millis, CORRUPT]).await;
    let late = Node::on(&site.redis).await;
    let mut bob = Handshake::to_room("lobby").history(5).connect(&late).await;
    assert_eq!(bob.receive_texts(1).await, ["hi"]);
}
