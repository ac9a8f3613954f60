//! Pages whose login has ended, or that the server has closed for good.

use serde_json::json;

use super::accounts::signs_up;
use super::layout::fits_everywhere;
use super::rooms::{
    CHINESE, ENGLISH, gets_a_push_line, has_no_errors, open_room, publish_in_page, wait_for_message,
};
use crate::support::browser::{Browser, Window};
use crate::support::cli::command;
use crate::support::line::Line;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::reserved_port::ReservedPort;
use crate::support::user::{User, password};
use crate::support::v1_client::V1Client;

/// Waits until the page says that the server has closed its connection, and returns its words.
async fn end_of(window: &Window) -> String {
    window.wait_until("the page to end", "!document.getElementById('ended').hidden", &[]).await;
    window.text("#ended").await
}

/// Waits until the page notices that it is not connected.
async fn is_disconnected(window: &Window) {
    let state = "document.getElementById('connection-state').dataset.state !== 'open'";
    window.wait_until("the page to notice", state, &[]).await;
}

/// Waits until the message with this text says that it was not sent.
async fn is_not_sent(window: &Window, text: &str) {
    let failed = "[...document.querySelectorAll('.own[data-state=failed] .text')]
        .some(one => one.textContent === arguments[0])";
    window.wait_until(&format!("{text:?} to be not sent"), failed, &[json!(text)]).await;
}

#[tokio::test]
async fn a_page_that_the_node_forgot_sends_nothing_as_a_guest() {
    let (port, browser) = (ReservedPort::reserve(), Browser::start().await);
    let plan = Node::bare_plan().flag("--listen", &port.address().to_string());
    let mut node = plan.start().await;
    let ann = browser.window(ENGLISH).await;
    signs_up(&ann, &node, "ann", "/chat/lobby/").await;
    open_room(&ann, &format!("http://{}/chat/lobby/", node.address())).await;
    node.kill();
    is_disconnected(&ann).await;
    publish_in_page(&ann, "as ann only").await;
    // Without Redis the accounts and logins have ended with the node.
    let node = plan.start().await;
    let mut bob = V1Client::join(&node, "lobby").await;
    assert_eq!(end_of(&ann).await, "You have been logged out. Log in");
    is_not_sent(&ann, "as ann only").await;
    bob.publish("the only one").await;
    assert_eq!(bob.receive_texts(1).await, ["the only one"]);

    signs_up(&ann, &node, "carol", "/chat/lobby/").await;
    wait_for_message(&ann, "the only one").await;
    let messages = ann.text("#messages").await;
    assert!(!messages.contains("as ann only"), "another user on this machine: {messages}");
}

/// Logs the window's user out as another browser does that has the same login.
async fn logs_out_elsewhere(window: &Window, node: &Node) {
    let cookies = window.devtools("Network.getCookies", json!({})).await;
    let mut user = User::anonymous();
    for cookie in cookies["cookies"].as_array().expect("cookies") {
        let [name, value] = ["name", "value"].map(|member| cookie[member].as_str().expect("a text"));
        user.set_cookie(name, value);
    }
    let response = user.log_out(node).await;
    assert_eq!(response.status, 303, "{response:?}");
}

#[tokio::test]
async fn pages_that_missed_the_logout_send_nothing_as_a_guest() {
    let (node, browser) = tokio::join!(Node::alone(), Browser::start());
    let line = Line::to(node.address()).await;
    let mut bob = V1Client::join(&node, "lobby").await;
    for (name, room, text) in [("ann", "lobby", "as ann only"), ("amy", "cellar", "for members only")] {
        let window = browser.window(ENGLISH).await;
        signs_up(&window, &node, name, "/chat/").await;
        if room == "cellar" {
            window.keys("#private-name-input", "cellar\u{e007}").await;
            window.wait_until("the room", "document.getElementById('connection-state')", &[]).await;
        }
        open_room(&window, &line.url(&format!("/chat/{room}/"))).await;
        line.go_silent();
        publish_in_page(&window, text).await;
        logs_out_elsewhere(&window, &node).await;
        window.run("window.dispatchEvent(new Event('online'))", &[]).await;
        assert_eq!(end_of(&window).await, "You have been logged out. Log in");
        assert_eq!(window.text("#connection-state").await, "Closed by the server");
        is_not_sent(&window, text).await;
    }
    bob.publish("the only one").await;
    assert_eq!(bob.receive_texts(1).await, ["the only one"]);
}

