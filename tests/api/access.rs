//! Access to the API: keys, scopes and operators, and the problem documents of rejections.

use serde_json::{Value, json};

use crate::support::api_client::{ApiClient, site};
use crate::support::cli::command;
use crate::support::connection::Connection;
use crate::support::deployment::{LayerKind, on_every_layer};
use crate::support::http::{Request, Response};
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::wait::{PATIENCE, holds, until};

/// Asserts that the response is a problem document (RFC 9457) of this status; returns its detail.
pub fn problem(response: &Response, status: u16) -> String {
    assert_eq!(
        (response.status, response.content_type()),
        (status, "application/problem+json"),
        "{response:?}"
    );
    assert_eq!(response.header("cache-control"), Some("no-store"), "{response:?}");
    let problem = response.json();
    let members: Vec<&str> = problem.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(members, ["detail", "status", "title", "type"], "{problem}");
    assert_eq!((&problem["type"], &problem["status"]), (&json!("about:blank"), &json!(status)), "{problem}");
    assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
    problem["detail"].as_str().expect("a text").to_owned()
}

/// One request of each operation with its scope and its status.
fn calls(api: &ApiClient) -> Vec<(Request, &'static str, u16)> {
    let hi = json!({ "message": "hi" });
    vec![
        (api.post("/api/rooms/lobby/messages", &hi), "publish", 201),
        (api.get("/api/rooms/lobby/messages"), "read", 200),
        (api.get("/api/rooms/lobby/members"), "read", 200),
        (api.get("/api/rooms"), "read", 200),
        (api.post("/api/broadcast", &json!({ "rooms": ["a"], "message": "hi" })), "publish", 200),
        (api.post("/api/groups/chat_lobby/events", &json!({ "type": "tick" })), "publish", 202),
        (api.post("/api/users/id:0123456789abcdef/disconnect", &json!({})), "disconnect", 202),
        (api.request("POST", "/api/push/lobby"), "publish", 200),
        (api.request("DELETE", "/api/push/lobby"), "publish", 200),
    ]
}

async fn the_api_rejects_missing_and_invalid_keys(layer: LayerKind) {
    let (deployment, api) = site(layer).await;
    for (request, _, good) in calls(&api) {
        assert_eq!(request.send(deployment.first()).await.status, good, "{request:?}");
    }
    let stranger = api.clone().without("Authorization").without("Cookie").without("X-CSRFToken");
    let unknown = format!("plk_0123456789abcdef_{}", "x".repeat(43));
    let mut callers = vec![stranger];
    callers.extend(["", "plk_", "plk_x_y", &unknown, "x.y.z"].map(ApiClient::with_bearer));
    for caller in callers {
        for (request, _, _) in calls(&caller) {
            let response = request.send(deployment.first()).await;
            problem(&response, 401);
            assert_eq!(response.header("www-authenticate"), Some("Bearer"));
        }
    }
    let document = Request::get("/api/openapi.json").send(deployment.first()).await;
    assert_eq!((document.status, document.content_type()), (200, "application/json"));
}

#[tokio::test]
async fn a_key_is_limited_to_its_scopes() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    for scope in ["publish", "read", "disconnect"] {
        let api = ApiClient::with_key(&redis, scope, scope).await;
        for (request, needed, good) in calls(&api) {
            let response = request.send(&node).await;
            if needed == scope {
                assert_eq!(response.status, good, "{request:?}");
            } else {
                let detail = problem(&response, 403);
                assert_eq!(detail, format!("`Authorization`: expected a key with the scope `{needed}`"));
            }
        }
    }
}

#[tokio::test]
async fn a_revoked_key_is_rejected_on_every_node_at_once() {
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let api = ApiClient::with_key(&redis, "billing", "publish,read,disconnect").await;
    for node in &nodes {
        assert_eq!(api.get("/api/rooms").send(node).await.status, 200);
    }
    command(&redis, &["key", "revoke", "billing"]).await;
    for node in &nodes {
        problem(&api.get("/api/rooms").send(node).await, 401);
    }
}

