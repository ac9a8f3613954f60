//! An operator in Chromium: pages that update by themselves, and what the pages of other users say.

use serde_json::json;

use super::layout::fits_everywhere;
use super::rooms::{CHINESE, ENGLISH, has_no_errors, open_room, publish_in_page, wait_for_message};
use crate::support::browser::{Browser, Window};
use crate::support::cli::command;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::user::password;

const ENTER: &str = "\u{e007}"; // as WebDriver writes the key
/// The name of a member in an operator's list, with the button beside it.
const MEMBER: &str =
    "[...document.querySelectorAll('#member-list li')].find(one => one.textContent.includes(arguments[0]))";
/// The explanations of scopes that are not beside the box, in the column of the scopes' names.
const HINTS_UNDER_BOXES: &str = "
    return [...document.querySelectorAll('.make label:has([type=checkbox])')]
        .filter((label) => label.querySelector('.hint').getBoundingClientRect().left
            < label.querySelector('input').getBoundingClientRect().right)
        .map((label) => label.innerText);
";

/// Two nodes on one Redis, and an operator's window with a session on the first.
struct Cluster {
    redis: Redis,
    nodes: [Node; 2],
    browser: Browser,
}

impl Cluster {
    async fn start() -> Self {
        let (redis, browser) = tokio::join!(Redis::start(), Browser::start());
        let nodes = Node::several::<2>(&redis).await;
        Self { redis, nodes, browser }
    }

    fn url(&self, node: usize, path: &str) -> String {
        format!("http://{}{path}", self.nodes[node].address())
    }

    async fn operator(&self, languages: &str, name: &str) -> Window {
        command(&self.redis, &["user", "add", "--staff", name]).await;
        let window = self.browser.window(languages).await;
        window.open(&self.url(0, "/accounts/login/?next=%2Fadmin%2F")).await;
        window.keys("main [name=name]", name).await;
        window.keys("main [name=password]", &format!("{}{ENTER}", password(name))).await;
        window.wait_until("the operator to be at /admin/", "location.pathname === '/admin/'", &[]).await;
        window
    }
}

async fn shows(window: &Window, selector: &str, text: &str) {
    let shown =
        "[...document.querySelectorAll(arguments[0])].some(one => one.textContent.includes(arguments[1]))";
    window.wait_until(&format!("{text:?} in {selector}"), shown, &[json!(selector), json!(text)]).await;
}

#[tokio::test]
async fn a_kicked_or_banned_user_sees_the_reason() {
    let site = Cluster::start().await;
    let [ann, bob] = [site.operator(ENGLISH, "ann").await, site.browser.window(ENGLISH).await];
    open_room(&bob, &site.url(1, "/chat/lobby/")).await;
    publish_in_page(&bob, "hello").await;
    open_room(&ann, &site.url(0, "/admin/rooms/lobby/")).await;
    wait_for_message(&ann, "hello").await;
    let name = bob.run("return document.querySelector('#who .self').textContent", &[]).await;
    for (action, words) in
        [("kick", "an operator removed you from this room"), ("ban", "an operator has banned you")]
    {
        let button = format!("{MEMBER}?.querySelector('[data-action={action}]')");
        ann.wait_until("a button beside the name", &button, std::slice::from_ref(&name)).await;
        ann.click("#member-count").await;
        ann.run(&format!("setTimeout(() => {button}.click())"), std::slice::from_ref(&name)).await;
        if action == "ban" {
            ann.accept().await;
        }
        shows(&bob, "#ended", words).await;
        let state = bob.text("#connection-state").await;
        assert_eq!(state, "Closed by the server");
        if action == "kick" {
            open_room(&bob, &site.url(1, "/chat/lobby/")).await;
        }
    }
    bob.open(&site.url(1, "/chat/lobby/")).await;
    shows(&bob, "main", "banned").await;
    has_no_errors(&ann).await;
}

#[tokio::test]
async fn a_removed_message_and_a_closed_room_show_on_every_page() {
    let site = Cluster::start().await;
    let [ann, bob] = [site.operator(ENGLISH, "ann").await, site.browser.window(ENGLISH).await];
    open_room(&bob, &site.url(1, "/chat/lobby/")).await;
    publish_in_page(&bob, "something bad").await;
    open_room(&ann, &site.url(0, "/admin/rooms/lobby/")).await;
    wait_for_message(&ann, "something bad").await;
    shows(&ann, "#operate .hint", "public · 1 message stored").await;
    publish_in_page(&ann, "mind your words").await;
    wait_for_message(&bob, "mind your words").await;
    let remove = "[...document.querySelectorAll('#messages li')].find(one => one.textContent.includes('something bad'))
        ?.querySelector('[data-action=remove]')";
    ann.wait_until("a button beside the message", remove, &[]).await;
    ann.run(&format!("setTimeout(() => {remove}.click())"), &[]).await;
    ann.accept().await;
    for window in [&ann, &bob] {
        shows(window, "#messages .removed .text", "An operator removed this message.").await;
        let gone = "!document.body.textContent.includes('something bad')";
        window.wait_until("the text to be gone", gone, &[]).await;
    }
    ann.run("setTimeout(() => document.querySelector('[name=action][value=close]').click())", &[]).await;
    ann.accept().await;
    shows(&bob, "#ended", "an operator has closed this room").await;
    ann.wait_until("a way to open it again", "document.querySelector('[name=action][value=reopen]')", &[])
        .await;
    wait_for_message(&ann, "mind your words").await;
    ann.click("[name=action][value=reopen]").await;
    ann.wait_until("it to be open", "document.querySelector('[name=action][value=close]')", &[]).await;
    open_room(&bob, &site.url(1, "/chat/lobby/")).await;
    has_no_errors(&ann).await;
}

