//! Secrets come from files or the environment; weak ones end the start, and none is ever printed.

use std::fs;
use std::path::Path;

use crate::support::http::Request;
use crate::support::node::{Node, Plan};
use crate::support::process::Signal;
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::wait::{PATIENCE, holds, seconds, until};

const WEAK: [&str; 4] = [
    "hunter2",
    "0123456789abcdefghijklmnopqrstu",
    "abcabcabcabcabcabcabcabcabcabcabcabcabc",
    "                                        ",
];
const GOOD: &str = "correct-horse-battery-staple-0123456789";

/// Starts with this secret in a file or in the environment.
fn plans(folder: &Path, secret: &str) -> [Plan; 2] {
    let file = folder.join("secret");
    fs::write(&file, format!("{secret}\n")).unwrap();
    [Node::plan().flag("--secret-file", file.to_str().unwrap()), Node::plan().env("PARLOR_SECRET", secret)]
}

#[tokio::test]
async fn a_weak_secret_ends_the_start_and_is_not_printed() {
    let folder = tempfile::tempdir().unwrap();
    for secret in WEAK {
        let names = ["--secret-file (PARLOR_SECRET_FILE): got ", "PARLOR_SECRET: got "];
        for (plan, name) in plans(folder.path(), secret).into_iter().zip(names) {
            let text = plan.flag("--log-level", "trace").rejected().await;
            assert_eq!(text.lines().count(), 1, "one line: {text:?}");
            assert!(text.contains(name), "{name} in {text:?}");
            assert!(text.contains("expected at least"), "{text:?}");
            assert!(!text.contains(secret), "the secret in {text:?}");
        }
    }
}

#[tokio::test]
async fn secrets_are_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    for plan in plans(folder.path(), GOOD) {
        let mut help = plan.clone().switch("--help").spawn();
        assert_eq!(help.exit(PATIENCE).await.code(), Some(0));
        assert!(!help.stdout.text().contains(GOOD));
        let mut node = plan.flag("--log-level", "trace").start().await;
        TutorialClient::chat(&node, "lobby").await.close().await;
        node.signal(Signal::SIGTERM);
        assert_eq!(node.exit(PATIENCE).await.code(), Some(0));
        assert!(!node.log().text().contains(GOOD));
    }
}

#[tokio::test]
async fn without_a_setting_nodes_share_a_generated_secret() {
    let redis = Redis::start().await;
    let plan = Node::plan().without_env("PARLOR_SECRET").redis(&redis);
    let (first, second) = (plan.start().await, plan.start().await);
    let response = Request::get("/chat/").send(&first).await;
    let cookie = response.cookie("parlor_guest").split(';').next().expect("a cookie").to_owned();
    for node in [&first, &second] {
        let again = Request::get("/chat/").header("Cookie", &cookie).send(node).await;
        let set = again.headers.iter().any(|(_, value)| value.starts_with("parlor_guest="));
        assert!(!set, "it is known there: {again:?}");
    }
    let alone = Node::plan().without_env("PARLOR_SECRET").start().await;
    assert!(!Request::get("/chat/").send(&alone).await.cookie("parlor_guest").is_empty());
}

/// The record of the secret that nodes without one share.
const RECORD: &str = "parlor:record:secret";

/// A new guest's cookie of this node.
async fn guest_cookie(node: &Node) -> String {
    let response = Request::get("/chat/").send(node).await;
    response.cookie("parlor_guest").split(';').next().expect("a cookie").to_owned()
}

/// Whether a node knows a guest's cookie; `None` while it does not say. It gives a guest that it
/// does not know another cookie.
async fn knows(node: &Node, cookie: &str) -> Option<bool> {
    let response = Request::get("/chat/").header("Cookie", cookie).send(node).await;
    let is_set = response.headers.iter().any(|(_, value)| value.starts_with("parlor_guest="));
    assert!(matches!(response.status, 200 | 503), "{response:?}");
    (response.status == 200).then_some(!is_set)
}

/// Waits until all nodes know a cookie, which none of them replaces meanwhile.
async fn wait_until_known(nodes: &[&Node], cookie: &str, after: &str) {
    for node in nodes {
        until(seconds(10), "the cookie to be known", async || {
            let known = knows(node, cookie).await;
            assert_ne!(known, Some(false), "a cookie was replaced after {after}");
            holds(known == Some(true), || format!("{known:?}"))
        })
        .await;
    }
}

