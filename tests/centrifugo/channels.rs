//! Channels are rooms: the same messages, access and members as on every other wire.

use serde_json::{Value, json};

use crate::support::centrifugo::{CentrifugoClient, deployment, plan, token};
use crate::support::cli::operator;
use crate::support::deployment::{LayerKind, on_every_layer};
use crate::support::redis::Redis;
use crate::support::redis_proxy::RedisProxy;
use crate::support::rooms_client::RoomsClient;
use crate::support::tutorial_client::TutorialClient;
use crate::support::user::User;
use crate::support::wait::{PATIENCE, holds, until};

async fn a_message_is_read_on_every_wire(layer: LayerKind) {
    let deployment = deployment(layer).await;
    let (first, last) = (deployment.first(), deployment.last());
    let mut ann = CentrifugoClient::connect(first, "ann").await;
    let mut bob = CentrifugoClient::connect(last, "bob").await;
    ann.subscribe("lobby").await;
    bob.subscribe("chat:lobby").await;
    let mut eve = RoomsClient::connect(last).await;
    eve.join("lobby").await;
    let mut plain = TutorialClient::chat(last, "lobby").await;

    let data = json!({ "text": "hi", "more": [1.50, "\u{fc}"] });
    ann.publish("lobby", &data).await;
    let own = ann.push("lobby", "pub").await;
    assert_eq!((&own["data"], &own["offset"]), (&data, &json!(1)), "{own}");
    let other = bob.push("chat:lobby", "pub").await;
    assert_eq!((&other["data"], &other["tags"]["id"]), (&data, &own["tags"]["id"]), "{other}");
    let message = eve.next_of("message").await;
    assert_eq!((&message["text"], &message["data"]), (&json!("hi"), &data), "{message}");
    assert_eq!(message["id"], own["tags"]["id"]);
    assert_eq!(plain.receive_chat().await, "hi");

    let ack = eve.publish("lobby", "said in words").await;
    for (client, channel) in [(&mut ann, "lobby"), (&mut bob, "chat:lobby")] {
        let said = client.push(channel, "pub").await;
        assert_eq!((&said["data"]["text"], &said["offset"]), (&json!("said in words"), &json!(2)), "{said}");
        assert_eq!((&said["data"]["id"], &said["data"]["user"]), (&ack["id"], &said["info"]["user"]));
    }
}

async fn a_room_that_a_client_may_not_enter_is_no_channel(layer: LayerKind) {
    let deployment = deployment(layer).await;
    let node = deployment.first();
    let mut owner = User::registered(node, "owner").await;
    assert_eq!(owner.post(node, "/rooms/", &[("room", "cellar")]).await.status, 303);
    let mut ann = CentrifugoClient::connect(node, "ann").await;
    for (channel, code) in
        [("cellar", 103), ("chat:cellar", 103), ("push:cellar", 103), ("#bob", 103), ("a/b", 102), ("", 107)]
    {
        assert_eq!(ann.error("subscribe", &json!({ "channel": channel })).await, code, "{channel:?}");
    }
    for method in ["publish", "presence", "presence_stats", "history"] {
        assert_eq!(ann.error(method, &json!({ "channel": "lobby", "data": 1 })).await, 103, "{method}");
    }
    ann.subscribe("lobby").await;
    assert_eq!(ann.error("subscribe", &json!({ "channel": "lobby" })).await, 105);
    assert_eq!(ann.result("unsubscribe", &json!({ "channel": "lobby" })).await, json!({}));
    assert_eq!(ann.result("unsubscribe", &json!({ "channel": "lobby" })).await, json!({}));
    assert_eq!(ann.error("history", &json!({ "channel": "lobby" })).await, 103);
}

