//! Acknowledgements: an acked message is in the log, and its id cannot publish it twice.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::deployment::{Deployment, LayerKind, on_every_layer};
use crate::support::handshake::Handshake;
use crate::support::metrics::metric;
use crate::support::v1_client::{V1Client, assert_chain, id_of, texts_of};
use crate::support::wait::{PATIENCE, seconds};

async fn an_ack_carries_the_id_of_the_delivered_message(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    let mut bob = V1Client::join(deployment.last(), "lobby").await;
    let before = now();
    let ack = ann.publish_as("first", "hi \u{0} 你好 <b>\"😀\"").await;
    assert_eq!(
        ack,
        json!({ "type": "ack", "room": "lobby", "client_id": "first", "id": ack["id"], "duplicate": false })
    );
    let message = bob.receive().await;
    assert_eq!(message, ann.receive().await, "all get the same frame");
    let at = message["at"].as_i64().expect("milliseconds");
    assert!((before - 1000..=now() + 1000).contains(&at), "{at} is about now");
    let wanted = json!({
        "type": "message", "room": "lobby", "text": "hi \u{0} 你好 <b>\"😀\"",
        "user": ann.user(), "name": ann.welcome["name"], "id": ack["id"], "prev": message["prev"], "at": at,
    });
    assert_eq!(message, wanted);
    let ack = ann.publish("again").await;
    let next = bob.receive().await;
    assert_eq!((&next["id"], &next["prev"]), (&ack["id"], &message["id"]));
    let mut bob = Handshake::to_room("lobby").since(&id_of(&message)).connect(deployment.last()).await;
    assert_eq!(bob.receive_history().await, [next], "what is acked is in the log, and the same frame");
}

/// Unix time in milliseconds.
fn now() -> i64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set");
    time.as_millis().try_into().expect("a time of our age")
}

async fn a_resent_message_is_acked_again_and_delivered_once(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut reader = V1Client::join(deployment.last(), "lobby").await;
    for ticket in [Handshake::to_room("lobby"), Handshake::to_room("lobby").with_guest(7)] {
        let mut ann = ticket.connect(deployment.first()).await;
        let id = format!("id-of_{}", ann.user());
        let first = ann.publish_as(&id, "once").await;
        assert_eq!(first["duplicate"], false);
        let mut others = vec![ann.publish_as(&id, "once").await];
        // From the other node, after the socket was lost.
        others.push(ticket.connect(deployment.last()).await.publish_as(&id, "once").await);
        drop(ann);
        let mut ann = ticket.connect(deployment.first()).await;
        others.push(ann.publish_as(&id, "once").await);
        for again in others {
            let wanted = json!({ "type": "ack", "room": "lobby", "client_id": id, "id": first["id"], "duplicate": true });
            assert_eq!(again, wanted);
        }
        ann.publish("end").await;
        assert_eq!(texts_of(&reader.receive_until("end").await), ["once", "end"]);
    }
    let mut rejected = 0;
    for node in &deployment.nodes {
        rejected += metric(node, "parlor_duplicates_total").await;
    }
    assert_eq!(rejected, 6);
}

