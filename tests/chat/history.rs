//! The `history` frame, and the chain of `prev` through all messages.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::deployment::{Deployment, LayerKind, on_every_layer};
use crate::support::v1_client::{V1Client, assert_chain, fresh_id, id_of};

/// Requests history with these members; returns the messages and whether more follow.
async fn ask(member: &mut V1Client, mut request: Value) -> (Vec<Value>, bool) {
    request["type"] = json!("history");
    member.send_json(&request).await;
    let response = member.receive_any(&["history", "error"], crate::support::wait::PATIENCE).await;
    let messages =
        response["messages"].as_array().unwrap_or_else(|| panic!("{response} to {request}")).clone();
    (messages, response["more"].as_bool().expect("`more`, true or false"))
}

async fn sent(member: &mut V1Client, count: usize) -> Vec<Value> {
    for n in 0..count {
        member.publish(&n.to_string()).await;
    }
    member.receive_until(&(count - 1).to_string()).await
}

async fn history_is_read_page_by_page(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    let all = sent(&mut ann, 450).await;
    let mut bob = V1Client::join(deployment.last(), "lobby").await;
    let (mut pages, mut before) = (Vec::new(), None);
    loop {
        let request =
            before.map_or(json!({ "limit": 200 }), |id: String| json!({ "before": id, "limit": 200 }));
        let (page, more) = ask(&mut bob, request).await;
        before = Some(id_of(&page[0]));
        pages.push(page);
        if !more {
            break;
        }
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [200, 200, 50]);
    pages.reverse();
    assert_eq!(pages.concat(), all, "the frames are the same as those that came live");
}

async fn history_defaults_to_the_newest_fifty(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    assert_eq!(ask(&mut ann, json!({})).await, (vec![], false), "of a room in which nothing was said");
    let all = sent(&mut ann, 60).await;
    let mut bob = V1Client::join(deployment.last(), "lobby").await;
    assert_eq!(ask(&mut bob, json!({})).await, (all[10..].to_vec(), true));
    assert_eq!(ask(&mut bob, json!({ "before": null, "limit": null })).await, (all[10..].to_vec(), true));
    assert_eq!(ask(&mut bob, json!({ "limit": 1 })).await, (all[59..].to_vec(), true));
    assert_eq!(ask(&mut bob, json!({ "limit": 60 })).await, (all.clone(), false));
    assert_eq!(
        ask(&mut bob, json!({ "before": all[30]["id"], "limit": 10 })).await,
        (all[20..30].to_vec(), true)
    );
    assert_eq!(ask(&mut bob, json!({ "before": all[30]["id"] })).await, (all[..30].to_vec(), false));
    assert_eq!(ask(&mut bob, json!({ "before": all[0]["id"] })).await, (vec![], false));
}

async fn history_ends_with_the_log(layer: LayerKind) {
    let deployment = Deployment::with(layer, &[("--log-messages", "100")]).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    let all = sent(&mut ann, 400).await;
    let (newest, more) = ask(&mut ann, json!({ "limit": 50 })).await;
    assert_eq!((newest, more), (all[350..].to_vec(), true));
    let (page, more) = ask(&mut ann, json!({ "limit": 200, "before": all[350]["id"] })).await;
    assert!(all[..350].ends_with(&page), "the page ends where the other begins");
    assert_eq!((page.len(), more), (50, false));
    assert_eq!(ask(&mut ann, json!({ "before": all[0]["id"] })).await, (vec![], false), "all of it is gone");
}

async fn every_member_sees_one_chain_of_messages(layer: LayerKind) {
    const EACH: usize = 200;
    let deployment = Deployment::start(layer).await;
    let mut members = Vec::new();
    for n in 0..6 {
        members.push(V1Client::join(&deployment.nodes[n % deployment.nodes.len()], "lobby").await);
    }
    join_all(members.iter_mut().enumerate().take(4).map(|(n, member)| async move {
        for count in 0..EACH {
            member.publish_as(&fresh_id(), &format!("{n} {count}")).await;
        }
    }))
    .await;
    members[5].publish("end").await;
    let mut first: Option<Vec<Value>> = None;
    for member in &mut members {
        let received = member.receive_until("end").await;
        assert_eq!(received.len(), 4 * EACH + 1);
        assert_chain(&received);
        assert_eq!(&received, first.get_or_insert_with(|| received.clone()));
    }
}

on_every_layer! {
    history_is_read_page_by_page
    history_defaults_to_the_newest_fifty
    history_ends_with_the_log
    every_member_sees_one_chain_of_messages
}
