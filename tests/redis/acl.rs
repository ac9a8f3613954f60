//! The ACL of docs/operations.md lets a node and its commands do everything, and nothing else.

use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::support::api_client::ApiClient;
use crate::support::http::Request;
use crate::support::node::{Node, Plan};
use crate::support::redis::Redis;
use crate::support::user::{User, password};
use crate::support::v1_client::{V1Client, id_of};
use crate::support::wait::{PATIENCE, holds, seconds, until};

/// The time after which no user of a dead node is listed where others are, and some more.
const REAPED: Duration = seconds(30);

/// The words of the `ACL SETUSER` line in the documentation.
fn documented_acl() -> Vec<String> {
    let page =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).expect("the page");
    let mut lines = page.lines().map(str::trim).skip_while(|line| !line.starts_with("ACL SETUSER"));
    let mut words = Vec::new();
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        words.extend(line.trim_end_matches('\\').split_whitespace().map(str::to_owned));
    }
    words
}

/// Runs a command of the command line and returns its output.
async fn run(plan: &Plan, words: &[&str]) -> String {
    let plan = words.iter().fold(plan.clone(), |plan, word| plan.switch(word));
    let mut process = plan.spawn();
    let status = process.exit(PATIENCE).await;
    assert!(status.success(), "{words:?}: {}", process.stderr.text());
    process.stdout.text().trim().to_owned()
}

