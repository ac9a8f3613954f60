//! Changes of memberships, links and limits at the same time: what comes of them is what one order
//! of them could give, in each of many rounds.

use futures_util::future::join_all;

use crate::support::access_fixture::invite;
use crate::support::deployment::{Deployment, LayerKind, on_every_layer};
use crate::support::node::Node;
use crate::support::operator_site::OperatorSite;
use crate::support::redis::Redis;
use crate::support::redis_proxy::RedisProxy;
use crate::support::user::{SESSION, User};
use crate::support::v1_client::V1Client;
use crate::support::wait::{PATIENCE, holds, until};

const ROUNDS: usize = 12;
const MEMBERS: &str = "/chat/cellar/members/";

/// An owner of the private room `cellar` with a link to it, and a member.
async fn owner_and_member(node: &Node) -> (User, User, String) {
    let mut ann = User::registered(node, "ann").await;
    assert_eq!(ann.post(node, "/rooms/", &[("room", "cellar")]).await.status, 303);
    let mut bob = User::registered(node, "bob").await;
    let link = invite(node, &mut ann, "cellar").await;
    assert_eq!(bob.post(node, &link, &[]).await.status, 303);
    (ann, bob, link)
}

/// Whether the user is a member, as every page sees it.
async fn is_member(user: &mut User, node: &Node) -> bool {
    let is_admitted = user.get(node, "/chat/cellar/").await.status == 200;
    let is_listed = user.get(node, "/chat/").await.body.contains("href=\"/chat/cellar/\"");
    assert_eq!(is_admitted, is_listed, "the list of rooms and the room agree");
    is_admitted
}

async fn a_removed_member_is_not_in_again_by_an_old_link(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let (mut ann, mut bob, mut link) = owner_and_member(deployment.first()).await;
    for round in 0..ROUNDS {
        let accepts = join_all((0..4).map(|n| {
            let (mut bob, link) = (bob.clone(), link.clone());
            let node = if n % 2 == 0 { deployment.first() } else { deployment.last() };
            async move { while bob.post(node, &link, &[]).await.status == 303 {} }
        }));
        let remove = [("action", "remove"), ("name", "bob")];
        let (removed, _) = tokio::join!(ann.post(deployment.first(), MEMBERS, &remove), accepts);
        assert_eq!(removed.status, 303);
        assert!(!is_member(&mut bob, deployment.last()).await, "round {round}");
        link = invite(deployment.first(), &mut ann, "cellar").await;
        assert_eq!(bob.post(deployment.first(), &link, &[]).await.status, 303);
        assert!(is_member(&mut bob, deployment.last()).await, "round {round}");
    }
}

async fn joining_and_leaving_at_once_leave_one_truth(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let (_, mut bob, link) = owner_and_member(deployment.first()).await;
    for _ in 0..ROUNDS {
        let changes = join_all((0..6).map(|n| {
            let (mut bob, link) = (bob.clone(), link.clone());
            let node = if n < 3 { deployment.first() } else { deployment.last() };
            async move {
                if n % 2 == 0 {
                    bob.post(node, &link, &[]).await;
                } else {
                    bob.post(node, MEMBERS, &[("action", "leave")]).await;
                }
            }
        }));
        changes.await;
        is_member(&mut bob, deployment.last()).await;
    }
}

async fn a_room_has_twenty_links_at_most(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let (ann, _, _) = owner_and_member(deployment.first()).await;
    let makes = join_all((0..40).map(|_| {
        let mut ann = ann.clone();
        let node = deployment.last();
        async move { invite(node, &mut ann, "cellar").await }
    }));
    let links = makes.await;
    let mut eve = User::registered(deployment.first(), "eve").await;
    let mut valid = 0;
    for link in &links {
        valid += usize::from(eve.get(deployment.first(), link).await.status == 200);
    }
    assert_eq!(valid, 20);
}

