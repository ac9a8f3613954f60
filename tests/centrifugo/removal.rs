//! The removal of a channel's history, as clients of each protocol see it.

use serde_json::json;

use crate::support::api_client::site;
use crate::support::centrifugo::CentrifugoClient;
use crate::support::deployment::{LayerKind, on_every_layer};
use crate::support::handshake::Handshake;
use crate::support::rooms_client::RoomsClient;
use crate::support::v1_client::V1Client;

async fn a_removed_history_is_gone_and_no_position_in_it_is_recovered(layer: LayerKind) {
    let (deployment, api) = site(layer).await;
    let (first, last) = (deployment.first(), deployment.last());
    let mut ann = CentrifugoClient::connect_with(last, &json!({})).await;
    ann.subscribe("lobby").await;
    ann.publish("lobby", &json!("one")).await;
    ann.publish("lobby", &json!("two")).await;
    ann.data("lobby", 2).await;
    let mut bob = V1Client::join(first, "lobby").await;
    let seen = bob.welcome["last"].as_str().expect("an id").to_owned();
    let mut eve = RoomsClient::connect(last).await;
    eve.join("hall").await;

    let call = async |method: &str, params| {
        let answer = api.post(&format!("/centrifugo/api/{method}"), &params).send(first).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let removed = call("history_remove", json!({ "channel": "lobby" })).await;
    assert_eq!(removed, json!({ "result": {} }));
    assert_eq!(ann.push("lobby", "unsubscribe").await["code"], 2500);
    let gap = bob.receive_frame("gap").await;
    assert_eq!((&gap["reason"], &gap["after"]), (&json!("trimmed"), &json!(seen)), "{gap}");
    let history = call("history", json!({ "channel": "lobby", "limit": -1 })).await;
    assert_eq!(history["result"]["publications"], json!([]), "{history}");
    assert_eq!(history["result"]["offset"], 0, "{history}");

    let result = call("publish", json!({ "channel": "lobby", "data": "three" })).await["result"].take();
    assert_eq!(result["offset"], 1, "{result}");
    assert_eq!(bob.receive_texts(1).await, ["three"]);
    let again = ann.result("subscribe", &json!({ "channel": "lobby", "recover": true, "offset": 2 })).await;
    assert_eq!((&again["recovered"], &again["epoch"]), (&json!(null), &result["epoch"]), "{again}");
    let late = Handshake::to_room("lobby").since(&seen).connect(last).await;
    assert_eq!(late.welcome["recovered"], false, "{}", late.welcome);
    // Nothing ends elsewhere, and nothing is left to remove there.
    call("history_remove", json!({ "channel": "hall" })).await;
    eve.publish("hall", "still here").await;
    assert_eq!(eve.texts("hall", 1).await, ["still here"]);
}

on_every_layer! {
    a_removed_history_is_gone_and_no_position_in_it_is_recovered
}