#[tokio::test]
async fn an_operators_session_works_only_with_the_sites_own_pages() {
    let (deployment, operator) = site(LayerKind::Memory).await;
    let node = deployment.first();
    for (request, scope, good) in calls(&operator.clone().without("X-CSRFToken")) {
        let (own, other) = (format!("http://{}", node.address()), "http://evil.example");
        for origin in [&own, other] {
            let response = request.clone().header("Origin", origin).send(node).await;
            if scope == "read" {
                assert_eq!(response.status, good, "{request:?}");
            } else {
                problem(&response, 403);
            }
        }
        let forged = request.clone().header("X-CSRFToken", "other").header("Origin", &own).send(node).await;
        assert_eq!(forged.status, if scope == "read" { good } else { 403 }, "{request:?}");
    }
    for (request, scope, good) in calls(&operator) {
        let foreign = request.clone().header("Origin", "http://evil.example").send(node).await;
        assert_eq!(foreign.status, if scope == "read" { good } else { 403 }, "{request:?}");
    }
}

async fn rejections_before_a_handler_are_problem_documents_too(layer: LayerKind) {
    let (deployment, api) = site(layer).await;
    let node = deployment.first();
    let lobby = "/api/rooms/lobby/messages";
    for (request, status) in [
        (api.get("/api/"), 404),
        (api.get("/api/rooms/lobby/"), 404),
        (api.get("/api/broadcast").header("Accept", "text/html"), 404),
        (api.request("PUT", lobby), 405),
        (api.get(lobby).header("Host", "other"), 400),
        (api.request("POST", lobby).header("Transfer-Encoding", "gzip, chunked"), 400),
        (api.request("POST", lobby).body(vec![b' '; 200_000]), 413),
    ] {
        let status =
            if request.bytes(node.address()).starts_with(b"GET /api/broadcast") { 405 } else { status };
        let response = request.send(node).await;
        problem(&response, status);
        if status == 405 {
            assert!(response.header("allow").is_some_and(|allow| allow.contains("POST")), "{response:?}");
        }
    }
    let mut connection = Connection::connect(node).await;
    let head = api.request("HEAD", "/api/nothing").send_on(&mut connection).await;
    assert_eq!((head.status, head.content_type()), (404, "application/problem+json"));
    assert_eq!(api.get("/nothing").send(node).await.content_type(), "text/plain");
}