async fn a_claim_does_not_undo_an_operators_closing(layer: LayerKind) {
    if layer == LayerKind::Memory {
        return; // no command makes an operator there
    }
    let mut site = OperatorSite::start_on(layer).await;
    let mut eve = User::registered(&site.nodes[1], "eve").await;
    for round in 0..ROUNDS {
        let (used, unused) = (format!("used {round}"), format!("unused {round}"));
        let _here = V1Client::join(&site.nodes[0], &used).await;
        for room in [used, unused] {
            let path = format!("/admin/rooms/{}/", room.replace(' ', "%20"));
            let (mut claimant, node) = (eve.clone(), &site.nodes[1]);
            let claim = async { claimant.post(node, "/rooms/", &[("room", &room)]).await };
            let close = site.ann.post(&site.nodes[0], &path, &[("action", "close")]);
            let (_, closed) = tokio::join!(claim, close);
            assert_eq!(closed.status, 303);
            let page = eve.get(&site.nodes[1], &format!("/chat/{}/", room.replace(' ', "%20"))).await;
            assert_eq!(page.status, 404, "{room} is closed, for its owner, too");
        }
    }
}

async fn one_owner_has_five_invitations_of_a_user_at_most(layer: LayerKind) {
    const ROOMS: usize = 12;
    let deployment = Deployment::start(layer).await;
    let mut eve = User::registered(deployment.first(), "eve").await;
    let mut bob = User::registered(deployment.first(), "bob").await;
    for n in 0..ROOMS {
        let made = eve.post(deployment.first(), "/rooms/", &[("room", &format!("trap-{n}"))]).await;
        assert_eq!(made.status, 303);
    }
    let invite = [("action", "invite"), ("name", "bob")];
    let invited = join_all((0..ROOMS).map(|n| {
        let mut eve = eve.clone();
        let node = if n % 2 == 0 { deployment.first() } else { deployment.last() };
        async move { eve.post(node, &format!("/chat/trap-{n}/members/"), &invite).await.status }
    }))
    .await;
    assert!(invited.iter().all(|status| [303, 400].contains(status)), "{invited:?}");
    let page = bob.get(deployment.last(), "/chat/").await.body;
    let listed = page.matches("value=\"trap-").count();
    assert_eq!(listed, invited.iter().filter(|status| **status == 303).count(), "{invited:?}: {page}");
    assert!(listed <= 5, "{listed} invitations");
    let mut ann = User::registered(deployment.first(), "ann").await;
    assert_eq!(ann.post(deployment.first(), "/rooms/", &[("room", "cellar")]).await.status, 303);
    assert_eq!(ann.post(deployment.first(), MEMBERS, &invite).await.status, 303, "another owner");
}

on_every_layer! {
    one_owner_has_five_invitations_of_a_user_at_most
    a_removed_member_is_not_in_again_by_an_old_link
    joining_and_leaving_at_once_leave_one_truth
    a_room_has_twenty_links_at_most
    a_claim_does_not_undo_an_operators_closing
}

#[tokio::test]
async fn limits_of_rooms_and_members_hold_at_once() {
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let (ann, bob, link) = owner_and_member(&nodes[0]).await;
    let id = ann.join(&nodes[0], "hall").await.user().to_owned();
    for n in 0..193 {
        let name = format!("room {n}");
        redis.query::<u32>(&["ZADD", &format!("parlor:index:rooms_made:{{{id}}}"), "1", &name]).await;
        let record = format!("{{\"owner\":\"{id}\",\"private\":true}}");
        redis.query::<()>(&["SET", &format!("parlor:record:room:{{chat_{name}}}"), &record]).await;
    }
    let made = join_all((0..30).map(|n| {
        let (mut ann, node) = (ann.clone(), &nodes[n % 2]);
        async move { ann.post(node, "/rooms/", &[("room", &format!("new {n}"))]).await.status }
    }));
    let made = made.await;
    // With `cellar` 200.
    assert_eq!(made.iter().filter(|status| **status == 303).count(), 6, "{made:?}");
    for n in 0..196 {
        let member = format!("{n:016x}");
        redis.query::<u32>(&["ZADD", "parlor:index:room_members:{chat_cellar}", "1", &member]).await;
    }
    let (link, node) = (&link, &nodes);
    let joins = join_all((0..6).map(|n| async move {
        let mut user = User::registered(&node[n % 2], &format!("user{n}")).await;
        (user.post(&node[n % 2], link, &[]).await.status, is_member(&mut user, &node[0]).await)
    }));
    let joined = joins.await;
    // The owner, bob, and two more.
    assert_eq!(joined.iter().filter(|outcome| **outcome == (303, true)).count(), 2, "{joined:?}");
    assert_eq!(joined.iter().filter(|outcome| **outcome == (409, false)).count(), 4, "{joined:?}");
    drop(bob);
}