async fn connections_are_listed_where_a_namespace_says_so(layer: LayerKind) {
    let deployment = deployment(layer).await;
    let (first, last) = (deployment.first(), deployment.last());
    let mut one = CentrifugoClient::connect(first, "ann").await;
    let mut other = CentrifugoClient::connect(last, "ann").await;
    one.subscribe("hall").await;
    assert_eq!(one.push("hall", "join").await["info"]["client"], one.id());
    other.subscribe("hall").await;
    let joined = one.push("hall", "join").await;
    assert_eq!(joined["info"], json!({ "user": "ann", "client": other.id() }));
    let plain = TutorialClient::chat(last, "hall").await;
    one.push("hall", "join").await;
    // Who is not subscribed has not joined: what it asks to recover is not there.
    let mut eve = CentrifugoClient::connect(last, "eve").await;
    let beyond =
        json!({ "channel": "hall", "recover": true, "offset": 9, "epoch": "0123456789abcdef", "flag": 2 });
    assert_eq!(eve.error("subscribe", &beyond).await, 112);
    let stats = one.result("presence_stats", &json!({ "channel": "hall" })).await;
    assert_eq!((&stats["num_clients"], &stats["num_users"]), (&json!(3), &json!(2)), "{stats}");
    let presence = one.result("presence", &json!({ "channel": "hall" })).await;
    let client = one.id().to_owned();
    assert_eq!(presence["presence"][&client], json!({ "user": "ann", "client": client }), "{presence}");
    other.result("unsubscribe", &json!({ "channel": "hall" })).await;
    assert_eq!(one.push("hall", "leave").await["info"]["client"], other.id());
    drop(plain);
    one.push("hall", "leave").await;
    let stats = one.result("presence_stats", &json!({ "channel": "hall" })).await;
    assert_eq!((&stats["num_clients"], &stats["num_users"]), (&json!(1), &json!(1)), "{stats}");

    one.subscribe("quiet:hall").await;
    assert_eq!(one.error("presence", &json!({ "channel": "quiet:hall" })).await, 108);
    other.subscribe("quiet:hall").await;
    other.publish("quiet:hall", &json!(1)).await;
    one.push("quiet:hall", "pub").await;
    assert!(one.unread().iter().all(|push| push["channel"] != "quiet:hall"), "{:?}", one.unread());
}

async fn some_channels_are_for_some_users_only(layer: LayerKind) {
    let deployment = deployment(layer).await;
    let node = deployment.first();
    let mut ann = CentrifugoClient::connect(node, "ann").await;
    let mut bob = CentrifugoClient::connect(node, "bob").await;
    assert_eq!(ann.connected["subs"].as_object().expect("channels").keys().collect::<Vec<_>>(), ["#ann"]);
    for client in [&mut ann, &mut bob] {
        client.subscribe("pair#ann,bob").await;
    }
    ann.publish("pair#ann,bob", &json!("for two")).await;
    assert_eq!(bob.data("pair#ann,bob", 1).await, [json!("for two")]);
    let mut eve = CentrifugoClient::connect(node, "eve").await;
    assert_eq!(eve.error("subscribe", &json!({ "channel": "pair#ann,bob" })).await, 103);
    assert_eq!(eve.error("subscribe", &json!({ "channel": "$deals" })).await, 103);
    let subscribe = |user: &str, channel: &str| json!({ "channel": "$deals", "token": token(&json!({ "sub": user, "channel": channel })) });
    assert_eq!(eve.error("subscribe", &subscribe("bob", "$deals")).await, 103);
    assert_eq!(eve.error("subscribe", &subscribe("eve", "lobby")).await, 103);
    eve.result("subscribe", &subscribe("eve", "$deals")).await;
    ann.subscribe("readonly:news").await;
    assert_eq!(ann.error("publish", &json!({ "channel": "readonly:news", "data": 1 })).await, 103);
    let mut plain = TutorialClient::chat(node, "readonly:news").await;
    plain.publish("hi").await;
    assert_eq!(plain.closed().await, (1008, "only programs publish here".to_owned()));
}

