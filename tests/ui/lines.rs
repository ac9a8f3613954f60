//! Pages on lines that go silent or are slow.

use serde_json::json;

use super::rooms::{ENGLISH, open_room, publish_in_page, wait_for_message};
use crate::support::browser::Browser;
use crate::support::line::Line;
use crate::support::node::Node;
use crate::support::v1_client::{V1Client, text_of};
use crate::support::wait::seconds;

#[tokio::test]
async fn a_page_on_a_new_network_continues_at_once() {
    let (node, browser) = tokio::join!(Node::alone(), Browser::start());
    let line = Line::to(node.address()).await;
    let window = browser.window(ENGLISH).await;
    open_room(&window, &line.url("/chat/lobby/")).await;
    let mut bob = V1Client::join(&node, "lobby").await;
    bob.publish("before").await;
    wait_for_message(&window, "before").await;
    line.go_silent();
    bob.publish("meanwhile").await;
    window.run("window.dispatchEvent(new Event('online'))", &[]).await;
    // Without the successor the page would wait 10 s for an answer on the silent one.
    wait_for_message(&window, "meanwhile").await;
    let state = window.run("return document.getElementById('connection-state').dataset.state", &[]).await;
    assert_eq!(state, json!("open"));
}

#[tokio::test]
async fn a_long_message_on_a_slow_line_is_sent_once() {
    let (node, browser) = tokio::join!(Node::alone(), Browser::start());
    let line = Line::to(node.address()).await;
    let window = browser.window(ENGLISH).await;
    open_room(&window, &line.url("/chat/lobby/")).await;
    let mut bob = V1Client::join(&node, "lobby").await;
    line.slow_uploads(3_000);
    let before = line.uploaded();
    let long = "x".repeat(60_000);
    publish_in_page(&window, &long).await;
    publish_in_page(&window, "and a short one").await;
    let mut received = Vec::new();
    while received.len() < 2 {
        received.push(text_of(&bob.receive_any(&["message"], seconds(60)).await));
    }
    assert_eq!(received, [long.as_str(), "and a short one"]);
    let uploaded = line.uploaded() - before;
    assert!(uploaded < 70_000, "{uploaded} bytes for a message of 60,000");
}