async fn a_body_of_another_type_or_shape_is_rejected(layer: LayerKind) {
    let (deployment, api) = site(layer).await;
    let node = deployment.first();
    let lobby = || api.request("POST", "/api/rooms/lobby/messages");
    let body = r#"{"message": "hi"}"#;
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", ""]
    {
        let response = lobby().header("Content-Type", kind).body(body).send(node).await;
        assert_eq!(problem(&response, 415), "`Content-Type`: expected application/json");
    }
    problem(&lobby().body(body).send(node).await, 415);
    let json = || lobby().header("Content-Type", "Application/JSON; charset=utf-8");
    for (body, detail) in [
        ("", "`body`: expected JSON; it is none at line 1, column 0"),
        ("[]", "`body`: expected a JSON object"),
        ("{}", "`text`: expected, but missing"),
        (r#"{"message": 5}"#, "`message`: expected a string"),
        (r#"{"message": "hi", "mesage": "hi"}"#, "`mesage`: unknown here"),
        (r#"{"message": "hi", "message": "ho"}"#, "`message`: expected once"),
    ] {
        assert_eq!(problem(&json().body(body).send(node).await, 400), detail, "{body}");
    }
    let long = json!({ "message": "x".repeat(65_537) }).to_string();
    assert_eq!(problem(&json().body(long).send(node).await, 413), "`text`: expected at most 65536 bytes");
    assert_eq!(json().body(body).send(node).await.status, 201);
    let twice = json().header("Content-Type", "application/json");
    problem(&twice.body(body).send(node).await, 400);
}

#[tokio::test]
async fn without_redis_the_api_answers_503_with_retry_after() {
    let mut redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let api = ApiClient::with_key(&redis, "billing", "publish,read,disconnect").await;
    redis.kill();
    for (request, _, _) in calls(&api) {
        let response = request.send(&node).await;
        problem(&response, 503);
        assert!(response.header("retry-after").is_some(), "{response:?}");
    }
}

#[tokio::test]
async fn closed_rooms_and_direct_messages_are_404_private_rooms_are_not() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let api = ApiClient::with_key(&redis, "billing", "publish,read,disconnect").await;
    for (room, record) in [
        ("attic", json!({ "closed": true })),
        ("cellar", json!({ "private": true, "owner": "0123456789abcdef" })),
    ] {
        redis
            .query::<String>(&["SET", &format!("parlor:record:room:{{chat_{room}}}"), &record.to_string()])
            .await;
    }
    for (room, there) in [("lobby", true), ("cellar", true), ("attic", false), ("@ann", false)] {
        let hi = json!({ "message": "hi" });
        let kick = json!({ "room": room });
        for (request, good) in [
            (api.post(&format!("/api/rooms/{room}/messages"), &hi), 201),
            (api.get(&format!("/api/rooms/{room}/messages")), 200),
            (api.get(&format!("/api/rooms/{room}/members")), 200),
            (api.post(&format!("/api/groups/{room}/events"), &json!({ "type": "tick" })), 202),
            (api.post(&format!("/api/groups/chat_{room}/events"), &json!({ "type": "tick" })), 202),
            (api.request("POST", &format!("/api/push/{room}")), 200),
            (api.request("DELETE", &format!("/api/push/{room}")), 200),
            (
                api.request("DELETE", &format!("/api/push/chat_{room}")),
                if room == "@ann" { 400 } else { 200 },
            ),
            (api.post("/api/users/id:0123456789abcdef/disconnect", &kick), 202),
        ] {
            let response = request.send(&node).await;
            match there {
                true => assert_eq!(response.status, good, "{room}: {request:?}"),
                false if good == 400 => drop(problem(&response, 400)),
                false => drop(problem(&response, 404)),
            }
        }
        let all = api.post("/api/broadcast", &json!({ "rooms": [room], "message": "hi" })).send(&node).await;
        assert_eq!(all.json()["results"][0]["status"], if there { 201 } else { 404 }, "{all:?}");
    }
    assert_eq!(redis.keys("parlor:log:*attic*").await, Vec::<String>::new());
}

/// Waits until the audit log contains this entry.
async fn audited(redis: &Redis, who: &str, what: &str, about: &str) {
    until(PATIENCE, "an entry of the audit log", async || {
        let lines: Vec<String> =
            redis.query(&["ZRANGE", &format!("parlor:index:audit:{who}"), "0", "-1"]).await;
        let entries: Vec<Value> = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let fits = |entry: &Value| entry["who"] == who && entry["what"] == what && entry["about"] == about;
        holds(entries.iter().any(fits), || format!("{entries:?}"))
    })
    .await;
}

#[tokio::test]
async fn a_disconnect_is_written_to_the_audit_log() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let api = ApiClient::with_key(&redis, "billing", "disconnect").await;
    let path = "/api/users/id:0123456789abcdef/disconnect";
    assert_eq!(api.post(path, &json!({ "room": "lobby" })).send(&node).await.status, 202);
    audited(&redis, "#billing", "disconnect", "0123456789abcdef: lobby").await;
}

on_every_layer! {
    the_api_rejects_missing_and_invalid_keys
    rejections_before_a_handler_are_problem_documents_too
    a_body_of_another_type_or_shape_is_rejected
}
