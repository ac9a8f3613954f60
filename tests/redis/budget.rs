//! What a request or a frame costs Redis is in proportion to what the client sends and receives,
//! for every route, with a log of 1,000 messages of 64 KB.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::cli::operator;
use crate::support::event_stream::EventStream;
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::routes::{Way, table};
use crate::support::user::{CSRF, User};
use crate::support::v1_client::{V1Client, id_of};

const MESSAGES: usize = 1000;
const MESSAGE_BYTES: usize = 64_000;
/// What Redis may send for a request beside twice the response: two pages of a log.
const FREE_BYTES: usize = 300_000;
/// What Redis may work for a request, in microseconds.
const REDIS_MICROS: u64 = 60_000;

/// The ways that are requests with a body or without a log, which other tests send.
const OTHERS: [(&str, &str); 24] = [
    ("POST", "/chat/{room}/members/"),
    ("POST", "/rooms/"),
    ("POST", "/invite/{link}/"),
    ("POST", "/invitations/"),
    ("POST", "/push"),
    ("DELETE", "/push"),
    ("POST", "/accounts/login/"),
    ("POST", "/accounts/signup/"),
    ("POST", "/accounts/logout/"),
    ("POST", "/accounts/guest/"),
    ("POST", "/api/tickets"),
    ("POST", "/api/rooms/{room}/messages"),
    ("POST", "/api/broadcast"),
    ("POST", "/api/groups/{group}/events"),
    ("POST", "/api/users/{user}/disconnect"),
    ("POST", "/api/push/{room}"),
    ("DELETE", "/api/push/{room}"),
    ("POST", "/admin/rooms/{room}/"),
    ("POST", "/admin/rooms/{room}/push"),
    ("DELETE", "/admin/rooms/{room}/push"),
    ("POST", "/admin/users/"),
    ("POST", "/admin/keys/"),
    ("GET", "/static/{path*}"),
    ("GET", "/push"),
];

struct Site {
    redis: Redis,
    node: Node,
    operator: User,
    ann: User,
}

impl Site {
    /// The lobby and the private chat of `ann` and `bob` with large logs, and a node that has
    /// subscribed to neither: a subscribed node reads what it missed, whatever it is asked.
    async fn start() -> Self {
        let redis = Redis::start().await;
        let writer = Node::on(&redis).await;
        let operator = operator(&writer, &redis, "zed").await;
        let ann = User::registered(&writer, "ann").await;
        let bob = User::registered(&writer, "bob").await;
        let text = "x".repeat(MESSAGE_BYTES);
        V1Client::join(&writer, "lobby").await.publish(&text).await;
        bob.join(&writer, "@ann").await.publish(&text).await;
        for key in redis.keys("parlor:log:{chat_*}").await {
            let copies = if key.contains("lobby") { MESSAGES } else { MESSAGES / 5 };
            let script = "local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
                local before, event = last[1], last[2][2]
                for n = 1, ARGV[1] do
                  before = redis.call('XADD', KEYS[1], '*', 'e', event, 'p', before)
                end";
            redis.query::<redis::Value>(&["EVAL", script, "1", &key, &copies.to_string()]).await;
        }
        drop(writer);
        let node = Node::on(&redis).await;
        Self { redis, node, operator, ann }
    }

    /// The bytes that Redis has sent, and the time that it has worked, in microseconds.
    async fn spent(&self) -> (usize, u64) {
        let stats: String = self.redis.query(&["INFO", "commandstats"]).await;
        let of =
            |line: &str| line.split(',').find_map(|part| part.strip_prefix("usec=")?.parse::<u64>().ok());
        let micros = stats.lines().filter(|line| !line.contains("_eval:")).filter_map(of).sum();
        (self.redis.sent_bytes().await, micros)
    }

    /// Fails if what was done since costs more than what the client received allows.
    async fn check(&self, what: &str, before: (usize, u64), received: usize, times: usize) {
        let after = self.spent().await;
        let (sent, micros) = (after.0 - before.0, after.1 - before.1);
        let most = 2 * received + times * FREE_BYTES;
        assert!(sent <= most, "{what}: redis sent {sent} bytes for {received} to the client");
        let most = REDIS_MICROS * times as u64;
        assert!(micros <= most, "{what}: redis worked {micros} µs for {received} bytes to the client");
    }
}