async fn a_token_opens_no_channel_but_its_own(layer: LayerKind) {
    let deployment = deployment(layer).await;
    let mut eve = CentrifugoClient::connect(deployment.first(), "eve").await;
    let mut enter = async |channel: &str| {
        let token = token(&json!({ "sub": "eve", "channel": channel }));
        eve.call("subscribe", &json!({ "channel": channel, "token": token })).await["error"]["code"].clone()
    };
    assert_eq!(enter("$deals").await, Value::Null);
    for channel in ["$$deals", "$", "$$", "$ deals", "$a/b", "$cafe\u{301}"] {
        assert_eq!(enter(channel).await, 102, "{channel}");
    }
}

async fn a_room_has_few_names_as_a_channel(layer: LayerKind) {
    let deployment = deployment(layer).await;
    let node = deployment.first();
    let (ann, bob) = (User::registered(node, "ann").await, User::registered(node, "bob").await);
    let mut ann = CentrifugoClient::by(&ann, node).await;
    let bob = CentrifugoClient::by(&bob, node).await;
    let own = |client: &CentrifugoClient| {
        client.connected["subs"].as_object().and_then(|own| own.keys().next().cloned()).expect("a channel")
    };
    for channel in ["caf\u{e9}", "chat:caf\u{e9}", "push:caf\u{e9}", "@bob", "dm:bob", "chat:@bob"] {
        ann.subscribe(channel).await;
    }
    // Else a message would be rendered and kept once for each of any number of them.
    let id = own(&bob).replacen('#', "id:", 1);
    let mut others = ["cafe\u{301}", "chat:cafe\u{301}", "push:cafe\u{301}"].map(str::to_owned).to_vec();
    others.push(format!("cafe\u{301}{}", own(&ann)));
    others.extend(["@ bob", "@bob ", "dm: bob"].map(str::to_owned));
    others.extend([format!("@{id}"), format!("dm:{id}"), format!("push:@{id}")]);
    for channel in others {
        assert_eq!(ann.error("subscribe", &json!({ "channel": channel })).await, 102, "{channel}");
    }
}

async fn a_channel_that_is_left_at_once_was_not_entered(layer: LayerKind) {
    let deployment = deployment(layer).await;
    let node = deployment.first();
    let mut ann = CentrifugoClient::connect(node, "ann").await;
    ann.subscribe("hall").await;
    ann.push("hall", "join").await;
    let mut bob = CentrifugoClient::connect(node, "bob").await;
    // The requests of a message that takes the server long are in several turns: the channel is
    // entered between two of them, and its join is answered before it is left.
    let mut entered = 0;
    for number in 10..30 {
        let subscribe = |id: u64, channel: String| json!({ "id": id, "subscribe": { "channel": channel } });
        let first = subscribe(number * 10, format!("busy{number}"));
        let unsubscribe = json!({ "id": number * 10 + 2, "unsubscribe": { "channel": "hall" } });
        let batch = [first, subscribe(number * 10 + 1, "hall".to_owned()), unsubscribe];
        bob.send(&batch.map(|command| command.to_string()).join("\n")).await;
        for _ in 0..3 {
            let reply = bob.any_reply().await;
            if reply["id"] == number * 10 + 1 {
                let is_entered = reply.get("subscribe").is_some();
                assert!(is_entered || reply["error"]["code"] == 100, "{reply}");
                entered += usize::from(is_entered);
            }
        }
    }
    bob.subscribe("hall").await;
    bob.subscribe("last").await;
    // Behind every join in the hall.
    bob.push("last", "join").await;
    let is_join = |push: &&Value| push["channel"] == "hall" && push.get("join").is_some();
    let joins = bob.unread().iter().filter(is_join).count();
    assert!((1..=entered + 1).contains(&joins), "{joins} joins, {entered} entered: {:?}", bob.unread());
    assert_eq!(ann.push("hall", "join").await["info"]["client"], bob.id());
}

