//! Compares the document at `/api/openapi.json` with the program: paths, statuses, schemas.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::api_client::ApiClient;
use crate::support::cli;
use crate::support::docs_page::{names, table};
use crate::support::http::{Request, Response};
use crate::support::node::Node;
use crate::support::openapi::Document;
use crate::support::redis::Redis;
use crate::support::routes;
use crate::support::v1_client::V1Client;

const TEXT: &str = include_str!("../../docs/openapi.json");

/// The request and how to obtain a particular response.
struct Case {
    operation: &'static str,
    target: &'static str,
    body: Option<Value>,
    header: Option<(&'static str, &'static str)>,
}

fn case(operation: &'static str, target: &'static str) -> Case {
    Case { operation, target, body: None, header: None }
}

impl Case {
    fn sending(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    fn request(&self, api: &ApiClient) -> Request {
        let method = self.operation.split_once(' ').expect("a method").0;
        let request = match &self.body {
            Some(body) => api.post(self.target, body),
            None => api.request(method, self.target),
        };
        self.header.iter().fold(request, |request, (name, value)| request.with(name, value))
    }
}

const SAY: &str = "POST /api/rooms/{room}/messages";
const READ: &str = "GET /api/rooms/{room}/messages";
const MEMBERS: &str = "GET /api/rooms/{room}/members";
const ROOMS: &str = "GET /api/rooms";
const BROADCAST: &str = "POST /api/broadcast";
const EVENT: &str = "POST /api/groups/{group}/events";
const DISCONNECT: &str = "POST /api/users/{user}/disconnect";
const TICKET: &str = "POST /api/tickets";
const START: &str = "POST /api/push/{room}";
const STOP: &str = "DELETE /api/push/{room}";

const LOBBY: &str = "/api/rooms/lobby/messages";
const UNKNOWN_USER: &str = "/api/users/id:0123456789abcdef/disconnect";

/// A valid request of every operation.
fn right() -> Vec<Case> {
    let rooms = json!({ "rooms": ["lobby", "garden", "a/b"], "message": "hi" });
    vec![
        case(SAY, LOBBY).sending(json!({ "message": "hi" })).with("Idempotency-Key", "one"),
        case(SAY, LOBBY).sending(json!({ "message": "hi" })).with("Idempotency-Key", "one"),
        case(READ, LOBBY),
        case(READ, "/api/rooms/lobby/messages?limit=1"),
        case(READ, "/api/rooms/nobody/messages?since=0-0"),
        case(MEMBERS, "/api/rooms/lobby/members"),
        case(ROOMS, "/api/rooms"),
        case(BROADCAST, "/api/broadcast").sending(rooms).with("Idempotency-Key", "two"),
        case(EVENT, "/api/groups/chat_lobby/events").sending(json!({ "type": "tick", "n": "1" })),
        case(DISCONNECT, UNKNOWN_USER).sending(json!({})),
        case(DISCONNECT, UNKNOWN_USER).sending(json!({ "reason": "bye", "room": "lobby" })),
        case(START, "/api/push/lobby"),
        case(STOP, "/api/push/lobby"),
    ]
}

/// Invalid requests of an authorised client.
fn wrong() -> Vec<Case> {
    let hi = || json!({ "message": "hi" });
    let long = || json!({ "message": "x".repeat(65_537), "rooms": ["a"], "type": "a" });
    let typed = |case: Case| case.with("Content-Type", "text/plain");
    vec![
        case(SAY, LOBBY).sending(json!({ "message": 5 })),
        case(SAY, LOBBY).sending(json!({ "message": "hi", "more": 5 })),
        case(SAY, LOBBY).sending(json!({})),
        case(SAY, LOBBY).sending(json!({ "message": "ho" })).with("Idempotency-Key", "one"),
        case(SAY, "/api/rooms/@ann/messages").sending(hi()),
        case(SAY, LOBBY).sending(json!({ "message": "x".repeat(65_537) })),
        typed(case(SAY, LOBBY).sending(hi())),
        case(READ, "/api/rooms/lobby/messages?limit=0"),
        case(READ, "/api/rooms/@ann/messages"),
        case(MEMBERS, "/api/rooms/a*b/members"),
        case(MEMBERS, "/api/rooms/@ann/members"),
        case(BROADCAST, "/api/broadcast").sending(json!({ "rooms": [], "message": "hi" })),
        case(BROADCAST, "/api/broadcast").sending(json!({ "rooms": ["a", "a"], "message": "hi" })),
        case(BROADCAST, "/api/broadcast").sending(json!({ "rooms": ["a"], "message": "x".repeat(65_537) })),
        typed(case(BROADCAST, "/api/broadcast").sending(json!({ "rooms": ["a"], "message": "hi" }))),
        case(EVENT, "/api/groups/chat_lobby/events").sending(json!({ "type": "parlor_gap" })),
        case(EVENT, "/api/groups/chat_lobby/events").sending(json!({ "type": "a", "user": "b" })),
        case(EVENT, "/api/groups/chat_lobby/events").sending(json!({ "type": "a", "n": 1 })),
        case(EVENT, "/api/groups/chat_@ann/events").sending(json!({ "type": "a" })),
        case(EVENT, "/api/groups/chat_lobby/events").sending(long()),
        typed(case(EVENT, "/api/groups/chat_lobby/events").sending(json!({ "type": "a" }))),
        case(DISCONNECT, UNKNOWN_USER).sending(json!({ "reason": 5 })),
        case(DISCONNECT, UNKNOWN_USER).sending(json!({ "code": "5" })),
        case(DISCONNECT, "/api/users/nobody/disconnect").sending(json!({})),
        typed(case(DISCONNECT, UNKNOWN_USER).sending(json!({}))),
        case(START, "/api/push/a*b"),
        case(START, "/api/push/@ann"),
        case(STOP, "/api/push/a*b"),
        case(STOP, "/api/push/@ann"),
    ]
}

#[tokio::test]
async fn every_response_matches_the_document_and_every_listed_one_occurs() {
    let mut redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let _ann = V1Client::join(&node, "lobby").await;
    let all = ApiClient::with_key(&redis, "all", "publish,read,disconnect").await;
    let (reader, sender) = (
        ApiClient::with_key(&redis, "reader", "read").await,
        ApiClient::with_key(&redis, "speaker", "publish").await,
    );
    let described = Request::get("/api/openapi.json").send(&node).await;
    let document = Document(described.json());
    assert_eq!(document.0, serde_json::from_str::<Value>(TEXT).expect("JSON"));
    assert_eq!(document.0["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut seen = BTreeSet::new();
    let mut see = |operation: &str, response: &Response| {
        document.assert_lists(operation, response);
        seen.insert((operation.to_owned(), response.status));
    };
    see("GET /api/openapi.json", &described);
    for case in right() {
        let response = case.request(&all).send(&node).await;
        assert!(response.status < 300, "{}: {response:?}", case.target);
        if let Some(body) = &case.body {
            document
                .accepts(case.operation, body)
                .unwrap_or_else(|error| panic!("{}: {error}", case.operation));
        }
        see(case.operation, &response);
        see(case.operation, &case.request(&ApiClient::with_bearer("plk_")).send(&node).await);
        let other = if matches!(case.operation, READ | MEMBERS | ROOMS) { &sender } else { &reader };
        see(case.operation, &case.request(other).send(&node).await);
    }
    for case in wrong() {
        let response = case.request(&all).send(&node).await;
        assert!(response.status >= 400, "{}: {response:?}", case.target);
        let body = case.body.as_ref().filter(|_| response.status == 400 && case.header.is_none());
        assert!(
            body.is_none_or(|body| document.accepts(case.operation, body).is_err()),
            "{body:?} by {}",
            case.operation
        );
        see(case.operation, &response);
    }
    let slow = Node::plan().redis(&redis).env("PARLOR_PUBLISHES_PER_SECOND", "1").start().await;
    for case in right().iter().filter(|case| ![READ, MEMBERS, ROOMS, BROADCAST].contains(&case.operation)) {
        for _ in 0..2 {
            see(case.operation, &case.request(&all).send(&slow).await);
        }
    }
    let operator = ApiClient::from_session(&cli::operator(&node, &redis, "operator").await);
    for caller in [&operator, &all, &operator.clone().without("X-CSRFToken")] {
        see(TICKET, &caller.request("POST", "/api/tickets").send(&node).await);
    }
    redis.kill();
    see(TICKET, &operator.request("POST", "/api/tickets").send(&node).await);
    for case in right() {
        see(case.operation, &case.request(&all).send(&node).await);
    }
    assert_eq!(seen, document.statuses());
}

/// Methods and paths under `/api/` in the table of routes.
fn routes() -> BTreeSet<String> {
    let ways = routes::table().into_iter().filter(|way| way.path.starts_with("/api/"));
    ways.map(|way| format!("{} {}", way.method, way.path)).collect()
}

#[test]
fn the_document_and_the_routes_have_the_same_operations() {
    let document = Document(serde_json::from_str(TEXT).expect("JSON"));
    assert_eq!(document.operations(), routes());
    let page =
        table("api.md", &["call", "scope", "what"]).iter().map(|row| names(&row[0]).remove(0)).collect();
    assert_eq!(document.operations(), page, "and in docs/api.md");
}
