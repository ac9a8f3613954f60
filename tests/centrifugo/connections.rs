//! A program subscribes users to channels and moves the end of their tokens, on every node.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio_centrifuge::config::Protocol;
use tokio_centrifuge::protocol::{Command, HistoryRequest, Reply};

use crate::support::body_stream::BodyStream;
use crate::support::centrifugo::{CentrifugoClient, plan, signed, token, token_of};
use crate::support::encoded_client::{ENCODINGS, EncodedClient};
use crate::support::http::Request;
use crate::support::node::{Node, Plan};
use crate::support::program::Program;
use crate::support::redis::Redis;
use crate::support::rooms_client::RoomsClient;
use crate::support::user::{User, password};
use crate::support::wait::{PATIENCE, holds, seconds, until};

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs()
}

/// A program that may do this, a node for it, and another node.
struct Site {
    redis: Redis,
    program: Program,
    other: Node,
}

impl Site {
    async fn start() -> Self {
        Self::by(&plan()).await
    }

    async fn by(plan: &Plan) -> Self {
        let redis = Redis::start().await;
        let program = Program::on(&redis, plan, "connections,publish,disconnect").await;
        let other = plan.clone().redis(&redis).start().await;
        Self { redis, program, other }
    }

    async fn subscribe(&self, params: Value) {
        assert_eq!(self.program.result("subscribe", &params).await, json!({}));
    }

    async fn publish(&self, channel: &str, data: Value) {
        self.program.result("publish", &json!({ "channel": channel, "data": data })).await;
    }
}

#[tokio::test]
async fn a_program_subscribes_each_connection_of_a_user() {
    let site = Site::start().await;
    let mut ann = CentrifugoClient::connect(&site.program.node, "ann").await;
    let mut far = CentrifugoClient::connect(&site.other, "ann").await;
    let connect = json!({ "token": token_of("ann") }).to_string();
    let request = Request::post("/connection/uni_http_stream").body(&connect);
    let mut stream = BodyStream::open(&site.other, request).await;
    stream.next(|push| push["connect"].is_object()).await;
    let mut bob = CentrifugoClient::connect(&site.other, "bob").await;
    site.publish("news", json!("before")).await;
    site.subscribe(json!({ "user": "ann", "channel": "news" })).await;
    for client in [&mut ann, &mut far] {
        let subscribed = client.push("news", "subscribe").await;
        assert_eq!((&subscribed["offset"], &subscribed["positioned"]), (&json!(1), &json!(true)));
        assert_eq!(subscribed["recoverable"], true, "{subscribed}");
        assert!(subscribed["epoch"].as_str().is_some_and(|epoch| epoch.len() == 16), "{subscribed}");
    }
    let subscribed = stream.next(|push| push["subscribe"].is_object()).await;
    assert_eq!(subscribed["channel"], "news", "{subscribed}");
    bob.subscribe("news").await;
    site.publish("news", json!("after")).await;
    for client in [&mut ann, &mut far, &mut bob] {
        assert_eq!(client.data("news", 1).await, [json!("after")]);
    }
    assert_eq!(stream.next(|push| push["pub"].is_object()).await["pub"]["data"], "after");
    // It is a subscription like any other: in lists, for commands, and ended by the server.
    let stats = bob.result("presence_stats", &json!({ "channel": "news" })).await;
    assert_eq!(stats, json!({ "num_clients": 4, "num_users": 2 }));
    ann.publish("news", &json!("said")).await;
    assert_eq!(far.data("news", 1).await, [json!("said")]);
    site.program.result("unsubscribe", &json!({ "user": "ann", "channel": "news" })).await;
    for client in [&mut ann, &mut far] {
        assert_eq!(client.push("news", "unsubscribe").await["code"], 2000);
    }
    bob.publish("news", &json!("still here")).await;
}

