//! Private rooms: invitations by name or by link, and the removal of members.

use crate::support::deployment::{Deployment, LayerKind, on_every_layer};
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
    let response = ann.post(node, "/rooms/", &[("room", "cellar")]).await;
    assert_eq!((response.status, response.header("location")), (303, Some("/chat/cellar/")), "{response:?}");
    ann
}

async fn rules(owner: &mut User, node: &Node, action: &str, name: &str) -> Response {
    owner.post(node, MEMBERS, &[("action", action), ("name", name)]).await
}

/// Accepts the owner's invitation by name.
async fn accepts(user: &mut User, node: &Node) {
    let page = user.get(node, "/chat/").await;
    assert!(page.body.contains("action=\"/invitations/\""), "the invitation is shown: {}", page.body);
    let answer = user.post(node, "/invitations/", &[("room", "cellar"), ("action", "accept")]).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/chat/cellar/")), "{answer:?}");
}

/// Creates a link and returns its path.
async fn link(owner: &mut User, node: &Node) -> String {
    let response = owner.post(node, MEMBERS, &[("action", "link")]).await;
    assert_eq!(response.status, 200, "{response:?}");
    let text = response.body.replace("&#x2f;", "/");
    let (before, rest) = text.split_once("/invite/").unwrap_or_else(|| panic!("no link: {text}"));
    assert!(before.ends_with(&format!("http://{}", node.address())), "the whole address: {text}");
    format!("/invite/{}/", rest.split('/').next().expect("a secret"))
}

async fn a_private_room_exists_only_for_its_members(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = owner(deployment.first()).await;
    let mut bob = User::registered(deployment.last(), "bob").await;
    let page = ann.get(deployment.last(), "/chat/").await;
    assert!(page.body.contains("href=\"/chat/cellar/\""), "one's rooms are listed: {}", page.body);
    let nothing = bob.get(deployment.last(), "/chat/cellar/").await;
    let nowhere = bob.get(deployment.last(), "/no/such/page").await;
    assert_eq!((nothing.status, &nothing.body), (404, &nowhere.body));
    for path in ["/ws/chat/cellar/", "/ws/push/cellar", "/ws/push/chat_cellar", "/ws/chat/chat_cellar/"] {
        assert_eq!(bob.open_socket(deployment.first(), path).await.0.status, 404, "{path}");
    }
    assert_eq!(rules(&mut bob, deployment.last(), "invite", "bob").await.status, 404);
    for path in ["/ws/push/chat_cellar", "/ws/chat/chat_cellar/"] {
        assert_eq!(ann.open_socket(deployment.last(), path).await.0.status, 404, "{path} admits anyone");
    }

    assert_eq!(rules(&mut ann, deployment.last(), "invite", "bob").await.status, 303);
    assert_eq!(bob.get(deployment.last(), "/chat/cellar/").await.status, 404, "not before bob accepts");
    accepts(&mut bob, deployment.last()).await;
    let (mut his, mut hers) =
        (bob.join(deployment.last(), "cellar").await, ann.join(deployment.first(), "cellar").await);
    assert_eq!((&his.welcome["private"], &hers.welcome["private"]), (&true.into(), &true.into()));
    hers.publish("hi").await;
    assert_eq!(his.receive().await["name"], "ann");
    let members = bob.get(deployment.first(), MEMBERS).await;
    assert!(
        members.status == 200 && members.body.contains("ann") && members.body.contains("bob"),
        "{members:?}"
    );
    assert!(!members.body.contains("value=\"link\""), "only the owner invites: {}", members.body);
    for action in ["invite", "remove", "link", "revoke"] {
        assert_eq!(rules(&mut bob, deployment.last(), action, "ann").await.status, 403, "{action}");
    }
}