#[tokio::test]
async fn a_login_beside_a_ban_leaves_no_guest_of_its_browser() {
    let mut site = OperatorSite::start().await;
    let bob = User::registered(&site.nodes[0], "bob").await;
    let id = bob.join(&site.nodes[0], "hall").await.user().to_owned();
    for round in 0..ROUNDS {
        let browsers = join_all((0..3).map(|_| User::guest(&site.nodes[1]))).await;
        let OperatorSite { nodes, ann, .. } = &mut site;
        let nodes = &*nodes;
        let logins = join_all(browsers.into_iter().enumerate().map(|(n, mut browser)| {
            let node = &nodes[n % 2];
            async move { (browser.log_in(node, "bob").await.status, browser) }
        }));
        let ban = [("user", &*id), ("action", "ban")];
        let (banned, logins) = tokio::join!(ann.post(&nodes[0], "/admin/users/", &ban), logins);
        assert_eq!(banned.status, 303);
        for (status, mut browser) in logins {
            browser.remove_cookie(SESSION);
            let page = browser.get(&site.nodes[0], "/chat/lobby/").await.status;
            assert_eq!(page, if status == 303 { 403 } else { 200 }, "round {round}, login {status}");
        }
        let unban = [("user", &*id), ("action", "unban")];
        assert_eq!(site.post("/admin/users/", &unban).await, 303);
    }
}

#[tokio::test]
async fn logins_that_begin_while_all_are_ended_can_be_ended() {
    let mut site = OperatorSite::start().await;
    let bob = User::registered(&site.nodes[0], "bob").await;
    let id = bob.join(&site.nodes[0], "hall").await.user().to_owned();
    for round in 0..6 {
        let nodes = &site.nodes;
        let logins = join_all((0..4).map(|n| async move {
            let mut user = User::anonymous();
            assert_eq!(user.log_in(&nodes[n % 2], "bob").await.status, 303);
            user
        }));
        let fields = [("user", &*id), ("action", "end_logins")];
        let (logins, ended) = tokio::join!(logins, site.ann.post(&site.nodes[0], "/admin/users/", &fields));
        assert_eq!(ended.status, 303);
        assert_eq!(site.post("/admin/users/", &fields).await, 303);
        for mut user in logins {
            assert_eq!(
                user.get(&site.nodes[1], "/dm/").await.status,
                303,
                "round {round}: sent to the login"
            );
        }
    }
}

#[tokio::test]
async fn a_name_that_is_used_meanwhile_is_not_claimed_for_a_moment() {
    let redis = Redis::start().await;
    let proxy = RedisProxy::start(&redis).await;
    let node = Node::plan().env("REDIS_URL", &proxy.url()).start().await;
    let mut ann = User::registered(&node, "ann").await;
    // After a first claim Redis knows the script.
    assert_eq!(ann.post(&node, "/rooms/", &[("room", "cellar")]).await.status, 303);
    let mut monitor = redis.monitor().await;
    let announced = async || redis.members("parlor:{control}:announced").await;
    let before = announced().await;
    proxy.hold_from("room_members");
    let uses = async {
        let is_new = |ids: &[String]| ids.iter().any(|id| !before.contains(id));
        until(PATIENCE, "an announcement", async || holds(is_new(&announced().await), String::new)).await;
        redis.query::<String>(&["XADD", "parlor:log:{chat_attic}", "*", "e", "", "p", "0-0"]).await;
        proxy.open();
    };
    let (claimed, ()) = tokio::join!(ann.post(&node, "/rooms/", &[("room", "attic")]), uses);
    assert_eq!(claimed.status, 409, "{}", claimed.body);
    let commands = monitor.commands().await;
    let is_claim = |command: &&String| command.contains("\"SET\"") && command.contains("record:room:");
    assert_eq!(commands.iter().find(is_claim), None);
}