#[tokio::test]
async fn a_program_subscribes_one_connection_of_a_user() {
    let site = Site::start().await;
    let mut ann = CentrifugoClient::connect(&site.program.node, "ann").await;
    let mut far = CentrifugoClient::connect(&site.other, "ann").await;
    let mut params = json!({ "user": "ann", "channel": "$deals", "client": far.id() });
    site.subscribe(params.clone()).await;
    far.push("$deals", "subscribe").await;
    for (user, client) in [("ann", "no such connection"), ("bob", far.id()), ("no such user", far.id())] {
        site.subscribe(json!({ "user": user, "channel": "news", "client": client })).await;
    }
    // Instructions arrive in their order.
    site.subscribe(json!({ "user": "ann", "channel": "last" })).await;
    for client in [&mut ann, &mut far] {
        client.push("last", "subscribe").await;
        assert!(client.unread().iter().all(|push| push["channel"] != "news"), "{:?}", client.unread());
    }
    assert_eq!(ann.error("history", &json!({ "channel": "$deals" })).await, 103);
    params["client"] = json!("x".repeat(65));
    assert_eq!(site.program.error("subscribe", &params).await, 107);
}

#[tokio::test]
async fn a_subscription_of_a_program_begins_where_it_says() {
    let site = Site::start().await;
    let mut ann = CentrifugoClient::connect(&site.other, "ann").await;
    for number in 1..=3 {
        site.publish("news", json!(number)).await;
    }
    let mut bob = CentrifugoClient::connect(&site.other, "bob").await;
    let epoch = bob.subscribe("news").await["epoch"].clone();
    let since = |offset: u64, epoch: &Value| json!({ "user": "ann", "channel": "news", "recover_since": { "offset": offset, "epoch": epoch } });
    site.subscribe(since(1, &epoch)).await;
    assert_eq!(ann.push("news", "subscribe").await["offset"], 1);
    assert_eq!(ann.data("news", 2).await, [json!(2), json!(3)]);
    ann.result("unsubscribe", &json!({ "channel": "news" })).await;
    site.subscribe(since(1, &json!("0123456789abcdef"))).await;
    assert_eq!(ann.push("news", "subscribe").await["offset"], 3, "what followed is not known");
    site.publish("news", json!(4)).await;
    assert_eq!(ann.data("news", 1).await, [json!(4)]);
}

#[tokio::test]
async fn both_encodings_have_subscriptions_of_programs() {
    let site = Site::start().await;
    for encoding in ENCODINGS {
        let mut ann = EncodedClient::connect(site.other.address(), encoding, "ann").await;
        site.subscribe(json!({ "user": "ann", "channel": "news" })).await;
        let history =
            || Command::History(HistoryRequest { channel: "news".to_owned(), ..Default::default() });
        until(seconds(5), "the subscription", async || {
            let reply = ann.call(history()).await;
            holds(matches!(reply, Reply::History(_)), || format!("{reply:?}"))
        })
        .await;
        let data = json!(matches!(encoding, Protocol::Json));
        site.publish("news", data.clone()).await;
        assert_eq!(ann.publication("news").await.data, data.to_string().into_bytes());
    }
}

#[tokio::test]
async fn a_program_subscribes_users_only_to_what_they_may_enter() {
    let site = Site::start().await;
    let node = &site.program.node;
    let mut owner = User::registered(node, "owner").await;
    assert_eq!(owner.post(node, "/rooms/", &[("room", "cellar")]).await.status, 303);
    let id = owner.join(node, "lobby").await.user().to_owned();
    let mut own = CentrifugoClient::by(&owner, &site.other).await;
    let mut ann = CentrifugoClient::connect(&site.other, "ann").await;
    let mut guest = CentrifugoClient::connect_with(&site.other, &json!({})).await;
    for (user, channel, code) in [
        ("ann", "cellar", 103),
        ("ann", "push:cellar", 103),
        ("ann", "#bob", 103),
        ("ann", "@owner", 102),
        ("ann", "a/b", 102),
        ("ann", "cafe\u{301}", 102),
        ("ann", "", 107),
        ("ann", &*"x".repeat(256), 107),
        ("", "news", 107),
    ] {
        let params = json!({ "user": user, "channel": channel });
        assert_eq!(site.program.error("subscribe", &params).await, code, "{params}");
    }
    for more in [
        json!({ "session": "s" }),
        json!({ "data": 1 }),
        json!({ "override": { "presence": { "value": true } } }),
        json!({ "expire_at": seconds_since_1970() - 1 }),
        json!({ "expire_at": -1 }),
        json!({ "recover_since": { "offset": 1 } }),
    ] {
        let mut params = json!({ "user": "ann", "channel": "news" });
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(site.program.error("subscribe", &params).await, 107, "{params}");
    }
    site.subscribe(json!({ "user": id, "channel": "cellar" })).await;
    own.push("cellar", "subscribe").await;
    site.subscribe(json!({ "user": "ann", "channel": "push:lobby" })).await;
    ann.push("push:lobby", "subscribe").await;
    // A guest is known by its connections only: what it may not enter is not entered.
    guest.subscribe("lobby").await;
    let guest_id = guest.push("lobby", "join").await["info"]["user"].take();
    site.subscribe(json!({ "user": guest_id, "channel": "cellar" })).await;
    site.subscribe(json!({ "user": guest_id, "channel": "hall" })).await;
    guest.push("hall", "subscribe").await;
    assert!(guest.unread().iter().all(|push| push["channel"] != "cellar"), "{:?}", guest.unread());
    let limited = Program::on(&site.redis, &plan(), "disconnect").await;
    for method in ["subscribe", "refresh"] {
        assert_eq!(limited.error(method, &json!({ "user": "ann" })).await, 103, "{method}");
    }
}

