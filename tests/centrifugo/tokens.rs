//! Tokens: who connects, for how long, and to which channels.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::centrifugo::{CentrifugoClient, deployment, plan, signed, token, token_of};
use crate::support::deployment::LayerKind;
use crate::support::node::Node;
use crate::support::user::User;
use crate::support::wait::{holds, seconds, until};

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs()
}

/// A token of this user which ends in so many seconds.
fn token_for(user: &str, seconds: u64) -> String {
    token(&json!({ "sub": user, "exp": seconds_since_1970() + seconds }))
}

/// Sends a connect request with this token, and returns how the socket is closed.
async fn refused(node: &Node, token: &str) -> (u16, String) {
    let mut client = CentrifugoClient::open(node).await;
    client.send(&json!({ "id": 1, "connect": { "token": token } }).to_string()).await;
    client.closed().await
}

#[tokio::test]
async fn a_token_that_is_not_valid_connects_no_client() {
    let deployment = deployment(LayerKind::Memory).await;
    let node = deployment.first();
    let invalid = (3500, "invalid token".to_owned());
    assert_eq!(refused(node, "invalid").await, invalid);
    assert_eq!(refused(node, &(token_of("ann") + "x")).await, invalid);
    assert_eq!(refused(node, &token(&json!({ "sub": "ann", "channel": "lobby" }))).await, invalid);
    assert_eq!(refused(node, &token(&json!({ "sub": "ann", "channels": "lobby" }))).await, invalid);
    let mut late = CentrifugoClient::open(node).await;
    let ended = token(&json!({ "sub": "ann", "exp": seconds_since_1970() - 60 }));
    assert_eq!(late.error("connect", &json!({ "token": ended })).await, 109);
    // With another token the client connects on another socket.
    late.send(&json!({ "id": 2, "connect": { "token": token_of("ann") } }).to_string()).await;
    assert_eq!(late.closed().await, (3501, "bad request".to_owned()));
}

#[tokio::test]
async fn a_token_without_an_end_is_invalid_unless_weak_tokens_are_allowed() {
    let secret = "0123456789abcdefghijklmnopqrstuv";
    let plan = Node::plan().env("PARLOR_TOKEN_KEY", secret).env("PARLOR_TOKEN_ALGORITHM", "HS256");
    let node = plan.start().await;
    let endless = signed(&json!({ "sub": "ann" }), secret);
    assert_eq!(refused(&node, &endless).await, (3500, "invalid token".to_owned()));
    let ending = signed(&json!({ "sub": "ann", "exp": seconds_since_1970() + 100 }), secret);
    CentrifugoClient::connect_with(&node, &json!({ "token": ending })).await;
}

#[tokio::test]
async fn a_token_is_replaced_before_it_ends_by_one_of_the_same_user() {
    let deployment = deployment(LayerKind::Memory).await;
    let node = deployment.first();
    let mut ann = CentrifugoClient::connect_with(node, &json!({ "token": token_for("ann", 100) })).await;
    let ttl = |result: &Value| result["ttl"].as_u64().expect("a time to live");
    assert_eq!(ann.connected["expires"], true);
    assert!((90..=100).contains(&ttl(&ann.connected)), "{}", ann.connected);
    let refreshed = ann.result("refresh", &json!({ "token": token_for("ann", 1000) })).await;
    assert!((990..=1000).contains(&ttl(&refreshed)), "{refreshed}");
    assert_eq!(refreshed["client"], ann.connected["client"]);
    ann.send(&json!({ "id": 77, "refresh": { "token": token_for("bob", 1000) } }).to_string()).await;
    assert_eq!(ann.closed().await, (3500, "invalid token".to_owned()));
}

/// A subscribe request with a token for the channel, of this user, which ends in so many seconds.
fn subscribe_with(user: &str, channel: &str, seconds: u64) -> Value {
    json!({ "channel": channel, "token": channel_token(user, channel, seconds) })
}

fn channel_token(user: &str, channel: &str, seconds: u64) -> String {
    token(&json!({ "sub": user, "channel": channel, "exp": seconds_since_1970() + seconds }))
}