async fn two_immediate_copies_of_a_message_are_delivered_once(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut reader = V1Client::join(deployment.last(), "lobby").await;
    let guest = Handshake::to_room("lobby").with_guest(7);
    for n in 0..50 {
        let (mut here, mut there) =
            (guest.connect(deployment.first()).await, guest.connect(deployment.last()).await);
        let (id, text) = (format!("breath-{n}"), n.to_string());
        let (one, two) = tokio::join!(here.publish_as(&id, &text), there.publish_as(&id, &text));
        assert_eq!(one["id"], two["id"]);
        assert_ne!(one["duplicate"], two["duplicate"], "one of the two was first");
    }
    let texts = reader.receive_texts(50).await;
    assert_eq!(texts, (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
    reader.receives_none_of(&["message", "gap"], seconds(0)).await;
}

async fn client_ids_are_scoped_by_user_and_room(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = Handshake::to_room("lobby").with_guest(1).connect(deployment.first()).await;
    let mut bob = Handshake::to_room("lobby").with_guest(2).connect(deployment.last()).await;
    let mut elsewhere = Handshake::to_room("kitchen").with_guest(1).connect(deployment.first()).await;
    let acks = [
        ann.publish_as("1", "from ann").await,
        bob.publish_as("1", "from bob").await,
        elsewhere.publish_as("1", "hi").await,
    ];
    for ack in &acks {
        assert_eq!(ack["duplicate"], false, "{ack}");
    }
    let received = ann.receive_until("from bob").await;
    assert_eq!(texts_of(&received), ["from ann", "from bob"]);
}

async fn the_same_id_for_another_text_is_a_conflict(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    ann.publish_as("1", "one").await;
    let error = ann.try_publish("1", "two").await;
    assert_eq!((&error["code"], &error["retry"]), (&json!("conflict"), &json!(false)), "{error}");
    ann.publish_as("2", "two").await;
    let received = ann.receive_until("two").await;
    assert_eq!(texts_of(&received), ["one", "two"]);
}

async fn a_message_without_id_is_acked_without_one(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    for frame in [json!({ "message": "hi" }), json!({ "type": "message", "message": "hi" })] {
        ann.send_json(&frame).await;
        let ack = ann.receive_frame("ack").await;
        let message = ann.receive().await;
        let wanted = json!({ "type": "ack", "room": "lobby", "client_id": null, "id": message["id"], "duplicate": false });
        assert_eq!(ack, wanted);
    }
}

async fn frames_of_one_socket_are_processed_in_order(layer: LayerKind) {
    const MANY: usize = 300;
    let deployment = Deployment::start(layer).await;
    let mut reader = V1Client::join(deployment.last(), "lobby").await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    for n in 0..MANY {
        ann.send_json(&json!({ "message": n.to_string(), "id": format!("n-{n}") })).await;
    }
    let mut acked = Vec::new();
    for n in 0..MANY {
        let ack = ann.receive_frame("ack").await;
        assert_eq!(ack["client_id"], format!("n-{n}"));
        acked.push(ack["id"].clone());
    }
    let received = reader.receive_until(&(MANY - 1).to_string()).await;
    assert_eq!(received.iter().map(|message| message["id"].clone()).collect::<Vec<Value>>(), acked);
    assert_chain(&received);
}

async fn typing_is_shown_before_the_message_that_ends_it(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut bob = V1Client::join(deployment.last(), "lobby").await;
    for n in 0..10 {
        // Typing is shown once in two seconds for each socket.
        let mut ann = V1Client::join(deployment.first(), "lobby").await;
        ann.send_json(&json!({ "type": "typing" })).await;
        ann.publish(&n.to_string()).await;
        let kinds = ["typing", "message"];
        let next = [bob.receive_any(&kinds, PATIENCE).await, bob.receive_any(&kinds, PATIENCE).await];
        assert_eq!([&next[0]["type"], &next[1]["type"]], kinds, "{next:?}");
        ann.close().await;
    }
}

async fn published_and_acked_messages_are_counted(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    for n in 0..5 {
        ann.publish(&n.to_string()).await;
    }
    ann.receive_until("4").await;
    assert_eq!(metric(deployment.first(), "parlor_acked_total").await, 5);
    assert_eq!(metric(deployment.first(), "parlor_published_total").await, 5);
    assert_eq!(metric(deployment.first(), "parlor_duplicates_total").await, 0);
}

on_every_layer! {
    an_ack_carries_the_id_of_the_delivered_message
    a_resent_message_is_acked_again_and_delivered_once
    two_immediate_copies_of_a_message_are_delivered_once
    client_ids_are_scoped_by_user_and_room
    the_same_id_for_another_text_is_a_conflict
    a_message_without_id_is_acked_without_one
    frames_of_one_socket_are_processed_in_order
    typing_is_shown_before_the_message_that_ends_it
    published_and_acked_messages_are_counted
}
