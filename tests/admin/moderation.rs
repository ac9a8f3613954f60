//! What operators do to people, rooms and messages, on every node.

use crate::support::client::Client;
use crate::support::http::Request;
use crate::support::member::{Member, id_of, texts_of};
use crate::support::node::Node;
use crate::support::operator_site::{Operation, pairs};
use crate::support::user::{Person, password};
use crate::support::wait::{PATIENCE, holds, seconds, until};

async fn is_sent_away(socket: &mut Member, code: u16, reason: &str) {
    assert_eq!(socket.closed(seconds(1)).await, (code, reason.to_owned()));
}

#[tokio::test]
async fn who_is_kicked_leaves_the_room_on_every_node_and_may_come_again() {
    let mut scene = Operation::begin().await;
    let bob = Person::named(&scene.nodes[1], "bob").await;
    let mut here = [bob.enters(&scene.nodes[0], "lobby").await, bob.enters(&scene.nodes[1], "lobby").await];
    let mut pushed = bob.ticket_at("/ws/push/lobby").enter(&scene.nodes[1]).await;
    let mut elsewhere = bob.enters(&scene.nodes[1], "kitchen").await;
    let mut eve = Client::chat(&scene.nodes[1], "lobby").await;
    let id = elsewhere.user().to_owned();
    assert_eq!(scene.does("/admin/rooms/lobby/", &[("action", "kick"), ("user", &id)]).await, 303);
    for socket in here.iter_mut().chain([&mut pushed]) {
        is_sent_away(socket, 4403, "an operator has sent you away").await;
    }
    elsewhere.say("still here").await;
    eve.say("me too").await;
    bob.enters(&scene.nodes[1], "lobby").await;
    assert_eq!(scene.audited(1).await, pairs(&[("kick", &format!("lobby: bob ({id})"))]));
}

#[tokio::test]
async fn who_is_banned_is_out_everywhere_until_let_in_again() {
    let mut scene = Operation::begin().await;
    let mut bob = Person::named(&scene.nodes[1], "bob").await;
    let mut sockets =
        [bob.enters(&scene.nodes[0], "lobby").await, bob.enters(&scene.nodes[1], "kitchen").await];
    let id = sockets[0].user().to_owned();
    assert_eq!(scene.does("/admin/rooms/lobby/", &[("action", "ban"), ("user", &id)]).await, 303);
    for socket in &mut sockets {
        is_sent_away(socket, 4403, "banned").await;
    }
    for node in &scene.nodes {
        assert_eq!(bob.logs_in(node, "bob").await.status, 403);
    }
    let page = scene.ann.get(&scene.nodes[0], "/admin/users/?name=BOB").await.body;
    assert!(page.contains(&id) && page.contains("value=\"unban\""), "{page}");
    assert_eq!(scene.does("/admin/users/", &[("action", "unban"), ("user", &id)]).await, 303);
    Person::again(&scene.nodes[1], "bob").await;
    let about = format!("bob ({id})");
    assert_eq!(scene.audited(2).await, pairs(&[("unban", &about), ("ban", &about)]));
}

#[tokio::test]
async fn a_guest_is_banned_by_its_cookie_and_found_by_its_nickname() {
    let mut scene = Operation::begin().await;
    let mut guest = Person::guest(&scene.nodes[1]).await;
    assert_eq!(guest.post(&scene.nodes[1], "/accounts/guest/", &[("nickname", "zoe")]).await.status, 303);
    let mut socket = guest.enters(&scene.nodes[1], "lobby").await;
    let id = socket.user().to_owned();
    for wanted in ["~zoe", &id] {
        let page = scene.ann.get(&scene.nodes[0], &format!("/admin/users/?name={wanted}")).await;
        assert!(page.status == 200 && page.body.contains(&id), "{wanted}: {page:?}");
    }
    assert_eq!(scene.does("/admin/rooms/lobby/", &[("action", "ban"), ("user", &id)]).await, 303);
    is_sent_away(&mut socket, 4403, "banned").await;
    assert_eq!(guest.get(&scene.nodes[0], "/chat/lobby/").await.status, 403);
    assert_eq!(guest.knocks(&scene.nodes[1], "/ws/chat/lobby/").await.0.status, 403);
    let page = scene.ann.get(&scene.nodes[0], "/admin/users/").await.body;
    assert!(page.contains(&id), "banned guests are listed: {page}");
    assert_eq!(scene.does("/admin/users/", &[("action", "unban"), ("user", &id)]).await, 303);
    assert_eq!(guest.get(&scene.nodes[0], "/chat/lobby/").await.status, 200);
    assert_eq!(scene.audited(2).await, pairs(&[("unban", &id), ("ban", &format!("~zoe ({id})"))]));
}

