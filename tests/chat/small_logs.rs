//! Logs of a few messages: what is answered has exactly as many, though Redis trims in steps.

use serde_json::{Value, json};

use crate::support::api_client::ApiClient;
use crate::support::centrifugo::CentrifugoClient;
use crate::support::deployment::{Deployment, LayerKind, on_every_layer};
use crate::support::event_stream::EventStream;
use crate::support::handshake::Handshake;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::v1_client::{V1Client, id_of, texts_of};
use crate::support::version_before::VersionBefore;
use crate::support::wait::PATIENCE;

/// Messages of the room.
const COUNT: usize = 40;

/// The texts of the newest messages, the oldest first.
fn newest(count: usize) -> Vec<String> {
    (COUNT - count..COUNT).map(|n| n.to_string()).collect()
}

/// The texts that a newcomer is sent, and those of a page.
async fn histories(node: &Node) -> [Vec<String>; 2] {
    let mut newcomer = Handshake::to_room("lobby").history(COUNT).connect(node).await;
    let received = texts_of(&newcomer.receive_history().await);
    newcomer.send_json(&json!({ "type": "history", "limit": COUNT })).await;
    let page = newcomer.receive_any(&["history", "error"], PATIENCE).await;
    assert_eq!(page["more"], false, "{page}");
    [received, texts_of(page["messages"].as_array().expect("messages"))]
}

async fn answers_have_as_many_messages_as_the_log_keeps(layer: LayerKind) {
    for kept in [1, 5, 10] {
        let deployment = Deployment::with(layer, &[("--log-messages", &kept.to_string())]).await;
        let mut author = V1Client::join(deployment.first(), "lobby").await;
        let mut ids = Vec::new();
        for n in 0..COUNT {
            ids.push(id_of(&author.publish(&n.to_string()).await));
            if n == COUNT / 2 {
                histories(deployment.first()).await; // cached from here on
            }
        }
        let (before, lost) = (&ids[COUNT - kept - 1], &ids[COUNT - kept - 2]);
        // The last node has no member before the first of these, and knows nothing of the log.
        for node in [deployment.last(), deployment.first()] {
            assert_eq!(histories(node).await, [newest(kept), newest(kept)], "{kept}");
            let mut resumed = Handshake::to_room("lobby").since(before).connect(node).await;
            assert_eq!(resumed.welcome["recovered"], true, "{kept}: {}", resumed.welcome);
            assert_eq!(resumed.receive_texts(kept).await, newest(kept));
            let unknown = Handshake::to_room("lobby").since(lost).connect(node).await;
            let said = (&unknown.welcome["recovered"], &unknown.welcome["reason"]);
            assert_eq!(said, (&json!(false), &json!("trimmed")), "{kept}: {}", unknown.welcome);
            let mut stream = EventStream::after(node, "lobby", lost).await;
            assert_eq!(stream.receive_event("welcome").await.frame["recovered"], false);
        }
    }
}

async fn positions_are_recovered_as_far_as_the_log_keeps(layer: LayerKind) {
    for kept in [1, 5, 10] {
        let deployment = Deployment::with(layer, &[("--log-messages", &kept.to_string())]).await;
        let mut client = CentrifugoClient::open(deployment.first()).await;
        client.result("connect", &json!({})).await;
        let start = client.subscribe("lobby").await;
        for n in 0..COUNT {
            client.publish("lobby", &json!(n)).await;
        }
        client.result("unsubscribe", &json!({ "channel": "lobby" })).await;
        for (missed, is_recovered) in [(kept, true), (kept + 1, false)] {
            let position = json!({ "channel": "lobby", "recover": true, "epoch": start["epoch"], "offset": COUNT - missed });
            let again = client.result("subscribe", &position).await;
            assert_eq!(again["recovered"].as_bool().unwrap_or_default(), is_recovered, "{kept}: {again}");
            client.result("unsubscribe", &json!({ "channel": "lobby" })).await;
        }
        client.subscribe("lobby").await;
        for reverse in [false, true] {
            let history = json!({ "channel": "lobby", "limit": -1, "reverse": reverse });
            let history = client.result("history", &history).await;
            let publications = history["publications"].as_array().expect("publications");
            let mut numbers: Vec<&Value> = publications.iter().map(|each| &each["data"]).collect();
            if reverse {
                numbers.reverse();
            }
            assert_eq!(numbers, (COUNT - kept..COUNT).collect::<Vec<_>>(), "{reverse}");
        }
    }
}

on_every_layer! {
    answers_have_as_many_messages_as_the_log_keeps
    positions_are_recovered_as_far_as_the_log_keeps
}

#[tokio::test]
async fn the_api_returns_as_many_messages_as_the_log_keeps() {
    let redis = Redis::start().await;
    let node = Node::plan().redis(&redis).flag("--log-messages", "5").start().await;
    let mut author = V1Client::join(&node, "lobby").await;
    let first = id_of(&author.publish("0").await);
    for n in 1..COUNT {
        author.publish(&n.to_string()).await;
    }
    let api = ApiClient::with_key(&redis, "billing", "read").await;
    for query in [format!("since={first}"), format!("limit={COUNT}")] {
        let page = api.get(&format!("/api/rooms/lobby/messages?{query}")).send(&node).await.json();
        assert_eq!(texts_of(page["messages"].as_array().expect("messages")), newest(5), "{query}");
        assert_eq!(page["more"], false, "{page}");
    }
}

#[tokio::test]
async fn messages_without_offsets_are_counted() {
    let redis = Redis::start().await;
    let node = Node::plan().redis(&redis).flag("--log-messages", "5").start().await;
    let before = VersionBefore::new(&redis, "chat_lobby");
    for n in 0..COUNT {
        before.publish(&n.to_string()).await;
    }
    assert_eq!(histories(&node).await, [newest(5), newest(5)]);
    // The next one begins an epoch.
    V1Client::join(&node, "lobby").await.publish("last").await;
    let expected = [newest(4), vec!["last".to_owned()]].concat();
    assert_eq!(histories(&node).await, [expected.clone(), expected]);
}