async fn a_removed_member_is_disconnected_on_every_node(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = owner(deployment.first()).await;
    let mut bob = User::registered(deployment.last(), "bob").await;
    let invitation = link(&mut ann, deployment.first()).await;
    assert_eq!(bob.post(deployment.last(), &invitation, &[]).await.status, 303);
    let mut chat = bob.join(deployment.last(), "cellar").await;
    let mut push = bob.handshake_at("/ws/push/cellar").connect(deployment.first()).await;
    let mut elsewhere = bob.join(deployment.last(), "lobby").await;
    assert_eq!(rules(&mut ann, deployment.first(), "remove", "bob").await.status, 303);
    for socket in [&mut chat, &mut push] {
        let (code, reason) = socket.closed(seconds(2)).await;
        assert_eq!((code, &*reason), (4403, "no member of this room any more"));
    }
    elsewhere.publish("still here").await;
    assert_eq!(bob.get(deployment.last(), "/chat/cellar/").await.status, 404);
    assert_eq!(
        bob.get(deployment.last(), &invitation).await.status,
        404,
        "links end when a member is removed"
    );
    assert!(!bob.get(deployment.first(), "/chat/").await.body.contains("cellar"));

    assert_eq!(rules(&mut ann, deployment.first(), "invite", "bob").await.status, 303);
    accepts(&mut bob, deployment.last()).await;
    let mut again = bob.join(deployment.first(), "cellar").await;
    assert_eq!(
        bob.post(deployment.last(), MEMBERS, &[("action", "leave")]).await.header("location"),
        Some("/chat/")
    );
    assert_eq!(again.closed(seconds(2)).await.0, 4403);
    assert_eq!(bob.get(deployment.last(), MEMBERS).await.status, 404);
}

async fn an_invite_link_admits_accounts_until_it_is_revoked(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = owner(deployment.first()).await;
    let invitation = link(&mut ann, deployment.first()).await;
    let mut guest = User::guest(deployment.last()).await;
    let response = guest.get(deployment.last(), &invitation).await;
    let wanted = format!("/accounts/login/?next={}", encoded(&invitation));
    let login = response.header("location").expect("the way to the login").to_owned();
    assert_eq!((response.status, login.replace("%2D", "-")), (303, wanted.replace("%2D", "-")));
    assert_eq!(guest.post(deployment.last(), &invitation, &[]).await.status, 403);
    for name in ["bob", "eve"] {
        let mut person = User::registered(deployment.last(), name).await;
        let page = person.get(deployment.last(), &invitation).await;
        assert!(page.status == 200 && page.body.contains("cellar") && page.body.contains("ann"), "{page:?}");
        assert_eq!(person.get(deployment.last(), "/chat/cellar/").await.status, 404, "not before the button");
        let response = person.post(deployment.first(), &invitation, &[]).await;
        assert_eq!((response.status, response.header("location")), (303, Some("/chat/cellar/")));
        assert_eq!(person.get(deployment.last(), "/chat/cellar/").await.status, 200);
    }
    let page = ann.get(deployment.last(), MEMBERS).await;
    let secret = invitation.trim_matches('/').trim_start_matches("invite/");
    assert!(!page.body.contains(secret), "a link is shown once");
    let hash = page.body.split("name=\"link\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let hash = hash.unwrap_or_else(|| panic!("no link to revoke: {}", page.body));
    assert_eq!(
        ann.post(deployment.last(), MEMBERS, &[("action", "revoke"), ("link", hash)]).await.status,
        303
    );
    let mut late = User::registered(deployment.first(), "late").await;
    assert_eq!(late.get(deployment.first(), &invitation).await.status, 404);
    assert_eq!(late.post(deployment.first(), &invitation, &[]).await.status, 404);
}

async fn only_an_unused_name_becomes_a_private_room(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = owner(deployment.first()).await;
    let _here = V1Client::join(deployment.last(), "busy").await;
    let mut gone = V1Client::join(deployment.last(), "left").await;
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
        let response = ann.post(deployment.first(), "/rooms/", &[("room", room)]).await;
        assert_eq!((response.status, response.content_type()), (status, "text/html"), "{room}: {response:?}");
        assert!(response.body.contains("id=\"private-form\""), "{}", response.body);
    }
    V1Client::join(deployment.first(), "busy").await;
    let mut guest = User::guest(deployment.first()).await;
    assert_eq!(guest.post(deployment.first(), "/rooms/", &[("room", "mine")]).await.status, 403);
    for (name, status) in [("nobody", 400), ("ann", 400), ("", 400)] {
        assert_eq!(rules(&mut ann, deployment.first(), "invite", name).await.status, status, "{name}");
    }
}