async fn a_channel_may_be_left_while_its_connection_is_being_listed(layer: LayerKind) {
    let deployment = deployment(layer).await;
    let node = deployment.first();
    let mut ann = CentrifugoClient::connect(node, "ann").await;
    ann.subscribe("hall").await;
    let mut bob = CentrifugoClient::connect(node, "bob").await;
    for number in 0..80 {
        let subscribe = json!({ "id": 1000 + number, "subscribe": { "channel": "hall" } });
        bob.send(&subscribe.to_string()).await;
        // At another moment each time: before it is listed, while its log is read, after it.
        let mut answered = 0;
        for _ in 0..number % 8 {
            let other = json!({ "id": 1, "history": { "channel": "lobby" } });
            bob.send(&other.to_string()).await;
            while bob.any_reply().await["id"] != 1 {
                answered += 1;
            }
        }
        let unsubscribe = json!({ "id": 2000 + number, "unsubscribe": { "channel": "hall" } });
        bob.send(&unsubscribe.to_string()).await;
        for _ in answered..2 {
            bob.any_reply().await;
        }
    }
    until(PATIENCE, "one connection", async || {
        let stats = ann.result("presence_stats", &json!({ "channel": "hall" })).await;
        holds(stats["num_clients"] == 1, || stats.to_string())
    })
    .await;
}

async fn a_user_is_the_same_in_messages_presence_and_names_of_channels(layer: LayerKind) {
    let deployment = deployment(layer).await;
    let node = deployment.first();
    let eve = User::registered(node, "eve").await;
    let id = RoomsClient::by(&eve.handshake_at("/ws"), node).await.join("lobby").await["user"].clone();
    let id = id.as_str().expect("an id");
    let account = CentrifugoClient::by(&eve, node).await;
    let outside = CentrifugoClient::connect(node, "auth0|5f7c eve").await;
    let alike = CentrifugoClient::connect(node, id).await;
    for (mut client, user) in [(account, id), (outside, "auth0|5f7c eve"), (alike, &*format!("sub:{id}"))] {
        let own = format!("#{user}");
        assert!(client.connected["subs"][&own].is_object(), "{}", client.connected);
        client.subscribe("lobby").await;
        client.publish("lobby", &json!(1)).await;
        let published = client.push("lobby", "pub").await;
        assert_eq!(published["info"]["user"], user, "{published}");
        assert_eq!(client.push("lobby", "join").await["info"]["user"], user);
        let logged =
            client.result("history", &json!({ "channel": "lobby", "limit": 1, "reverse": true })).await;
        assert_eq!(logged["publications"][0]["info"]["user"], user, "{logged}");
        for channel in [format!("#{id}"), "#auth0|5f7c eve".to_owned(), format!("#sub:{id}")] {
            let entered = client.call("subscribe", &json!({ "channel": channel })).await;
            // 105: the server has subscribed the client.
            let expected = if channel == own { 105 } else { 103 };
            assert_eq!(entered["error"]["code"], expected, "{user} {channel} {entered}");
        }
    }
}

on_every_layer! {
    a_user_is_the_same_in_messages_presence_and_names_of_channels
    a_message_is_read_on_every_wire
    a_room_that_a_client_may_not_enter_is_no_channel
    connections_are_listed_where_a_namespace_says_so
    some_channels_are_for_some_users_only
    a_token_opens_no_channel_but_its_own
    a_room_has_few_names_as_a_channel
    a_channel_that_is_left_at_once_was_not_entered
    a_channel_may_be_left_while_its_connection_is_being_listed
}

#[tokio::test]
async fn each_join_and_leave_after_the_reply_is_sent() {
    let redis = Redis::start().await;
    let proxy = RedisProxy::start(&redis).await;
    let far = plan().flag("--redis-url", &proxy.url()).start().await;
    let near = plan().redis(&redis).start().await;
    let mut bob = CentrifugoClient::connect(&near, "bob").await;
    for channel in ["short", "long"] {
        bob.subscribe(channel).await;
        // Two pages of the log, or less than one.
        let bytes = if channel == "long" { 60_000 } else { 1 };
        for _ in 0..4 {
            bob.publish(channel, &json!("x".repeat(bytes))).await;
        }
        let mut ann = CentrifugoClient::connect(&far, "ann").await;
        let mut eve = CentrifugoClient::connect(&near, "eve").await;
        proxy.delay_replies();
        ann.result("subscribe", &json!({ "channel": channel, "recover": true, "offset": 0, "epoch": "" }))
            .await;
        eve.subscribe(channel).await;
        bob.result("unsubscribe", &json!({ "channel": channel })).await;
        let mut joined = [ann.push(channel, "join").await, ann.push(channel, "join").await]
            .map(|push| push["info"]["client"].as_str().expect("a client").to_owned());
        joined.sort_unstable();
        let mut expected = [ann.id(), eve.id()];
        expected.sort_unstable();
        assert_eq!(joined, expected, "{channel}");
        assert_eq!(ann.push(channel, "leave").await["info"]["client"], bob.id());
        assert_eq!(ann.data(channel, 4).await.len(), 4);
        assert!(ann.unread().iter().all(|push| push["channel"] != channel), "{:?}", ann.unread());
        proxy.open();
    }
}

