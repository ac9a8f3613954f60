//! Accounts in Chromium: signing up, private rooms, direct messages on two nodes, and the page
//! after its socket was closed.

use serde_json::{Value, json};

use super::layout::fits_everywhere;
use super::rooms::{CHINESE, ENGLISH, has_no_errors, open_room, publish_in_page, wait_for_message};
use crate::support::browser::{Browser, Window};
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::user::{User, password};

const ENTER: &str = "\u{e007}";

fn url(node: &Node, path: &str) -> String {
    format!("http://{}{path}", node.address())
}

/// Fills in the form of this page and waits for the next page.
async fn gives(window: &Window, name: &str, password: &str) {
    window.keys("#name", name).await;
    window.keys("#password", password).await;
    window.run("window.before = true", &[]).await;
    window.keys("#password", ENTER).await;
    window
        .wait_until("another page", "window.before === undefined && document.readyState === 'complete'", &[])
        .await;
}

pub async fn signs_up(window: &Window, node: &Node, name: &str, next: &str) {
    window.open(&url(node, &format!("/accounts/signup/?next={next}"))).await;
    gives(window, name, &password(name)).await;
    assert_eq!(window.address().await, url(node, next));
}

/// Waits until the badge beside the user's name has this text; "" when there is none.
async fn badge_says(window: &Window, count: &str) {
    let shown = "(badge => (badge.hidden ? '' : badge.textContent) === arguments[0])
        (document.querySelector('#who summary [data-unread]'))";
    window.wait_until(&format!("the badge to be {count:?}"), shown, &[json!(count)]).await;
}

#[tokio::test]
async fn two_users_sign_up_and_exchange_direct_messages() {
    let redis = Redis::start().await;
    let (nodes, browser) = tokio::join!(Node::several::<2>(&redis), Browser::start());
    let (ann, bob) = tokio::join!(browser.window(ENGLISH), browser.window(CHINESE));
    signs_up(&ann, &nodes[0], "ann", "/chat/lobby/").await;
    signs_up(&bob, &nodes[1], "bob", "/chat/lobby/").await;
    assert_eq!(ann.text("#who summary bdi").await, "ann");

    // The members by name, with the links to direct messages.
    ann.wait_until("two people", "document.querySelectorAll('#member-list li').length === 2", &[]).await;
    let listed = "return [...document.querySelectorAll('#member-list li')].map(one => [
        one.textContent.replace(/[\\u2068\\u2069]/g, ''), one.querySelector('a')?.getAttribute('href').replace(/[0-9a-f]{16}/, 'ID') ?? null])";
    assert_eq!(ann.run(listed, &[]).await, json!([["ann (you)", null], ["bob", "/dm/id:ID/"]]));
    ann.open(&url(&nodes[0], "/dm/bob/")).await;
    publish_in_page(&ann, "hello bob").await;
    badge_says(&bob, "1").await;
    publish_in_page(&ann, "are you there?").await;
    badge_says(&bob, "2").await;

    bob.open(&url(&nodes[1], "/dm/")).await;
    assert_eq!(bob.text("#dm-list a").await.replace('\n', ""), "ann2");
    publish_in_page(&ann, "hurry").await;
    let count = "document.querySelector('#dm-list .badge').textContent === '3'";
    bob.wait_until("the list to count on", count, &[]).await;
    fits_everywhere(&bob, "talks").await;
    bob.click("#dm-list a").await;
    wait_for_message(&bob, "hurry").await;
    badge_says(&bob, "").await;
    assert_eq!(bob.text("h1").await, "ann");
    let senders =
        "return [...new Set([...document.querySelectorAll('.other .speaker')].map(one => one.textContent))]";
    assert_eq!(bob.run(senders, &[]).await, json!(["ann"]));
    publish_in_page(&bob, "here I am").await;
    wait_for_message(&ann, "here I am").await;
    bob.keys("#chat-message-input", "x").await;
    let typing = "document.getElementById('typing').textContent.includes('bob')";
    ann.wait_until("the name of who types", typing, &[]).await;
    fits_everywhere(&ann, "talk").await;
    ann.dark(true).await;
    fits_everywhere(&ann, "talk-dark").await;

    // Read messages stay read, also after a reload.
    bob.open(&url(&nodes[1], "/chat/")).await;
    publish_in_page(&ann, "one more").await;
    badge_says(&bob, "1").await;
    bob.open(&url(&nodes[0], "/chat/")).await;
    badge_says(&bob, "1").await;
    fits_everywhere(&bob, "home-account").await;
    tokio::join!(has_no_errors(&ann), has_no_errors(&bob));
}

