//! Programs beside the server: the application `test_app`, and the example `echo`.

use std::path::Path;
use std::process::Command;

use super::node::{Node, OPEN_DOORS};
use super::process::Process;

/// Starts `test_app` on a free port with these flags.
pub async fn test_app(flags: &[&str]) -> Node {
    example("test_app", flags).await
}

/// Starts this example on a free port with these flags.
pub async fn example(name: &str, flags: &[&str]) -> Node {
    let folder = Path::new(env!("CARGO_BIN_EXE_parlor")).parent().expect("a folder");
    let binary = folder.join("examples").join(name);
    assert!(binary.exists(), "{} is missing: run `cargo build --examples`", binary.display());
    let mut command = Command::new(binary);
    command.env_clear().envs(OPEN_DOORS).args(["--listen", "127.0.0.1:0"]).args(flags);
    Node::from_process(Process::spawn(name, &mut command), 1).await
}
