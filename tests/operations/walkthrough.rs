//! `docs/handlers.md` builds `examples/echo/`: its code is the example's, and what it shows
//! happens.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::docs_page::{Block, blocks};
use crate::support::http::Request;
use crate::support::test_app::example;
use crate::support::tutorial_client::TutorialClient;

const PAGE: &str = "handlers.md";
const EXAMPLE: &str = "examples/echo";
/// Where the page's node listens.
const ADDRESS: &str = "http://127.0.0.1:8000";

/// The lines of a source but the empty ones, which stand between the blocks of a page.
fn code(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.is_empty()).collect()
}

/// The page's blocks of this kind; at least one.
fn shown(kind: &str) -> Vec<Block> {
    let found: Vec<_> = blocks(PAGE).into_iter().filter(|block| block.info == kind).collect();
    assert!(!found.is_empty(), "docs/{PAGE} shows `{kind}`");
    found
}

#[test]
fn the_code_in_the_page_is_the_example() {
    let mut pages = BTreeMap::<String, String>::new();
    for block in blocks(PAGE) {
        if let Some((_, path)) = block.info.split_once(' ') {
            pages.entry(path.to_owned()).or_default().push_str(&block.text);
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(root.join(EXAMPLE)).expect("the example").flatten() {
        let text = fs::read_to_string(entry.path()).expect("a source");
        files.insert(format!("{EXAMPLE}/{}", entry.file_name().display()), text);
    }
    assert_eq!(pages.keys().collect::<Vec<_>>(), files.keys().collect::<Vec<_>>());
    for (path, text) in files {
        assert_eq!(code(&pages[&path]), code(&text), "{path}");
    }
}

#[tokio::test]
async fn the_variables_of_the_example_begin_with_its_name() {
    let node = example("echo", &[]).await; // ECHO_LISTEN names port 0
    assert_ne!(node.address().to_string(), ADDRESS.trim_start_matches("http://"));
}

#[tokio::test]
async fn the_example_answers_the_commands_in_the_page() {
    let node = example("echo", &[]).await;
    for block in shown("console") {
        for command in block.text.split("$ ").filter(|command| !command.is_empty()) {
            let (command, output) = command.split_once('\n').expect("a command and its output");
            if let Some(url) = command.strip_prefix("curl ") {
                let path = url.strip_prefix(ADDRESS).expect("a URL of the node");
                assert_eq!(Request::get(path).send(&node).await.body, output, "{command}");
            } else {
                assert_eq!(command, "cargo run --example echo");
                assert_eq!(output, format!("listening on {ADDRESS}\n"));
            }
        }
    }
}

#[tokio::test]
async fn the_example_plays_the_conversation_in_the_page() {
    let node = example("echo", &[]).await;
    for block in shown("text") {
        let mut clients = BTreeMap::new();
        for line in block.text.lines() {
            let words: Vec<_> = line.splitn(3, ' ').collect();
            let [name, verb, rest] = words[..] else { panic!("{line:?} is `NAME VERB REST`") };
            match verb {
                "opens" => drop(clients.insert(name.to_owned(), TutorialClient::open(&node, rest).await)),
                "sends" => clients.get_mut(name).expect("open").send(rest).await,
                "receives" => {
                    assert_eq!(clients.get_mut(name).expect("open").receive_text().await, rest, "{line}");
                }
                _ => panic!("{line:?}: a client opens, sends or receives"),
            }
        }
    }
}
