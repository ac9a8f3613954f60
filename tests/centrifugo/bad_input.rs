//! What no client of Centrifugo sends: each has its answer and disturbs no other.

use serde_json::json;

use crate::support::centrifugo::{CentrifugoClient, deployment, token, token_of};
use crate::support::deployment::LayerKind;
use crate::support::encoded_client::{ENCODINGS, EncodedClient};
use crate::support::program::Program;
use crate::support::redis::Redis;
use crate::support::wait::seconds;

#[tokio::test]
async fn what_is_no_command_closes_the_socket() {
    let deployment = deployment(LayerKind::Memory).await;
    let node = deployment.first();
    for text in [
        "{",
        "[]",
        "{\"id\":1}",
        "{\"id\":1,\"subscribe\":{\"channel\":\"lobby\"}}",
        "{\"connect\":{}}",
        "{\"id\":1,\"rpc\":{\"method\":\"none\",\"data\":{}}}",
        "{\"id\":1,\"ping\":{}}",
        "{\"id\":1,\"publish\":{\"channel\":\"lobby\",\"data\":1e999}}",
        "{\"id\":1,\"subscribe\":{\"channel\":\"lobby\",\"type\":1}}",
        "{\"send\":{\"data\":1}}",
        "{}",
        "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"connect\":{}}",
        "{\"id\":1,\"connect\":{}}\n{\"id\":2",
        "{\"id\":-1,\"connect\":{}}",
    ] {
        let mut client = CentrifugoClient::open(node).await;
        client.send(text).await;
        assert_eq!(client.closed().await, (3501, "bad request".to_owned()), "{text}");
    }
    let mut client = CentrifugoClient::connect(node, "ann").await;
    client.send("{\"send\":{\"data\":1}}").await;
    assert_eq!(client.closed().await, (3508, "not available".to_owned()));
}

#[tokio::test]
async fn a_pong_without_a_ping_closes_the_socket() {
    let deployment = deployment(LayerKind::Memory).await;
    for encoding in ENCODINGS {
        let mut ann = EncodedClient::connect(deployment.first().address(), encoding, "ann").await;
        ann.pong().await;
        assert_eq!(ann.closed().await, (3501, "bad request".to_owned()), "{encoding:?}");
    }
    let mut bob = CentrifugoClient::connect(deployment.first(), "bob").await;
    bob.next_ping(seconds(30)).await;
    bob.send("{}").await;
    bob.subscribe("lobby").await;
    bob.send("{}").await;
    assert_eq!(bob.closed().await, (3501, "bad request".to_owned()));
}

#[tokio::test]
async fn a_socket_whose_connect_was_refused_serves_no_other_command() {
    let redis = Redis::start().await;
    let plan = crate::support::centrifugo::plan().flag("--max-channels", "3");
    let program = Program::on(&redis, &plan, "connections").await;
    let of_eve =
        |channels: &[&str]| json!({ "token": token(&json!({ "sub": "eve", "channels": channels })) });
    let connect = json!({ "id": 9, "connect": { "token": token_of("eve") } });
    let publish = json!({ "id": 9, "publish": { "channel": "lobby", "data": 1 } });
    let subscribe = json!({ "id": 9, "subscribe": { "channel": "lobby" } });
    let mut sockets = Vec::new();
    for next in [&connect, &publish, &subscribe, &json!({ "id": 9, "ping": {} })] {
        for (channels, code) in
            [(&["lobby", "#bob"][..], 103), (&["lobby", "x/y"], 102), (&["lobby", "a", "b"], 106)]
        {
            let mut socket = CentrifugoClient::open(&program.node).await;
            assert_eq!(socket.error("connect", &of_eve(channels)).await, code);
            sockets.push((socket, next.to_string(), code));
        }
    }
    // What a program does for the connections of the user is for those that there are.
    let mut eve = CentrifugoClient::connect(&program.node, "eve").await;
    program.result("subscribe", &json!({ "user": "eve", "channel": "news" })).await;
    eve.push("news", "subscribe").await;
    eve.publish("news", &json!("hi")).await;
    assert_eq!(eve.data("news", 1).await, [json!("hi")]);
    let stats = eve.result("presence_stats", &json!({ "channel": "news" })).await;
    assert_eq!(stats, json!({ "num_clients": 1, "num_users": 1 }));
    for (mut socket, next, code) in sockets {
        socket.send(&next).await;
        assert_eq!(socket.closed().await, (3501, "bad request".to_owned()), "{next} after {code}");
    }
}

