//! Users of other sites beside accounts: two name spaces, whatever the users are called.

use std::collections::BTreeSet;

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::security::forged_tokens::plan;
use crate::support::centrifugo::CentrifugoClient;
use crate::support::cli::{command, key, operator};
use crate::support::handshake::Handshake;
use crate::support::http::Request;
use crate::support::jwt_keys::{KeyPair, claims, with};
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::redis_snapshot::vault;
use crate::support::user::User;
use crate::support::v1_client::V1Client;
use crate::support::wait::seconds;

/// A site with a Redis, and the key of another site's tokens.
struct Site {
    pair: KeyPair,
    redis: Redis,
    node: Node,
}

impl Site {
    async fn start() -> Self {
        let pair = KeyPair::for_algorithm(Algorithm::EdDSA);
        let redis = Redis::start().await;
        let node = plan(&pair).redis(&redis).flag("--log-level", "trace").start().await;
        Self { pair, redis, node }
    }

    /// A user of the other site, with these claims besides.
    fn outside(&self, sub: &str, others: &Value) -> OutsideUser {
        let token = self.pair.token(&with(&claims(sub), others));
        let browser = User::anonymous().with_header("Authorization", &format!("Bearer {token}"));
        OutsideUser { token, browser }
    }

    /// The name that a user of the other site is shown by.
    async fn shown(&self, sub: &str, others: &Value) -> String {
        let welcome = self.outside(sub, others).join(&self.node, "lobby").await.welcome;
        welcome["name"].as_str().expect("a name").to_owned()
    }

    /// Bans a user, or lifts the ban.
    async fn set_banned(&self, zed: &mut User, id: &str, action: &str) {
        let fields = [("user", id), ("action", action)];
        assert_eq!(zed.post(&self.node, "/admin/users/", &fields).await.status, 303);
    }
}

struct OutsideUser {
    token: String,
    browser: User,
}

impl OutsideUser {
    async fn join(&self, node: &Node, room: &str) -> V1Client {
        Handshake::to_room(room).token(&self.token).connect(node).await
    }

    async fn inbox(&self, node: &Node) -> V1Client {
        Handshake::at("/ws/inbox/").token(&self.token).connect(node).await
    }

    /// The status of a handshake to this room.
    async fn status(&self, node: &Node, room: &str) -> u16 {
        Handshake::to_room(room).token(&self.token).request().send(node).await.status
    }
}

/// How a user is shown that looks like another one.
fn marked(name: &str, id: &str) -> String {
    format!("{name}\u{b7}{}", &id[..4])
}

#[tokio::test]
async fn an_account_and_an_outside_user_of_one_name_are_two_members() {
    let site = Site::start().await;
    let mut alice = User::registered(&site.node, "alice").await.join(&site.node, "lobby").await;
    let outside = site.outside("alice", &json!({}));
    let mut other = outside.join(&site.node, "lobby").await;
    let again = outside.join(&site.node, "lobby").await;
    assert_eq!(other.user(), again.user(), "one user in each of its connections");
    let shown = marked("alice", other.user());
    assert_eq!((&alice.welcome["name"], &other.welcome["name"]), (&json!("alice"), &json!(shown)));
    let mut reader = V1Client::join(&site.node, "lobby").await;
    let names = &reader.welcome["names"];
    assert_eq!((&names[alice.user()], &names[other.user()]), (&json!("alice"), &json!(shown)), "{names}");
    other.publish("from outside").await;
    let message = reader.receive().await;
    assert_eq!((&message["user"], &message["name"]), (&json!(other.user()), &json!(shown)));
    alice.publish("from the account").await;
    let message = reader.receive().await;
    assert_eq!((&message["user"], &message["name"]), (&json!(alice.user()), &json!("alice")));
}

