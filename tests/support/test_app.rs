//! Programs beside the server: the application `test_app`, and the example `echo`.

use std::path::Path;
use std::process::Command;

use super::node::{Node, OPEN_DOORS};
use super::process::Process;

/// Starts `test_app` on a free port with these flags.
pub async fn test_app(flags: &[&str]) -> Node {
    start("test_app", "PARLOR", flags).await
}

/// Starts this example on a free port with these flags.
pub async fn example(name: &str, flags: &[&str]) -> Node {
    start(name, &name.to_uppercase(), flags).await
}

/// Starts a program whose variables begin with `application`.
async fn start(name: &str, application: &str, flags: &[&str]) -> Node {
    let folder = Path::new(env!("CARGO_BIN_EXE_parlor")).parent().expect("a folder");
    let binary = folder.join("examples").join(name);
    assert!(binary.exists(), "{} is missing: run `cargo build --examples`", binary.display());
    let mut command = Command::new(binary);
    let variables = OPEN_DOORS.into_iter().chain([("PARLOR_LISTEN", "127.0.0.1:0")]);
    let variables = variables.map(|(name, value)| (name.replace("PARLOR", application), value));
    command.env_clear().envs(variables).args(flags);
    Node::from_process(Process::spawn(name, &mut command), 1).await
}