#[tokio::test]
async fn statistics_update_by_themselves() {
    let site = Cluster::start().await;
    let ann = site.operator(ENGLISH, "ann").await;
    let rows = "document.querySelectorAll('tbody tr').length === arguments[0]";
    ann.wait_until("two nodes", rows, &[json!(2)]).await;
    let sockets = "[...document.querySelectorAll('[data-figure=sockets]')].reduce((sum, one) => sum + Number(one.textContent), 0)";
    ann.wait_until("the socket of ann's own page", &format!("{sockets} === 1"), &[]).await;
    let mut bob = TutorialClient::chat(&site.nodes[1], "聊天").await;
    ann.wait_until("one more socket", &format!("{sockets} === 2"), &[]).await;
    bob.publish("hi").await;
    let reported = "document.querySelector('[data-figure=uptime]').textContent.match(/^0:0\\d:\\d\\d$/)
        && [...document.querySelectorAll('[data-figure=published]')].some(one => parseFloat(one.textContent) > 0)";
    ann.wait_until("how long a node runs, and how fast it publishes", reported, &[]).await;

    ann.open(&site.url(0, "/admin/rooms/")).await;
    let mut eve = TutorialClient::chat(&site.nodes[0], "kitchen").await;
    let room = "[...document.querySelectorAll('tbody tr')].find(one => one.dataset.key === arguments[0])";
    ann.wait_until("a room that gets a member", room, &[json!("kitchen")]).await;
    eve.publish("hi").await;
    let spoken = format!("{room}.querySelector('[data-figure=per_minute]').textContent === '1'");
    ann.wait_until("a message there", &spoken, &[json!("kitchen")]).await;
    bob.close().await;
    ann.wait_until("a room without members to go", &format!("!{room}"), &[json!("聊天")]).await;
    ann.click("tbody a").await;
    ann.wait_until("its page", "location.pathname === '/admin/rooms/kitchen/'", &[]).await;
    has_no_errors(&ann).await;
}

#[tokio::test]
async fn operator_pages_fit_a_phone_and_a_wide_screen() {
    let site = Cluster::start().await;
    for name in ["bob", "Donaudampfschifffahrtskapitaenin", "李小龙"] {
        command(&site.redis, &["user", "add", name]).await;
    }
    command(&site.redis, &["key", "add", "billing", "--scope", "read,publish,disconnect"]).await;
    let [en, zh] = [site.operator(ENGLISH, "ann").await, site.operator(CHINESE, "操作员").await];
    let mut users = Vec::new();
    for room in ["lobby", "聊天", &"W".repeat(64)] {
        let mut user = TutorialClient::chat(&site.nodes[1], room).await;
        user.publish("大家早上好！今天的会议几点开始？ https://example.org/").await;
        users.push(user);
    }
    for (window, language, dark) in [(&en, "en", false), (&zh, "zh", true)] {
        window.dark(dark).await;
        for page in ["", "rooms/", "users/", "keys/", "audit/"] {
            window.open(&site.url(0, &format!("/admin/{page}"))).await;
            if page.len() < 6 {
                let fetched =
                    "[...document.querySelectorAll('tbody [data-figure=uptime], tbody [data-figure=kept]')]
                    .every(one => one.textContent !== '–')";
                window.wait_until("figures", fetched, &[]).await;
            }
            fits_everywhere(window, &format!("admin-{}{language}", page.replace('/', "-"))).await;
        }
        open_room(window, &site.url(0, "/admin/rooms/lobby/")).await;
        wait_for_message(window, "大家早上好！今天的会议几点开始？ https://example.org/").await;
        fits_everywhere(window, &format!("admin-room-{language}")).await;
        window.click("#member-count").await;
        fits_everywhere(window, &format!("admin-members-{language}")).await;
    }
    en.open(&site.url(0, "/admin/keys/")).await;
    en.keys("#key-name", "reports").await;
    en.click("[name=scope_read]").await;
    en.click("[value=make]").await;
    shows(&en, "#made-key", "plk_").await;
    fits_everywhere(&en, "admin-key-made").await;
    for (window, name) in [(&en, "admin-keys-en-390"), (&zh, "admin-keys-zh-390")] {
        window.open(&site.url(0, "/admin/keys/")).await;
        window.screen(390, 844, true).await;
        assert_eq!(window.run(HINTS_UNDER_BOXES, &[]).await, json!([]));
        window.screenshot(name).await;
    }
    tokio::join!(has_no_errors(&en), has_no_errors(&zh));
}
