//! The example of a page on another site, in Chromium.

use std::process::Command;

use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::security::forged_tokens::plan;
use crate::support::browser::{Browser, Window};
use crate::support::jwt_keys::KeyPair;
use crate::support::node::Node;
use crate::support::process::Process;
use crate::support::v1_client::{V1Client, text_of};
use crate::support::wait::PATIENCE;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/embed");
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/keys/ed.pem");

async fn shows(window: &Window, room: &str, line: &str) {
    let shown =
        "[...document.querySelectorAll(`#${arguments[0]} li`)].some(one => one.textContent === arguments[1])";
    window.wait_until(&format!("{line:?} in {room}"), shown, &[json!(room), json!(line)]).await;
}

/// Starts the site, whose pages connect to this node; returns its address.
async fn start_site(node: &Node, key: &str) -> (Process, String) {
    let mut command = Command::new("node");
    command.arg(format!("{FOLDER}/site.js")).args(["0", &format!("http://{}", node.address()), key]);
    let site = Process::spawn("the site", &mut command);
    let line =
        site.stdout.wait_for("the site's address", PATIENCE, |line| line.starts_with("listening")).await;
    let url = line.trim_start_matches("listening on ").to_owned();
    (site, url)
}

/// Waits until the page shows these words as its error.
async fn shows_error(window: &Window, words: &str) {
    let shown = "document.querySelector('output').textContent.includes(arguments[0])";
    window.wait_until(&format!("the error {words:?}"), shown, &[json!(words)]).await;
}

#[tokio::test]
async fn a_page_of_another_site_names_why_it_does_not_connect() {
    let pair = KeyPair::for_algorithm(Algorithm::EdDSA);
    let (foreign, browser) = (plan(&pair).start().await, Browser::start().await);
    let (_site, url) = start_site(&foreign, KEY).await;
    let window = browser.window("en").await;
    window.open(&url).await;
    shows_error(&window, "the server refuses the connection: 403 `Sec-Fetch-Site`").await;

    // The tokens are signed with another key than the node has.
    let other = KeyPair::for_algorithm(Algorithm::ES256);
    let node = plan(&other).flag("--allowed-origins", "localhost").start().await;
    let (_site, url) = start_site(&node, KEY).await;
    window.open(&url).await;
    shows_error(&window, "the server refuses the connection: 401 `Authorization`").await;
}

#[tokio::test]
async fn a_page_of_another_site_joins_two_rooms_in_ten_lines() {
    let page = std::fs::read_to_string(format!("{FOLDER}/index.html")).expect("the page");
    let script = page.split("<script type=\"module\">\n").nth(1).expect("a script");
    assert!(script.lines().take_while(|line| *line != "</script>").count() <= 10, "{script}");

    let pair = KeyPair::for_algorithm(Algorithm::EdDSA);
    let start = plan(&pair).flag("--allowed-origins", "localhost");
    let (node, browser) = tokio::join!(start.start(), Browser::start());
    let (_site, url) = start_site(&node, KEY).await;

    let mut news = V1Client::join(&node, "news").await;
    news.publish("before the page").await;
    let mut support = V1Client::join(&node, "support").await;
    let window = browser.window("en").await;
    window.open(&url).await;
    let name = news.welcome["name"].as_str().expect("a name").to_owned();
    shows(&window, "news", &format!("{name}: before the page")).await;
    news.publish("live").await;
    shows(&window, "news", &format!("{name}: live")).await;

    window.keys("#support input", "help\u{e007}").await;
    let received = support.receive_any(&["message"], PATIENCE).await;
    assert_eq!(text_of(&received), "help");
    let visitor = received["name"].as_str().expect("a name");
    assert!(visitor.starts_with("visitor"), "named by the token: {received}");
    shows(&window, "support", &format!("{visitor}: help")).await;
    let strangers = "return document.querySelectorAll('#news li').length";
    assert_eq!(window.run(strangers, &[]).await, json!(2), "each room has its own messages");
}