#[tokio::test]
async fn the_log_names_the_channel_that_a_client_may_not_enter() {
    let site = Site::by(&plan().flag("--log-level", "debug")).await;
    let mut owner = User::registered(&site.other, "owner").await;
    assert_eq!(owner.post(&site.other, "/rooms/", &[("room", "cellar")]).await.status, 303);
    let mut guest = CentrifugoClient::connect_with(&site.other, &json!({})).await;
    guest.subscribe("lobby").await;
    let user = guest.push("lobby", "join").await["info"]["user"].take();
    site.subscribe(json!({ "user": user, "channel": "push:cellar" })).await;
    let is_it = |line: &str| line.contains("may not enter") && line.contains("channel=\"push:cellar\"");
    site.other.log().wait_for("the channel", PATIENCE, is_it).await;
}

#[tokio::test]
async fn a_channel_that_a_connection_has_is_not_joined_again() {
    let site = Site::start().await;
    let mut ann = CentrifugoClient::connect(&site.other, "ann").await;
    ann.subscribe("news").await;
    ann.subscribe("chat:hall").await;
    for channel in ["news", "#ann", "news"] {
        site.subscribe(json!({ "user": "ann", "channel": channel })).await;
    }
    site.subscribe(json!({ "user": "ann", "channel": "last" })).await;
    ann.push("last", "subscribe").await;
    assert!(ann.unread().iter().all(|push| push.get("subscribe").is_none()), "{:?}", ann.unread());
    site.publish("news", json!(1)).await;
    site.publish("news", json!(2)).await;
    assert_eq!(ann.data("news", 2).await, [json!(1), json!(2)]);
    assert_eq!(ann.error("subscribe", &json!({ "channel": "last" })).await, 105);
}

#[tokio::test]
async fn a_connection_that_has_all_its_channels_is_closed() {
    let site = Site::by(&plan().flag("--max-channels", "2")).await;
    let mut ann = CentrifugoClient::connect(&site.other, "ann").await;
    let mut bob = CentrifugoClient::connect(&site.other, "bob").await;
    site.subscribe(json!({ "user": "ann", "channel": "a" })).await;
    ann.push("a", "subscribe").await;
    site.subscribe(json!({ "user": "ann", "channel": "b" })).await;
    assert_eq!(ann.closed().await, (3505, "channel limit".to_owned()));
    bob.subscribe("a").await;
}

#[tokio::test]
async fn a_subscription_of_a_program_ends_when_it_says() {
    let site = Site::start().await;
    let mut ann = CentrifugoClient::connect(&site.other, "ann").await;
    let at = seconds_since_1970() + PATIENCE.as_secs();
    site.subscribe(json!({ "user": "ann", "channel": "news", "expire_at": at })).await;
    ann.push("news", "subscribe").await;
    let history = json!({ "channel": "news" });
    until(seconds(60), "the end of the subscription", async || {
        let reply = ann.call("history", &history).await;
        holds(reply["error"]["code"] == 103, || reply.to_string())
    })
    .await;
    assert_eq!(ann.push("news", "unsubscribe").await["code"], 2501);
}

