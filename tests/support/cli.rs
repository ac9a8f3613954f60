//! Runs `parlor`'s commands: operators and API keys.

use std::process::{Command, ExitStatus};

use super::backend::Backend;
use super::node::Node;
use super::process::Process;
use super::user::{User, password};
use super::wait::PATIENCE;

/// Runs `parlor` with these arguments on this Redis, with the [`password`] of the last argument in
/// its environment. Returns its stdout.
pub async fn command(redis: &impl Backend, words: &[&str]) -> String {
    let (status, stdout, stderr) = run(redis, words).await;
    assert!(status.success(), "parlor {words:?} ended with {status}: {stderr}");
    stdout
}

/// Runs `parlor` in the same way, which must fail. Returns its stderr.
pub async fn try_command(redis: &impl Backend, words: &[&str]) -> String {
    let (status, _, stderr) = run(redis, words).await;
    assert!(!status.success(), "parlor {words:?} succeeded");
    stderr
}

async fn run(redis: &impl Backend, words: &[&str]) -> (ExitStatus, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
    let secret = password(words.last().expect("a command"));
    command.env_clear().env("REDIS_URL", redis.url()).env("PARLOR_PASSWORD", secret).args(words);
    let mut process = Process::spawn("parlor", &mut command);
    let status = process.exit(PATIENCE).await;
    (status, process.stdout.text(), process.stderr.text())
}

/// Creates an operator with a session on this node.
pub async fn operator(node: &Node, redis: &impl Backend, name: &str) -> User {
    command(redis, &["user", "add", "--staff", name]).await;
    User::logged_in(node, name).await
}

/// Creates a key with these scopes, as in `publish,read`.
pub async fn key(redis: &impl Backend, name: &str, scopes: &str) -> String {
    let shown = command(redis, &["key", "add", name, "--scope", scopes]).await;
    let key = shown.split_whitespace().find(|word| word.starts_with("plk_"));
    key.unwrap_or_else(|| panic!("a key in {shown:?}")).to_owned()
}
