//! What a page costs the server when it is opened.

use serde_json::Value;

use super::rooms::{ENGLISH, has_no_errors, open_room};
use crate::support::browser::Browser;
use crate::support::metrics::{metric, wait_for_metric};
use crate::support::node::Node;

/// The number of requests of the page, itself included, and what they are.
const REQUESTS: &str = "return performance.getEntriesByType('resource').map((entry) => entry.name)";

#[tokio::test]
async fn a_room_with_push_lines_and_an_inbox_takes_one_socket() {
    let (node, browser) = tokio::join!(Node::alone(), Browser::start());
    let url = |path: &str| format!("http://{}{path}", node.address());
    let ann = browser.window(ENGLISH).await;
    ann.open(&url("/accounts/signup/")).await;
    ann.keys("[name=name]", "ann").await;
    ann.keys("[name=password]", "correct horse battery").await;
    ann.click("form button[type=submit]").await;
    ann.wait_until("ann to be logged in", "document.querySelector('#logout')", &[]).await;
    wait_for_metric(&node, "parlor_sockets", 1).await; // the inbox of that page, which goes with it

    open_room(&ann, &url("/chat/lobby/")).await;
    has_no_errors(&ann).await;
    let requests = ann.run(REQUESTS, &[]).await;
    let requests: Vec<&str> = requests.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let modules = requests.iter().filter(|name| name.contains(".js")).count();
    // The room, its push stream and the inbox: one subscription each.
    wait_for_metric(&node, "parlor_groups", 3).await;
    wait_for_metric(&node, "parlor_sockets", 1).await;
    assert_eq!(metric(&node, "parlor_sockets").await, 1);
    assert!(modules <= 19, "{modules} modules: {requests:#?}");
}