/// The paths to ask for: the route's own with names for its parameters, and its expensive queries.
fn targets(path: &str) -> Vec<String> {
    let rooms = if path.contains("/api/") || path.contains("/admin/") {
        vec!["lobby"]
    } else {
        vec!["lobby", "@bob"]
    };
    let paths = rooms
        .into_iter()
        .map(|room| path.replace("{room}", room).replace("{user}", "bob").replace("{link}", &"a".repeat(43)));
    let paths: BTreeSet<String> = paths.collect();
    let queries: &[&str] = match path {
        "/api/rooms/{room}/messages" => {
            &["?limit=200", "?since=0-0&limit=200", "?before=9999999999999-0&limit=200"]
        }
        "/admin/figures" => &["", "?of=rooms"],
        _ => &[""],
    };
    paths.iter().flat_map(|path| queries.iter().map(move |query| format!("{path}{query}"))).collect()
}

#[tokio::test]
async fn every_route_costs_redis_what_the_client_receives() {
    const TIMES: usize = 3;
    let mut site = Site::start().await;
    let _member = V1Client::join(&site.node, "lobby").await;
    let mut gone = OTHERS.to_vec();
    for Way { method, path } in table() {
        gone.retain(|other| *other != (method, path.as_str()));
        if OTHERS.contains(&(method, path.as_str())) {
            continue;
        }
        for target in targets(&path) {
            let before = site.spent().await;
            let mut received = 0;
            for _ in 0..TIMES {
                let (node, operator, ann) = (&site.node, &site.operator, &site.ann);
                let is_staff = target.starts_with("/admin") || target.starts_with("/api");
                let person = if is_staff || target.starts_with("/ws/admin") { operator } else { ann };
                let origin = format!("http://{}", node.address());
                received += match method {
                    "GET" => person.with_cookies(Request::get(&target)).send(node).await.body.len(),
                    "POST" => {
                        let body = json!({ "message": "hi" }).to_string();
                        let request = Request::post(&target).header("Origin", &origin);
                        let token = person.cookie(CSRF).expect("a token");
                        let request = request.header("X-CSRFToken", token).body(body);
                        person.with_cookies(request).send(node).await.body.len()
                    }
                    "socket" => read_socket(person, node, &target).await,
                    "feed" => {
                        let request = Request::get(&format!("{target}?history=1000"));
                        let request = person.with_cookies(request).header("Origin", &origin);
                        let mut stream = EventStream::open(node, request).await;
                        stream.receive_event("message").await.frame.to_string().len()
                    }
                    other => panic!("{other} {path} is in no list of this test"),
                };
            }
            site.check(&format!("{method} {target}"), before, received, TIMES).await;
        }
    }
    assert!(gone.is_empty(), "routes that are gone: {gone:?}");
    let list = site.ann.get(&site.node, "/dm/").await;
    assert!(list.body.contains("bob"), "the chats were listed");
}

/// Opens a socket with as much of the past as there may be, and asks for more; returns the bytes of
/// what it received.
async fn read_socket(person: &User, node: &Node, target: &str) -> usize {
    let reads = target.contains("chat") || target.ends_with("/lobby/");
    let mut handshake = person.handshake_at(target);
    if reads {
        handshake = handshake.history(1000);
    }
    let mut member = handshake.connect(node).await;
    if !reads {
        return 0;
    }
    let mut received = member.receive().await.to_string().len();
    let mut before: Value = Value::Null;
    for _ in 0..5 {
        member.send_json(&json!({ "type": "history", "limit": 200, "before": before })).await;
        let page = member.receive_frame("history").await;
        before = json!(id_of(&page["messages"][0]));
        received += page.to_string().len();
    }
    for frame in ["typing", "read"] {
        member.send_json(&json!({ "type": frame, "id": before })).await;
    }
    received
}
