//! Rights that end while a node receives nothing of Redis: for each way of being disconnected, each
//! right and each wire, the socket is closed before anything else is delivered on it.

use std::time::Duration;

use jsonwebtoken::Algorithm;
use tokio::time::sleep;

use crate::support::cli::{key, operator};
use crate::support::event_stream::{EventStream, stream_of};
use crate::support::handshake::{Handshake, V1};
use crate::support::http::Request;
use crate::support::jwt_keys::{KeyPair, claims};
use crate::support::node::Node;
use crate::support::process::Signal;
use crate::support::redis::Redis;
use crate::support::redis_proxy::RedisProxy;
use crate::support::tutorial_client::{TutorialClient, chat_path};
use crate::support::user::User;
use crate::support::v1_client::V1Client;
use crate::support::wait::{PATIENCE, seconds, until, within};
use crate::support::websocket::WebSocket;

/// What is said in each room after the rights have ended.
const SECRET: &str = "what only those who stay may read";
/// Longer than a node takes to be found dead.
const LONG_CUT: Duration = seconds(12);
/// The close codes of a client that may not stay, and of one that has to connect again.
const ENDED: &[u16] = &[4401, 4403];
const RENEWED: &[u16] = &[1012];

/// How the far node is disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    SubscriptionsKilled,
    SubscriptionsMuted,
    CutForAMoment,
    CutLongerThanTheLease,
    NodeFrozen,
    RedisRestarted,
    /// Cut, and the log of decisions is gone when it is back.
    DecisionsLost,
}

/// A socket or stream on the far node.
enum Line {
    Socket(WebSocket),
    Stream(EventStream),
}

/// The keys of the tokens that both nodes accept.
fn pair() -> KeyPair {
    KeyPair::for_algorithm(Algorithm::EdDSA)
}

struct Case {
    name: String,
    line: Line,
    codes: &'static [u16],
}

/// Two nodes, of which the far one has its Redis behind a proxy, and sockets on it.
struct Site {
    redis: Redis,
    proxy: RedisProxy,
    near: Node,
    far: Node,
    cases: Vec<Case>,
}

impl Site {
    async fn start() -> Self {
        let redis = Redis::with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
        let proxy = RedisProxy::start(&redis).await;
        // The sockets of a node that is cut off for long would be moved to another one.
        let plan = Node::plan().flag("--token-key-file", pair().file().to_str().expect("UTF-8"));
        let plan = plan.flag("--token-algorithm", "EdDSA");
        let far = plan.clone().flag("--redis-url", &proxy.url()).flag("--move-on-seconds", "0");
        let (near, far) = (plan.redis(&redis).start().await, far.start().await);
        Self { redis, proxy, near, far, cases: Vec::new() }
    }

    /// Opens a socket at this path on `parlor.v1` or on the plain wire, with these cookies.
    async fn open(&mut self, right: &str, user: &User, path: &str, is_v1: bool, codes: &'static [u16]) {
        let address = self.far.address();
        let mut headers = vec![("cookie", user.cookies()), ("origin", format!("http://{address}"))];
        if is_v1 {
            headers.push(("sec-websocket-protocol", V1.to_owned()));
        }
        let socket = WebSocket::connect(address, path, &headers).await;
        let wire = if is_v1 { "v1" } else { "plain" };
        let name = format!("{right} on {wire} at {path}");
        let mut socket = socket.unwrap_or_else(|error| panic!("{name}: {error}"));
        if is_v1 {
            within(PATIENCE, "a welcome", socket.next_data()).await;
        }
        self.cases.push(Case { name, line: Line::Socket(socket), codes });
    }

    /// Opens a socket and a stream in the lobby with this API key or token.
    async fn open_with_token(&mut self, right: &str, token: &str) {
        let socket = Handshake::to_room("lobby").token(token).try_connect(self.far.address()).await;
        let line = Line::Socket(socket.expect("a handshake"));
        self.cases.push(Case { name: right.to_owned(), line, codes: ENDED });
        let request = Request::get(&stream_of("lobby")).header("Authorization", &format!("Bearer {token}"));
        let line = Line::Stream(EventStream::open(&self.far, request).await);
        self.cases.push(Case { name: format!("{right} on SSE"), line, codes: ENDED });
    }

    async fn stream(&mut self, right: &str, user: &User, room: &str) {
        let request = user.with_cookies(Request::get(&stream_of(room)));
        let line = Line::Stream(EventStream::open(&self.far, request).await);
        self.cases.push(Case { name: format!("{right} on SSE in {room}"), line, codes: ENDED });
    }

    /// Opens each wire of a room.
    async fn all_wires(&mut self, right: &str, user: &User, room: &str) {
        for path in [chat_path(room), format!("/ws/push/{room}")] {
            for is_v1 in [true, false] {
                self.open(right, user, &path, is_v1, ENDED).await;
            }
        }
        self.stream(right, user, room).await;
    }