#[tokio::test]
async fn a_closed_room_is_nowhere_but_for_operators_until_it_is_opened_again() {
    let mut scene = Operation::begin().await;
    let [bob, eve] = [Person::named(&scene.nodes[1], "bob").await, Person::stranger()];
    let mut sockets = [
        bob.enters(&scene.nodes[0], "lobby").await,
        eve.enters(&scene.nodes[1], "lobby").await,
        bob.ticket_at("/ws/push/lobby").enter(&scene.nodes[1]).await,
    ];
    let mut elsewhere = eve.enters(&scene.nodes[1], "kitchen").await;
    sockets[0].say("before").await;
    assert_eq!(scene.does("/admin/rooms/lobby/", &[("action", "close")]).await, 303);
    for socket in &mut sockets {
        is_sent_away(socket, 4403, "an operator has closed this room").await;
    }
    elsewhere.say("still here").await;
    for node in &scene.nodes {
        for path in ["/chat/lobby/", "/sse/chat/lobby/", "/push?room=lobby"] {
            assert_eq!(Request::get(path).send(node).await.status, 404, "{path}");
        }
        assert_eq!(bob.knocks(node, "/ws/chat/lobby/").await.0.status, 404);
    }
    let tail = scene.ann.ticket_at("/ws/admin/lobby/").history(10);
    let mut ann = tail.enter(&scene.nodes[1]).await;
    assert_eq!(texts_of(&[ann.hear().await]), ["before"]);
    ann.say("nobody hears this").await;
    assert_eq!(scene.does("/admin/rooms/lobby/", &[("action", "close")]).await, 303, "twice is no harm");
    is_sent_away(&mut ann, 4403, "an operator has closed this room").await;
    assert_eq!(scene.does("/admin/rooms/lobby/", &[("action", "reopen")]).await, 303);
    bob.enters(&scene.nodes[1], "lobby").await.say("after").await;
    let expected = [("reopen", "lobby"), ("close", "lobby"), ("close", "lobby")];
    assert_eq!(scene.audited(3).await, pairs(&expected));
}

#[tokio::test]
async fn a_private_room_stays_private_through_closing_and_opening() {
    let mut scene = Operation::begin().await;
    let mut bob = Person::named(&scene.nodes[1], "bob").await;
    assert_eq!(bob.post(&scene.nodes[1], "/rooms/", &[("room", "cellar")]).await.status, 303);
    for action in ["close", "reopen"] {
        assert_eq!(scene.does("/admin/rooms/cellar/", &[("action", action)]).await, 303);
    }
    assert_eq!(Request::get("/chat/cellar/").send(&scene.nodes[0]).await.status, 404);
    let mut owner = bob.enters(&scene.nodes[0], "cellar").await;
    let mut ann = scene.ann.ticket_at("/ws/admin/cellar/").enter(&scene.nodes[1]).await;
    ann.say("an operator is here").await;
    let heard = owner.hear().await;
    assert_eq!((heard["text"].as_str(), heard["name"].as_str()), (Some("an operator is here"), Some("ann")));
    let page = scene.ann.get(&scene.nodes[0], "/admin/rooms/cellar/").await.body;
    assert!(page.contains("<bdi>bob</bdi>"), "its owner: {page}");
}

