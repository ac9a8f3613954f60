//! What a join of a room asks Redis for, in round trips, and that nothing admits a client that was
//! not read: while all replies of Redis are held, a node sends what needs no reply.

use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::support::cli::operator;
use crate::support::handshake::Handshake;
use crate::support::jwt_keys::{KeyPair, claims};
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::redis_monitor::RedisMonitor;
use crate::support::redis_proxy::{Direction, RedisProxy};
use crate::support::rooms_client::RoomsClient;
use crate::support::user::User;
use crate::support::v1_client::V1Client;
use crate::support::wait::{PATIENCE, holds, until};

/// What the keys and channels of the room `den` have in them.
const ROOM: &str = "{chat_den}";
const MEMBERS: &str = "parlor:m:{chat_den}";
const RECORD: &str = "parlor:record:room:{chat_den}";
const CHANNEL: &str = "parlor:c:{chat_den}";

/// A node whose Redis is behind a proxy, and the commands that Redis receives.
struct Site {
    redis: Redis,
    proxy: RedisProxy,
    node: Node,
    monitor: RedisMonitor,
}

impl Site {
    async fn start() -> Self {
        let redis = Redis::start().await;
        let proxy = RedisProxy::start(&redis).await;
        let pair = KeyPair::for_algorithm(Algorithm::EdDSA);
        let plan = Node::plan().flag("--token-key-file", pair.file().to_str().expect("UTF-8"));
        let plan = plan.flag("--token-algorithm", "EdDSA").flag("--redis-url", &proxy.url());
        let (node, monitor) = (plan.start().await, redis.monitor().await);
        Self { redis, proxy, node, monitor }
    }

    /// The commands about the room since the last call, those of scripts left out.
    async fn asked(&mut self) -> Vec<String> {
        let commands = self.monitor.commands().await;
        commands.into_iter().filter(|it| it.contains(ROOM) && !it.contains(" lua]")).collect()
    }

    /// Waits for the call that gives a user a seat in the room; no reply reaches the node.
    async fn first_round_trip(&mut self) -> Vec<String> {
        let mut asked = Vec::new();
        until(PATIENCE, "a seat in the first round trip", async || {
            asked.extend(self.asked().await);
            holds(asked.iter().any(|it| it.contains("EVALSHA") && it.contains(MEMBERS)), || {
                format!("{asked:?}")
            })
        })
        .await;
        asked
    }

    /// The client joins the room in one round trip.
    async fn joins_in_one(&mut self, who: &str, client: &mut RoomsClient) {
        self.asked().await;
        self.proxy.hold(Direction::FromRedis);
        client.send(&json!({ "type": "join", "room": "den" })).await;
        self.first_round_trip().await;
        self.proxy.open();
        client.next_of("welcome").await;
        assert_eq!(self.asked().await, [""; 0], "{who}: a second round trip");
    }

    /// All have left the room, and the node has forgotten it.
    async fn until_empty(&self) {
        self.redis.wait_for_subscribers(CHANNEL, 0).await;
    }
}

fn token(sub: &str) -> String {
    KeyPair::for_algorithm(Algorithm::EdDSA).token(&claims(sub))
}

#[tokio::test]
async fn the_first_join_of_a_room_on_a_node_is_one_round_trip() {
    let mut site = Site::start().await;
    for (who, handshake) in [
        ("a stranger", Handshake::at("/ws")),
        ("a guest", Handshake::at("/ws").with_guest(1)),
        ("a token's user", Handshake::at("/ws").token(&token("bob"))),
    ] {
        let mut client = RoomsClient::by(&handshake, &site.node).await;
        site.joins_in_one(who, &mut client).await;
        drop(client);
        site.until_empty().await;
    }
}

#[tokio::test]
async fn a_handshake_with_a_new_room_is_one_round_trip() {
    let mut site = Site::start().await;
    site.proxy.hold(Direction::FromRedis);
    let handshake = Handshake::to_room("den");
    let address = site.node.address();
    let (_client, ()) = tokio::join!(handshake.connect_to(address), async {
        site.first_round_trip().await;
        site.proxy.open();
    });
    assert_eq!(site.asked().await, [""; 0], "a second round trip");
}

#[tokio::test]
async fn a_new_user_of_a_known_room_is_one_round_trip_and_a_known_one_none() {
    let mut site = Site::start().await;
    let _first = V1Client::join(&site.node, "den").await;
    let guest = Handshake::at("/ws").with_guest(1);
    let mut client = RoomsClient::by(&guest, &site.node).await;
    site.joins_in_one("a further user", &mut client).await;
    let mut further = RoomsClient::by(&guest, &site.node).await;
    site.asked().await;
    site.proxy.hold(Direction::Both);
    further.join("den").await;
    site.proxy.open();
    assert_eq!(site.asked().await, [""; 0], "a further socket");
}