#[tokio::test]
async fn a_list_of_chats_that_missed_the_logout_says_so() {
    let (node, browser) = tokio::join!(Node::alone(), Browser::start());
    let line = Line::to(node.address()).await;
    let window = browser.window(ENGLISH).await;
    signs_up(&window, &node, "ann", "/chat/").await;
    window.open(&line.url("/dm/")).await;
    let mut bob = User::registered(&node, "bob").await.join(&node, "@ann").await;
    bob.publish("hello").await;
    let counted = "!document.querySelector('#dm-list .badge').hidden";
    window.wait_until("the list to count", counted, &[]).await;
    line.go_silent();
    logs_out_elsewhere(&window, &node).await;
    window.run("window.dispatchEvent(new Event('online'))", &[]).await;
    let notice = "!document.getElementById('logged-out').hidden";
    window.wait_until("the page to say so", notice, &[]).await;
    has_no_errors(&window).await;
}

/// Opens a room of a node that this operator closes, or that sends its guest away.
async fn operated(window: &Window, node: &Node, action: &str) -> String {
    let mut operator = User::logged_in(node, "oscar").await;
    open_room(window, &format!("http://{}/chat/lobby/", node.address())).await;
    let user = window.run("return document.getElementById('room').dataset.user", &[]).await;
    let fields = [("action", action), ("user", user.as_str().expect("an id"))];
    let response = operator.post(node, "/admin/rooms/lobby/", &fields).await;
    assert_eq!(response.status, 303, "{response:?}");
    end_of(window).await
}

#[tokio::test]
async fn a_page_that_has_ended_offers_what_helps() {
    let (redis, browser) = tokio::join!(Redis::start(), Browser::start());
    let node = Node::on(&redis).await;
    command(&redis, &["user", "add", "--staff", "oscar"]).await;
    let ann = browser.window(ENGLISH).await;
    signs_up(&ann, &node, "ann", "/chat/lobby/").await;
    ann.click("#push-start").await;
    gets_a_push_line(&ann, "lobby").await;
    let kicked = "You have been disconnected: an operator removed you from this room.";
    assert_eq!(operated(&ann, &node, "kick").await, format!("{kicked} Enter again"));
    // The push stream goes on without this page.
    let push =
        "return [document.getElementById('push-stop').hidden, document.getElementById('push-start').disabled,
        document.getElementById('push-state').textContent]";
    assert_eq!(ann.run(push, &[]).await, json!([true, true, ""]));
    fits_everywhere(&ann, "kicked").await;
    ann.run("window.before = true", &[]).await;
    ann.click("#ended button").await;
    let again = "!window.before && document.getElementById('connection-state')?.dataset.state === 'open'";
    ann.wait_until("the room", again, &[]).await;
    let closed = "You have been disconnected: an operator has closed this room.";
    assert_eq!(operated(&ann, &node, "close").await, closed);
    assert_eq!(ann.run("return document.querySelectorAll('#ended *').length", &[]).await, json!(0));
    has_no_errors(&ann).await;
}

#[tokio::test]
async fn a_removed_member_is_not_asked_to_log_in() {
    let (node, browser) = tokio::join!(Node::alone(), Browser::start());
    let (ann, mut bob) = (browser.window(CHINESE).await, User::registered(&node, "bob").await);
    bob.post(&node, "/rooms/", &[("room", "cellar")]).await;
    signs_up(&ann, &node, "ann", "/chat/").await;
    bob.post(&node, "/chat/cellar/members/", &[("action", "invite"), ("name", "ann")]).await;
    ann.open(&format!("http://{}/chat/", node.address())).await;
    ann.click(".list button[value=accept]").await;
    let state = "document.getElementById('connection-state')?.dataset.state === 'open'";
    ann.wait_until("the room", state, &[]).await;
    bob.post(&node, "/chat/cellar/members/", &[("action", "remove"), ("name", "ann")]).await;
    assert_eq!(end_of(&ann).await, "您的连接已被断开：您不再是此房间的成员。");
    has_no_errors(&ann).await;
}

#[tokio::test]
async fn an_operator_whose_login_ended_meanwhile_leaves_the_page() {
    let (redis, browser, port) = (Redis::start().await, Browser::start().await, ReservedPort::reserve());
    let plan = Node::bare_plan().redis(&redis).flag("--listen", &port.address().to_string());
    let (mut node, other) = tokio::join!(plan.start(), Node::on(&redis));
    command(&redis, &["user", "add", "--staff", "oscar"]).await;
    let window = browser.window(ENGLISH).await;
    let page = "/accounts/login/?next=%2Fadmin%2Frooms%2Flobby%2F";
    window.open(&format!("http://{}{page}", node.address())).await;
    window.keys("main [name=name]", "oscar").await;
    window.keys("main [name=password]", &format!("{}\u{e007}", password("oscar"))).await;
    let state = "document.getElementById('connection-state')?.dataset.state === 'open'";
    window.wait_until("the room", state, &[]).await;
    node.kill();
    is_disconnected(&window).await;
    logs_out_elsewhere(&window, &other).await;
    let _node = plan.start().await;
    window.wait_until("the page to be gone", "document.querySelector('.status')", &[]).await;
    assert_eq!(window.text(".status").await, "404");
}
