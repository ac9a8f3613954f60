//! What a request or a frame costs Redis, the node and the client is in proportion to what the
//! client sends and receives, for every route and every frame, with a log of 1,000 messages of
//! 64 KB in a room of 100,000 users, and with lists as long as they may become.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::support::access_fixture::invite;
use crate::support::centrifugo::CentrifugoClient;
use crate::support::cli::operator;
use crate::support::connection::Connection;
use crate::support::deeds::{Deed, Role, Token, deeds};
use crate::support::event_stream::EventStream;
use crate::support::full_lists;
use crate::support::http::Request;
use crate::support::large_room::LargeRoom;
use crate::support::metrics::metric;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::rooms_client::RoomsClient;
use crate::support::routes::{Way, table};
use crate::support::tutorial_client::{TutorialClient, encoded};
use crate::support::user::User;
use crate::support::v1_client::V1Client;
use crate::support::wait::{PATIENCE, holds, seconds, until};

const MESSAGES: usize = 1000;
const MESSAGE_BYTES: usize = 64_000;
const USERS: usize = 100_000;

/// What Redis may send for a request beside twice the bytes that the client sends and receives.
const FREE_REDIS_BYTES: usize = 8 * 1024;
/// The commands that Redis may carry out for a request, those of scripts included, beside one for
/// each so many of these bytes: a row of a list takes three.
const FREE_COMMANDS: usize = 160;
const BYTES_PER_COMMAND: usize = 50;
/// The round trips of the node to Redis for a request, however long a list is, and its heartbeat's.
const MAX_CALLS: i64 = 30;
/// The CPU time of Redis for a request, the test's questions included, and for each of those bytes.
const FREE_REDIS_TIME: Duration = Duration::from_millis(5);
const REDIS_TIME_PER_BYTE: Duration = Duration::from_nanos(10);
/// The CPU time of the node, without optimisation, in the same way.
const FREE_NODE_TIME: Duration = Duration::from_millis(15);
const NODE_TIME_PER_BYTE: Duration = Duration::from_nanos(200);
/// The CPU time of hashing a password.
const HASH_TIME: Duration = Duration::from_millis(150);
/// What a client may receive for a request: `history` of a connection, with each text twice.
const MAX_RECEIVED_BYTES: usize = 1024 * 1024;
/// What a call of a script may take.
const MAX_CALL_TIME: Duration = Duration::from_millis(5);

struct Site {
    redis: Redis,
    node: Node,
    operator: User,
    ann: User,
    /// An invitation to a room of another user.
    invitation: String,
    /// The id of the user `bob`.
    bob: String,
    room: LargeRoom,
}

/// What was spent up to now.
#[derive(Clone, Copy, Debug)]
struct Spent {
    /// Bytes that Redis has sent.
    bytes: usize,
    /// Commands that Redis has carried out.
    commands: usize,
    /// Round trips of the node to Redis.
    calls: i64,
    redis: Duration,
    node: Duration,
}

impl Site {
    /// The lobby and the private chat of `ann` and `bob` with large logs, and a node that has
    /// subscribed to neither: a subscribed node reads what it missed, whatever it is asked.
    async fn start() -> Self {
        let redis = Redis::start().await;
        let writer = Node::on(&redis).await;
        let operator = operator(&writer, &redis, "zed").await;
        let mut ann = User::registered(&writer, "ann").await;
        assert_eq!(ann.post(&writer, "/rooms/", &[("room", "cellar")]).await.status, 303);
        let mut host = User::registered(&writer, "host").await;
        assert_eq!(host.post(&writer, "/rooms/", &[("room", "wine")]).await.status, 303);
        let invitation = invite(&writer, &mut host, "wine").await;
        let bob = User::registered(&writer, "bob").await;
        let text = "x".repeat(MESSAGE_BYTES);
        V1Client::join(&writer, "lobby").await.publish(&text).await;
        let mut chat = bob.join(&writer, "@ann").await;
        chat.publish(&text).await;
        let bob = chat.user().to_owned();
        for key in redis.keys("parlor:log:{chat_*}").await {
            let copies = if key.contains("lobby") { MESSAGES } else { MESSAGES / 5 };
            let script = "local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
                local before, event = last[1], last[2][2]
                local epoch, number = last[2][8]:match('^(%x+:)(%d+)$')
                for n = number + 1, number + ARGV[1] do
                  before = redis.call('XADD', KEYS[1], '*', 'e', event, 'p', before, 'b', '0', 'o', epoch .. n)
                end";
            redis.query::<redis::Value>(&["EVAL", script, "1", &key, &copies.to_string()]).await;
        }
        let ann_id = ann.join(&writer, "lobby").await.user().to_owned();
        full_lists::fill(&redis, &ann_id).await;
        drop((chat, writer));
        let room = LargeRoom::start(&redis, "chat_lobby", USERS).await;
        let node = Node::on(&redis).await;
        Self { redis, node, operator, ann, invitation, bob, room }
    }

