//! A site on a Redis Cluster: rooms of every shard, every kind of operation, and a shard that is
//! away.

use serde_json::json;

use crate::support::api_client::ApiClient;
use crate::support::cli::{command, operator};
use crate::support::http::Request;
use crate::support::metrics::metric;
use crate::support::node::Node;
use crate::support::redis_cluster::{RedisCluster, SHARDS};
use crate::support::tutorial_client::{TutorialClient, encoded};
use crate::support::user::User;
use crate::support::v1_client::{V1Client, fresh_id, id_of};
use crate::support::wait::{PATIENCE, holds, seconds, until};

/// A room of each shard.
async fn rooms(cluster: &RedisCluster, prefix: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for shard in 0..SHARDS {
        rooms.push(cluster.name_in(shard, prefix, |room| format!("chat_{room}")).await);
    }
    rooms
}

/// Two accounts chat in the room from two nodes, and read what was said.
async fn chat([near, far]: &[Node; 2], [ann, bob]: [&User; 2], room: &str) {
    let mut here = ann.join(near, room).await;
    let mut there = bob.join(far, room).await;
    here.receive_frame("presence").await;
    here.publish("from here").await;
    there.publish("from there").await;
    for client in [&mut here, &mut there] {
        assert_eq!(client.receive_texts(2).await, ["from here", "from there"], "{room}");
    }
    here.send_json(&json!({ "type": "typing" })).await;
    there.receive_frame("typing").await;
    let mut late = bob.handshake(room).history(10).connect(near).await;
    let history = late.receive_history().await;
    assert_eq!(history.len(), 2, "{history:?}");
    let mut resumed = bob.handshake(room).since(&id_of(&history[0])).connect(far).await;
    assert_eq!(resumed.receive_texts(1).await, ["from there"]);
}

/// A private room, a private chat with its unread count, and a push stream.
async fn invite_and_push([near, far]: &[Node; 2], [ann, bob]: [&mut User; 2], room: &str) {
    let private = format!("private {room}");
    assert_eq!(ann.post(near, "/rooms/", &[("room", &private)]).await.status, 303);
    let page = format!("/chat/{}/members/", encoded(&private));
    let invited = ann.post(near, &page, &[("action", "invite"), ("name", &bob.name)]).await;
    assert_eq!(invited.status, 303, "{invited:?}");
    let accepted = bob.post(far, "/invitations/", &[("action", "accept"), ("room", &private)]).await;
    assert_eq!(accepted.status, 303, "{accepted:?}");
    let mut members = [ann.join(near, &private).await, bob.join(far, &private).await];
    members[0].publish("among us").await;
    assert_eq!(members[1].receive_texts(1).await, ["among us"]);

    let mut inbox = bob.handshake_at("/ws/inbox/").connect(far).await;
    ann.join(near, &format!("@{}", bob.name)).await.publish("for you").await;
    assert_eq!(inbox.receive_frame("unread").await["name"], ann.name.as_str());

    let mut page = TutorialClient::push(far, room).await;
    for method in ["POST", "DELETE"] {
        let response = Request::new(method, &format!("/push?room={room}")).send(near).await;
        assert_eq!(response.status, 200, "{response:?}");
        if method == "POST" {
            page.receive().await;
        }
    }
}

/// Every call of the API, about rooms of every shard.
async fn call_api(api: &ApiClient, [near, far]: &[Node; 2], rooms: &[String]) {
    let mut ann = V1Client::join(far, &rooms[0]).await;
    let broadcast = json!({ "rooms": rooms, "message": "to all" });
    let results = api.post("/api/broadcast", &broadcast).send(near).await.json()["results"].clone();
    assert!(results.as_array().expect("results").iter().all(|result| result["status"] == 201), "{results}");
    assert_eq!(ann.receive_texts(1).await, ["to all"]);
    for room in rooms {
        let path = format!("/api/rooms/{room}/messages");
        assert_eq!(api.post(&path, &json!({ "message": "hi" })).send(near).await.status, 201);
        let messages = api.get(&format!("{path}?limit=1")).send(far).await.json();
        assert_eq!(messages["messages"][0]["text"], "hi", "{messages}");
        let event = json!({ "type": "price.changed", "item": "tea" });
        let group = format!("/api/groups/chat_{room}/events");
        assert_eq!(api.post(&group, &event).send(far).await.status, 202);
        let clear = json!({ "channel": room });
        let cleared = api.post("/centrifugo/api/history_remove", &clear).send(near).await.json();
        assert_eq!(cleared, json!({ "result": {} }));
    }
    let members = api.get(&format!("/api/rooms/{}/members", rooms[0])).send(near).await.json();
    assert!(members["count"].as_u64() >= Some(1), "{members}");
    // Nodes say every four seconds which groups they have.
    until(PATIENCE, "the room to be listed", async || {
        let listed = api.get("/api/rooms").send(near).await.json().to_string();
        holds(listed.contains(&rooms[0]), || listed)
    })
    .await;
    let path = format!("/api/users/id:{}/disconnect", ann.user());
    assert!(api.post(&path, &json!({})).send(near).await.status < 300);
    ann.closed(seconds(5)).await;
}

