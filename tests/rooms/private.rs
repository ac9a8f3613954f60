//! Private rooms: invitations by name or by link, and the removal of members.

use crate::support::deployment::{Deployment, LayerKind, on_both_layers};
use crate::support::http::Response;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::tutorial_client::encoded;
use crate::support::user::User;
use crate::support::v1_client::V1Client;
use crate::support::wait::seconds;

const MEMBERS: &str = "/chat/cellar/members/";

/// A user who owns the private room `cellar`.
async fn owner(node: &Node) -> User {
    let mut ann = User::registered(node, "ann").await;
    let answer = ann.post(node, "/rooms/", &[("room", "cellar")]).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/chat/cellar/")), "{answer:?}");
    ann
}

async fn rules(owner: &mut User, node: &Node, action: &str, name: &str) -> Response {
    owner.post(node, MEMBERS, &[("action", action), ("name", name)]).await
}

/// Creates a link and returns its path.
async fn link(owner: &mut User, node: &Node) -> String {
    let answer = owner.post(node, MEMBERS, &[("action", "link")]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = answer.body.replace("&#x2f;", "/");
    let (before, rest) = text.split_once("/invite/").unwrap_or_else(|| panic!("no link: {text}"));
    assert!(before.ends_with(&format!("http://{}", node.address())), "the whole address: {text}");
    format!("/invite/{}/", rest.split('/').next().expect("a secret"))
}

async fn a_private_room_exists_only_for_its_members(layer: LayerKind) {
    let world = Deployment::start(layer).await;
    let mut ann = owner(world.first()).await;
    let mut bob = User::registered(world.last(), "bob").await;
    let page = ann.get(world.last(), "/chat/").await;
    assert!(page.body.contains("href=\"/chat/cellar/\""), "one's rooms are listed: {}", page.body);
    let nothing = bob.get(world.last(), "/chat/cellar/").await;
    let nowhere = bob.get(world.last(), "/no/such/page").await;
    assert_eq!((nothing.status, &nothing.body), (404, &nowhere.body));
    for path in ["/ws/chat/cellar/", "/ws/push/cellar", "/ws/push/chat_cellar", "/ws/chat/chat_cellar/"] {
        assert_eq!(bob.open_socket(world.first(), path).await.0.status, 404, "{path}");
    }
    assert_eq!(rules(&mut bob, world.last(), "invite", "bob").await.status, 404);
    for path in ["/ws/push/chat_cellar", "/ws/chat/chat_cellar/"] {
        assert_eq!(
            ann.open_socket(world.last(), path).await.0.status,
            404,
            "nobody is sent away from {path}"
        );
    }

    assert_eq!(rules(&mut ann, world.last(), "invite", "bob").await.status, 303);
    let (mut his, mut hers) =
        (bob.join(world.last(), "cellar").await, ann.join(world.first(), "cellar").await);
    hers.publish("hi").await;
    assert_eq!(his.receive().await["name"], "ann");
    let members = bob.get(world.first(), MEMBERS).await;
    assert!(
        members.status == 200 && members.body.contains("ann") && members.body.contains("bob"),
        "{members:?}"
    );
    assert!(!members.body.contains("value=\"link\""), "only the owner invites: {}", members.body);
    for action in ["invite", "remove", "link", "revoke"] {
        assert_eq!(rules(&mut bob, world.last(), action, "ann").await.status, 403, "{action}");
    }
}

async fn a_removed_member_is_disconnected_on_every_node(layer: LayerKind) {
    let world = Deployment::start(layer).await;
    let mut ann = owner(world.first()).await;
    let mut bob = User::registered(world.last(), "bob").await;
    let invitation = link(&mut ann, world.first()).await;
    assert_eq!(bob.post(world.last(), &invitation, &[]).await.status, 303);
    let mut chat = bob.join(world.last(), "cellar").await;
    let mut push = bob.handshake_at("/ws/push/cellar").connect(world.first()).await;
    let mut elsewhere = bob.join(world.last(), "lobby").await;
    assert_eq!(rules(&mut ann, world.first(), "remove", "bob").await.status, 303);
    for socket in [&mut chat, &mut push] {
        let (code, reason) = socket.closed(seconds(2)).await;
        assert_eq!((code, &*reason), (4403, "no member of this room any more"));
    }
    elsewhere.publish("still here").await;
    assert_eq!(bob.get(world.last(), "/chat/cellar/").await.status, 404);
    assert_eq!(bob.get(world.last(), &invitation).await.status, 404, "links end when somebody is removed");
    assert!(!bob.get(world.first(), "/chat/").await.body.contains("cellar"));

    assert_eq!(rules(&mut ann, world.first(), "invite", "bob").await.status, 303);
    let mut again = bob.join(world.first(), "cellar").await;
    assert_eq!(
        bob.post(world.last(), MEMBERS, &[("action", "leave")]).await.header("location"),
        Some("/chat/")
    );
    assert_eq!(again.closed(seconds(2)).await.0, 4403);
    assert_eq!(bob.get(world.last(), MEMBERS).await.status, 404);
}

async fn an_invite_link_admits_accounts_until_it_is_revoked(layer: LayerKind) {
    let world = Deployment::start(layer).await;
    let mut ann = owner(world.first()).await;
    let invitation = link(&mut ann, world.first()).await;
    let mut guest = User::guest(world.last()).await;
    let answer = guest.get(world.last(), &invitation).await;
    let wanted = format!("/accounts/login/?next={}", encoded(&invitation));
    let login = answer.header("location").expect("the way to the login").to_owned();
    assert_eq!((answer.status, login.replace("%2D", "-")), (303, wanted.replace("%2D", "-")));
    assert_eq!(guest.post(world.last(), &invitation, &[]).await.status, 403);
    for name in ["bob", "eve"] {
        let mut person = User::registered(world.last(), name).await;
        let page = person.get(world.last(), &invitation).await;
        assert!(page.status == 200 && page.body.contains("cellar") && page.body.contains("ann"), "{page:?}");
        assert_eq!(person.get(world.last(), "/chat/cellar/").await.status, 404, "not before the button");
        let answer = person.post(world.first(), &invitation, &[]).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/chat/cellar/")));
        assert_eq!(person.get(world.last(), "/chat/cellar/").await.status, 200);
    }
    let page = ann.get(world.last(), MEMBERS).await;
    let secret = invitation.trim_matches('/').trim_start_matches("invite/");
    assert!(!page.body.contains(secret), "a link is shown once");
    let hash = page.body.split("name=\"link\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let hash = hash.unwrap_or_else(|| panic!("no link to revoke: {}", page.body));
    assert_eq!(ann.post(world.last(), MEMBERS, &[("action", "revoke"), ("link", hash)]).await.status, 303);
    let mut late = User::registered(world.first(), "late").await;
    assert_eq!(late.get(world.first(), &invitation).await.status, 404);
    assert_eq!(late.post(world.first(), &invitation, &[]).await.status, 404);
}

async fn only_an_unused_name_becomes_a_private_room(layer: LayerKind) {
    let world = Deployment::start(layer).await;
    let mut ann = owner(world.first()).await;
    let _here = V1Client::join(world.last(), "busy").await;
    let mut gone = V1Client::join(world.last(), "left").await;
    gone.publish("was here").await;
    gone.close().await;
    for (room, status) in [
        ("busy", 409),
        ("left", 409),
        ("cellar", 409),
        ("chat_busy", 409),
        ("a/b", 400),
        ("@bob", 400),
        ("", 400),
    ] {
        let answer = ann.post(world.first(), "/rooms/", &[("room", room)]).await;
        assert_eq!((answer.status, answer.content_type()), (status, "text/html"), "{room}: {answer:?}");
        assert!(answer.body.contains("id=\"private-form\""), "{}", answer.body);
    }
    V1Client::join(world.first(), "busy").await;
    let mut guest = User::guest(world.first()).await;
    assert_eq!(guest.post(world.first(), "/rooms/", &[("room", "mine")]).await.status, 403);
    for (name, status) in [("nobody", 400), ("ann", 400), ("", 400)] {
        assert_eq!(rules(&mut ann, world.first(), "invite", name).await.status, status, "{name}");
    }
}

async fn claiming_a_used_name_never_locks_others_out(layer: LayerKind) {
    let world = Deployment::start(layer).await;
    let ann = User::registered(world.first(), "ann").await;
    let _here = V1Client::join(world.last(), "busy").await;
    let grabs = futures_util::future::join_all((0..6).map(|_| async {
        let mut ann = ann.clone();
        for _ in 0..20 {
            assert_eq!(ann.post(world.first(), "/rooms/", &[("room", "busy")]).await.status, 409);
        }
    }));
    let visits = async {
        for _ in 0..60 {
            let answer = User::anonymous().get(world.last(), "/chat/busy/").await;
            assert_eq!(answer.status, 200, "the room is everybody's: {answer:?}");
        }
    };
    tokio::join!(grabs, visits);
}

#[tokio::test]
async fn memberships_do_not_count_as_owned_rooms() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut bob = User::registered(&node, "bob").await;
    let id = bob.join(&node, "lobby").await.user().to_owned();
    let index = format!("parlor:index:rooms_of:{id}");
    for n in 0..200 {
        redis.query::<u32>(&["ZADD", &index, "1", &format!("room {n}")]).await;
    }
    let made = bob.post(&node, "/rooms/", &[("room", "den")]).await;
    assert_eq!((made.status, made.header("location")), (303, Some("/chat/den/")), "{made:?}");
    assert_eq!(bob.get(&node, "/chat/den/").await.status, 200);
}

on_both_layers! {
    a_private_room_exists_only_for_its_members
    a_removed_member_is_disconnected_on_every_node
    an_invite_link_admits_accounts_until_it_is_revoked
    only_an_unused_name_becomes_a_private_room
    claiming_a_used_name_never_locks_others_out
}

#[tokio::test]
async fn an_invite_link_is_not_in_redis_and_expires_after_a_week() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = owner(&node).await;
    let invitation = link(&mut ann, &node).await;
    let secret = invitation.trim_matches('/').trim_start_matches("invite/").to_owned();
    let keys: Vec<String> = redis.query(&["KEYS", "parlor:record:invite:*"]).await;
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert!(!keys[0].contains(&secret), "{keys:?}");
    let ttl: i64 = redis.query(&["PTTL", &keys[0]]).await;
    let week = 7 * 24 * 3_600_000;
    assert!((week - 60_000..=week).contains(&ttl), "{ttl} ms");
    redis.query::<i64>(&["PEXPIRE", &keys[0], "0"]).await; // the week is over
    assert_eq!(ann.get(&node, &invitation).await.status, 404);
}