#[tokio::test]
async fn a_program_moves_the_end_of_a_token() {
    let site = Site::start().await;
    let connect = |user: &str, end: u64| json!({ "token": token(&json!({ "sub": user, "exp": seconds_since_1970() + end })) });
    let mut ann = CentrifugoClient::connect_with(&site.program.node, &connect("ann", 100)).await;
    let mut far = CentrifugoClient::connect_with(&site.other, &connect("ann", 100)).await;
    let at = seconds_since_1970() + 1000;
    site.program.result("refresh", &json!({ "user": "ann", "expire_at": at })).await;
    for client in [&mut ann, &mut far] {
        let refreshed = client.push_of_connection("refresh").await;
        assert_eq!(refreshed["expires"], true, "{refreshed}");
        assert!((990..=1000).contains(&refreshed["ttl"].as_u64().unwrap_or_default()), "{refreshed}");
    }
    let id = far.id().to_owned();
    site.program.result("refresh", &json!({ "user": "ann", "client": id })).await;
    assert_eq!(far.push_of_connection("refresh").await, json!({}), "weak tokens need no end");
    site.program.result("refresh", &json!({ "user": "ann", "client": id, "expired": true })).await;
    assert_eq!(far.closed().await, (3005, "connection expired".to_owned()));
    ann.subscribe("lobby").await;
}

#[tokio::test]
async fn an_extended_token_keeps_its_connection_and_a_shortened_one_does_not() {
    let site = Site::start().await;
    let token = |user: &str, end: u64| json!({ "token": token(&json!({ "sub": user, "exp": end })) });
    let end = seconds_since_1970() + PATIENCE.as_secs();
    let mut ann = CentrifugoClient::connect_with(&site.other, &token("ann", end)).await;
    let mut bob = CentrifugoClient::connect_with(&site.other, &token("bob", end)).await;
    let mut eve = CentrifugoClient::connect_with(&site.other, &token("eve", end + 1000)).await;
    let refresh = async |user: &str, at: u64| {
        site.program.result("refresh", &json!({ "user": user, "expire_at": at })).await;
    };
    refresh("ann", end + 1000).await;
    refresh("eve", end).await;
    for client in [&mut bob, &mut eve] {
        assert_eq!(client.closed_within(seconds(60)).await, (3005, "connection expired".to_owned()));
    }
    ann.subscribe("lobby").await;
}