/// The pages of operators, and what they do to users, messages and rooms.
async fn operate(operator: &mut User, [near, far]: &[Node; 2], bob: &User, room: &str) {
    let mut his = bob.join(far, room).await;
    let id = id_of(&his.publish("to remove").await);
    let page = format!("/admin/rooms/{room}/");
    for path in ["/admin/", "/admin/rooms/", &page, "/admin/users/", "/admin/keys/", "/admin/audit/"] {
        assert_eq!(operator.get(near, path).await.status, 200, "{path}");
    }
    let user = his.user().to_owned();
    assert_eq!(operator.post(near, &page, &[("action", "remove"), ("id", &id)]).await.status, 303);
    his.receive_frame("removed").await;
    assert_eq!(operator.post(near, &page, &[("action", "kick"), ("user", &user)]).await.status, 303);
    assert_eq!(his.closed(seconds(5)).await.0, 4403);
    for action in ["close", "reopen"] {
        assert_eq!(operator.post(near, &page, &[("action", action)]).await.status, 303, "{action}");
    }
    for action in ["ban", "unban"] {
        let form = [("action", action), ("user", user.as_str())];
        assert_eq!(operator.post(near, "/admin/users/", &form).await.status, 303, "{action}");
    }
}

#[tokio::test]
async fn no_operation_has_a_key_of_another_slot() {
    let cluster = RedisCluster::start().await;
    let nodes = Node::several::<2>(&cluster).await;
    let mut zed = operator(&nodes[0], &cluster, "zed").await;
    let api = ApiClient::with_key(&cluster, "billing", "publish,read,disconnect").await;
    // Once, so that each server has each script; then no script may fail.
    for round in ["first", "second"] {
        if round == "second" {
            for server in cluster.servers() {
                let _: String = server.query(&["CONFIG", "RESETSTAT"]).await;
            }
        }
        let rooms = rooms(&cluster, round).await;
        let mut ann = User::registered(&nodes[0], &format!("ann-{round}")).await;
        let mut bob = User::registered(&nodes[1], &format!("bob-{round}")).await;
        command(&cluster, &["user", "add", &format!("eve-{round}")]).await;
        command(&cluster, &["key", "add", round, "--scope", "read"]).await;
        for room in &rooms {
            chat(&nodes, [&ann, &bob], room).await;
            invite_and_push(&nodes, [&mut ann, &mut bob], room).await;
            operate(&mut zed, &nodes, &bob, room).await;
            bob = User::logged_in(&nodes[1], &format!("bob-{round}")).await;
        }
        call_api(&api, &nodes, &rooms).await;
        let list = command(&cluster, &["user", "list"]).await;
        assert!(list.contains(&format!("eve-{round}")), "{list}");
    }
    let (failed, errors) = (cluster.failed_calls().await, cluster.errors().await);
    let scripts: Vec<_> = failed.iter().filter(|(command, _)| command.starts_with("eval")).collect();
    assert!(scripts.is_empty(), "{scripts:?} of {failed:?}, {errors:?}");
    let others: Vec<_> = errors.keys().filter(|kind| *kind != "ERR").collect();
    assert!(others.is_empty(), "{errors:?}");
    for node in &nodes {
        let log = node.log().text();
        assert!(!log.contains("non local key") && !log.contains("CROSSSLOT"), "{log}");
    }
}

/// Stops the shard of accounts and decisions, or another one, and chats in rooms of all shards
/// meanwhile.
async fn stop_a_shard(of_control: bool) {
    let settings =
        ["--cluster-require-full-coverage", "no", "--appendonly", "yes", "--appendfsync", "always"];
    let mut cluster = RedisCluster::with(&settings).await;
    let nodes = Node::several::<2>(&cluster).await;
    let control = cluster.shard_of(cluster.slot_of("control").await).await;
    let down = if of_control { control } else { (control + 1) % SHARDS };
    let rooms = rooms(&cluster, "room").await;
    let mut members = Vec::new();
    for room in &rooms {
        members.push([V1Client::join(&nodes[0], room).await, V1Client::join(&nodes[1], room).await]);
    }
    let address = cluster.master(down).await.address();
    cluster.stop_shard(down);

    for node in &nodes {
        until(PATIENCE, "the shard to be away", async || {
            let body = Request::get("/readyz").send(node).await.body;
            holds(body.contains(&format!("shard {address} is away")), || body.clone())
        })
        .await;
        let series = format!("parlor_redis_shard_up{{shard=\"{address}\"}}");
        assert_eq!(metric(node, &series).await, 0);
    }
    let (id, text) = (fresh_id(), "to the shard that is down");
    let refused = members[down][0].try_publish(&id, text).await;
    let refusal = (&refused["type"], &refused["code"], &refused["retry"]);
    assert_eq!(refusal, (&json!("error"), &json!("unavailable"), &json!(true)), "{refused}");
    for shard in (0..SHARDS).filter(|shard| *shard != down) {
        for number in 0..10 {
            let text = format!("{number}");
            let [near, far] = &mut members[shard];
            near.publish(&text).await;
            assert_eq!(far.receive_texts(1).await, [text], "in {}", rooms[shard]);
        }
    }
    cluster.restart().await;
    members[down][0].publish_until_acked(&id, text, PATIENCE * 2).await;
    assert_eq!(members[down][1].receive_texts(1).await, [text]);
    for node in &nodes {
        until(PATIENCE, "the node to have all shards", async || {
            let ready = Request::get("/readyz").send(node).await;
            holds(ready.status == 200 && !ready.body.contains("away"), || format!("{ready:?}"))
        })
        .await;
    }
}

#[tokio::test]
async fn rooms_of_other_shards_go_on_while_one_is_down() {
    stop_a_shard(false).await;
}

#[tokio::test]
async fn rooms_of_other_shards_go_on_while_that_of_accounts_is_down() {
    stop_a_shard(true).await;
}