#[tokio::test]
async fn a_client_that_is_refused_leaves_no_trace_in_a_private_room() {
    let mut site = Site::start().await;
    let mut ann = User::registered(&site.node, "ann").await;
    assert_eq!(ann.post(&site.node, "/rooms/", &[("room", "den")]).await.status, 303);
    let mut guest = RoomsClient::by(&Handshake::at("/ws").with_guest(1), &site.node).await;
    site.monitor.commands().await;
    let (_, code) = guest.refused(&json!({ "type": "join", "room": "den" })).await;
    assert_eq!(code, "not_found");
    site.until_empty().await;
    let commands = site.monitor.commands().await;
    let is_trace =
        |it: &&String| it.contains("HSET") && it.contains(MEMBERS) || it.contains("\"PUBLISH\" \"parlor:c:");
    assert_eq!(commands.iter().find(is_trace), None);
    assert!(!site.redis.exists(MEMBERS).await && !site.redis.exists("parlor:group:{chat_den}").await);
    // Its members enter as before, also while strangers try.
    let mut member = RoomsClient::by(&ann.handshake_at("/ws"), &site.node).await;
    guest.send(&json!({ "type": "join", "room": "den" })).await;
    assert_eq!(member.join("den").await["members"].as_array().map(Vec::len), Some(1));
    assert_eq!(guest.next_of("error").await["code"], "not_found");
    guest.refused(&json!({ "type": "join", "room": "den" })).await;
    let ack = member.publish("den", "hi").await;
    assert_eq!(member.next_of("message").await["id"], ack["id"]);
    assert_eq!(member.take_unread(), [json!(null); 0], "no joins and leaves");
    assert_eq!(guest.take_unread(), [json!(null); 0]);
}

/// An operator closes the room by way of another node.
async fn close(site: &Site, near: &Node, zed: &mut User) {
    let closed = zed.post(near, "/admin/rooms/den/", &[("action", "close")]).await;
    assert_eq!(closed.status, 303);
    assert!(site.redis.exists(RECORD).await);
}

#[tokio::test]
async fn a_room_that_is_closed_before_redis_is_asked_is_not_entered() {
    let site = Site::start().await;
    let near = Node::on(&site.redis).await;
    let mut zed = operator(&near, &site.redis, "zed").await;
    let _there = V1Client::join(&near, "den").await; // a room to close
    let mut client = RoomsClient::connect(&site.node).await;
    site.proxy.hold(Direction::ToRedis);
    client.send(&json!({ "type": "join", "room": "den" })).await;
    close(&site, &near, &mut zed).await;
    site.proxy.open();
    assert_eq!(client.next_of("error").await["code"], "not_found");
    assert_eq!(client.take_unread(), [json!(null); 0]);
}

#[tokio::test]
async fn a_room_that_is_closed_before_its_answer_arrives_is_left() {
    let mut site = Site::start().await;
    let near = Node::on(&site.redis).await;
    let mut zed = operator(&near, &site.redis, "zed").await;
    let mut client = RoomsClient::connect(&site.node).await;
    site.proxy.hold(Direction::FromRedis);
    client.send(&json!({ "type": "join", "room": "den" })).await;
    site.first_round_trip().await;
    close(&site, &near, &mut zed).await;
    site.proxy.open();
    let end =
        client.next(|frame| ["left", "error"].map(serde_json::Value::from).contains(&frame["type"])).await;
    assert_eq!(end["room"], "den", "{end}");
    // The absence that the node has read by then is not remembered.
    let (_, code) = client.refused(&json!({ "type": "join", "room": "den" })).await;
    assert_eq!(code, "not_found");
}

#[tokio::test]
async fn the_101_does_not_wait_for_a_welcome_that_reads_the_log() {
    let site = Site::start().await;
    let near = Node::on(&site.redis).await;
    let mut writer = V1Client::join(&near, "den").await;
    writer.publish("hi").await;
    let _known = V1Client::join(&site.node, "den").await;
    site.proxy.hold_from("parlor:log:{chat_den}");
    let socket = Handshake::to_room("den").history(1).try_connect(site.node.address()).await;
    site.proxy.wait_until_held().await;
    site.proxy.open();
    let mut client = V1Client::welcomed(socket.expect("a 101")).await;
    assert_eq!(client.receive_texts(1).await, ["hi"]);
}
