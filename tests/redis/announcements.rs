//! A change of rights is announced before it is made: whatever becomes of the node that makes it,
//! no socket keeps a right that has ended.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parlor::{Control, Disconnect};

use crate::support::cli::{key, operator};
use crate::support::handshake::Handshake;
use crate::support::layer_nodes::LayerNode;
use crate::support::node::Node;
use crate::support::process::Signal;
use crate::support::redis::Redis;
use crate::support::redis_proxy::RedisProxy;
use crate::support::user::{SESSION, User};
use crate::support::v1_client::V1Client;
use crate::support::wait::{PATIENCE, holds, seconds, until};

/// The fields of a form.
type Fields<'a> = &'a [(&'a str, &'a str)];

#[tokio::test]
async fn a_right_that_ended_without_a_command_ends_after_its_announcement() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let (ann, bob) = (User::registered(&node, "ann").await, User::registered(&node, "bob").await);
    let (mut stays, mut ends) = (ann.join(&node, "lobby").await, bob.join(&node, "lobby").await);
    ban_record(&redis, "bob").await;
    let other = LayerNode::connect(&redis.url()).await;
    for user in [stays.user(), ends.user()] {
        let announced = Disconnect {
            user: Some(user.to_owned()),
            code: 4403,
            announces: Some(user.to_owned()),
            ..Disconnect::default()
        };
        other.layer.disconnect(&[announced]).await.expect("an announcement");
    }
    assert_eq!(ends.closed(PATIENCE).await, (4403, "banned".to_owned()));
    stays.publish("still here").await;
}

/// Writes what a node writes that ends before it sends the command of a ban.
async fn ban_record(redis: &Redis, name: &str) {
    let record = format!("parlor:record:user:{name}");
    let text: String = redis.query(&["GET", &record]).await;
    let banned = text.replace("\"banned\":false", "\"banned\":true");
    assert_ne!(text, banned);
    redis.query::<()>(&["SET", &record, &banned]).await;
}

/// The ids of the changes that are announced and have not ended.
const ANNOUNCED: &str = "parlor:{control}:announced";
/// What the write of a ban contains.
const BAN: &str = r#""banned":true"#;
/// How long Redis is frozen.
const FREEZE: Duration = seconds(7);
/// The time after a late change, or after its announcement, within which its sockets are closed.
const CLOSED_AFTER_CHANGE: Duration = seconds(4);
const CLOSED_AFTER_ANNOUNCEMENT: Duration = seconds(7);

/// Two nodes, of which one loses its way to Redis when it writes a ban; an operator there, and a
/// user with a socket on the other node.
struct LateBan {
    redis: Redis,
    proxy: RedisProxy,
    deciding: Node,
    _other: Node,
    zed: User,
    socket: V1Client,
}

impl LateBan {
    async fn new() -> Self {
        let redis = Redis::start().await;
        let proxy = RedisProxy::start(&redis).await;
        let deciding = Node::plan().env("REDIS_URL", &proxy.url()).start().await;
        let other = Node::on(&redis).await;
        let mut zed = operator(&deciding, &redis, "zed").await;
        let socket = User::registered(&other, "bob").await.join(&other, "lobby").await;
        // After a first change Redis knows the script, and runs it when the write arrives.
        let eve = User::registered(&other, "eve").await.join(&other, "lobby").await;
        let fields = [("action", "end_logins"), ("user", eve.user())];
        assert_eq!(zed.post(&deciding, "/admin/users/", &fields).await.status, 303);
        Self { redis, proxy, deciding, _other: other, zed, socket }
    }

    /// Bans the user. The write is held on its way to Redis, and the operator gets an error.
    async fn decide(&mut self) {
        self.proxy.hold_from(BAN);
        let user = self.socket.user().to_owned();
        let fields = [("action", "ban"), ("user", user.as_str())];
        let response = self.zed.post(&self.deciding, "/admin/users/", &fields).await;
        assert_eq!(response.status, 503, "{}", response.body);
    }