#[tokio::test]
async fn nodes_share_one_secret_again_once_redis_has_lost_it() {
    let mut redis = Redis::start().await;
    let plan = Node::plan().without_env("PARLOR_SECRET").redis(&redis);
    let (first, second) = (plan.start().await, plan.start().await);
    let cookie = guest_cookie(&first).await;
    let younger = format!("{}.{}", "y".repeat(43), u64::MAX);
    for loss in [&["DEL", RECORD][..], &["FLUSHALL"], &["SET", RECORD, &younger], &["SHUTDOWN"]] {
        if loss == ["SHUTDOWN"] {
            redis.kill();
            redis.restart().await;
        } else {
            redis.query::<::redis::Value>(loss).await;
        }
        // A node that finds no secret, or a younger one, before the others have put theirs back.
        let third = plan.start().await;
        wait_until_known(&[&third, &first, &second], &cookie, loss[0]).await;
        assert_eq!(knows(&third, &guest_cookie(&first).await).await, Some(true));
    }
    assert!([&first, &second].iter().any(|node| node.log().text().contains("has put it back")));
}

#[tokio::test]
async fn of_two_secrets_all_nodes_take_the_older_one() {
    let redis = Redis::start().await;
    let plan = Node::plan().without_env("PARLOR_SECRET").redis(&redis);
    let (first, second) = (plan.start().await, plan.start().await);
    let cookie = guest_cookie(&first).await;
    // One of a version before has no time.
    let mut of_others = vec![format!("{}.5", "o".repeat(43)), "n".repeat(43)];
    for older in &of_others {
        redis.query::<String>(&["SET", RECORD, older]).await;
        until(seconds(10), "all to take the older secret", async || {
            let both = (knows(&first, &cookie).await, knows(&second, &cookie).await);
            holds(both == (Some(false), Some(false)), || format!("{both:?}"))
        })
        .await;
        assert_eq!(knows(&second, &guest_cookie(&first).await).await, Some(true));
    }
    assert_eq!(redis.query::<Option<String>>(&["GET", RECORD]).await, of_others.pop());
    assert!(first.log().text().contains("another node has an older secret"));
}

#[tokio::test]
async fn guest_cookies_are_issued_once_redis_is_reachable() {
    let mut redis = Redis::start().await;
    redis.kill();
    let node =
        Node::plan().without_env("PARLOR_SECRET").redis(&redis).switch("--wait-for-redis").start().await;
    redis.restart().await;
    until(seconds(20), "a guest's cookie", async || {
        let response = Request::get("/chat/").send(&node).await;
        let set = response.headers.iter().any(|(_, value)| value.starts_with("parlor_guest="));
        if set { Ok(()) } else { Err(format!("{response:?}")) }
    })
    .await;
}

#[tokio::test]
async fn an_operator_password_of_the_wrong_length_ends_the_start() {
    let plan = Node::plan().flag("--operator", "ann");
    for plan in [plan.clone(), plan.env("PARLOR_OPERATOR_PASSWORD", "hunter2")] {
        let text = plan.rejected().await;
        assert!(text.contains("PARLOR_OPERATOR_PASSWORD") && text.contains("8 to 128"), "{text:?}");
        assert!(!text.contains("hunter2"), "{text:?}");
    }
}

#[tokio::test]
async fn a_weak_token_key_ends_the_start() {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys");
    let key = |name: &str| keys.join(name).to_str().unwrap().to_owned();
    let short = Node::plan().env("PARLOR_TOKEN_KEY", "hunter2").flag("--token-algorithm", "HS256");
    // HMAC with a publicly known key.
    let public =
        Node::plan().flag("--token-key-file", &key("rsa.pub.pem")).flag("--token-algorithm", "HS256");
    let small =
        Node::plan().flag("--token-key-file", &key("weak_rsa.pub.pem")).flag("--token-algorithm", "RS256");
    for plan in [short, public, small] {
        let text = plan.rejected().await;
        assert_eq!(text.lines().count(), 1, "one line: {text:?}");
        assert!(
            text.contains("--token-key-file (PARLOR_TOKEN_KEY_FILE), or PARLOR_TOKEN_KEY: ")
                && text.contains("expected"),
            "{text:?}"
        );
        assert!(!text.contains("hunter2"), "{text:?}");
    }
    let good = Node::plan().flag("--token-key-file", &key("rsa.pub.pem")).flag("--token-algorithm", "RS256");
    good.start().await;
}
