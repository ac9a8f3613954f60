//! What operators do to users, rooms and messages, on every node.

use crate::support::deployment::{LayerKind, on_each_redis};
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::operator_site::{OperatorSite, pairs};
use crate::support::tutorial_client::TutorialClient;
use crate::support::user::{SESSION, User, password};
use crate::support::v1_client::{V1Client, id_of, texts_of};
use crate::support::wait::{PATIENCE, holds, seconds, until};

async fn expect_closed(socket: &mut V1Client, code: u16, reason: &str) {
    assert_eq!(socket.closed(seconds(1)).await, (code, reason.to_owned()));
}

async fn a_kicked_user_leaves_on_every_node_and_may_rejoin(layer: LayerKind) {
    let mut scene = OperatorSite::start_on(layer).await;
    let bob = User::registered(&scene.nodes[1], "bob").await;
    let mut here = [bob.join(&scene.nodes[0], "lobby").await, bob.join(&scene.nodes[1], "lobby").await];
    let mut pushed = bob.handshake_at("/ws/push/lobby").connect(&scene.nodes[1]).await;
    let mut elsewhere = bob.join(&scene.nodes[1], "kitchen").await;
    let mut eve = TutorialClient::chat(&scene.nodes[1], "lobby").await;
    let id = elsewhere.user().to_owned();
    assert_eq!(scene.post("/admin/rooms/lobby/", &[("action", "kick"), ("user", &id)]).await, 303);
    for socket in here.iter_mut().chain([&mut pushed]) {
        expect_closed(socket, 4403, "an operator has sent you away").await;
    }
    elsewhere.publish("still here").await;
    eve.publish("me too").await;
    bob.join(&scene.nodes[1], "lobby").await;
    assert_eq!(scene.audit_entries(1).await, pairs(&[("kick", &format!("lobby: bob ({id})"))]));
}

async fn a_banned_user_is_rejected_everywhere_until_unbanned(layer: LayerKind) {
    let mut scene = OperatorSite::start_on(layer).await;
    let mut bob = User::registered(&scene.nodes[1], "bob").await;
    let mut sockets = [bob.join(&scene.nodes[0], "lobby").await, bob.join(&scene.nodes[1], "kitchen").await];
    let id = sockets[0].user().to_owned();
    assert_eq!(scene.post("/admin/rooms/lobby/", &[("action", "ban"), ("user", &id)]).await, 303);
    for socket in &mut sockets {
        expect_closed(socket, 4403, "banned").await;
    }
    for node in &scene.nodes {
        assert_eq!(bob.log_in(node, "bob").await.status, 403);
    }
    let page = scene.ann.get(&scene.nodes[0], "/admin/users/?name=BOB").await.body;
    assert!(page.contains(&id) && page.contains("value=\"unban\""), "{page}");
    assert_eq!(scene.post("/admin/users/", &[("action", "unban"), ("user", &id)]).await, 303);
    User::logged_in(&scene.nodes[1], "bob").await;
    let about = format!("bob ({id})");
    assert_eq!(scene.audit_entries(2).await, pairs(&[("unban", &about), ("ban", &about)]));
}

async fn the_browser_of_a_banned_account_is_banned_until_it_clears_cookies(layer: LayerKind) {
    let mut scene = OperatorSite::start_on(layer).await;
    let [first, second] = [&scene.nodes[0], &scene.nodes[1]];
    let mut bob = User::guest(first).await;
    let guest = bob.join(first, "hall").await.user().to_owned();
    assert_eq!(bob.sign_up(first, "bob").await.status, 303);
    let id = bob.join(first, "hall").await.user().to_owned();
    assert_ne!(guest, id);
    // A new browser, which has no guest's cookie before it logs in.
    let mut phone = User::logged_in(second, "bob").await;
    assert_eq!(scene.post("/admin/users/", &[("action", "ban"), ("user", &id)]).await, 303);
    let [first, second] = [&scene.nodes[0], &scene.nodes[1]];
    for (browser, node) in [(&mut bob, second), (&mut phone, first)] {
        let mut without_login = browser.clone();
        without_login.remove_cookie(SESSION);
        for browser in [browser, &mut without_login] {
            for path in ["/chat/", "/chat/lobby/", "/accounts/signup/", "/accounts/login/"] {
                let page = browser.get(node, path).await;
                assert_eq!(page.status, 403, "{path}: {page:?}");
            }
            assert_eq!(browser.open_socket(node, "/ws/chat/lobby/").await.0.status, 403);
        }
    }
    let mut cleared = User::anonymous();
    assert_eq!(cleared.get(first, "/chat/lobby/").await.status, 200, "as the docs say");
    assert_eq!(scene.post("/admin/users/", &[("action", "unban"), ("user", &id)]).await, 303);
    let [first, second] = [&scene.nodes[0], &scene.nodes[1]];
    assert_eq!(bob.join(second, "hall").await.user(), id, "logged in as before");
    phone.remove_cookie(SESSION);
    assert_eq!(phone.get(first, "/chat/lobby/").await.status, 200);
}