    /// Ends the subscriptions of the far node, or all that it receives.
    async fn disconnect(&mut self, way: Way) {
        match way {
            Way::SubscriptionsKilled => {
                self.redis.query::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
            }
            Way::SubscriptionsMuted => self.proxy.mute_subscribers(),
            Way::NodeFrozen => self.far.signal(Signal::SIGSTOP),
            Way::CutForAMoment | Way::CutLongerThanTheLease | Way::DecisionsLost => self.proxy.cut(),
            Way::RedisRestarted => {
                self.proxy.cut();
                self.redis.kill();
                self.redis.restart().await;
            }
        }
    }

    async fn reconnect(&mut self, way: Way) {
        match way {
            Way::SubscriptionsKilled | Way::SubscriptionsMuted => {}
            Way::NodeFrozen => self.far.signal(Signal::SIGCONT),
            Way::CutForAMoment | Way::RedisRestarted => self.proxy.open(),
            Way::CutLongerThanTheLease => {
                sleep(LONG_CUT).await;
                self.proxy.open();
            }
            Way::DecisionsLost => {
                assert_eq!(self.redis.query::<i64>(&["DEL", "parlor:{control}:log"]).await, 1);
                self.proxy.open();
            }
        }
    }

    /// Waits for the end of every line, and looks at what came before.
    async fn all_end(&mut self, limit: Duration) {
        for Case { name, line, codes } in &mut self.cases {
            let is_leak = |text: &str| text.contains(SECRET) || text.contains("\"unread\"");
            match line {
                Line::Socket(socket) => {
                    let mut leaks = Vec::new();
                    let on_text = |text: &str| leaks.extend(is_leak(text).then(|| text.to_owned()));
                    let (code, reason) = within(limit, name, socket.closed(limit, on_text)).await;
                    assert!(codes.contains(&code), "{name}: {code} {reason}");
                    assert!(leaks.is_empty(), "{name} received {leaks:?}");
                }
                Line::Stream(stream) => {
                    while let Some(part) = stream.next_part(limit).await {
                        assert!(!is_leak(&part.frame.to_string()), "{name} received {part:?}");
                    }
                }
            }
        }
    }
}

async fn rights_end(way: Way) {
    let mut site = Site::start().await;
    // Rights by account, membership, login, role, nickname, and key; rooms that are closed.
    let mut ann = operator(&site.near, &site.redis, "ann").await;
    let mut owner = User::registered(&site.near, "owner").await;
    assert_eq!(owner.post(&site.near, "/rooms/", &[("room", "plans")]).await.status, 303);
    let mut bob = User::registered(&site.near, "bob").await;
    let members = "/chat/plans/members/";
    let invited = owner.post(&site.near, members, &[("action", "invite"), ("name", "bob")]).await;
    assert_eq!(invited.status, 303, "{invited:?}");
    let accept = [("room", "plans"), ("action", "accept")];
    assert_eq!(bob.post(&site.near, "/invitations/", &accept).await.status, 303);
    let (dog, cat) = (User::registered(&site.near, "dog").await, User::registered(&site.near, "cat").await);
    let (mut dan, eve) =
        (User::registered(&site.near, "dan").await, User::registered(&site.near, "eve").await);
    let sam = operator(&site.near, &site.redis, "sam").await;
    let gus = User::guest(&site.near).await;
    let mut nic = User::guest(&site.near).await;
    assert_eq!(nic.post(&site.near, "/accounts/guest/", &[("nickname", "nic")]).await.status, 303);
    let billing = key(&site.redis, "billing", "publish,read").await;
    let tom = pair().token(&claims("tom"));

    let stranger = User::anonymous();
    for path in [chat_path("den"), "/ws/push/den".to_owned()] {
        for is_v1 in [true, false] {
            site.open("a closed room", &stranger, &path, is_v1, ENDED).await;
        }
    }
    site.stream("a closed room", &stranger, "den").await;
    site.all_wires("a membership", &bob, "plans").await;
    site.all_wires("a banned account", &cat, "lobby").await;
    site.all_wires("a banned guest", &gus, "lobby").await;
    site.all_wires("an ended login", &eve, "lobby").await;
    for (right, user) in [("a banned account", &cat), ("a logout", &dan)] {
        site.open(right, user, "/ws/inbox/", true, ENDED).await;
        site.open(right, user, &chat_path("@dog"), true, ENDED).await;
        site.open(right, user, &chat_path("@dog"), false, ENDED).await;
        site.stream(right, user, "@dog").await;
    }
    site.open("an operator", &sam, "/ws/admin/lobby/", true, RENEWED).await;
    site.open("a nickname", &nic, &chat_path("lobby"), true, RENEWED).await;
    site.open_with_token("a key", &billing).await;
    site.open_with_token("a token of a banned user", &tom).await;
    let mut stays =
        (V1Client::join(&site.far, "lobby").await, TutorialClient::chat(&site.far, "lobby").await);
    let id_of = async |user: &User| user.join(&site.near, "hall").await.user().to_owned();
    let (cat_id, gus_id, eve_id, sam_id) =
        (id_of(&cat).await, id_of(&gus).await, id_of(&eve).await, id_of(&sam).await);
    let tom = Handshake::to_room("hall").token(&tom).connect(&site.near).await.user().to_owned();

    site.disconnect(way).await;
    let near = &site.near;
    let decisions = [
        ("/admin/rooms/den/", "close", ""),
        ("/admin/users/", "ban", &*cat_id),
        ("/admin/users/", "ban", &gus_id),
        ("/admin/users/", "ban", &tom),
        ("/admin/users/", "end_logins", &eve_id),
        ("/admin/users/", "staff_off", &sam_id),
    ];
    for (path, action, user) in decisions {
        let fields = [("action", action), ("user", user)];
        until_done(&mut ann, near, path, &fields).await;
    }
    until_done(&mut ann, near, "/admin/keys/", &[("action", "revoke"), ("name", "billing")]).await;
    until_done(&mut owner, near, members, &[("action", "remove"), ("name", "bob")]).await;
    until_done(&mut nic, near, "/accounts/guest/", &[("nickname", "")]).await;
    assert_eq!(dan.log_out(near).await.status, 303);
    for (user, path) in [
        (&owner, chat_path("plans")),
        (&ann, "/ws/admin/den/".to_owned()),
        (&dog, chat_path("@cat")),
        (&dog, chat_path("@dan")),
        (&dog, chat_path("lobby")),
    ] {
        let socket = until(PATIENCE, &format!("a socket at {path}"), async || {
            user.handshake_at(&path).try_connect(near.address()).await.map_err(|error| error.to_string())
        })
        .await;
        V1Client::welcomed(socket).await.publish_until_acked("once", SECRET, PATIENCE).await;
    }

    site.reconnect(way).await;
    site.all_end(seconds(8)).await;
    site.proxy.open();
    assert_eq!(stays.0.receive().await["text"], SECRET, "the others receive it");
    assert_eq!(stays.1.receive_chat().await, SECRET, "the others receive it");
}