#[tokio::test]
async fn a_channel_that_is_left_before_its_answer_is_answered() {
    let redis = Redis::start().await;
    let proxy = RedisProxy::start(&redis).await;
    let node = plan().flag("--redis-url", &proxy.url()).start().await;
    // The channel is entered without Redis; then its log is read.
    let mut other = CentrifugoClient::connect(&node, "ann").await;
    other.subscribe("lobby").await;
    let mut ann = CentrifugoClient::connect(&node, "ann").await;
    ann.publish("#ann", &json!("its own channel is read")).await;
    ann.data("#ann", 1).await;
    proxy.delay_replies();
    ann.send(&json!({ "id": 10, "subscribe": { "channel": "lobby" } }).to_string()).await;
    assert_eq!(ann.error("history", &json!({ "channel": "hall" })).await, 103, "meanwhile");
    ann.send(&json!({ "id": 11, "unsubscribe": { "channel": "lobby" } }).to_string()).await;
    assert_eq!(ann.reply(11).await["unsubscribe"], json!({}));
    let error = ann.reply(10).await["error"].clone();
    assert_eq!((&error["code"], &error["temporary"]), (&json!(100), &json!(true)), "{error}");
}

#[tokio::test]
async fn operators_reach_the_channels_of_some_users() {
    let redis = Redis::start().await;
    let node = plan().redis(&redis).start().await;
    let mut zed = operator(&node, &redis, "zed").await;
    let mut ann = CentrifugoClient::connect(&node, "ann").await;
    let deals = json!({ "channel": "$deals", "token": token(&json!({ "sub": "ann", "channel": "$deals" })) });
    ann.result("subscribe", &deals).await;
    for (channel, path) in [("#ann", "/admin/rooms/%23ann/"), ("$deals", "/admin/rooms/$deals/")] {
        ann.publish(channel, &json!("to be removed")).await;
        let id = ann.push(channel, "pub").await["tags"]["id"].as_str().expect("an id").to_owned();
        let page = zed.get(&node, path).await;
        assert!(page.status == 200 && page.body.contains("private"), "{channel}: {page:?}");
        let removed = zed.post(&node, path, &[("action", "remove"), ("id", &id)]).await;
        assert_eq!(removed.status, 303, "{channel}");
        let history = ann.result("history", &json!({ "channel": channel, "limit": 1 })).await;
        assert_eq!(history["publications"][0]["data"]["removed"], true, "{history}");
        let closed = zed.post(&node, path, &[("action", "close")]).await;
        assert_eq!(closed.status, 303, "{channel}");
        assert_eq!(ann.push(channel, "unsubscribe").await["code"], 2000);
    }
    let list = zed.get(&node, "/admin/rooms/?room=%23ann").await;
    assert_eq!(list.header("location"), Some("/admin/rooms/%23ann/"));
    assert_eq!(ann.error("subscribe", &deals).await, 103);
    assert_eq!(ann.error("subscribe", &json!({ "channel": "#ann" })).await, 103);
    let opened = zed.post(&node, "/admin/rooms/$deals/", &[("action", "reopen")]).await;
    assert_eq!(opened.status, 303);
    ann.result("subscribe", &deals).await;
}
