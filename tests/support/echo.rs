//! The example `echo`: another application on the same runtime, with an echo at `/`, what a group says at
//! `/watch/<group>`, and a route that stalls.

use std::path::Path;
use std::process::Command;

use super::node::{Node, OPEN_DOORS};
use super::process::Process;

/// Starts it on a free port with these flags.
pub async fn echo(flags: &[&str]) -> Node {
    let folder = Path::new(env!("CARGO_BIN_EXE_parlor")).parent().expect("a folder");
    let binary = folder.join("examples/echo");
    assert!(binary.exists(), "{} is missing: run `cargo build --example echo`", binary.display());
    let mut command = Command::new(binary);
    command.env_clear().envs(OPEN_DOORS).args(["--listen", "127.0.0.1:0"]).args(flags);
    Node::listening(Process::spawn("echo", &mut command), 1).await
}