#[tokio::test]
async fn what_is_not_offered_is_refused_and_the_rest_goes_on() {
    let deployment = deployment(LayerKind::Memory).await;
    let mut ann = CentrifugoClient::connect(deployment.first(), "ann").await;
    for (method, request, code) in [
        ("rpc", json!({ "method": "none", "data": {} }), 108),
        ("ping", json!({}), 108),
        ("subscribe", json!({ "channel": "lobby", "tf": { "op": "eq" } }), 108),
        ("subscribe", json!({ "channel": "lobby", "type": 1 }), 108),
        ("subscribe", json!({ "channel": "x".repeat(256) }), 107),
        ("subscribe", json!({ "channel": "no such:lobby" }), 102),
        ("publish", json!({ "channel": "lobby", "data": "x".repeat(65_536) }), 107),
    ] {
        assert_eq!(ann.error(method, &request).await, code, "{method} {request}");
    }
    // Deltas are an offer; without an answer, all data are whole.
    let subscribed = ann.result("subscribe", &json!({ "channel": "lobby", "delta": "fossil" })).await;
    assert_eq!(subscribed.get("delta"), None, "{subscribed}");
    ann.publish("lobby", &json!("hi")).await;
    assert_eq!(ann.data("lobby", 1).await, [json!("hi")]);
}

#[tokio::test]
async fn a_batch_of_commands_is_answered_in_order_or_limited() {
    let deployment = deployment(LayerKind::Memory).await;
    let mut ann = CentrifugoClient::connect(deployment.first(), "ann").await;
    let batch: Vec<String> =
        (1..=5000).map(|number| format!("{{\"id\":{},\"ping\":{{}}}}", number + 10)).collect();
    ann.send(&batch.join("\n")).await;
    for number in 1..=5000 {
        assert_eq!(ann.reply(number + 10).await["error"]["code"], 108);
    }
    let plan = crate::support::centrifugo::plan().env("PARLOR_MESSAGES_PER_SECOND", "10");
    let node = plan.start().await;
    let mut bob = CentrifugoClient::connect(&node, "bob").await;
    bob.send(&batch.join("\n")).await;
    assert_eq!(bob.closed().await, (3013, "too many requests".to_owned()));
    let mut eve = CentrifugoClient::open(&node).await;
    eve.result("connect", &json!({ "token": token_of("eve") })).await;
}

#[tokio::test]
async fn each_subscription_is_a_read_of_its_address() {
    let plan = crate::support::centrifugo::plan().env("PARLOR_MESSAGES_PER_SECOND", "1000");
    let node = plan.flag("--reads-per-second", "1").start().await;
    let mut ann = CentrifugoClient::connect(&node, "ann").await;
    let mut codes = Vec::new();
    for number in 0..20 {
        let subscribe = json!({ "channel": format!("room{number}") });
        codes.push(ann.call("subscribe", &subscribe).await["error"]["code"].as_u64());
    }
    // Ten at once, and the client's own channel was one of them.
    let subscribed = codes.iter().filter(|code| code.is_none()).count();
    assert!((9..15).contains(&subscribed) && codes.iter().flatten().all(|code| *code == 111), "{codes:?}");
    ann.subscribe("push:lobby").await;
}

#[tokio::test]
async fn each_history_and_each_list_of_connections_is_a_read_of_its_address() {
    let plan = crate::support::centrifugo::plan().env("PARLOR_MESSAGES_PER_SECOND", "1000");
    for method in ["presence", "presence_stats", "history"] {
        let node = plan.clone().flag("--reads-per-second", "1").start().await;
        let mut ann = CentrifugoClient::connect(&node, "ann").await;
        ann.subscribe("lobby").await;
        let mut codes = Vec::new();
        for _ in 0..20 {
            let answer = ann.call(method, &json!({ "channel": "lobby" })).await;
            codes.push(answer["error"]["code"].as_u64());
        }
        // Ten at once, and two were the subscriptions.
        let answered = codes.iter().filter(|code| code.is_none()).count();
        assert!((8..15).contains(&answered), "{method}: {codes:?}");
        assert!(codes.iter().flatten().all(|code| *code == 111), "{method}: {codes:?}");
    }
}

#[tokio::test]
async fn a_connection_has_a_bounded_number_of_subscriptions() {
    let plan = crate::support::centrifugo::plan().flag("--max-channels", "3");
    let node = plan.start().await;
    let mut ann = CentrifugoClient::connect(&node, "ann").await;
    for channel in ["one", "two"] {
        ann.subscribe(channel).await;
    }
    assert_eq!(ann.error("subscribe", &json!({ "channel": "three" })).await, 106);
    ann.result("unsubscribe", &json!({ "channel": "one" })).await;
    ann.subscribe("three").await;
}