#[tokio::test]
async fn a_program_ends_all_connections_of_a_token_on_every_wire() {
    let site = Site::start().await;
    let mut ann = CentrifugoClient::connect(&site.program.node, "ann").await;
    let mut far = CentrifugoClient::connect(&site.other, "ann").await;
    let mut bob = CentrifugoClient::connect(&site.other, "bob").await;
    site.program.result("refresh", &json!({ "user": "ann", "expired": true })).await;
    for client in [&mut ann, &mut far] {
        assert_eq!(client.closed().await, (3005, "connection expired".to_owned()));
    }
    let past = json!({ "user": "bob", "expire_at": seconds_since_1970() - 100 });
    site.program.result("refresh", &past).await;
    assert_eq!(bob.closed().await, (3005, "connection expired".to_owned()));
    let audited: Vec<String> =
        site.redis.query(&["ZRANGE", "parlor:index:audit:#connections-publish-disconnect", "0", "-1"]).await;
    assert_eq!(audited.iter().filter(|entry| entry.contains(r#""expire""#)).count(), 2, "{audited:?}");
}

#[tokio::test]
async fn what_is_no_token_is_not_refreshed() {
    let secret = "0123456789abcdefghijklmnopqrstuv";
    let plan = Node::plan().env("PARLOR_TOKEN_KEY", secret).env("PARLOR_TOKEN_ALGORITHM", "HS256");
    let site = Site::by(&plan).await;
    let account = User::registered(&site.program.node, "owner").await;
    let id = account.join(&site.program.node, "lobby").await.user().to_owned();
    let mut own = CentrifugoClient::by(&account, &site.other).await;
    let at = seconds_since_1970() + 1000;
    for (params, code) in [
        (json!({ "user": id, "expire_at": at }), 108),
        (json!({ "user": id, "expired": true }), 108),
        (json!({ "user": "0123456789abcdef", "expire_at": at }), 108),
        (json!({ "user": "", "expire_at": at }), 107),
        (json!({ "user": "ann" }), 107),
        (json!({ "user": "ann", "expire_at": at, "session": "s" }), 107),
        (json!({ "user": "ann", "expire_at": at, "data": 1 }), 107),
        (json!({ "user": "ann", "expire_at": "soon" }), 107),
    ] {
        assert_eq!(site.program.error("refresh", &params).await, code, "{params}");
    }
    site.program.result("refresh", &json!({ "user": "no such user", "expire_at": at })).await;
    own.subscribe("lobby").await;
    // The longest end that there is.
    let ending = signed(&json!({ "sub": "ann", "exp": at }), secret);
    let mut ann = CentrifugoClient::connect_with(&site.other, &json!({ "token": ending })).await;
    site.program.result("refresh", &json!({ "user": "ann", "expire_at": u64::MAX })).await;
    assert_eq!(ann.push_of_connection("refresh").await["expires"], true);
    ann.subscribe("lobby").await;
}

#[tokio::test]
async fn connections_of_other_wires_are_not_subscribed() {
    let site = Site::start().await;
    let account = User::registered(&site.program.node, "ann").await;
    let id = account.join(&site.program.node, "lobby").await.user().to_owned();
    let mut rooms = RoomsClient::by(&account.handshake_at("/ws"), &site.other).await;
    let mut own = CentrifugoClient::by(&account, &site.other).await;
    site.subscribe(json!({ "user": id, "channel": "news" })).await;
    own.push("news", "subscribe").await;
    assert_eq!(rooms.join("news").await["room"], "news");
}

#[tokio::test]
async fn a_program_that_subscribes_and_unsubscribes_at_once_has_unsubscribed() {
    let site = Site::start().await;
    let mut ann = CentrifugoClient::connect(&site.other, "ann").await;
    for number in 0..10 {
        let (news, last) = (format!("news{number}"), format!("last{number}"));
        let about = |channel: &str| json!({ "user": "ann", "channel": channel });
        let commands = json!([
            { "subscribe": about(&news) },
            { "unsubscribe": about(&news) },
            { "unsubscribe": about(&last) },
            { "subscribe": about(&last) },
        ]);
        site.program.carry_out(&commands).await;
        ann.push(&last, "subscribe").await;
        assert_eq!(ann.error("history", &json!({ "channel": news })).await, 103);
        ann.publish(&last, &json!(1)).await;
    }
}

/// Changes the subscriptions of a user by these methods, one after the other, before the task of a
/// connection comes to what its client sends next. Returns the connection, which has sent `next`.
async fn changed_while_busy(site: &Site, methods: &[&str], next: Value) -> CentrifugoClient {
    let node = &site.program.node;
    let about = json!({ "user": "ann", "channel": "quiet:news" });
    let big = json!({ "publish": { "channel": "big", "data": "x".repeat(4000) } });
    for _ in 0..3 {
        site.program.batch(20, &big).await;
    }
    site.publish("quiet:news", json!("before")).await;
    let mut bob = CentrifugoClient::connect(node, "bob").await;
    bob.subscribe("quiet:news").await;
    let mut ann = CentrifugoClient::connect(node, "ann").await;
    ann.subscribe("big").await;
    // More than fits on the way to a client that does not read.
    let history = |id: usize| json!({ "id": 100 + id, "history": { "channel": "big", "limit": 50 } });
    let commands: Vec<_> = (0..BUSY_COMMANDS).map(|id| history(id).to_string()).collect();
    ann.send(&commands.join("\n")).await;
    ann.send(&next.to_string()).await;
    let mut last = CentrifugoClient::connect(node, "ann").await;
    let mut commands: Vec<_> = methods.iter().map(|method| json!({ *method: about })).collect();
    commands.push(json!({ "subscribe": { "user": "ann", "channel": "last", "client": last.id() } }));
    site.program.carry_out(&json!(commands)).await;
    last.push("last", "subscribe").await; // the other connection has its instructions, too
    ann.reply(99 + BUSY_COMMANDS as u64).await;
    ann
}

/// Costly commands that one frame has.
const BUSY_COMMANDS: usize = 40;

/// Returns the kinds of the pushes of a channel that a client has received, in their order.
fn kinds(client: &CentrifugoClient, channel: &str) -> Vec<String> {
    let pushes = client.unread().iter().filter(|push| push["channel"] == channel);
    let members = pushes.flat_map(|push| push.as_object().expect("a push").keys());
    members.filter(|member| *member != "channel").cloned().collect()
}

fn unlimited() -> Plan {
    plan()
        .flag("--reads-per-second", "0")
        .flag("--messages-per-second", "0")
        .flag("--publishes-per-second", "0")
}

#[tokio::test]
async fn a_client_learns_of_its_subscriptions_in_the_order_of_their_changes() {
    let site = Site::by(&unlimited()).await;
    let methods = ["subscribe", "unsubscribe", "subscribe"];
    let mut ann =
        changed_while_busy(&site, &methods, json!({ "id": 1000, "history": { "channel": "big" } })).await;
    ann.reply(1000).await;
    site.publish("quiet:news", json!("after")).await;
    assert_eq!(ann.data("quiet:news", 1).await, [json!("after")]);
    assert_eq!(kinds(&ann, "quiet:news"), methods);
}

#[tokio::test]
async fn the_end_of_a_subscription_comes_before_the_reply_to_unsubscribe() {
    let site = Site::by(&unlimited()).await;
    let methods = ["subscribe", "unsubscribe"];
    let next = json!({ "id": 1000, "unsubscribe": { "channel": "quiet:news" } });
    let mut ann = changed_while_busy(&site, &methods, next).await;
    ann.reply(1000).await;
    assert_eq!(kinds(&ann, "quiet:news"), methods);
}

#[tokio::test]
async fn a_program_changes_connections_of_a_node_without_redis() {
    let plan = plan().flag("--operator", "boss").env("PARLOR_OPERATOR_PASSWORD", &password("boss"));
    let node = plan.start().await;
    let mut operator = User::logged_in(&node, "boss").await;
    let fields = [("action", "make"), ("name", "backend"), ("scope_connections", "on")];
    let page = operator.post(&node, "/admin/keys/", &fields).await;
    let key = page.body.split(['<', '>', '"']).find(|text| text.starts_with("plk_"));
    let program = Program { key: key.unwrap_or_else(|| panic!("{page:?}")).to_owned(), node };
    let mut ann = CentrifugoClient::connect(&program.node, "ann").await;
    program.result("subscribe", &json!({ "user": "ann", "channel": "news" })).await;
    ann.push("news", "subscribe").await;
    program.result("refresh", &json!({ "user": "ann", "expire_at": seconds_since_1970() + 100 })).await;
    assert_eq!(ann.push_of_connection("refresh").await["expires"], true);
    program.result("refresh", &json!({ "user": "ann", "client": ann.id(), "expired": true })).await;
    assert_eq!(ann.closed().await, (3005, "connection expired".to_owned()));
}

#[tokio::test]
async fn what_a_program_subscribes_counts_as_no_read_of_the_client() {
    let site = Site::by(&plan().flag("--reads-per-second", "1").flag("--messages-per-second", "1000")).await;
    let mut ann = CentrifugoClient::connect(&site.other, "ann").await;
    let mut count = 0;
    until(PATIENCE, "the limit of reads", async || {
        count += 1;
        let reply = ann.call("subscribe", &json!({ "channel": format!("own{count}") })).await;
        holds(reply["error"]["code"] == 111, || reply.to_string())
    })
    .await;
    // More than the client might read meanwhile.
    let names: Vec<_> = (0..50).map(|number| format!("news{number}")).collect();
    let commands: Vec<_> =
        names.iter().map(|name| json!({ "subscribe": { "user": "ann", "channel": name } })).collect();
    site.program.carry_out(&json!(commands)).await;
    for name in &names {
        ann.push(name, "subscribe").await;
    }
}
