//! What tokens and programs have other clients know of a connection and of its subscriptions.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio_centrifuge::config::Protocol;
use tokio_centrifuge::protocol::{Command, PresenceRequest, Reply};

use crate::support::centrifugo::{CentrifugoClient, deployment, plan, token};
use crate::support::deployment::{LayerKind, on_every_layer};
use crate::support::encoded_client::EncodedClient;
use crate::support::program::Program;
use crate::support::redis::Redis;
use crate::support::rooms_client::RoomsClient;

/// The longest info, in bytes.
const MAX_INFO_BYTES: usize = 1024;

/// A connect request with a token of ann that has these claims, too.
fn connect_as_ann(claims: &Value) -> Value {
    let mut all = json!({ "sub": "ann" });
    all.as_object_mut().expect("claims").extend(claims.as_object().expect("claims").clone());
    json!({ "token": token(&all) })
}

/// A subscribe request of ann with a token for the channel that has this info.
fn subscribe_with(channel: &str, info: &Value) -> Value {
    json!({ "channel": channel, "token": token(&json!({ "sub": "ann", "channel": channel, "info": info })) })
}

/// A text of JSON of so many bytes.
fn info_of(bytes: usize) -> Value {
    json!("x".repeat(bytes - 2))
}

async fn infos_are_in_presence_joins_leaves_and_publications(layer: LayerKind) {
    let deployment = deployment(layer).await;
    let (first, last) = (deployment.first(), deployment.last());
    let mut bob = CentrifugoClient::connect(last, "bob").await;
    bob.subscribe("hall").await;
    bob.push("hall", "join").await;
    // A space, a percent sign, a slash and a line break are none of the list's.
    let conn_info = json!({ "name": "Ann 100% a/b \u{fc}", "lines": "a\nb" });
    let request = connect_as_ann(&json!({ "info": conn_info, "meta": { "plan": 1 } }));
    let mut ann = CentrifugoClient::connect_with(first, &request).await;
    let chan_info = json!(["guide"]);
    ann.result("subscribe", &subscribe_with("hall", &chan_info)).await;
    let whole = json!({ "user": "ann", "client": ann.id(), "conn_info": conn_info, "chan_info": chan_info });
    assert_eq!(bob.push("hall", "join").await["info"], whole);
    let presence = bob.result("presence", &json!({ "channel": "hall" })).await;
    assert_eq!(presence["presence"][ann.id()], whole);
    let plain = json!({ "user": "bob", "client": bob.id() });
    assert_eq!(presence["presence"][bob.id()], plain);
    let stats = bob.result("presence_stats", &json!({ "channel": "hall" })).await;
    assert_eq!(stats, json!({ "num_clients": 2, "num_users": 2 }));

    ann.publish("hall", &json!(1)).await;
    bob.publish("hall", &json!(2)).await;
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.push("hall", "pub").await["info"], whole);
        assert_eq!(client.push("hall", "pub").await["info"], plain);
    }
    let logged = bob.result("history", &json!({ "channel": "hall", "limit": -1 })).await;
    assert_eq!((&logged["publications"][0]["info"], &logged["publications"][1]["info"]), (&whole, &plain));
    // Each channel has its own, and one that is entered again the new one.
    ann.subscribe("other").await;
    ann.publish("other", &json!(3)).await;
    assert_eq!(ann.push("other", "pub").await["info"].get("chan_info"), None);
    ann.result("unsubscribe", &json!({ "channel": "hall" })).await;
    assert_eq!(bob.push("hall", "leave").await["info"], whole);
    ann.subscribe("hall").await;
    let info = bob.push("hall", "join").await["info"].take();
    assert_eq!((&info["conn_info"], info.get("chan_info")), (&conn_info, None));
    ann.publish("hall", &json!(4)).await;
    assert_eq!(bob.push("hall", "pub").await["info"], info);
}