#[tokio::test]
async fn a_node_does_everything_with_the_documented_acl() {
    let redis = Redis::start().await;
    assert_eq!(redis.query::<String>(&documented_acl()).await, "OK");
    let _replica = redis.replica_of().await;
    let url = redis.url().replace("//", "//parlor:pw@");
    let plan = Node::plan().env("REDIS_URL", &url).env("PARLOR_WAIT_REPLICAS", "1");
    let nodes = [plan.start().await, plan.start().await];
    let [first, second] = &nodes;
    // A third one dies with a member; the others remove it at the end.
    let mut dead = plan.start().await;
    let member = V1Client::join(&dead, "lobby").await;
    redis.wait_for_members("parlor:group:{chat_lobby}", 1).await;
    dead.kill();
    run(&plan.clone().env("PARLOR_PASSWORD", &password("ann")), &["user", "add", "--staff", "ann"]).await;
    run(&plan, &["user", "list"]).await;
    let key = run(&plan, &["key", "add", "billing", "--scope", "publish,read,disconnect"]).await;
    let (mut ann, mut bob) = (User::logged_in(first, "ann").await, User::registered(second, "bob").await);

    let mut here = bob.join(first, "lobby").await;
    let mut there = ann.join(second, "lobby").await;
    let id = id_of(&here.publish("hi").await);
    there.receive().await;
    for frame in
        [json!({ "type": "typing" }), json!({ "type": "history" }), json!({ "type": "read", "id": id })]
    {
        here.send_json(&frame).await;
    }
    here.receive_frame("history").await;
    bob.handshake("lobby").since(&id).connect(second).await.close().await;
    bob.handshake("lobby").history(10).connect(second).await.close().await;
    assert_eq!(bob.get(first, "/push?room=lobby").await.status, 200);
    bob.handshake_at("/ws/push/lobby").connect(second).await.receive_frame("push").await;
    assert_eq!(Request::new("DELETE", "/push?room=lobby").send(first).await.status, 200);
    let mut inbox = ann.handshake_at("/ws/inbox/").connect(first).await;
    bob.join(second, "@ann").await.publish("hello").await;
    inbox.receive_frame("unread").await;
    ann.get(first, "/dm/").await;

    assert_eq!(ann.post(first, "/rooms/", &[("room", "cellar")]).await.status, 303);
    for action in [&[("action", "link")][..], &[("action", "invite"), ("name", "bob")]] {
        let status = ann.post(first, "/chat/cellar/members/", action).await.status;
        assert!(status < 400, "{action:?}: {status}");
    }
    bob.get(second, "/chat/").await;
    let user = here.user().to_owned();
    for (path, fields) in [
        ("/admin/rooms/lobby/", &[("action", "remove"), ("id", &*id)][..]),
        ("/admin/rooms/lobby/", &[("action", "kick"), ("user", &*user)]),
        ("/admin/users/", &[("action", "ban"), ("user", &*user)]),
        ("/admin/users/", &[("action", "unban"), ("user", &*user)]),
        ("/admin/users/", &[("action", "end_logins"), ("user", &*user)]),
        ("/admin/rooms/attic/", &[("action", "close")]),
        ("/admin/rooms/attic/", &[("action", "reopen")]),
    ] {
        let status = ann.post(first, path, fields).await.status;
        assert!(status < 400, "{path} {fields:?}: {status}");
    }
    for path in [
        "/admin/",
        "/admin/figures",
        "/admin/figures?of=rooms",
        "/admin/rooms/",
        "/admin/rooms/lobby/",
        "/admin/users/",
        "/admin/users/?name=bob",
        "/admin/keys/",
        "/admin/audit/",
    ] {
        assert_eq!(ann.get(second, path).await.status, 200, "{path}");
    }
    let api = ApiClient::with_bearer(&key);
    let message = json!({ "message": "from a program" });
    for (request, status) in [
        (api.get("/api/rooms"), 200),
        (api.get("/api/rooms/lobby/messages"), 200),
        (api.get("/api/rooms/lobby/members"), 200),
        (api.post("/api/rooms/lobby/messages", &message), 201),
        (api.post("/api/users/bob/disconnect", &json!({})), 204),
    ] {
        let response = request.send(first).await;
        assert!(response.status == status || response.status < 300, "{response:?}");
    }
    run(&plan, &["key", "revoke", "billing"]).await;
    bob.log_in(first, "bob").await;
    bob.log_out(first).await;

    until(REAPED, "the user of a dead node to be removed", async || {
        let users = redis.seats("chat_lobby").await;
        holds(!users.contains_key(member.user()), || format!("{users:?}"))
    })
    .await;
    let log: redis::Value = redis.query(&["ACL", "LOG"]).await;
    assert!(matches!(&log, redis::Value::Array(entries) if entries.is_empty()), "{log:?}");
    for mut node in nodes {
        let text = Request::get("/metrics").send(&node).await.body;
        let refused = text.lines().filter(|line| line.starts_with("parlor_redis_refusals_total"));
        assert!(refused.clone().all(|line| line.ends_with(" 0")), "{:?}", refused.collect::<Vec<_>>());
        node.terminate();
        node.exit(PATIENCE).await;
    }
    until(PATIENCE, "no refusal at the end either", async || {
        let log: redis::Value = redis.query(&["ACL", "LOG"]).await;
        holds(matches!(&log, redis::Value::Array(entries) if entries.is_empty()), || format!("{log:?}"))
    })
    .await;
}

#[tokio::test]
async fn each_permission_of_the_documented_acl_is_needed_at_the_start() {
    // Without the first, a node cannot ask whether Redis evicts keys. The others are for pooled
    // connections, which wait for replicas, and for another database than 0.
    const OPTIONAL: [&str; 4] = ["+info", "+wait", "+@connection", "+@transaction"];
    let redis = Redis::start().await;
    let _replica = redis.replica_of().await;
    let acl = documented_acl();
    let url = redis.url().replace("//", "//parlor:pw@");
    let plan = Node::plan().env("REDIS_URL", &url).env("PARLOR_WAIT_REPLICAS", "1");
    for rule in acl.iter().filter(|rule| rule.starts_with(['+', '~', '&'])) {
        redis.query::<redis::Value>(&["ACL", "DELUSER", "parlor"]).await;
        let fewer: Vec<&str> = acl.iter().filter(|word| *word != rule).map(String::as_str).collect();
        assert_eq!(redis.query::<String>(&fewer).await, "OK");
        if OPTIONAL.contains(&rule.as_str()) {
            plan.start().await;
        } else {
            let text = plan.ended_with(2).await;
            assert!(text.contains("NOPERM"), "without {rule}: {text}");
        }
    }
}
