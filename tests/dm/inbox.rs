//! The inbox: how many messages wait in private chats, told wherever one is.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::deployment::{Layer, World, on_both_layers};
use crate::support::http::Request;
use crate::support::join::V1;
use crate::support::member::Member;
use crate::support::node::Node;
use crate::support::user::Person;
use crate::support::wait::seconds;

async fn inbox(person: &Person, node: &Node) -> Member {
    person.ticket_at("/ws/inbox/").enter(node).await
}

/// Name and count of the next frame.
async fn unread(inbox: &mut Member) -> (Value, Value) {
    let frame = inbox.frame_of("unread").await;
    (frame["name"].clone(), frame["count"].clone())
}

async fn what_waits_is_told_everywhere_and_gone_when_it_is_read(layer: Layer) {
    let world = World::on(layer).await;
    let (near, far) = (world.near(), world.far());
    let (ann, bob) = (Person::named(near, "ann").await, Person::named(far, "bob").await);
    let eve = Person::named(far, "eve").await;
    let (mut home, mut away) = (inbox(&bob, near).await, inbox(&bob, far).await);
    assert_eq!((&home.welcome["room"], &home.welcome["name"]), (&json!("inbox"), &json!("bob")));
    let mut hers = ann.enters(near, "@bob").await;
    for count in 1..=2 {
        hers.say(&format!("message {count}")).await;
        for inbox in [&mut home, &mut away] {
            let frame = inbox.frame_of("unread").await;
            assert_eq!((&frame["user"], &frame["name"]), (&json!(hers.user()), &json!("ann")));
            assert_eq!(frame["count"], count);
        }
    }
    let mut others = eve.enters(near, "@bob").await;
    others.say("me too").await;
    for inbox in [&mut home, &mut away] {
        assert_eq!(unread(inbox).await, (json!("eve"), json!(1)));
    }
    // Who comes later is told how it stands.
    let mut late = inbox(&bob, far).await;
    let mut seen = vec![unread(&mut late).await, unread(&mut late).await];
    seen.sort_by_key(|(name, _)| name.to_string());
    assert_eq!(seen, [(json!("ann"), json!(2)), (json!("eve"), json!(1))]);

    let mut his = bob.ticket("@ann").history(10).enter(far).await;
    let first = his.hear().await;
    let second = his.hear().await;
    his.send_json(&json!({ "type": "read", "id": first["id"] })).await;
    assert_eq!(unread(&mut home).await, (json!("ann"), json!(1)));
    his.send_json(&json!({ "type": "read", "id": second["id"] })).await;
    assert_eq!(unread(&mut home).await, (json!("ann"), json!(0)));
    // What was read stays read.
    his.send_json(&json!({ "type": "read", "id": first["id"] })).await;
    his.say("my own words do not wait for me").await;
    home.nothing_of(&["unread"], Duration::from_millis(300)).await;
    assert_eq!(unread(&mut inbox(&ann, far).await).await, (json!("bob"), json!(1)));
    let mut late = inbox(&bob, near).await;
    assert_eq!(unread(&mut late).await, (json!("eve"), json!(1)));
    late.nothing_of(&["unread"], Duration::from_millis(300)).await;
}

async fn an_inbox_is_for_accounts_and_only_listens(layer: Layer) {
    let world = World::on(layer).await;
    let node = world.near();
    let mut ann = Person::named(node, "ann").await;
    for person in [Person::stranger(), Person::guest(node).await] {
        let origin = format!("http://{}", node.address());
        let request =
            Request::upgrade("/ws/inbox/").header("Sec-WebSocket-Protocol", V1).header("Origin", &origin);
        assert_eq!(person.with_cookies(request).send(node).await.status, 403);
    }
    assert_eq!(ann.knocks(node, "/ws/inbox/").await.0.status, 400, "there is no plain wire");
    let mut hers = inbox(&ann, world.far()).await;
    hers.send_json(&json!({ "message": "hi" })).await;
    hers.error("unknown_type").await;
    // A name that looks like an inbox is a room like any other.
    let id = hers.user().to_owned();
    Member::join(node, &format!("inbox_{id}")).await.say("hi").await;
    hers.nothing_of(&["unread", "message"], Duration::from_millis(200)).await;
    assert_eq!(ann.logs_out(node).await.status, 303);
    assert_eq!(hers.closed(seconds(2)).await.0, 4401);
}

on_both_layers! {
    what_waits_is_told_everywhere_and_gone_when_it_is_read
    an_inbox_is_for_accounts_and_only_listens
}