    /// Lets the write arrive, and waits until Redis has taken it.
    async fn arrive(&self) {
        let mut monitor = self.redis.monitor().await;
        self.proxy.open();
        until(PATIENCE, "the write to arrive", async || {
            let commands = monitor.commands().await;
            let is_write = |command: &String| command.contains("EVALSHA") && command.contains("banned");
            holds(commands.iter().any(is_write), || format!("{commands:#?}"))
        })
        .await;
    }

    async fn is_banned(&self) -> bool {
        for record in self.redis.keys("parlor:record:user:*").await {
            if self.redis.query::<String>(&["GET", &record]).await.contains(BAN) {
                return true;
            }
        }
        false
    }
}

#[tokio::test]
async fn a_change_that_arrives_after_its_time_is_not_made() {
    let mut ban = LateBan::new().await;
    ban.decide().await;
    until(PATIENCE, "the change to end", async || {
        let announced = ban.redis.members(ANNOUNCED).await;
        holds(announced.is_empty(), || format!("{announced:?}"))
    })
    .await;
    ban.arrive().await;
    assert!(!ban.is_banned().await, "the operator got an error, and nodes have asked their sockets");
    ban.socket.publish("still here").await;
}

#[tokio::test]
async fn a_change_that_arrives_in_its_time_without_a_command_closes_sockets() {
    let mut ban = LateBan::new().await;
    let announced = Instant::now();
    ban.decide().await;
    ban.arrive().await;
    assert!(ban.is_banned().await, "within the time of a change");
    assert_eq!(ban.socket.closed(PATIENCE).await, (4403, "banned".to_owned()));
    assert!(announced.elapsed() < CLOSED_AFTER_ANNOUNCEMENT, "{:?}", announced.elapsed());
}

#[tokio::test]
async fn a_change_that_a_frozen_redis_makes_when_it_thaws_closes_sockets() {
    let mut ban = LateBan::new().await;
    ban.decide().await;
    ban.redis.signal(Signal::SIGSTOP);
    // Redis finds it in its socket when it thaws, long after the time of a change.
    ban.proxy.open();
    tokio::time::sleep(FREEZE).await;
    ban.redis.signal(Signal::SIGCONT);
    let thawed = Instant::now();
    assert_eq!(ban.socket.closed(PATIENCE).await, (4403, "banned".to_owned()));
    assert!(thawed.elapsed() < CLOSED_AFTER_CHANGE, "{:?}", thawed.elapsed());
    assert!(ban.is_banned().await);
}

#[tokio::test]
async fn a_ban_that_redis_refuses_closes_no_socket() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut zed = operator(&node, &redis, "zed").await;
    let mut socket = User::registered(&node, "bob").await.join(&node, "lobby").await;
    // Accounts can be read only; all else goes on.
    let rights = ["resetkeys", "%R~parlor:record:u*", "~parlor:record:[^u]*", "~parlor:[^r]*"];
    redis.query::<()>(&[&["ACL", "SETUSER", "default"][..], &rights].concat()).await;
    let fields = [("action", "ban"), ("user", socket.user())];
    let response = zed.post(&node, "/admin/users/", &fields).await;
    assert_eq!(response.status, 503, "{}", response.body);
    socket.publish("still here").await;
    let announced = redis.members(ANNOUNCED).await;
    assert!(announced.is_empty(), "the announcement was taken back: {announced:?}");
}

#[tokio::test]
async fn a_node_that_starts_leaves_changes_that_are_under_way() {
    let redis = Redis::start().await;
    let proxy = RedisProxy::start(&redis).await;
    let node = Node::plan().env("REDIS_URL", &proxy.url()).start().await;
    let mut zed = operator(&node, &redis, "zed").await;
    let mut socket = User::registered(&node, "bob").await.join(&node, "lobby").await;
    let fields = [("action", "ban"), ("user", socket.user())];
    proxy.hold_from(BAN);
    let starts = async {
        until(PATIENCE, "an announcement", async || {
            holds(!redis.members(ANNOUNCED).await.is_empty(), String::new)
        })
        .await;
        let other = LayerNode::connect(&redis.url()).await;
        proxy.open();
        other
    };
    let (response, _other) = tokio::join!(zed.post(&node, "/admin/users/", &fields), starts);
    assert_eq!(response.status, 303, "{}", response.body);
    assert_eq!(socket.closed(PATIENCE).await, (4403, "banned".to_owned()));
}