#[tokio::test]
async fn logging_out_in_one_tab_is_shown_in_the_other() {
    let (node, browser) = tokio::join!(Node::alone(), Browser::start());
    let ann = browser.window(ENGLISH).await;
    signs_up(&ann, &node, "ann", "/chat/lobby/").await;
    open_room(&ann, &url(&node, "/chat/lobby/")).await;
    let room = ann.tab().await;
    ann.open(&url(&node, "/chat/")).await;
    ann.click("#who summary").await;
    ann.click("#logout").await;
    ann.wait_until("the page of a guest", "!document.getElementById('logout')", &[]).await;
    ann.switch(room).await;
    ann.wait_until("the page to say so", "!document.getElementById('ended').hidden", &[]).await;
    assert_eq!(ann.text("#ended").await, "You have been logged out. Log in");
    assert_eq!(ann.text("#connection-state").await, "Closed by the server");
    fits_everywhere(&ann, "logged-out").await;
    ann.click("#ended a").await;
    ann.wait_until("the way back in", "document.getElementById('login-form')", &[]).await;
    gives(&ann, "ann", "wrong password").await;
    assert_eq!(ann.text("#error").await, "There is no account with this name and password.");
    fits_everywhere(&ann, "login-wrong").await;
    gives(&ann, "", &password("ann")).await;
    assert_eq!(ann.address().await, url(&node, "/chat/lobby/"));
    assert_eq!(ann.text("#who summary bdi").await, "ann");
}

#[tokio::test]
async fn a_removed_member_sees_the_reason() {
    let (node, browser) = tokio::join!(Node::alone(), Browser::start());
    let (ann, mut bob) = (browser.window(ENGLISH).await, User::registered(&node, "bob").await);
    bob.post(&node, "/rooms/", &[("room", "cellar")]).await;
    signs_up(&ann, &node, "ann", "/chat/").await;
    bob.post(&node, "/chat/cellar/members/", &[("action", "invite"), ("name", "ann")]).await;
    ann.open(&url(&node, "/chat/")).await;
    fits_everywhere(&ann, "home-invited").await;
    ann.click(".list button[value=accept]").await;
    ann.wait_until("the room", "document.getElementById('connection-state')?.dataset.state === 'open'", &[])
        .await;
    assert_eq!(ann.address().await, url(&node, "/chat/cellar/"));
    fits_everywhere(&ann, "private-room").await;
    ann.click(".lock").await;
    ann.wait_until("the members", "document.getElementById('room-members')", &[]).await;
    fits_everywhere(&ann, "members").await;
    open_room(&ann, &url(&node, "/chat/cellar/")).await;
    bob.post(&node, "/chat/cellar/members/", &[("action", "remove"), ("name", "ann")]).await;
    ann.wait_until("the page to say so", "!document.getElementById('ended').hidden", &[]).await;
    let words = ann.text("#ended").await;
    assert!(words.contains("no longer a member of this room"), "{words}");
    has_no_errors(&ann).await;

    // The owner creates the room and a link.
    signs_up(&ann, &node, "carol", "/chat/").await;
    ann.keys("#private-name-input", "attic").await;
    ann.keys("#private-name-input", ENTER).await;
    ann.wait_until("the room", "document.getElementById('connection-state')?.dataset.state === 'open'", &[])
        .await;
    ann.open(&url(&node, "/chat/attic/members/")).await;
    ann.click("#make-link").await;
    ann.wait_until("a link", "document.getElementById('invitation')", &[]).await;
    fits_everywhere(&ann, "members-link").await;
    // In the time of this machine, as messages are.
    let expiry = "const time = document.querySelector('#invitation ~ .list time');
        const format = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'short', hourCycle: 'h23' });
        return [time.textContent === format.format(new Date(time.dateTime)), new Date(time.dateTime) - Date.now()]";
    let expiry = ann.run(expiry, &[]).await;
    assert_eq!(expiry[0], json!(true), "{}", ann.text("main").await);
    let left = expiry[1].as_f64().expect("milliseconds") / 3_600_000.0;
    assert!((167.0..=168.0).contains(&left), "{left} hours");
    let link = ann.run("return document.getElementById('invitation').value", &[]).await;
    let link = link.as_str().expect("a link").to_owned();
    signs_up(&ann, &node, "dave", "/chat/").await;
    ann.open(&link).await;
    fits_everywhere(&ann, "invite").await;
    ann.click("#invite-form button").await;
    ann.wait_until("the room", "document.getElementById('connection-state')?.dataset.state === 'open'", &[])
        .await;
    assert_eq!(ann.address().await, url(&node, "/chat/attic/"));
    has_no_errors(&ann).await;
}