async fn an_info_is_replaced_with_the_token(layer: LayerKind) {
    let deployment = deployment(layer).await;
    let request = connect_as_ann(&json!({ "info": 1 }));
    let mut ann = CentrifugoClient::connect_with(deployment.first(), &request).await;
    ann.result("subscribe", &subscribe_with("hall", &json!("a"))).await;
    ann.result("refresh", &connect_as_ann(&json!({ "info": 2 }))).await;
    ann.result("sub_refresh", &subscribe_with("hall", &json!("b"))).await;
    for () in [(), ()] {
        ann.publish("hall", &json!("hi")).await;
        let info = ann.push("hall", "pub").await["info"].take();
        assert_eq!((&info["conn_info"], &info["chan_info"]), (&json!(2), &json!("b")));
        // Tokens without one leave it as it is.
        ann.result("refresh", &connect_as_ann(&json!({}))).await;
        let endless = token(&json!({ "sub": "ann", "channel": "hall" }));
        ann.result("sub_refresh", &json!({ "channel": "hall", "token": endless })).await;
    }
}

async fn an_info_has_a_bound(layer: LayerKind) {
    let deployment = deployment(layer).await;
    let node = deployment.first();
    let longest = info_of(MAX_INFO_BYTES);
    let request = connect_as_ann(&json!({ "info": longest }));
    let mut ann = CentrifugoClient::connect_with(node, &request).await;
    ann.result("subscribe", &subscribe_with("hall", &longest)).await;
    let info = ann.push("hall", "join").await["info"].take();
    assert_eq!((&info["conn_info"], &info["chan_info"]), (&longest, &longest));
    let encoded = STANDARD.encode(r#"{"a": 1.50}"#);
    let request = connect_as_ann(&json!({ "info": 7, "b64info": encoded }));
    let mut eve = CentrifugoClient::connect_with(node, &request).await;
    eve.subscribe("hall").await;
    assert_eq!(ann.push("hall", "join").await["info"]["conn_info"], json!({ "a": 1.50 }));
    for bytes in [MAX_INFO_BYTES + 1, 4096] {
        let refused = ann.error("subscribe", &subscribe_with("other", &info_of(bytes))).await;
        assert_eq!(refused, 103, "{bytes}");
    }
    for claims in [
        json!({ "info": info_of(MAX_INFO_BYTES + 1) }),
        json!({ "info": info_of(4096) }),
        json!({ "b64info": STANDARD.encode(info_of(4096).to_string()) }),
        json!({ "b64info": STANDARD.encode("not JSON") }),
        json!({ "b64info": "%" }),
    ] {
        let mut client = CentrifugoClient::open(node).await;
        client.send(&json!({ "id": 1, "connect": connect_as_ann(&claims) }).to_string()).await;
        assert_eq!(client.closed().await, (3500, "invalid token".to_owned()));
    }
}

on_every_layer! {
    infos_are_in_presence_joins_leaves_and_publications
    an_info_is_replaced_with_the_token
    an_info_has_a_bound
}

#[tokio::test]
async fn infos_are_bytes_in_protobuf() {
    let deployment = deployment(LayerKind::Redis).await;
    let request = connect_as_ann(&json!({ "info": { "a": 1 } }));
    let mut ann = CentrifugoClient::connect_with(deployment.first(), &request).await;
    ann.result("subscribe", &subscribe_with("hall", &json!([2]))).await;
    ann.push("hall", "join").await;
    let mut bob = EncodedClient::connect(deployment.last().address(), Protocol::Protobuf, "bob").await;
    bob.subscribe("hall").await;
    let presence = bob.call(Command::Presence(PresenceRequest { channel: "hall".to_owned() })).await;
    let Reply::Presence(presence) = presence else { panic!("{presence:?}") };
    ann.publish("hall", &json!("hi")).await;
    let published = bob.publication("hall").await.info.expect("an info");
    for info in [&presence.presence[ann.id()], &published] {
        assert_eq!((&*info.user, &*info.client), ("ann", ann.id()));
        assert_eq!((&*info.conn_info, &*info.chan_info), (&br#"{"a":1}"#[..], &b"[2]"[..]));
    }
}

#[tokio::test]
async fn a_program_gives_infos() {
    let redis = Redis::start().await;
    let program = Program::start(&redis, "connections,read,publish").await;
    let other = plan().redis(&redis).start().await;
    let mut ann = CentrifugoClient::connect(&other, "ann").await;
    let subscribe = json!({ "user": "ann", "channel": "hall", "info": { "seat": 4 } });
    program.result("subscribe", &subscribe).await;
    let joined = ann.push("hall", "join").await["info"].take();
    assert_eq!(joined, json!({ "user": "ann", "client": ann.id(), "chan_info": { "seat": 4 } }));
    let at = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs() + 100;
    let refresh = |info: Value| json!({ "user": "ann", "expire_at": at, "info": info });
    program.result("refresh", &refresh(json!("vip"))).await;
    ann.push_of_connection("refresh").await;
    ann.publish("hall", &json!(1)).await;
    let whole = json!({ "user": "ann", "client": ann.id(), "conn_info": "vip", "chan_info": { "seat": 4 } });
    assert_eq!(ann.push("hall", "pub").await["info"], whole);
    let history = program.result("history", &json!({ "channel": "hall", "limit": 1 })).await;
    assert_eq!(history["publications"][0]["info"], whole);
    let presence = program.result("presence", &json!({ "channel": "hall" })).await;
    assert_eq!(presence["presence"][ann.id()], joined, "as it joined");
    for (method, params) in [
        ("refresh", refresh(info_of(MAX_INFO_BYTES + 1))),
        ("subscribe", json!({ "user": "ann", "channel": "news", "info": info_of(4096) })),
        ("subscribe", json!({ "user": "ann", "channel": "news", "b64info": "%" })),
    ] {
        assert_eq!(program.error(method, &params).await, 107, "{method}");
    }
    let encoded = json!({ "user": "ann", "channel": "news", "b64info": STANDARD.encode("[5]") });
    program.result("subscribe", &encoded).await;
    assert_eq!(ann.push("news", "join").await["info"]["chan_info"], json!([5]));
    // A message by a key has no connection.
    program.result("publish", &json!({ "channel": "hall", "data": 2 })).await;
    let published = ann.push("hall", "pub").await["info"].take();
    assert_eq!(published.as_object().expect("an info").keys().collect::<Vec<_>>(), ["user"], "{published}");
}

#[tokio::test]
async fn a_connection_without_infos_takes_no_more_in_redis() {
    let redis = Redis::start().await;
    let node = plan().redis(&redis).start().await;
    let mut ann = CentrifugoClient::connect(&node, "ann").await;
    ann.subscribe("hall").await;
    ann.push("hall", "join").await;
    let keys: Vec<String> = redis.query(&["KEYS", "parlor:*"]).await;
    let mut members = Vec::new();
    for key in &keys {
        let kind: String = redis.query(&["TYPE", key]).await;
        if kind == "hash" {
            members.extend(redis.query::<Vec<(String, Vec<u8>)>>(&["HGETALL", key]).await);
        }
    }
    let value = members.into_iter().find(|(member, _)| member == ann.id()).map(|(_, value)| value);
    let value = value.unwrap_or_else(|| panic!("{} in {keys:?}", ann.id()));
    assert!(value.ends_with(b"/ann"), "{value:?}");
    assert!(!value.contains(&0x1f), "no part beside the user: {value:?}");
}

#[tokio::test]
async fn other_wires_show_no_infos() {
    let deployment = deployment(LayerKind::Memory).await;
    let node = deployment.first();
    let request = connect_as_ann(&json!({ "info": { "secret": "of channels" } }));
    let mut ann = CentrifugoClient::connect_with(node, &request).await;
    ann.subscribe("lobby").await;
    let mut eve = RoomsClient::connect(node).await;
    eve.join("lobby").await;
    ann.publish("lobby", &json!("hi")).await;
    let message = eve.next_of("message").await;
    assert_eq!(message["text"], "hi");
    assert!(!message.to_string().contains("of channels"), "{message}");
}
