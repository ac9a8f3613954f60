//! The lists of a user's rooms say what the rooms say, whatever fails or happens at once.

use futures_util::future::join_all;

use crate::support::access_fixture::invite;
use crate::support::deployment::{Deployment, LayerKind, on_every_layer};
use crate::support::node::Node;
use crate::support::operator_site::OperatorSite;
use crate::support::redis::Redis;
use crate::support::tutorial_client::encoded;
use crate::support::user::User;

/// The most private rooms that a user may have joined.
const MAX_ROOMS: usize = 200;

async fn an_invitation_is_seen_by_a_user_who_looks_meanwhile(layer: LayerKind) {
    const ROUNDS: usize = 5;
    let deployment = Deployment::start(layer).await;
    let mut ann = User::registered(deployment.first(), "ann").await;
    let mut bob = User::registered(deployment.last(), "bob").await;
    for round in 0..ROUNDS {
        let room = format!("cellar {round}");
        assert_eq!(ann.post(deployment.first(), "/rooms/", &[("room", &room)]).await.status, 303);
        let members = format!("/chat/{}/members/", encoded(&room));
        let looks = join_all((0..8).map(|_| {
            let (mut bob, node) = (bob.clone(), deployment.last());
            async move {
                for _ in 0..10 {
                    bob.get(node, "/chat/").await;
                }
            }
        }));
        let fields = [("action", "invite"), ("name", "bob")];
        let (invited, _) = tokio::join!(ann.post(deployment.first(), &members, &fields), looks);
        assert_eq!(invited.status, 303);
        let page = bob.get(deployment.last(), "/chat/").await.body;
        assert!(page.contains(&format!("value=\"{room}\"")), "round {round}: {page}");
        let answer = [("room", room.as_str()), ("action", "decline")];
        assert_eq!(bob.post(deployment.last(), "/invitations/", &answer).await.status, 303);
    }
}

on_every_layer! {
    an_invitation_is_seen_by_a_user_who_looks_meanwhile
}

#[tokio::test]
async fn a_room_is_in_its_owners_list_whichever_command_failed() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = User::registered(&node, "ann").await;
    let id = ann.join(&node, "lobby").await.user().to_owned();
    for (list, room) in [("rooms_of", "cellar"), ("rooms_made", "attic")] {
        let key = format!("parlor:index:{list}:{{{id}}}");
        redis.query::<()>(&["SET", &key, "no sorted set"]).await;
        ann.post(&node, "/rooms/", &[("room", room)]).await;
        redis.query::<()>(&["DEL", &key]).await;
        let is_made = ann.get(&node, &format!("/chat/{room}/members/")).await.status == 200;
        let is_listed = ann.get(&node, "/chat/").await.body.contains(&format!("/chat/{room}/"));
        assert_eq!(is_made, is_listed, "{room}, while {list} could not be written");
        if !is_made {
            assert_eq!(ann.post(&node, "/rooms/", &[("room", room)]).await.status, 303, "{room} is free");
        }
    }
}

#[tokio::test]
async fn what_is_no_room_of_a_user_is_neither_shown_nor_counted() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = User::registered(&node, "ann").await;
    assert_eq!(ann.post(&node, "/rooms/", &[("room", "cellar")]).await.status, 303);
    let link = invite(&node, &mut ann, "cellar").await;
    let mut bob = User::registered(&node, "bob").await;
    let id = bob.join(&node, "lobby").await.user().to_owned();
    for list in ["rooms_of", "rooms_made"] {
        let key = format!("parlor:index:{list}:{{{id}}}");
        for n in 0..MAX_ROOMS {
            redis.query::<u32>(&["ZADD", &key, "1", &format!("ghost-{n}")]).await;
        }
    }
    assert_eq!(bob.post(&node, &link, &[]).await.status, 303, "it counts no ghosts");
    assert_eq!(bob.post(&node, "/rooms/", &[("room", "den")]).await.status, 303, "nor here");
    let page = bob.get(&node, "/chat/").await.body;
    assert!(page.contains("/chat/cellar/") && page.contains("/chat/den/"), "{page}");
    assert!(!page.contains("ghost-"), "{page}");
}

#[tokio::test]
async fn a_name_that_was_closed_and_reopened_may_be_made_private() {
    let mut site = OperatorSite::start().await;
    let mut bob = User::registered(&site.nodes[1], "bob").await;
    for action in ["close", "reopen"] {
        assert_eq!(site.post("/admin/rooms/cellar/", &[("action", action)]).await, 303);
    }
    assert_eq!(bob.post(&site.nodes[1], "/rooms/", &[("room", "cellar")]).await.status, 303);
    assert_eq!(bob.get(&site.nodes[0], "/chat/cellar/members/").await.status, 200);
}

#[tokio::test]
async fn the_release_of_a_public_room_is_no_command() {
    let mut site = OperatorSite::start().await;
    let commands = async |site: &OperatorSite| -> u64 {
        site.redis.single().query(&["XLEN", "parlor:{control}:log"]).await
    };
    assert_eq!(site.post("/admin/rooms/closed/", &[("action", "close")]).await, 303);
    let before = commands(&site).await;
    assert!(before > 0, "closing a room is a command");
    for room in ["public", "closed"] {
        assert_eq!(site.post(&format!("/admin/rooms/{room}/"), &[("action", "release")]).await, 303);
    }
    assert_eq!(commands(&site).await, before);
}

#[tokio::test]
async fn a_second_release_at_once_sends_no_member_away() {
    let mut site = OperatorSite::start().await;
    let mut bob = User::registered(&site.nodes[1], "bob").await;
    for round in 0..8 {
        let room = format!("cellar-{round}");
        assert_eq!(bob.post(&site.nodes[1], "/rooms/", &[("room", &room)]).await.status, 303);
        let path = format!("/admin/rooms/{room}/");
        let release = [("action", "release")];
        let (mut first, mut second) = (site.ann.clone(), site.ann.clone());
        let releases = tokio::join!(
            first.post(&site.nodes[0], &path, &release),
            second.post(&site.nodes[0], &path, &release)
        );
        assert_eq!((releases.0.status, releases.1.status), (303, 303), "round {round}");
        let page = User::anonymous().get(&site.nodes[1], &format!("/chat/{room}/")).await;
        assert_eq!(page.status, 200, "round {round}: it is public");
        assert!(
            !site.redis.single().exists(&format!("parlor:record:room:{{chat_{room}}}")).await,
            "round {round}"
        );
    }
    assert_eq!(site.post("/admin/rooms/cellar-0/", &[("action", "release")]).await, 303);
}
