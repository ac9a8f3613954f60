//! The inbox: unread counts of conversations, sent to every socket of the user.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::deployment::{Deployment, LayerKind, on_both_layers};
use crate::support::handshake::V1;
use crate::support::http::Request;
use crate::support::node::Node;
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
    assert_eq!((&home.welcome["room"], &home.welcome["name"]), (&json!("inbox"), &json!("bob")));
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

on_both_layers! {
    unread_counts_reach_every_socket_and_clear_when_read
    an_inbox_requires_an_account_and_is_read_only
}
