//! Direct messages: one room of exactly two users, the same from both sides, on every node.

use serde_json::json;

use crate::support::deployment::{Deployment, LayerKind, on_every_layer};
use crate::support::event_stream::messages;
use crate::support::http::Request;
use crate::support::user::User;

async fn two_users_on_two_nodes_exchange_direct_messages(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let (near, far) = (deployment.first(), deployment.last());
    let (mut ann, mut bob) = (User::registered(near, "ann").await, User::registered(far, "bob").await);
    let eve = User::registered(far, "eve").await;
    let mut hers = ann.join(near, "@bob").await;
    assert_eq!(hers.welcome["room"], "@bob");
    hers.publish("hello bob").await;
    let mut his = bob.handshake("@ann").history(10).connect(far).await;
    assert_eq!(his.welcome["room"], "@ann");
    let past = his.receive().await;
    assert_eq!((&past["text"], &past["name"]), (&json!("hello bob"), &json!("ann")));
    his.publish("hello ann").await;
    assert_eq!(hers.receive_texts(2).await, ["hello bob", "hello ann"]);
    assert_eq!(his.receive().await["text"], "hello ann");
    his.send_json(&json!({ "type": "history" })).await;
    assert_eq!(his.receive_frame("history").await["messages"].as_array().map(Vec::len), Some(2));

    // Another user's conversation with either of them is another room.
    let mut other = eve.handshake("@ann").history(10).connect(far).await;
    assert_eq!(other.welcome["last"], json!(null));
    other.publish("from eve").await;
    hers.publish("after").await;
    assert_eq!(hers.receive().await["text"], "after");

    // The tutorial protocol and POST reach the same room.
    let mut token = ann.clone();
    let csrf = token.token(near).await;
    let posted = messages("@bob").body(r#"{"message": "by post"}"#).header("X-CSRFToken", &csrf);
    let origin = format!("http://{}", near.address());
    assert_eq!(ann.send(near, posted.header("Origin", &origin)).await.status, 200);
    assert_eq!(his.receive_texts(2).await, ["after", "by post"]);
    let (response, mut plain) = bob.open_socket(near, "/ws/chat/@ann/").await;
    assert_eq!(response.status, 101);
    hers.publish("for all").await;
    let frame = plain.frame_with_opcode(crate::support::frame::TEXT, crate::support::wait::PATIENCE).await;
    assert_eq!(String::from_utf8_lossy(&frame.payload), r#"{"message": "[收到消息] for all"}"#);

    let page = ann.get(near, "/chat/@bob/").await;
    assert_eq!((page.status, page.header("location")), (308, Some("/dm/bob/")));
    assert_eq!(ann.get(far, "/dm/BOB/").await.status, 404, "a chat is with exactly this name");
    assert_eq!(ann.get(far, "/dm/bob/").await.status, 200);
    for (user, name) in [(&mut ann, "bob"), (&mut bob, "ann")] {
        let list = user.get(near, "/dm/").await;
        assert!(list.body.contains(&format!("href=\"/dm/{name}/\"")), "{}", list.body);
    }
    assert_eq!(ann.get(far, "/dm/?user=bob").await.header("location"), Some("/dm/bob/"));
}

async fn a_direct_message_needs_two_different_accounts(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let node = deployment.first();
    let mut ann = User::registered(node, "ann").await;
    let mut guest = User::guest(node).await;
    guest.post(node, "/accounts/guest/", &[("nickname", "gast")]).await;
    User::registered(node, "bob").await;
    let nothing = ann.get(node, "/no/such/page").await.body;
    for name in ["ann", "nobody", "~gast", "gast", "@bob", "a b", "bob:x", "%00"] {
        let page = ann.get(node, &format!("/dm/{name}/").replace(' ', "%20")).await;
        assert_eq!((page.status, page.body), (404, nothing.clone()), "{name}");
        for path in [format!("/ws/chat/@{name}/"), format!("/ws/push/@{name}")] {
            assert_eq!(ann.open_socket(node, &path.replace(' ', "%20")).await.0.status, 404, "{path}");
        }
    }
    for name in ["bob", "nobody"] {
        assert_eq!(guest.get(node, &format!("/dm/{name}/")).await.status, 404, "guests have none");
        assert_eq!(guest.open_socket(node, &format!("/ws/chat/@{name}/")).await.0.status, 404);
        let response = guest.send(node, Request::get(&format!("/sse/chat/@{name}/"))).await;
        assert_eq!(response.status, 404, "{response:?}");
    }
    let list = guest.get(node, "/dm/").await;
    assert_eq!((list.status, list.header("location")), (303, Some("/accounts/login/?next=%2Fdm%2F")));
}

on_every_layer! {
    two_users_on_two_nodes_exchange_direct_messages
    a_direct_message_needs_two_different_accounts
}