    async fn spent(&self) -> Spent {
        let calls = metric(&self.node, "parlor_redis_round_trip_seconds_count").await;
        let (bytes, commands) = self.redis.sent_bytes_and_commands().await;
        Spent { bytes, commands, calls, redis: self.redis.cpu(), node: self.node.cpu() }
    }

    /// Fails if what was done since costs more than the bytes that the client sent and received
    /// allow.
    async fn check(&self, what: &str, before: Spent, exchanged: usize) {
        // Before the test's own questions.
        let (redis, node) = (self.redis.cpu(), self.node.cpu());
        let after = self.spent().await;
        let hashing = if what.contains("/accounts/") { HASH_TIME } else { Duration::ZERO };
        let bytes = after.bytes - before.bytes;
        let (commands, calls) = (after.commands - before.commands, after.calls - before.calls);
        let redis = redis.saturating_sub(before.redis);
        let node = node.saturating_sub(before.node);
        let what = format!("{what}, {exchanged} bytes with the client");
        assert!(exchanged <= MAX_RECEIVED_BYTES, "{what}");
        assert!(bytes <= 2 * exchanged + FREE_REDIS_BYTES, "{what}: redis sent {bytes} bytes");
        let most = FREE_COMMANDS + exchanged / BYTES_PER_COMMAND;
        assert!(commands <= most, "{what}: redis carried out {commands} commands");
        assert!(calls <= MAX_CALLS, "{what}: {calls} round trips to redis");
        let count = u32::try_from(exchanged).expect("a small number");
        assert!(redis <= FREE_REDIS_TIME + REDIS_TIME_PER_BYTE * count, "{what}: redis worked {redis:?}");
        let most = FREE_NODE_TIME + hashing + NODE_TIME_PER_BYTE * count;
        assert!(node <= most, "{what}: the node worked {node:?}");
    }
}

/// The paths to ask for: the route's own with names for its parameters, and its expensive queries.
fn targets(path: &str) -> Vec<String> {
    let rooms = if path.contains("/api/") || path.contains("/admin/") {
        vec!["lobby"]
    } else if path.contains("/members/") {
        vec!["cellar"]
    } else {
        vec!["lobby", "@bob"]
    };
    let paths = rooms.into_iter().map(|room| {
        let path = path.replace("{room}", room).replace("{user}", "bob").replace("{link}", &"a".repeat(43));
        path.replace("{path*}", "room.js")
    });
    let paths: BTreeSet<String> = paths.collect();
    let queries: &[&str] = match path {
        "/api/rooms/{room}/messages" => {
            &["?limit=200", "?since=0-0&limit=200", "?before=9999999999999-0&limit=200"]
        }
        "/admin/figures" => &["", "?of=rooms"],
        "/admin/audit/" => &["", "?all=1"],
        "/push" => &["?room=lobby"],
        _ => &[""],
    };
    paths.iter().flat_map(|path| queries.iter().map(move |query| format!("{path}{query}"))).collect()
}

#[tokio::test]
async fn every_route_costs_what_the_client_receives() {
    const TIMES: usize = 3;
    let mut site = Site::start().await;
    let _member = V1Client::join(&site.node, "lobby").await;
    let deeds = deeds(&site.invitation, &site.bob);
    for Way { method, path } in table() {
        if path == "/emulation" {
            continue; // a command, as the sockets of the same clients carry them out
        }
        if matches!(method, "POST" | "DELETE") {
            assert!(deeds.iter().any(|deed| deed.way.path == path), "{method} {path} has no body");
            continue;
        }
        for target in targets(&path) {
            for _ in 0..TIMES {
                let before = site.spent().await;
                let (node, operator, ann) = (&site.node, &site.operator, &site.ann);
                let is_staff = ["/admin", "/api", "/ws/admin"].iter().any(|way| target.starts_with(way));
                let person = if is_staff { operator } else { ann };
                let received = match method {
                    "GET" => person.with_cookies(Request::get(&target)).send(node).await.body.len(),
                    "socket" => read_socket(person, node, &target).await,
                    "feed" if path.starts_with("/connection/") => {
                        read_client_stream(person, node, &target).await
                    }
                    "feed" => read_feed(person, node, &target).await,
                    other => panic!("{other} {path} is of no kind that this test knows"),
                };
                site.check(&format!("{method} {target}"), before, received).await;
            }
        }
    }
    for (list, row, rows) in [
        ("/dm/", "/\" data-user=", full_lists::CHATS),
        ("/chat/", "value=\"decline\"", full_lists::INVITATIONS),
        ("/chat/cellar/members/", "value=\"remove\"", 2 * full_lists::MEMBERS),
    ] {
        let page = site.ann.get(&site.node, list).await;
        assert_eq!(page.body.matches(row).count(), rows, "{list} was full");
    }
    for deed in deeds {
        do_deed(&mut site, &deed).await;
    }
}