#[tokio::test]
async fn a_ban_of_one_leaves_the_other_of_the_same_name() {
    let site = Site::start().await;
    let node = &site.node;
    let mut zed = operator(node, &site.redis, "zed").await;
    let account = User::registered(node, "alice").await;
    let outside = site.outside("alice", &json!({}));
    let (mut alice, mut other) = (account.join(node, "lobby").await, outside.join(node, "lobby").await);
    let (id, outside_id) = (alice.user().to_owned(), other.user().to_owned());
    site.set_banned(&mut zed, &outside_id, "ban").await;
    assert_eq!(other.closed(seconds(5)).await.0, 4403);
    assert_eq!(outside.status(node, "lobby").await, 403);
    alice.publish("still here").await;
    site.set_banned(&mut zed, &outside_id, "unban").await;
    let mut other = outside.join(node, "lobby").await;
    site.set_banned(&mut zed, &id, "ban").await;
    assert_eq!(alice.closed(seconds(5)).await.0, 4403);
    assert_eq!(account.open_socket(node, "/ws/chat/lobby/").await.0.status, 403);
    other.publish("still here").await;
    // The name finds the account alone, an id the user with this id.
    let found = zed.get(node, "/admin/users/?name=alice").await.body;
    assert!(found.contains(&id) && !found.contains(&outside_id), "{found}");
    let found = zed.get(node, &format!("/admin/users/?name={outside_id}")).await.body;
    assert!(found.contains(&marked("alice", &outside_id)) && !found.contains(&id), "{found}");
}

#[tokio::test]
async fn the_api_disconnects_an_outside_user_by_its_sub() {
    let site = Site::start().await;
    let mut alice = User::registered(&site.node, "alice").await.join(&site.node, "lobby").await;
    let mut other = site.outside("alice", &json!({})).join(&site.node, "lobby").await;
    let secret = format!("Bearer {}", key(&site.redis, "billing", "disconnect").await);
    let disconnect = async |user: &str| {
        let request = Request::post(&format!("/api/users/{user}/disconnect")).body("{}");
        let request = request.header("Content-Type", "application/json").header("Authorization", &secret);
        request.send(&site.node).await.status
    };
    assert_eq!(disconnect("ext:alicia").await, 404);
    assert_eq!(disconnect("ext:alice").await, 202);
    assert_eq!(other.closed(seconds(5)).await.0, 4403);
    alice.publish("still here").await;
    let mut other = site.outside("alice", &json!({})).join(&site.node, "lobby").await;
    assert_eq!(disconnect("alice").await, 202);
    assert_eq!(alice.closed(seconds(5)).await.0, 4403);
    other.publish("still here").await;
}

#[tokio::test]
async fn an_invitation_for_one_does_not_admit_the_other_of_the_same_name() {
    let site = Site::start().await;
    let node = &site.node;
    let mut alice = User::registered(node, "alice").await;
    let mut outside = site.outside("alice", &json!({}));
    let id = outside.join(node, "lobby").await.user().to_owned();
    let handle = format!("id:{id}");
    let mut carol = User::registered(node, "carol").await;
    for room in ["plans", "cellar"] {
        assert_eq!(carol.post(node, "/rooms/", &[("room", room)]).await.status, 303);
    }
    for (room, name) in [("plans", "alice"), ("cellar", handle.as_str())] {
        let target = format!("/chat/{room}/members/");
        assert_eq!(carol.post(node, &target, &[("action", "invite"), ("name", name)]).await.status, 303);
    }
    let accept = async |user: &mut User, room: &str| {
        user.post(node, "/invitations/", &[("room", room), ("action", "accept")]).await.status
    };
    assert_ne!(accept(&mut outside.browser, "plans").await, 303, "the account is invited");
    assert_ne!(accept(&mut alice, "cellar").await, 303, "the outside user is invited");
    assert_eq!(accept(&mut alice, "plans").await, 303);
    assert_eq!(accept(&mut outside.browser, "cellar").await, 303);
    assert_eq!((outside.status(node, "plans").await, outside.status(node, "cellar").await), (404, 101));
    assert_eq!(alice.get(node, "/chat/plans/").await.status, 200);
    assert_eq!(alice.get(node, "/chat/cellar/").await.status, 404);
    // The list of members shows the mark, and removes by the id.
    let members = carol.get(node, "/chat/cellar/members/").await.body;
    assert!(members.contains(&marked("alice", &id)) && members.contains(&handle), "{members}");
    let mut inside = outside.join(node, "cellar").await;
    let mut hers = alice.join(node, "plans").await;
    carol.post(node, "/chat/cellar/members/", &[("action", "remove"), ("name", "alice")]).await;
    inside.publish("a removal of the account is not one of this user").await;
    let remove = [("action", "remove"), ("name", handle.as_str())];
    assert_eq!(carol.post(node, "/chat/cellar/members/", &remove).await.status, 303);
    assert_eq!(inside.closed(seconds(5)).await.0, 4403);
    hers.publish("still here").await;
}

