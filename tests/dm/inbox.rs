//! The inbox: unread counts of conversations, sent to every socket of the user.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::deployment::{Deployment, LayerKind, on_every_layer};
use crate::support::event_stream::messages;
use crate::support::handshake::V1;
use crate::support::http::{Request, Response};
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::user::User;
use crate::support::v1_client::V1Client;
use crate::support::wait::seconds;

async fn inbox(person: &User, node: &Node) -> V1Client {
    person.handshake_at("/ws/inbox/").connect(node).await
}

/// Name and count of the next frame.
async fn unread(inbox: &mut V1Client) -> (Value, Value) {
    let frame = inbox.receive_frame("unread").await;
    (frame["name"].clone(), frame["count"].clone())
}

async fn unread_counts_reach_every_socket_and_clear_when_read(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let (near, far) = (deployment.first(), deployment.last());
    let (ann, bob) = (User::registered(near, "ann").await, User::registered(far, "bob").await);
    let eve = User::registered(far, "eve").await;
    let (mut home, mut away) = (inbox(&bob, near).await, inbox(&bob, far).await);
    assert_eq!((&home.welcome["stream"], &home.welcome["name"]), (&json!("inbox"), &json!("bob")));
    let mut hers = ann.join(near, "@bob").await;
    for count in 1..=2 {
        hers.publish(&format!("message {count}")).await;
        for inbox in [&mut home, &mut away] {
            let frame = inbox.receive_frame("unread").await;
            assert_eq!((&frame["user"], &frame["name"]), (&json!(hers.user()), &json!("ann")));
            assert_eq!(frame["count"], count);
        }
    }
    let mut others = eve.join(near, "@bob").await;
    others.publish("me too").await;
    for inbox in [&mut home, &mut away] {
        assert_eq!(unread(inbox).await, (json!("eve"), json!(1)));
    }
    // A later socket receives the current count.
    let mut late = inbox(&bob, far).await;
    let mut seen = vec![unread(&mut late).await, unread(&mut late).await];
    seen.sort_by_key(|(name, _)| name.to_string());
    assert_eq!(seen, [(json!("ann"), json!(2)), (json!("eve"), json!(1))]);

    let mut his = bob.handshake("@ann").history(10).connect(far).await;
    let first = his.receive().await;
    let second = his.receive().await;
    his.send_json(&json!({ "type": "read", "id": first["id"] })).await;
    assert_eq!(unread(&mut home).await, (json!("ann"), json!(1)));
    his.send_json(&json!({ "type": "read", "id": second["id"] })).await;
    assert_eq!(unread(&mut home).await, (json!("ann"), json!(0)));
    // Read messages stay read.
    his.send_json(&json!({ "type": "read", "id": first["id"] })).await;
    his.publish("my own words do not wait for me").await;
    home.receives_none_of(&["unread"], Duration::from_millis(300)).await;
    assert_eq!(unread(&mut inbox(&ann, far).await).await, (json!("bob"), json!(1)));
    let mut late = inbox(&bob, near).await;
    assert_eq!(unread(&mut late).await, (json!("eve"), json!(1)));
    late.receives_none_of(&["unread"], Duration::from_millis(300)).await;
}

async fn an_inbox_requires_an_account_and_is_read_only(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let node = deployment.first();
    let mut ann = User::registered(node, "ann").await;
    for person in [User::anonymous(), User::guest(node).await] {
        let origin = format!("http://{}", node.address());
        let request =
            Request::upgrade("/ws/inbox/").header("Sec-WebSocket-Protocol", V1).header("Origin", &origin);
        assert_eq!(person.with_cookies(request).send(node).await.status, 403);
    }
    assert_eq!(ann.open_socket(node, "/ws/inbox/").await.0.status, 400, "there is no plain wire");
    let mut hers = inbox(&ann, deployment.last()).await;
    hers.send_json(&json!({ "message": "hi" })).await;
    hers.expect_error("unknown_type").await;
    // A room whose name looks like an inbox is an ordinary room.
    let id = hers.user().to_owned();
    V1Client::join(node, &format!("inbox_{id}")).await.publish("hi").await;
    hers.receives_none_of(&["unread", "message"], Duration::from_millis(200)).await;
    assert_eq!(ann.log_out(node).await.status, 303);
    assert_eq!(hers.closed(seconds(2)).await.0, 4401);
}

/// Sends a frame by POST, as a page without a WebSocket does.
async fn post(person: &mut User, node: &Node, room: &str, frame: &Value) -> Response {
    let token = person.token(node).await;
    let request = messages(room).header("Origin", &format!("http://{}", node.address()));
    person.send(node, request.header("X-CSRFToken", &token).body(frame.to_string())).await
}

async fn counts_are_of_the_others_messages_that_were_not_read(layer: LayerKind) {
    const OWN: usize = 210;
    let deployment = Deployment::start(layer).await;
    let (near, far) = (deployment.first(), deployment.last());
    let (ann, mut bob) = (User::registered(near, "ann").await, User::registered(far, "bob").await);
    let mut hers = ann.join(near, "@bob").await;
    let mut his = bob.join(far, "@ann").await;
    // More own messages than a page of the log has.
    for n in 0..OWN {
        hers.publish(&n.to_string()).await;
    }
    for text in ["yes", "no"] {
        his.publish(text).await;
    }
    let mut home = inbox(&ann, near).await;
    let mut counts = vec![unread(&mut home).await.1];
    if counts[0] != 2 {
        counts.push(unread(&mut home).await.1);
    }
    assert_eq!(counts.last(), Some(&json!(2)), "{counts:?}");
    let mut late = inbox(&bob, far).await;
    assert_eq!(unread(&mut late).await, (json!("ann"), json!(200)), "counts stop at 200");
    // An id that no message has yet is the newest message's: what comes later counts.
    hers.send_json(&json!({ "type": "read", "id": "9999999999999-0" })).await;
    assert_eq!(unread(&mut home).await, (json!("bob"), json!(0)));
    let third = his.publish("maybe").await["id"].clone();
    assert_eq!(unread(&mut home).await, (json!("bob"), json!(1)));
    // By POST.
    let mut ann = ann;
    let answer = post(&mut ann, near, "@bob", &json!({ "type": "read", "id": third })).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    assert_eq!(unread(&mut home).await, (json!("bob"), json!(0)));
    // Backwards nothing is unread again.
    let answer = post(&mut ann, near, "@bob", &json!({ "type": "read", "id": "1-0" })).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    let answer = post(&mut bob, far, "@ann", &json!({ "type": "typing" })).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    home.receives_none_of(&["unread"], Duration::from_millis(300)).await;
}

#[tokio::test]
async fn a_message_is_acknowledged_though_it_cannot_be_counted_yet() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let (ann, bob) = (User::registered(&node, "ann").await, User::registered(&node, "bob").await);
    let mut home = inbox(&bob, &node).await;
    let mut hers = ann.join(&node, "@bob").await;
    redis.query::<String>(&["ACL", "SETUSER", "default", "-zadd"]).await;
    hers.publish("hi").await;
    redis.query::<String>(&["ACL", "SETUSER", "default", "+zadd"]).await;
    assert_eq!(unread(&mut home).await, (json!("ann"), json!(1)), "it is counted later");
}

on_every_layer! {
    counts_are_of_the_others_messages_that_were_not_read
    unread_counts_reach_every_socket_and_clear_when_read
    an_inbox_requires_an_account_and_is_read_only
}