/// Sends a request that changes something.
async fn do_deed(site: &mut Site, deed: &Deed) {
    let what = format!("{} {}", deed.way.method, deed.target);
    let mut guest = User::guest(&site.node).await;
    let person = match deed.who {
        Role::Ann => &mut site.ann,
        Role::Guest => &mut guest,
        Role::Operator => &mut site.operator,
    };
    let token = person.token(&site.node).await;
    let origin = format!("http://{}", site.node.address());
    let request = deed.request(person, &Token { cookie: Some(&token), sent: Some(&token) });
    let before = site.spent().await;
    let response = request.header("Origin", &origin).send(&site.node).await;
    assert!(response.status < 400, "{what}: {response:?}");
    site.check(&what, before, response.body.len()).await;
}

/// Opens a socket with as much of the past as there may be, and asks for more; returns the bytes of
/// what it received.
async fn read_socket(person: &User, node: &Node, target: &str) -> usize {
    match target {
        "/ws" => return read_rooms(person, node, target, &["lobby", "@bob"]).await,
        "/ws/admin" => return read_rooms(person, node, target, &["lobby", "cellar"]).await,
        _ => {}
    }
    if target == "/connection/websocket" {
        return read_channels(person, node).await;
    }
    let reads = target.contains("chat") || target.ends_with("/lobby/");
    let mut handshake = person.handshake_at(target);
    if reads {
        handshake = handshake.history(1000);
    }
    let mut member = handshake.connect(node).await;
    let mut received = member.welcome.to_string().len();
    if reads {
        let messages = member.receive_history().await;
        received += json!(messages).to_string().len();
    }
    member.close().await;
    received
}

/// Joins rooms on one connection, with as much of the past as there may be.
async fn read_rooms(person: &User, node: &Node, target: &str, rooms: &[&str]) -> usize {
    let mut connection = RoomsClient::by(&person.handshake_at(target), node).await;
    let mut received = 0;
    for room in rooms {
        let join = json!({ "type": "join", "room": room, "history": 1000 });
        let welcome = connection.join_with(&join).await;
        received += welcome.to_string().len();
        let mut last = json!(null);
        while last != welcome["last"] {
            let message = connection.next(|frame| frame["type"] == "message" && frame["room"] == *room).await;
            received += message.to_string().len();
            last = message["id"].clone();
        }
    }
    received
}

/// Subscribes to a channel from 8 messages ago on, and reads its newest messages.
async fn read_channels(person: &User, node: &Node) -> usize {
    let mut client = CentrifugoClient::by(person, node).await;
    let subscribed = client.subscribe("lobby").await;
    let end = subscribed["offset"].as_u64().expect("an offset");
    let mut received = subscribed.to_string().len();
    client.result("unsubscribe", &json!({ "channel": "lobby" })).await;
    let from = end.saturating_sub(8);
    let recover =
        json!({ "channel": "lobby", "recover": true, "epoch": subscribed["epoch"], "offset": from });
    let recovered = client.result("subscribe", &recover).await;
    assert_eq!(recovered["recovered"], true, "{recovered}");
    for _ in from..end {
        received += client.push("lobby", "pub").await.to_string().len();
    }
    let history =
        client.result("history", &json!({ "channel": "lobby", "limit": 100, "reverse": true })).await;
    received + history.to_string().len()
}