async fn a_guest_is_found_by_nickname_and_banned_by_cookie(layer: LayerKind) {
    let mut scene = OperatorSite::start_on(layer).await;
    let mut guest = User::guest(&scene.nodes[1]).await;
    assert_eq!(guest.post(&scene.nodes[1], "/accounts/guest/", &[("nickname", "zoe")]).await.status, 303);
    let mut socket = guest.join(&scene.nodes[1], "lobby").await;
    let id = socket.user().to_owned();
    for wanted in ["~zoe", &id] {
        let page = scene.ann.get(&scene.nodes[0], &format!("/admin/users/?name={wanted}")).await;
        assert!(page.status == 200 && page.body.contains(&id), "{wanted}: {page:?}");
    }
    assert_eq!(scene.post("/admin/rooms/lobby/", &[("action", "ban"), ("user", &id)]).await, 303);
    expect_closed(&mut socket, 4403, "banned").await;
    assert_eq!(guest.get(&scene.nodes[0], "/chat/lobby/").await.status, 403);
    assert_eq!(guest.open_socket(&scene.nodes[1], "/ws/chat/lobby/").await.0.status, 403);
    let page = scene.ann.get(&scene.nodes[0], "/admin/users/").await.body;
    assert!(page.contains(&id), "banned guests are listed: {page}");
    assert_eq!(scene.post("/admin/users/", &[("action", "unban"), ("user", &id)]).await, 303);
    assert_eq!(guest.get(&scene.nodes[0], "/chat/lobby/").await.status, 200);
    assert_eq!(scene.audit_entries(2).await, pairs(&[("unban", &id), ("ban", &format!("~zoe ({id})"))]));
}

async fn a_closed_room_exists_only_for_operators_until_reopened(layer: LayerKind) {
    let mut scene = OperatorSite::start_on(layer).await;
    let [bob, eve] = [User::registered(&scene.nodes[1], "bob").await, User::anonymous()];
    let mut sockets = [
        bob.join(&scene.nodes[0], "lobby").await,
        eve.join(&scene.nodes[1], "lobby").await,
        bob.handshake_at("/ws/push/lobby").connect(&scene.nodes[1]).await,
    ];
    let mut elsewhere = eve.join(&scene.nodes[1], "kitchen").await;
    sockets[0].publish("before").await;
    assert_eq!(scene.post("/admin/rooms/lobby/", &[("action", "close")]).await, 303);
    for socket in &mut sockets {
        expect_closed(socket, 4403, "an operator has closed this room").await;
    }
    elsewhere.publish("still here").await;
    for node in &scene.nodes {
        for path in ["/chat/lobby/", "/sse/chat/lobby/", "/push?room=lobby"] {
            assert_eq!(Request::get(path).send(node).await.status, 404, "{path}");
        }
        assert_eq!(bob.open_socket(node, "/ws/chat/lobby/").await.0.status, 404);
    }
    let tail = scene.ann.handshake_at("/ws/admin/lobby/").history(10);
    let mut ann = tail.connect(&scene.nodes[1]).await;
    assert_eq!(texts_of(&[ann.receive().await]), ["before"]);
    ann.publish("no member receives this").await;
    assert_eq!(scene.post("/admin/rooms/lobby/", &[("action", "close")]).await, 303, "twice is no harm");
    expect_closed(&mut ann, 4403, "an operator has closed this room").await;
    assert_eq!(scene.post("/admin/rooms/lobby/", &[("action", "reopen")]).await, 303);
    bob.join(&scene.nodes[1], "lobby").await.publish("after").await;
    let expected = [("reopen", "lobby"), ("close", "lobby"), ("close", "lobby")];
    assert_eq!(scene.audit_entries(3).await, pairs(&expected));
}

async fn a_private_room_stays_private_when_closed_and_reopened(layer: LayerKind) {
    let mut scene = OperatorSite::start_on(layer).await;
    let mut bob = User::registered(&scene.nodes[1], "bob").await;
    assert_eq!(bob.post(&scene.nodes[1], "/rooms/", &[("room", "cellar")]).await.status, 303);
    for action in ["close", "reopen"] {
        assert_eq!(scene.post("/admin/rooms/cellar/", &[("action", action)]).await, 303);
    }
    assert_eq!(Request::get("/chat/cellar/").send(&scene.nodes[0]).await.status, 404);
    let mut owner = bob.join(&scene.nodes[0], "cellar").await;
    let mut ann = scene.ann.handshake_at("/ws/admin/cellar/").connect(&scene.nodes[1]).await;
    ann.publish("an operator is here").await;
    let received = owner.receive().await;
    assert_eq!(
        (received["text"].as_str(), received["name"].as_str()),
        (Some("an operator is here"), Some("ann"))
    );
    let page = scene.ann.get(&scene.nodes[0], "/admin/rooms/cellar/").await.body;
    assert!(page.contains("<bdi>bob</bdi>"), "its owner: {page}");
}

