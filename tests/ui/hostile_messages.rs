//! Messages made to be costly do not keep a page from its reader.

use serde_json::json;

use super::rooms::{ENGLISH, has_no_errors, open_room, publish_in_page, wait_for_message};
use crate::support::browser::Browser;
use crate::support::node::Node;
use crate::support::v1_client::V1Client;

#[tokio::test]
async fn costly_messages_do_not_freeze_the_page() {
    let (node, browser) = tokio::join!(Node::alone(), Browser::start());
    let mut eve = V1Client::join(&node, "lobby").await;
    let texts = [
        format!("http://a{}", ")".repeat(65_000)),
        format!("a{}", "\u{300}".repeat(32_000)),
        "\u{628}".repeat(32_000),
        "\u{61}\u{5d0}".repeat(21_000),
        "\n".repeat(65_000),
        "http://a.example ".repeat(3_800),
    ];
    for text in &texts {
        eve.publish(text).await;
    }
    let ann = browser.window(ENGLISH).await;
    open_room(&ann, &format!("http://{}/chat/lobby/", node.address())).await;
    let all = "document.querySelectorAll('#messages .text').length === 6";
    ann.wait_until("every message to be shown", all, &[]).await;
    publish_in_page(&ann, "still here").await;
    wait_for_message(&ann, "still here").await;

    let letters = "b".repeat(3_000);
    eve.publish(&letters).await;
    let last = "[...document.querySelectorAll('#messages .message .text')].at(-1)";
    let folded = format!("{last}.textContent.startsWith('b'.repeat(2000) + '… ')");
    ann.wait_until("a long message to be folded", &folded, &[]).await;
    ann.run(&format!("{last}.querySelector('.unfold').click()"), &[]).await;
    let whole = ann.run(&format!("return {last}.textContent"), &[]).await;
    assert_eq!(whole, json!(letters), "the whole message after a click");
    has_no_errors(&ann).await;
}