#[tokio::test]
async fn a_token_for_a_channel_is_replaced_by_one_of_the_same_user_and_channel() {
    let deployment = deployment(LayerKind::Memory).await;
    let mut ann = CentrifugoClient::connect(deployment.first(), "ann").await;
    let subscribed = ann.result("subscribe", &subscribe_with("ann", "$deals", 100)).await;
    let ttl = |result: &Value| result["ttl"].as_u64().expect("a time to live");
    assert!(subscribed["expires"] == true && (90..=100).contains(&ttl(&subscribed)), "{subscribed}");
    let refreshed = ann.result("sub_refresh", &subscribe_with("ann", "$deals", 1000)).await;
    assert!(refreshed["expires"] == true && (990..=1000).contains(&ttl(&refreshed)), "{refreshed}");
    let endless = token(&json!({ "sub": "ann", "channel": "$deals" }));
    let refreshed = ann.result("sub_refresh", &json!({ "channel": "$deals", "token": endless })).await;
    assert_eq!(refreshed, json!({}));
    let ended = token(&json!({ "sub": "ann", "channel": "$deals", "exp": seconds_since_1970() - 60 }));
    for (channel, token, code) in [
        ("$deals", ended, 109),
        ("$deals", channel_token("bob", "$deals", 100), 103),
        ("$deals", channel_token("ann", "$other", 100), 103),
        ("$deals", token_of("ann"), 103),
        ("$deals", String::new(), 103),
        ("$other", channel_token("ann", "$other", 100), 103),
    ] {
        let refused = ann.error("sub_refresh", &json!({ "channel": channel, "token": token })).await;
        assert_eq!(refused, code, "{channel} {token}");
    }
    ann.publish("$deals", &json!("still here")).await;
    assert_eq!(ann.data("$deals", 1).await, [json!("still here")]);
}

#[tokio::test]
async fn what_a_token_allowed_ends_25_seconds_after_it() {
    let deployment = deployment(LayerKind::Memory).await;
    let node = deployment.first();
    let mut ann = CentrifugoClient::connect(node, "ann").await;
    // A token that ended in the last five seconds is still taken.
    let ended = seconds_since_1970() - 2;
    let connect = |user: &str| json!({ "token": token(&json!({ "sub": user, "exp": ended })) });
    let mut bob = CentrifugoClient::connect_with(node, &connect("bob")).await;
    let mut eve = CentrifugoClient::connect_with(node, &connect("eve")).await;
    for channel in ["$short", "$long"] {
        let token = token(&json!({ "sub": "ann", "channel": channel, "exp": ended }));
        ann.result("subscribe", &json!({ "channel": channel, "token": token })).await;
    }
    ann.result("sub_refresh", &subscribe_with("ann", "$long", 1000)).await;
    eve.result("refresh", &json!({ "token": token_for("eve", 1000) })).await;
    let history = json!({ "channel": "$short", "limit": 0 });
    until(seconds(40), "the end of a subscription", async || {
        let reply = ann.call("history", &history).await;
        holds(reply["error"]["code"] == 103, || reply.to_string())
    })
    .await;
    let late = seconds_since_1970() - ended;
    assert!((25..32).contains(&late), "{late} s");
    let end = ann.push("$short", "unsubscribe").await;
    assert_eq!(end, json!({ "code": 2501, "reason": "subscription expired" }));
    assert_eq!(bob.closed().await, (3005, "connection expired".to_owned()));
    ann.publish("$long", &json!(1)).await;
    ann.data("$long", 1).await;
    ann.result("subscribe", &subscribe_with("ann", "$short", 100)).await;
    eve.subscribe("lobby").await;
}