#[tokio::test]
async fn private_messages_to_one_do_not_reach_the_other_of_the_same_name() {
    let site = Site::start().await;
    let node = &site.node;
    let alice = User::registered(node, "alice").await;
    let mut bob = User::registered(node, "bob").await;
    let outside = site.outside("alice", &json!({}));
    let mut other = outside.inbox(node).await;
    let mut hers = alice.handshake_at("/ws/inbox/").connect(node).await;
    let (id, handle) = (other.user().to_owned(), format!("@id:{}", other.user()));
    bob.join(node, "@alice").await.publish("to the account").await;
    assert_eq!(hers.receive_frame("unread").await["count"], 1);
    let mut chat = bob.join(node, &handle).await;
    assert_eq!(chat.welcome["room"], handle);
    for count in 1..=2 {
        chat.publish("to the outside user").await;
        let unread = other.receive_frame("unread").await;
        assert_eq!((&unread["name"], &unread["count"]), (&json!("bob"), &json!(count)), "{unread}");
    }
    bob.join(node, "@alice").await.publish("again to the account").await;
    assert_eq!(hers.receive_frame("unread").await["count"], 2, "only hers are counted");
    // It answers, and both sides read one chat.
    outside.join(node, "@bob").await.publish("an answer").await;
    assert_eq!(chat.receive_texts(3).await[2], "an answer");
    let shown = marked("alice", &id);
    let list = bob.get(node, "/dm/").await.body;
    assert!(list.contains(&format!("href=\"/dm/id%3A{id}/\"")) && list.contains(&shown), "{list}");
    assert!(list.contains("href=\"/dm/alice/\""), "{list}");
    let page = bob.get(node, &format!("/dm/id:{id}/")).await;
    assert!(page.status == 200 && page.body.contains(&format!("<bdi>{shown}</bdi>")), "{page:?}");
    // A link by the id of an account leads to its name.
    let by_id = bob.get(node, &format!("/dm/id:{}/", hers.user())).await;
    assert_eq!((by_id.status, by_id.header("location")), (308, Some("/dm/alice/")));
}

#[tokio::test]
async fn a_name_that_looks_like_another_is_marked_and_not_refused() {
    let site = Site::start().await;
    User::registered(&site.node, "alice").await;
    let names = ["alice", "ALICE", "\u{430}lice", "aIice", "admin", "M\u{43e}derator", "zoe\u{b7}3f2a"];
    for (at, name) in names.into_iter().enumerate() {
        let outside = site.outside(&format!("user {at}"), &json!({ "name": name }));
        let joined = outside.join(&site.node, "lobby").await;
        assert_eq!(joined.welcome["name"], marked(name, joined.user()), "{name}");
    }
    for (others, shown) in [
        (json!({ "name": "Zo\u{eb} B" }), "Zo\u{eb}\u{a0}B"),
        (json!({ "preferred_username": "zoe" }), "zoe"),
        (json!({ "name": "~zoe" }), "zoe"),
        (json!({ "name": "z\u{202e}o\u{200d}e\u{0}" }), "zoe"),
        (json!({ "name": "<b>&amp;" }), "<b>&amp;"),
        (json!({ "name": "\u{202e}" }), "42"),
        (json!({}), "42"),
    ] {
        assert_eq!(site.shown("42", &others).await, shown, "{others}");
    }
    // Of two users of other sites the second is marked, while the first is shown by the name.
    assert_eq!(site.shown("1", &json!({ "name": "Yan" })).await, "Yan");
    let second = site.outside("2", &json!({ "name": "yan" })).join(&site.node, "lobby").await;
    assert_eq!(second.welcome["name"], marked("yan", second.user()));
    assert_eq!(site.shown("1", &json!({ "name": "YAN" })).await, "YAN", "its own name in capitals");
    assert_eq!(site.shown("1", &json!({ "name": "Xin" })).await, "Xin");
    assert_eq!(site.shown("3", &json!({ "name": "yan" })).await, "yan");
}

