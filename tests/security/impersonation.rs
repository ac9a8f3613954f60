//! No frame, cookie or header makes a client another user.

use serde_json::{Value, json};

use crate::support::event_stream::messages;
use crate::support::handshake::{Handshake, guest_cookie, signed};
use crate::support::node::Node;
use crate::support::tutorial_client::TutorialClient;
use crate::support::v1_client::V1Client;

/// Every member by which a frame could claim a sender.
fn pretending(user: &str) -> Value {
    json!({
        "message": "hi", "user": user, "name": "bob", "member": format!("{user}/bob"), "sender": user, "from": user,
        "user_id": user, "username": "bob", "prev": "1-0", "at": 1, "names": { user: "bob" }, "staff": true,
    })
}

#[tokio::test]
async fn a_frame_cannot_name_another_sender() {
    let node = Node::alone().await;
    let mut reader = V1Client::join(&node, "lobby").await;
    let bob = Handshake::to_room("lobby").with_guest(1).connect(&node).await;
    let mut ann = Handshake::to_room("lobby").with_guest(2).connect(&node).await;
    let (her, his) = (ann.user().to_owned(), bob.user().to_owned());
    ann.send_json(&pretending(&his)).await;
    ann.reply().await;
    let received = reader.receive().await;
    assert_eq!((&received["user"], &received["name"]), (&json!(her), &ann.welcome["name"]), "{received}");
    assert_ne!(received["prev"], "1-0", "{received}");
    let mut typing = pretending(&his);
    typing["type"] = json!("typing");
    ann.send_json(&typing).await;
    let seen = reader.receive_frame("typing").await;
    assert_eq!((&seen["user"], &seen["name"]), (&json!(her), &ann.welcome["name"]), "{seen}");

    // The tutorial protocol and the POST accept it as well, each as another guest.
    let mut plain = TutorialClient::chat(&node, "lobby").await;
    plain.send(pretending(&his).to_string()).await;
    let posted = messages("lobby").body(pretending(&his).to_string());
    assert_eq!(
        posted
            .header("Cookie", "x=y")
            .header("Origin", &format!("http://{}", node.address()))
            .send(&node)
            .await
            .status,
        200
    );
    for _ in 0..2 {
        let received = reader.receive().await;
        assert!(received["user"] != json!(his) && received["name"] != "bob", "{received}");
    }
}

#[tokio::test]
async fn a_guest_cookie_needs_a_valid_signature() {
    let node = Node::alone().await;
    let victim = Handshake::to_room("lobby").with_guest(7).connect(&node).await;
    let (name, good) = ("parlor_guest", guest_cookie(7));
    let value = good.split_once('=').expect("a cookie").1;
    let (signature, id) = value.split_at(44);
    let other = signed("parlor_guest", "0000000000000008.");
    for forged in [
        id.to_owned(),
        format!("{}{id}", "A".repeat(44)),
        format!("{}={id}", "A".repeat(43)),
        format!("{}{id}", &other[..44]),
        format!("{signature}{}", id.replace('.', ".bob")),
        format!("{signature}{id}.bob"),
        format!("{signature} {id}"),
        format!("{signature}{}", id.to_uppercase() + "x"),
    ] {
        let member =
            Handshake::to_room("lobby").with_cookies(&format!("{name}={forged}")).connect(&node).await;
        assert_ne!(member.user(), victim.user(), "{forged}");
        assert_eq!(member.welcome["name"], format!("~{}", &member.user()[..8]), "{forged}");
    }
    // Signed, but not an id.
    for value in [
        "",
        ".",
        "bob.",
        "000000000000000.x",
        "0000000000000007",
        "000000000000000g.",
        "0000000000000007/bob.",
    ] {
        let cookies = format!("{name}={}", signed(name, value));
        let member = Handshake::to_room("lobby").with_cookies(&cookies).connect(&node).await;
        assert_ne!(member.user(), victim.user(), "{value}");
    }
    let again = Handshake::to_room("lobby").with_guest(7).connect(&node).await;
    assert_eq!(again.user(), victim.user());
}

#[tokio::test]
async fn no_header_or_parameter_sets_the_user() {
    let node = Node::alone().await;
    let victim = Handshake::to_room("lobby").with_guest(7).connect(&node).await;
    let id = victim.user().to_owned();
    for parameter in
        ["user", "name", "user_id", "as", "guest", "parlor_guest", "parlor_session", "member", "identity"]
    {
        let member = Handshake::to_room("lobby").query(&format!("{parameter}={id}")).connect(&node).await;
        assert_ne!(member.user(), id, "{parameter}");
    }
    let body = json!({ "message": "hi" }).to_string();
    let mut reader = V1Client::join(&node, "lobby").await;
    for header in
        ["X-User", "X-User-ID", "X-Remote-User", "Remote-User", "X-Forwarded-User", "X-Parlor-User", "From"]
    {
        let sent = messages("lobby").header(header, &id).body(&body).send(&node).await;
        assert_eq!(sent.status, 200, "{header}: {sent:?}");
        assert_ne!(reader.receive().await["user"], json!(id), "{header}");
    }
}