#[tokio::test]
async fn a_token_names_channels_that_the_server_joins() {
    let deployment = deployment(LayerKind::Memory).await;
    let node = deployment.first();
    let token = |claims: Value| json!({ "token": token(&claims) });
    let claims = json!({ "sub": "ann", "channels": ["news", "$deals"], "subs": { "chat:lobby": {} } });
    let mut ann = CentrifugoClient::connect_with(node, &token(claims)).await;
    let subs = ann.connected["subs"].as_object().expect("channels").clone();
    assert_eq!(subs.keys().collect::<Vec<_>>(), ["#ann", "$deals", "chat:lobby", "news"]);
    let mut bob = CentrifugoClient::connect(node, "bob").await;
    bob.subscribe("lobby").await;
    bob.publish("lobby", &json!("hi")).await;
    assert_eq!(ann.data("chat:lobby", 1).await, [json!("hi")]);
    for (channel, code) in [("#bob", 103), ("a/b", 102), (&*"x".repeat(300), 102)] {
        let mut eve = CentrifugoClient::open(node).await;
        let refused = eve.error("connect", &token(json!({ "sub": "eve", "channels": [channel] }))).await;
        assert_eq!(refused, code, "{channel}");
    }
}

#[tokio::test]
async fn a_token_names_no_more_channels_than_a_connection_joins() {
    let node = plan().flag("--max-channels", "3").start().await;
    let connect =
        |channels: &[&str]| json!({ "token": token(&json!({ "sub": "ann", "channels": channels })) });
    // Beside its own.
    let mut ann = CentrifugoClient::connect_with(&node, &connect(&["a", "b"])).await;
    assert_eq!(ann.error("subscribe", &json!({ "channel": "c" })).await, 106);
    let mut ann = CentrifugoClient::open(&node).await;
    assert_eq!(ann.error("connect", &connect(&["a", "b", "c"])).await, 106);
}

#[tokio::test]
async fn a_client_without_a_token_is_who_its_handshake_says() {
    let deployment = deployment(LayerKind::Memory).await;
    let mut guest = CentrifugoClient::connect_with(deployment.first(), &json!({})).await;
    assert_eq!(guest.connected.get("subs"), None, "guests have no channel of their own");
    guest.subscribe("lobby").await;
    guest.publish("lobby", &json!("hi")).await;
    assert_eq!(guest.data("lobby", 1).await, [json!("hi")]);
}

#[tokio::test]
async fn a_subject_like_the_id_of_an_account_opens_none_of_its_channels() {
    let deployment = deployment(LayerKind::Memory).await;
    let node = deployment.first();
    let alice = User::registered(node, "alice").await;
    let id = alice.join(node, "lobby").await.user().to_owned();
    let own = CentrifugoClient::by(&alice, node).await;
    assert!(own.connected["subs"][format!("#{id}")].is_object(), "{}", own.connected);
    let mut other = CentrifugoClient::connect(node, &id).await;
    let subs = other.connected["subs"].as_object().expect("a channel of its own").clone();
    assert_eq!(subs.keys().collect::<Vec<_>>(), [&format!("#sub:{id}")]);
    for channel in [format!("#{id}"), format!("team#{id}")] {
        assert_eq!(other.error("subscribe", &json!({ "channel": channel })).await, 103, "{channel}");
    }
    // A subject that begins so is another one, too.
    let third = CentrifugoClient::connect(node, &format!("sub:{id}")).await;
    assert!(third.connected["subs"][format!("#sub:sub:{id}")].is_object(), "{}", third.connected);
}

#[tokio::test]
async fn a_subject_that_no_channel_can_name_connects_without_one() {
    let deployment = deployment(LayerKind::Memory).await;
    let node = deployment.first();
    let mut colon = CentrifugoClient::connect(node, "auth0|5f:7c").await;
    assert!(colon.connected["subs"]["#auth0|5f:7c"].is_object(), "{}", colon.connected);
    let presence = colon.result("presence", &json!({ "channel": "#auth0|5f:7c" })).await;
    assert_eq!(presence["presence"][colon.id()]["user"], "auth0|5f:7c", "the options of all rooms");
    let longest = "x".repeat(255);
    for sub in ["42,43", "a\nb", "\u{0}", &longest] {
        let mut client = CentrifugoClient::connect(node, sub).await;
        assert_eq!(client.connected.get("subs"), None, "{sub:?}");
        client.subscribe("lobby").await;
        client.publish("lobby", &json!("hi")).await;
    }
}