#[tokio::test]
async fn only_http_addresses_in_messages_become_links() {
    let (node, browser) = tokio::join!(Node::alone(), Browser::start());
    let ann = browser.window(ENGLISH).await;
    open_room(&ann, &url(&node, "/chat/lobby/")).await;
    let mut plain = TutorialClient::chat(&node, "lobby").await;
    let links = "const items = [...document.querySelectorAll('#messages .text')];
        const item = items.find(one => one.textContent === arguments[0]);
        return [...item.querySelectorAll('*')].map(one => [one.tagName, one.getAttribute('href'), one.textContent, one.rel, one.target])";
    for (text, expected) in [
        ("no link here", &[][..]),
        ("see https://example.com/a?b=c#d.", &["https://example.com/a?b=c#d"]),
        ("(http://example.com/a_(b))", &["http://example.com/a_(b)"]),
        ("请看https://example.com/聊天。谢谢", &["https://example.com/聊天"]),
        ("HTTPS://EXAMPLE.com, http://b.example!", &["HTTPS://EXAMPLE.com", "http://b.example"]),
        ("<a href=\"https://example.com/x\">x</a>", &["https://example.com/x"]),
        ("javascript:alert(1) data:text/html,x ftp://example.com/ file:///etc/passwd", &[]),
        ("https://bank.example@evil.example/ http:// https://", &[]),
        ("https://example.com/\u{202e}moc.live", &["https://example.com/"]),
    ] {
        plain.publish(text).await;
        wait_for_message(&ann, text).await;
        let found = ann.run(links, &[json!(text)]).await;
        let found = found.as_array().expect("a list").clone();
        let shown: Vec<_> = found.iter().map(|link| link[2].clone()).collect();
        assert_eq!(json!(shown), json!(expected), "{text}");
        for link in &found {
            let [tag, target, _, rel, window] =
                [0, 1, 2, 3, 4].map(|part| link[part].as_str().expect("a text"));
            assert_eq!((tag, rel, window), ("A", "noopener nofollow ugc", "_blank"));
            assert!(target.starts_with("http://") || target.starts_with("https://"), "{target}");
        }
    }
    fits_everywhere(&ann, "links").await;
    has_no_errors(&ann).await;
}

#[tokio::test]
async fn a_guest_has_a_nickname_and_a_link_to_sign_up() {
    let (node, browser) = tokio::join!(Node::alone(), Browser::start());
    let (ann, li) = tokio::join!(browser.window(ENGLISH), browser.window(CHINESE));
    open_room(&ann, &url(&node, "/chat/lobby/")).await;
    ann.click("#who summary").await;
    ann.screenshot("menu-guest").await;
    let ways = ann.run("return [...document.querySelectorAll('#who a')].map(one => one.pathname)", &[]).await;
    assert_eq!(ways, json!(["/accounts/login/", "/accounts/signup/", "/accounts/guest/"]));
    ann.click("#who a:last-child").await;
    ann.wait_until("the form", "document.getElementById('nickname')", &[]).await;
    fits_everywhere(&ann, "nickname").await;
    ann.run("document.getElementById('nickname').value = ''", &[]).await;
    ann.keys("#nickname", "安安\u{e007}").await;
    ann.wait_until("the room", "document.getElementById('connection-state')?.dataset.state === 'open'", &[])
        .await;
    assert_eq!(ann.text("#who summary bdi").await, "~安安");
    open_room(&li, &url(&node, "/chat/lobby/")).await;
    publish_in_page(&ann, "你好").await;
    wait_for_message(&li, "你好").await;
    assert_eq!(li.text(".other .speaker").await, "~安安");
    let links = li.run("return document.querySelectorAll('#member-list a').length", &[]).await;
    assert_eq!(links, Value::from(0), "guests have no private chats");
    for page in ["login", "signup"] {
        ann.open(&url(&node, &format!("/accounts/{page}/"))).await;
        fits_everywhere(&ann, page).await;
    }
    tokio::join!(has_no_errors(&ann), has_no_errors(&li));
}
