//! The tutorial's own pages, unchanged, on the same origin as the node.

use serde_json::json;

use super::rooms::{CHINESE, has_no_errors};
use crate::support::browser::{Browser, Window};
use crate::support::nginx::Nginx;
use crate::support::node::Node;

/// Waits until the page's log contains this text.
async fn shows(window: &Window, text: &str) {
    let shown = "document.getElementById('chat-log').value.includes(arguments[0])";
    window.wait_until(&format!("{text:?} in the log"), shown, &[json!(text)]).await;
}

async fn is_open(window: &Window) {
    window.wait_until("the page's socket to be open", "socket.readyState === WebSocket.OPEN", &[]).await;
}

#[tokio::test]
async fn the_tutorials_pages_work_unchanged() {
    let (node, browser) = tokio::join!(Node::alone(), Browser::start());
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let pages = format!("location /tutorial/ {{ alias {folder}/; default_type text/html; }}");
    let nginx = Nginx::with([node.address().port(); 3], &pages).await;
    let window = browser.window(CHINESE).await;

    window.open(&nginx.url("/tutorial/tutorial_chat.html")).await;
    is_open(&window).await;
    window.keys("#chat-message-input", "hello 你好").await;
    window.click("#chat-message-submit").await;
    shows(&window, "[收到消息] hello 你好\n").await;
    window.keys("#chat-message-input", "\"<&>\u{e007}").await; // the last key is Enter
    shows(&window, "[收到消息] \"<&>\n").await;
    has_no_errors(&window).await;

    window.open(&nginx.url("/tutorial/tutorial_push.html")).await;
    is_open(&window).await;
    window.click("#push-start").await;
    shows(&window, "success\n").await;
    shows(&window, "] 实时推送 - 房间: lobby\n").await;
    has_no_errors(&window).await;
}