async fn claiming_a_used_name_never_locks_others_out(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let ann = User::registered(deployment.first(), "ann").await;
    let _here = V1Client::join(deployment.last(), "busy").await;
    let grabs = futures_util::future::join_all((0..6).map(|_| async {
        let mut ann = ann.clone();
        for _ in 0..20 {
            assert_eq!(ann.post(deployment.first(), "/rooms/", &[("room", "busy")]).await.status, 409);
        }
    }));
    let visits = async {
        for _ in 0..60 {
            let response = User::anonymous().get(deployment.last(), "/chat/busy/").await;
            assert_eq!(response.status, 200, "the room is public: {response:?}");
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
    let index = format!("parlor:index:rooms_of:{{{id}}}");
    for n in 0..200 {
        redis.query::<u32>(&["ZADD", &index, "1", &format!("room {n}")]).await;
    }
    let made = bob.post(&node, "/rooms/", &[("room", "den")]).await;
    assert_eq!((made.status, made.header("location")), (303, Some("/chat/den/")), "{made:?}");
    assert_eq!(bob.get(&node, "/chat/den/").await.status, 200);
}

async fn an_invitation_by_name_counts_once_it_is_accepted(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = owner(deployment.first()).await;
    let mut bob = User::registered(deployment.last(), "bob").await;
    let (node, answer) = (deployment.last(), "/invitations/");
    assert_eq!(rules(&mut ann, node, "invite", "bob").await.status, 303);
    assert!(ann.get(node, MEMBERS).await.body.contains("id=\"room-invited\""), "the owner sees it");
    assert_eq!(bob.post(node, answer, &[("room", "cellar"), ("action", "decline")]).await.status, 303);
    assert_eq!(bob.post(node, answer, &[("room", "cellar"), ("action", "accept")]).await.status, 404);
    assert!(!bob.get(node, "/chat/").await.body.contains("cellar"));
    assert!(!ann.get(node, MEMBERS).await.body.contains("id=\"room-invited\""));
    // The owner may take it back.
    assert_eq!(rules(&mut ann, node, "invite", "bob").await.status, 303);
    assert_eq!(rules(&mut ann, node, "remove", "bob").await.status, 303);
    assert_eq!(bob.post(node, answer, &[("room", "cellar"), ("action", "accept")]).await.status, 404);
    assert_eq!(bob.post(node, answer, &[("room", "cellar"), ("action", "x")]).await.status, 400);
    assert_eq!(
        User::guest(node).await.post(node, answer, &[("room", "a"), ("action", "accept")]).await.status,
        403
    );
}

async fn one_owner_fills_no_list_of_invitations(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let node = deployment.first();
    let mut eve = User::registered(node, "eve").await;
    let mut bob = User::registered(node, "bob").await;
    let mut statuses = Vec::new();
    for n in 0..7 {
        let room = format!("trap {n}");
        assert_eq!(eve.post(node, "/rooms/", &[("room", &room)]).await.status, 303);
        let members = format!("/chat/{}/members/", encoded(&room));
        let fields = [("action", "invite"), ("name", "bob")];
        statuses.push(eve.post(node, &members, &fields).await.status);
    }
    assert_eq!(statuses, [303, 303, 303, 303, 303, 400, 400]);
    let mut ann = owner(node).await;
    assert_eq!(rules(&mut ann, node, "invite", "bob").await.status, 303, "another owner may invite");
    accepts(&mut bob, node).await;
}

async fn a_public_name_of_the_settings_cannot_be_claimed(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = User::registered(deployment.first(), "ann").await;
    assert_eq!(ann.post(deployment.first(), "/rooms/", &[("room", "lobby")]).await.status, 409);
}

#[tokio::test]
async fn public_names_are_compared_in_normal_form_and_may_be_none() {
    for (names, status) in [(" cafe\u{301} , hall", 409), ("", 303)] {
        let node = Node::plan().switch(&format!("--public-rooms={names}")).start().await;
        let mut ann = User::registered(&node, "ann").await;
        let claimed = ann.post(&node, "/rooms/", &[("room", "caf\u{e9}")]).await;
        assert_eq!(claimed.status, status, "{names:?}");
    }
}

#[tokio::test]
async fn no_user_takes_the_name_of_a_room_in_a_namespace() {
    let namespaces = "news:allow_publish_for_subscriber=off";
    let node = Node::plan().env("PARLOR_NAMESPACES", namespaces).start().await;
    let mut ann = User::registered(&node, "ann").await;
    assert_eq!(ann.post(&node, "/rooms/", &[("room", "news:today")]).await.status, 409);
    assert_eq!(ann.post(&node, "/rooms/", &[("room", "news")]).await.status, 303);
    let mut bob = User::registered(&node, "bob").await;
    assert_eq!(bob.get(&node, "/chat/news:today/").await.status, 200);
}

on_every_layer! {
    an_invitation_by_name_counts_once_it_is_accepted
    one_owner_fills_no_list_of_invitations
    a_public_name_of_the_settings_cannot_be_claimed
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