/// Connects in the body of a response, and subscribes to a channel there if clients may.
async fn read_client_stream(person: &User, node: &Node, target: &str) -> usize {
    let subscribe = r#"{"id":2,"subscribe":{"channel":"lobby"}}"#;
    let (first, answer) = if target.contains("/uni_") {
        ("{}".to_owned(), "\"connect\":")
    } else {
        (format!("{{\"id\":1,\"connect\":{{}}}}\n{subscribe}"), "\"subscribe\":")
    };
    let first = encoded(&first);
    let request = person.with_cookies(Request::get(&format!("{target}?cf_connect={first}")));
    let origin = format!("http://{}", node.address());
    let mut connection = Connection::connect(node).await;
    connection.send(&request.header("Origin", &origin).bytes(node.address())).await;
    until(PATIENCE, "the answer", async || {
        let text = String::from_utf8_lossy(connection.buffer()).into_owned();
        let is_answered = text.contains(answer);
        if !is_answered {
            assert!(connection.read_more().await, "{text}");
        }
        holds(is_answered, || text)
    })
    .await;
    connection.buffer().len()
}

/// Opens an event stream with as much of the past as there may be.
async fn read_feed(person: &User, node: &Node, target: &str) -> usize {
    let request = person.with_cookies(Request::get(&format!("{target}?history=1000")));
    let request = request.header("Origin", &format!("http://{}", node.address()));
    let mut stream = EventStream::open(node, request).await;
    let welcome = stream.receive_event("welcome").await.frame;
    let mut received = welcome.to_string().len();
    loop {
        let message = stream.receive_event("message").await.frame;
        received += message.to_string().len();
        if message["id"] == welcome["last"] {
            return received;
        }
    }
}

#[tokio::test]
async fn every_frame_costs_what_the_client_sends_and_receives() {
    const TIMES: usize = 3;
    let site = Site::start().await;
    let mut member = site.ann.join(&site.node, "lobby").await;
    let text = "x".repeat(MESSAGE_BYTES);
    let frames = [
        json!({ "type": "history", "limit": 200 }),
        json!({ "type": "history", "limit": 200, "before": "9999999999999-0" }),
        json!({ "type": "history", "limit": 200, "before": member.welcome["last"] }),
        json!({ "type": "message", "message": "hi", "id": "a" }),
        json!({ "type": "message", "message": text, "id": "b" }),
        json!({ "type": "message", "message": text }),
        json!({ "type": "typing" }),
        json!({ "type": "read", "id": member.welcome["last"] }),
        json!({ "type": "no such type" }),
    ];
    for frame in &frames {
        for _ in 0..TIMES {
            let before = site.spent().await;
            member.send_json(frame).await;
            // Its answer comes after what there is for this one.
            member.send_json(&json!({ "type": "history", "limit": 1 })).await;
            let pages = if frame["type"] == "history" { 2 } else { 1 };
            let mut received = 0;
            for _ in 0..pages {
                received += member.receive_frame("history").await.to_string().len();
            }
            received += member.take_unread().iter().map(|frame| frame.to_string().len()).sum::<usize>();
            let what = frame.to_string().chars().take(80).collect::<String>();
            site.check(&what, before, frame.to_string().len() + received).await;
        }
    }
    let mut plain = TutorialClient::chat(&site.node, "lobby").await;
    for text in ["hi", &text] {
        let before = site.spent().await;
        plain.publish(text).await;
        let received = plain.receive().await.len() + member.receive().await.to_string().len();
        site.check("a message of the plain wire", before, text.len() + received).await;
    }
}

#[tokio::test]
async fn the_users_of_a_dead_node_are_removed_in_short_calls() {
    let Site { redis, node, room, .. } = Site::start().await;
    let _member = V1Client::join(&node, "lobby").await;
    let before = script_calls(&redis).await;
    drop(room);
    until(seconds(60), "the users of the dead node to be removed", async || {
        let fields: usize = redis.query(&["HLEN", "parlor:m:{chat_lobby}"]).await;
        holds(fields <= 4, || format!("{fields} fields"))
    })
    .await;
    let after = script_calls(&redis).await;
    let (calls, time) = (after.0 - before.0, after.1.saturating_sub(before.1));
    assert!(calls >= 50, "{calls} calls");
    assert!(time <= MAX_CALL_TIME * calls, "{calls} calls took {time:?}");
}

/// How many calls of scripts there were, and how long they took.
async fn script_calls(redis: &Redis) -> (u32, Duration) {
    let stats: String = redis.query(&["INFO", "commandstats"]).await;
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:")).expect("scripts");
    let of = |name: &str| {
        let value = line.split(',').find_map(|part| part.strip_prefix(name)).expect("a figure");
        value.parse::<u64>().expect("a number")
    };
    (u32::try_from(of("calls=")).expect("a small number"), Duration::from_micros(of("usec=")))
}