#[tokio::test]
async fn a_node_that_starts_asks_sockets_of_changes_announced_before() {
    let redis = Redis::start().await;
    let mut first = Node::on(&redis).await;
    let bob = User::registered(&first, "bob").await;
    let id = bob.join(&first, "lobby").await.user().to_owned();
    first.kill();
    // A process that ends after its announcement, and another one of which the log has nothing.
    let other = LayerNode::connect(&redis.url()).await;
    let ban = Disconnect {
        user: Some(id),
        code: 4403,
        announces: Some("0123456789abcdef".to_owned()),
        ..Disconnect::default()
    };
    other.layer.disconnect(&[ban]).await.expect("an announcement");
    redis.query::<u32>(&["SADD", ANNOUNCED, "unknown"]).await;
    let node = Node::on(&redis).await;
    assert_eq!(redis.members(ANNOUNCED).await, ["0123456789abcdef"]);
    let mut socket = bob.join(&node, "lobby").await;
    ban_record(&redis, "bob").await;
    assert_eq!(socket.closed(PATIENCE).await, (4403, "banned".to_owned()));
    assert!(redis.members(ANNOUNCED).await.is_empty());
}

#[tokio::test]
async fn a_client_is_not_admitted_by_what_was_read_before_all_were_asked() {
    const OTHER_LOGINS: usize = 3;
    let redis = Redis::start().await;
    let proxy = RedisProxy::start(&redis).await;
    let node = Node::plan().env("REDIS_URL", &proxy.url()).start().await;
    let bob = User::registered(&node, "bob").await;
    let mut monitor = redis.monitor().await;
    // Each is looked up after bob's login, which takes a round trip, as do the rooms.
    let others = (0..OTHER_LOGINS).map(|n| format!("{SESSION}={}", n.to_string().repeat(43)));
    let cookies: Vec<String> = std::iter::once(bob.cookies()).chain(others).collect();
    proxy.delay_replies();
    let handshake = Handshake::to_room("chat_lobby").with_cookies(&cookies.join("; "));
    let changes = async {
        until(PATIENCE, "the account to be read", async || {
            let commands = monitor.commands().await;
            let is_read = |command: &String| command.contains(r#""GET" "parlor:record:user:bob""#);
            holds(commands.iter().any(is_read), || format!("{commands:#?}"))
        })
        .await;
        ban_record(&redis, "bob").await;
        // The node asks all sockets once it is subscribed again.
        redis.query::<u32>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    };
    let (socket, ()) = tokio::join!(handshake.try_connect(node.address()), changes);
    match socket {
        Err(refusal) => assert!(refusal.to_string().contains("403"), "{refusal}"),
        // Admitted before the others were asked, and asked with them.
        Ok(mut socket) => assert_eq!(socket.closed(PATIENCE, |_| {}).await.0, 4403),
    }
}

#[tokio::test]
async fn each_change_of_rights_is_made_only_while_it_is_announced() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut zed = operator(&node, &redis, "zed").await;
    let mut ann = User::registered(&node, "ann").await;
    let bob = User::registered(&node, "bob").await;
    let id = bob.join(&node, "lobby").await.user().to_owned();
    assert_eq!(ann.post(&node, "/rooms/", &[("room", "board")]).await.status, 303);
    key(&redis, "billing", "publish").await;
    let mut guest = User::guest(&node).await;
    assert_eq!(guest.post(&node, "/accounts/guest/", &[("nickname", "eve1")]).await.status, 303);
    let mut monitor = redis.monitor().await;
    let user = ("user", id.as_str());
    let changes: [(&str, &str, Fields<'_>); 9] = [
        ("private room", "/rooms/", &[("room", "attic")]),
        ("ban", "/admin/users/", &[("action", "ban"), user]),
        ("end of logins", "/admin/users/", &[("action", "end_logins"), user]),
        ("operator", "/admin/users/", &[("action", "staff_on"), user]),
        ("closed room", "/admin/rooms/hall/", &[("action", "close")]),
        ("revoked key", "/admin/keys/", &[("action", "revoke"), ("name", "billing")]),
        ("removal from a room", "/chat/board/members/", &[("action", "remove"), ("name", "bob")]),
        ("logout", "/accounts/logout/", &[]),
        ("nickname", "/accounts/guest/", &[("nickname", "eve2")]),
    ];
    for (change, path, fields) in changes {
        monitor.commands().await;
        let client = match path {
            "/accounts/guest/" => &mut guest,
            "/rooms/" | "/chat/board/members/" => &mut ann,
            _ => &mut zed,
        };
        let response = client.post(&node, path, fields).await;
        assert_eq!(response.status, 303, "{change}: {}", response.body);
        let commands = monitor.commands().await;
        let is_write = |command: &String| {
            ["\"SET\"", "\"DEL\"", "\"ZADD\"", "\"ZREM\"", "\"UNLINK\""]
                .iter()
                .any(|name| command.contains(name))
                && (command.contains("parlor:record:") || command.contains("parlor:index:"))
                // The reservation of a free name, and lists for pages: no right ends.
                && !command.contains("\"PX\"")
                && !["audit", "rooms_of:", "rooms_made:", "invitations:"].iter().any(|list| command.contains(list))
        };
        let is_decision =
            |command: &String| command.contains("\"EVALSHA\"") && command.contains("parlor:{control}:log");
        let is_announcement = |command: &String| is_decision(command) && command.contains("announces");
        let announced =
            commands.iter().position(is_announcement).unwrap_or_else(|| panic!("{change}: {commands:#?}"));
        let written: Vec<usize> = (0..commands.len()).filter(|at| is_write(&commands[*at])).collect();
        let made = commands.iter().rposition(|command| is_decision(command) && !is_announcement(command));
        let made = made.unwrap_or_else(|| panic!("{change} without a command: {commands:#?}"));
        assert!(!written.is_empty(), "{change}: {commands:#?}");
        assert!(written.iter().all(|at| (announced..made).contains(at)), "{change}: {commands:#?}");
        let mut steps = BTreeMap::new();
        for at in written {
            let announcement = commands[..at].iter().rfind(|command| is_announcement(command));
            let id = announcement.and_then(|text| text.split_once(r#"announces\":\""#)).expect("an id").1;
            let guard = format!("\"{ANNOUNCED}\" \"{}\"", &id[..16]);
            let before = commands[..at].iter().rposition(|command| !command.contains(" lua]"));
            let script = &commands[before.expect("a script")..at];
            let step = *steps.entry(id[..16].to_owned()).or_insert(before);
            assert_eq!(step, before, "{change} in several steps: {commands:#?}");
            let is_guarded = script[0].contains("\"EVALSHA\"")
                && script.iter().any(|command| command.contains("SISMEMBER") && command.contains(&guard));
            assert!(is_guarded, "{change}: {} by {script:#?}", commands[at]);
        }
    }
}

#[tokio::test]
async fn a_logout_without_a_session_costs_the_nodes_nothing() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let decisions = async || redis.query::<u64>(&["XLEN", "parlor:{control}:log"]).await;
    let mut mallory = User::guest(&node).await;
    let before = decisions().await;
    for n in 0..5 {
        mallory.set_cookie(SESSION, &format!("{n}").repeat(43));
        assert_eq!(mallory.post(&node, "/accounts/logout/", &[]).await.status, 303);
    }
    assert_eq!(decisions().await, before);
    let mut ann = User::registered(&node, "ann").await;
    let before = decisions().await;
    assert_eq!(ann.log_out(&node).await.status, 303);
    assert_eq!(decisions().await, before + 2, "an announcement and a command");
}
