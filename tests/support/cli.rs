//! What is done on the command line beside a site: operators and keys.

use std::process::Command;

use super::node::Node;
use super::process::Process;
use super::redis::Redis;
use super::user::{User, password};
use super::wait::PATIENCE;

/// Runs `parlor` with these words beside the site, with [`password`] of the last word in its environment; its stdout.
pub async fn command(redis: &Redis, words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
    let secret = password(words.last().expect("a command"));
    command.env_clear().env("REDIS_URL", redis.url()).env("PARLOR_PASSWORD", secret).args(words);
    let mut process = Process::spawn("parlor", &mut command);
    let status = process.exit(PATIENCE).await;
    assert!(status.success(), "parlor {words:?} ended with {status}: {}", process.stderr.text());
    process.stdout.text()
}

/// An operator, logged in at this node.
pub async fn operator(node: &Node, redis: &Redis, name: &str) -> User {
    command(redis, &["user", "add", "--staff", name]).await;
    User::logged_in(node, name).await
}

/// A key with these scopes, as `publish,read`.
pub async fn key(redis: &Redis, name: &str, scopes: &str) -> String {
    let shown = command(redis, &["key", "add", name, "--scope", scopes]).await;
    let key = shown.split_whitespace().find(|word| word.starts_with("plk_"));
    key.unwrap_or_else(|| panic!("a key in {shown:?}")).to_owned()
}