/// Sends a form until the node does what it says: it may be reconnecting itself.
async fn until_done(user: &mut User, node: &Node, path: &str, fields: &[(&str, &str)]) {
    until(seconds(25), &format!("{fields:?} at {path}"), async || {
        let response = user.post(node, path, fields).await;
        if response.status == 303 { Ok(()) } else { Err(format!("{response:?}")) }
    })
    .await;
}

/// Declares a test for each way.
macro_rules! ways {
    ($($name:ident = $way:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                rights_end(Way::$way).await;
            }
        )*
    };
}

ways! {
    rights_end_while_subscriptions_are_killed = SubscriptionsKilled
    rights_end_while_subscriptions_receive_nothing = SubscriptionsMuted
    rights_end_while_a_node_is_cut_for_a_moment = CutForAMoment
    rights_end_while_a_node_is_cut_longer_than_its_lease = CutLongerThanTheLease
    rights_end_while_a_node_is_frozen = NodeFrozen
    rights_end_while_redis_restarts = RedisRestarted
    rights_end_while_the_log_of_decisions_is_lost = DecisionsLost
}

#[tokio::test]
async fn a_socket_of_a_name_that_became_private_meanwhile_is_closed() {
    let mut site = Site::start().await;
    let mut alice = User::registered(&site.near, "alice").await;
    let stranger = User::anonymous();
    site.all_wires("a public name", &stranger, "plans").await;
    for case in &mut site.cases {
        case.codes = RENEWED;
    }
    site.proxy.cut();
    // The far node's members count until it is found dead.
    until_done(&mut alice, &site.near, "/rooms/", &[("room", "plans")]).await;
    alice.join(&site.near, "plans").await.publish(SECRET).await;
    site.proxy.open();
    site.all_end(PATIENCE).await;
}

#[tokio::test]
async fn an_emptied_redis_closes_what_rested_on_its_records() {
    let mut site = Site::start().await;
    let mut owner = User::registered(&site.near, "owner").await;
    assert_eq!(owner.post(&site.near, "/rooms/", &[("room", "board")]).await.status, 303);
    let mut nic = User::guest(&site.near).await;
    assert_eq!(nic.post(&site.near, "/accounts/guest/", &[("nickname", "nic")]).await.status, 303);
    let billing = key(&site.redis, "billing", "publish,read").await;
    site.all_wires("a private room", &owner, "board").await;
    site.open("an inbox", &owner, "/ws/inbox/", true, ENDED).await;
    site.open("a nickname", &nic, &chat_path("lobby"), true, RENEWED).await;
    site.open_with_token("a key", &billing).await;
    let mut stays =
        (V1Client::join(&site.far, "lobby").await, TutorialClient::chat(&site.far, "lobby").await);
    site.redis.query::<()>(&["FLUSHALL"]).await;
    site.all_end(PATIENCE).await;
    stays.0.publish_until_acked("once", "still here", PATIENCE).await;
    assert_eq!(stays.1.receive_chat().await, "still here");
}