#[tokio::test]
async fn an_outside_user_is_itself_after_a_version_before_changed_its_record() {
    let site = Site::start().await;
    let eve = site.outside("eve", &json!({ "name": "bob" }));
    let id = eve.join(&site.node, "lobby").await.user().to_owned();
    let key = site.redis.keys("parlor:record:user:*OUTSIDE*").await.pop().expect("a record");
    let record = async || -> Value {
        serde_json::from_str(&site.redis.query::<String>(&["GET", &key]).await).expect("JSON")
    };
    let mut changed = record().await;
    let outside = changed.as_object_mut().expect("an object").remove("outside").expect("who it is");
    assert_eq!((&outside["sub"], &outside["wanted"]), (&json!("eve"), &json!("bob")));
    site.redis.query::<String>(&["SET", &key, &changed.to_string()]).await;
    let mut client = CentrifugoClient::connect_with(&site.node, &json!({ "token": eve.token })).await;
    client.subscribe("lobby").await;
    client.publish("lobby", &json!("hi")).await;
    let said = client.push("lobby", "pub").await;
    assert_eq!(said["info"]["user"], "eve", "and not the name that it is shown by: {said}");
    assert_eq!(record().await["outside"], outside);
    assert_eq!(eve.join(&site.node, "lobby").await.user(), id);
}

#[tokio::test]
async fn an_account_that_signs_up_later_has_its_name_without_a_mark() {
    let site = Site::start().await;
    let outside = site.outside("1", &json!({ "name": "Alice" }));
    let first = outside.join(&site.node, "lobby").await;
    assert_eq!(first.welcome["name"], "Alice");
    let account = User::registered(&site.node, "alice").await;
    assert_eq!(account.join(&site.node, "lobby").await.welcome["name"], "alice");
    let again = outside.join(&site.node, "lobby").await;
    let shown = marked("Alice", first.user());
    assert_eq!((again.user(), &again.welcome["name"]), (first.user(), &json!(shown)));
    let mut zed = operator(&site.node, &site.redis, "zed").await;
    let list = zed.get(&site.node, "/admin/users/").await.body;
    assert!(list.contains(&shown), "{list}");
}

#[tokio::test]
async fn a_subject_of_any_characters_is_one_user_and_in_no_key_or_log() {
    let site = Site::start().await;
    let subjects = [
        "auth0|5f7c{x}:*",
        "auth0|5f7c{x}:* ",
        "secretpart\nforged=1",
        "secretpart\r\n\u{0}\u{1b}[31m",
        "\u{202e}secretpart\"'\\",
        "secretpart/../..",
        " ",
        "0123456789abcdef",
    ];
    let mut ids = BTreeSet::new();
    for sub in subjects {
        let outside = site.outside(sub, &json!({ "name": "visitor" }));
        let first = outside.join(&site.node, "lobby").await;
        let second = outside.join(&site.node, "lobby").await;
        assert_eq!(first.user(), second.user(), "{sub:?}");
        ids.insert(first.user().to_owned());
    }
    assert_eq!(ids.len(), subjects.len(), "{ids:?}");
    assert!(!ids.contains("0123456789abcdef"), "a subject is no id");
    for (key, _) in vault(&site.redis).await {
        let is_encoded = !key.contains("secretpart") && !key.contains("auth0") && key.is_ascii();
        assert!(is_encoded, "{key:?}");
    }
    assert!(!site.node.log().text().contains("secretpart"), "{}", site.node.log().text());
    // One line for each account, whatever it is called.
    let list = command(&site.redis, &["user", "list"]).await;
    let whole = list.lines().filter(|line| line.split('\t').count() == 4).count();
    assert_eq!((whole, list.lines().count()), (subjects.len(), subjects.len()), "{list}");
}
