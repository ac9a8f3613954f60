//! Chromium windows in rooms, on several nodes behind nginx.

use std::time::Instant;

use serde_json::json;

use crate::support::browser::{Browser, Window};
use crate::support::cluster::Cluster;
use crate::support::node::Node;
use crate::support::wait::PATIENCE;

pub const CHINESE: &str = "zh-CN,zh";
pub const ENGLISH: &str = "en-GB,en";
const FIELD: &str = "#chat-message-input";
const ENTER: &str = "\u{e007}"; // as WebDriver writes the key
const TRICKY: &str = "\"<&>' <b>bold</b> <img src=x onerror=alert(1)> 你好 👩‍👩‍👧";

/// Opens the room and waits until the page says that it is connected.
pub async fn open_room(window: &Window, url: &str) {
    window.open(url).await;
    is_connected(window).await;
}

async fn is_connected(window: &Window) {
    let state = "document.getElementById('connection-state').dataset.state === 'open'";
    window.wait_until("the page to be connected", state, &[]).await;
}

/// Types the text into the field and presses Enter.
pub async fn publish_in_page(window: &Window, text: &str) {
    window.click(FIELD).await;
    window.insert(text).await;
    window.keys(FIELD, ENTER).await;
}

/// Waits until a message shows exactly this text.
pub async fn wait_for_message(window: &Window, text: &str) {
    let shown =
        "[...document.querySelectorAll('#messages .text')].some(one => one.textContent === arguments[0])";
    window.wait_until(&format!("the message {text:?} to be shown"), shown, &[json!(text)]).await;
}

/// Waits until the log shows more push lines of the room than before.
pub async fn gets_a_push_line(window: &Window, room: &str) {
    let count = "[...document.querySelectorAll('#messages .push .text')]
        .filter(one => one.textContent.endsWith('] 实时推送 - 房间: ' + arguments[0])).length";
    let before = window.run(&format!("return {count}"), &[json!(room)]).await;
    let more = format!("{count} > arguments[1]");
    window.wait_until("a push line to be shown", &more, &[json!(room), before]).await;
}

pub async fn has_no_errors(window: &Window) {
    assert_eq!(window.errors().await, Vec::<String>::new(), "errors in the console");
}

#[tokio::test]
async fn users_on_two_nodes_keep_chatting_after_one_node_dies() {
    // Ann joins while one node is up. Then a second one starts: it has fewer sockets, so nginx
    // sends Bob there.
    let (mut site, browser) = tokio::join!(Cluster::with_nodes(1), Browser::start());
    let url = site.nginx.url("/chat/%E8%81%8A%E5%A4%A9/");
    let ann = browser.window(CHINESE).await;
    open_room(&ann, &url).await;
    site.start(1).await;
    let bob = browser.window(ENGLISH).await;
    open_room(&bob, &url).await;
    assert_eq!(site.nodes_of("chat_聊天").await, [0, 1], "each on a node of their own");

    assert_eq!(ann.text("h1").await, "聊天");
    assert_eq!(
        (ann.text("#chat-message-submit").await.as_str(), bob.text("#chat-message-submit").await.as_str()),
        ("发送消息", "Send"),
        "each in their own language"
    );

    publish_in_page(&ann, TRICKY).await;
    wait_for_message(&bob, TRICKY).await;
    publish_in_page(&bob, "got it").await;
    wait_for_message(&ann, "got it").await;
    let marked_up = ann.run("return document.querySelectorAll('.text *').length", &[]).await;
    assert_eq!(marked_up, 0, "messages are text: there is no element in them");

    ann.click("#push-start").await;
    tokio::join!(gets_a_push_line(&ann, "聊天"), gets_a_push_line(&bob, "聊天"));

    site.node(0).kill();
    let killed = Instant::now();
    publish_in_page(&bob, "still there?").await;
    wait_for_message(&ann, "still there?").await;
    let gap = killed.elapsed();
    assert!(gap < PATIENCE, "Ann's page went on {gap:?} after her node was killed");
    publish_in_page(&ann, "yes").await;
    wait_for_message(&bob, "yes").await;
    tokio::join!(gets_a_push_line(&ann, "聊天"), gets_a_push_line(&bob, "聊天"));
    tokio::join!(has_no_errors(&ann), has_no_errors(&bob));
}

#[tokio::test]
async fn enter_within_an_input_method_does_not_send() {
    let node = Node::alone().await;
    let browser = Browser::start().await;
    let ann = browser.window(CHINESE).await;
    open_room(&ann, &format!("http://{}/chat/lobby/", node.address())).await;
    ann.click(FIELD).await;
    ann.run(
        "window.enters = []; addEventListener('keydown', key => enters.push(key.isComposing), true)",
        &[],
    )
    .await;

    let composition = json!({ "text": "你好", "selectionStart": 2, "selectionEnd": 2 });
    ann.devtools("Input.imeSetComposition", composition).await;
    let mut enter =
        json!({ "type": "keyDown", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13 });
    ann.devtools("Input.dispatchKeyEvent", enter.clone()).await;
    ann.insert("你好").await; // the end of the composition
    // Safari has already ended the composition, and only the code 229 shows it.
    ann.run(
        "document.activeElement.dispatchEvent(new KeyboardEvent('keydown',
        { key: 'Enter', keyCode: 229, bubbles: true, cancelable: true }))",
        &[],
    )
    .await;
    assert_eq!(
        ann.run("return [enters, document.activeElement.value]", &[]).await,
        json!([[true, false], "你好"])
    );

    enter["text"] = json!("\r"); // a key that the input method ignores makes a character
    ann.devtools("Input.dispatchKeyEvent", enter).await;
    wait_for_message(&ann, "你好").await;
    let shown =
        ann.run("return [document.querySelectorAll('.message').length, document.activeElement.value]", &[]);
    assert_eq!(shown.await, json!([1, ""]), "sent once, by the Enter that was a person's");
    has_no_errors(&ann).await;
}

#[tokio::test]
async fn entering_a_name_opens_the_room() {
    let (node, browser) = tokio::join!(Node::alone(), Browser::start());
    let url = |path: &str| format!("http://{}/chat/{path}", node.address());
    let ann = browser.window(ENGLISH).await;
    let choose = async |name: &str| {
        ann.open(&url("")).await;
        let focus = ann.run("return document.activeElement.id", &[]).await;
        assert_eq!(focus, "room-name-input", "the field has the focus");
        ann.insert(name).await;
        ann.keys("#room-name-input", ENTER).await;
    };
    let names = [("聊天", "%E8%81%8A%E5%A4%A9"), (" two words ", "two%20words"), ("a.b-c_d", "a.b-c_d")];
    for (name, path) in names {
        choose(name).await;
        ann.wait_until("the room's page", "document.getElementById('connection-state')", &[]).await;
        assert_eq!(ann.address().await, url(&format!("{path}/")));
        assert_eq!(ann.text("h1").await, name.trim());
        is_connected(&ann).await;
    }
    has_no_errors(&ann).await;

    choose("a?b/#").await;
    ann.wait_until("the page of an error", "document.querySelector('.status')", &[]).await;
    assert_eq!(ann.address().await, url("a%3Fb%2F%23/"));
    assert_eq!(ann.text(".status").await, "400");
    assert!(ann.text(".lead").await.contains("1 to 64"), "the rule is there: {}", ann.text("body").await);
}