async fn a_removed_message_disappears_from_history_on_every_node(layer: LayerKind) {
    let mut scene = OperatorSite::start_on(layer).await;
    let mut eve = User::anonymous().join(&scene.nodes[1], "lobby").await;
    let mut bob = User::anonymous().join(&scene.nodes[0], "lobby").await;
    for text in ["one", "two", "three"] {
        eve.publish(text).await;
    }
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(id_of(&bob.receive().await));
    }
    assert_eq!(scene.post("/admin/rooms/lobby/", &[("action", "remove"), ("id", &ids[1])]).await, 303);
    for socket in [&mut eve, &mut bob] {
        assert_eq!(socket.receive_any(&["removed"], seconds(1)).await["id"], ids[1].as_str());
    }
    for node in &scene.nodes {
        let mut late = User::anonymous().handshake("lobby").history(10).connect(node).await;
        let past = late.receive_history().await;
        assert!(!past.iter().any(|message| message.to_string().contains("two")), "{past:?}");
        assert!(texts_of(&past).iter().filter(|text| !text.is_empty()).eq(["one", "three"]), "{past:?}");
    }
    assert_eq!(scene.audit_entries(1).await, pairs(&[("remove", &format!("lobby: {}", ids[1]))]));
    for id in ["", "x", "7-7", "1758000000000-99"] {
        assert_eq!(scene.post("/admin/rooms/lobby/", &[("action", "remove"), ("id", id)]).await, 400, "{id}");
    }
}

async fn operators_start_and_stop_push_streams(layer: LayerKind) {
    let mut scene = OperatorSite::start_on(layer).await;
    let mut receiver = TutorialClient::push(&scene.nodes[1], "lobby").await;
    let token = scene.ann.token(&scene.nodes[0]).await;
    let origin = format!("http://{}", scene.nodes[0].address());
    let request = |method: &str| {
        let request = Request::new(method, "/admin/rooms/lobby/push").body("");
        request.header("X-CSRFToken", &token).header("Origin", &origin)
    };
    let response = scene.ann.send(&scene.nodes[0], request("POST")).await;
    assert_eq!((response.status, response.body.as_str()), (200, "{\"status\": \"success\"}"));
    assert!(receiver.receive().await.contains("实时推送 - 房间: lobby"));
    let mut tail = scene.ann.handshake_at("/ws/admin/lobby/push").connect(&scene.nodes[0]).await;
    tail.receive_frame("push").await;
    assert_eq!(scene.ann.send(&scene.nodes[0], request("DELETE")).await.status, 200);
    until(PATIENCE, "the stream to be off", async || {
        let state: String = scene.redis.server_of("lobby").await.query(&["GET", "parlor:t:{lobby}"]).await;
        holds(state == "off", || state)
    })
    .await;
    assert_eq!(scene.audit_entries(2).await, pairs(&[("push_stop", "lobby"), ("push_start", "lobby")]));
}

on_each_redis! {
    a_kicked_user_leaves_on_every_node_and_may_rejoin
    a_banned_user_is_rejected_everywhere_until_unbanned
    the_browser_of_a_banned_account_is_banned_until_it_clears_cookies
    a_guest_is_found_by_nickname_and_banned_by_cookie
    a_closed_room_exists_only_for_operators_until_reopened
    a_private_room_stays_private_when_closed_and_reopened
    a_removed_message_disappears_from_history_on_every_node
    operators_start_and_stop_push_streams
}

#[tokio::test]
async fn moderation_works_without_redis() {
    let plan = Node::plan().flag("--operator", "ann").env("PARLOR_OPERATOR_PASSWORD", &password("ann"));
    let node = plan.start().await;
    let mut ann = User::logged_in(&node, "ann").await;
    let bob = User::registered(&node, "bob").await;
    let mut sockets = [bob.join(&node, "lobby").await, User::anonymous().join(&node, "lobby").await];
    let user = sockets[0].user().to_owned();
    sockets[0].publish("something bad").await;
    let id = id_of(&sockets[1].receive().await);
    for (fields, socket, reason) in [
        (&[("action", "remove"), ("id", &*id)][..], None, ""),
        (&[("action", "kick"), ("user", &*user)], Some(0), "an operator has sent you away"),
        (&[("action", "close")], Some(1), "an operator has closed this room"),
    ] {
        assert_eq!(ann.post(&node, "/admin/rooms/lobby/", fields).await.status, 303, "{fields:?}");
        match socket {
            Some(socket) => expect_closed(&mut sockets[socket], 4403, reason).await,
            None => assert_eq!(sockets[1].receive_any(&["removed"], seconds(1)).await["id"], id.as_str()),
        }
    }
    assert_eq!(ann.get(&node, "/admin/figures").await.json()["rows"].as_array().map(Vec::len), Some(1));
    let rooms = ann.get(&node, "/admin/figures?of=rooms").await.json();
    assert_eq!((&rooms["rows"][0]["name"], &rooms["rows"][0]["closed"]), (&"lobby".into(), &true.into()));
    let log = ann.get(&node, "/admin/audit/").await.body;
    for what in ["remove", "kick", "close", "user_add_staff"] {
        assert_eq!(log.matches(&format!("data-what=\"{what}\"")).count(), 1, "{what} in {log}");
    }
}