#[tokio::test]
async fn a_removed_message_is_gone_from_the_past_on_every_node() {
    let mut scene = Operation::begin().await;
    let mut eve = Person::stranger().enters(&scene.nodes[1], "lobby").await;
    let mut bob = Person::stranger().enters(&scene.nodes[0], "lobby").await;
    for text in ["one", "two", "three"] {
        eve.say(text).await;
    }
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(id_of(&bob.hear().await));
    }
    assert_eq!(scene.does("/admin/rooms/lobby/", &[("action", "remove"), ("id", &ids[1])]).await, 303);
    for socket in [&mut eve, &mut bob] {
        assert_eq!(socket.next_of(&["removed"], seconds(1)).await["id"], ids[1].as_str());
    }
    for node in &scene.nodes {
        let mut late = Person::stranger().ticket("lobby").history(10).enter(node).await;
        let past = late.past().await;
        assert!(!past.iter().any(|message| message.to_string().contains("two")), "{past:?}");
        assert!(texts_of(&past).iter().filter(|text| !text.is_empty()).eq(["one", "three"]), "{past:?}");
    }
    assert_eq!(scene.audited(1).await, pairs(&[("remove", &format!("lobby: {}", ids[1]))]));
    for id in ["", "x", "7-7", "1758000000000-99"] {
        assert_eq!(scene.does("/admin/rooms/lobby/", &[("action", "remove"), ("id", id)]).await, 400, "{id}");
    }
}

#[tokio::test]
async fn a_push_stream_runs_and_stops_for_everybody() {
    let mut scene = Operation::begin().await;
    let mut listener = Client::push(&scene.nodes[1], "lobby").await;
    let token = scene.ann.token(&scene.nodes[0]).await;
    let origin = format!("http://{}", scene.nodes[0].address());
    let request = |method: &str| {
        let request = Request::new(method, "/admin/rooms/lobby/push").body("");
        request.header("X-CSRFToken", &token).header("Origin", &origin)
    };
    let answer = scene.ann.send(&scene.nodes[0], request("POST")).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "{\"status\": \"success\"}"));
    assert!(listener.hear().await.contains("实时推送 - 房间: lobby"));
    let mut tail = scene.ann.ticket_at("/ws/admin/lobby/push").enter(&scene.nodes[0]).await;
    tail.frame_of("push").await;
    assert_eq!(scene.ann.send(&scene.nodes[0], request("DELETE")).await.status, 200);
    until(PATIENCE, "the stream to be off", async || {
        holds(!scene.redis.exists("parlor:ticker:lobby").await, || "it is on".to_owned())
    })
    .await;
    assert_eq!(scene.audited(2).await, pairs(&[("push_stop", "lobby"), ("push_start", "lobby")]));
}

#[tokio::test]
async fn on_a_node_without_redis_operators_do_the_same() {
    let plan = Node::plan().flag("--operator", "ann").env("PARLOR_OPERATOR_PASSWORD", &password("ann"));
    let node = plan.start().await;
    let mut ann = Person::again(&node, "ann").await;
    let bob = Person::named(&node, "bob").await;
    let mut sockets = [bob.enters(&node, "lobby").await, Person::stranger().enters(&node, "lobby").await];
    let user = sockets[0].user().to_owned();
    sockets[0].say("something bad").await;
    let id = id_of(&sockets[1].hear().await);
    for (fields, socket, reason) in [
        (&[("action", "remove"), ("id", &*id)][..], None, ""),
        (&[("action", "kick"), ("user", &*user)], Some(0), "an operator has sent you away"),
        (&[("action", "close")], Some(1), "an operator has closed this room"),
    ] {
        assert_eq!(ann.post(&node, "/admin/rooms/lobby/", fields).await.status, 303, "{fields:?}");
        match socket {
            Some(socket) => is_sent_away(&mut sockets[socket], 4403, reason).await,
            None => assert_eq!(sockets[1].next_of(&["removed"], seconds(1)).await["id"], id.as_str()),
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
