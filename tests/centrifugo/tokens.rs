//! Tokens: who connects, for how long, and to which channels.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::centrifugo::{CentrifugoClient, deployment, token, token_of};
use crate::support::deployment::LayerKind;
use crate::support::node::Node;
use crate::support::user::User;

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
    let mut late = CentrifugoClient::open(node).await;
    let ended = token(&json!({ "sub": "ann", "exp": seconds_since_1970() - 60 }));
    assert_eq!(late.error("connect", &json!({ "token": ended })).await, 109);
    assert_eq!(late.result("connect", &json!({ "token": token_of("ann") })).await["ping"], 25);
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
