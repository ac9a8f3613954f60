//! Packet loss between nginx and the nodes, where the kernel and the user's rights allow it.

use std::io::Write;
use std::process::{Command, Stdio, id};

/// Lasts until it is dropped.
pub struct Loss {
    table: String,
}

impl Loss {
    /// Drops five percent of the packets to and from these ports; `None` where nft cannot.
    pub fn at(ports: &[u16]) -> Option<Self> {
        let loss = Self { table: format!("inet parlor_chaos_{}", id()) };
        let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
        let ports = ports.join(", ");
        let rules = format!(
            "table {} {{\n chain lossy {{\n  type filter hook input priority 0;\n  \
             tcp dport {{ {ports} }} numgen random mod 100 < 5 drop\n  \
             tcp sport {{ {ports} }} numgen random mod 100 < 5 drop\n }}\n}}\n",
            loss.table
        );
        nft(&["-f", "-"], &rules).then_some(loss)
    }
}

impl Drop for Loss {
    fn drop(&mut self) {
        let words: Vec<_> = ["delete", "table"].into_iter().chain(self.table.split(' ')).collect();
        nft(&words, "");
    }
}

/// Runs nft with this on stdin; `false` where it is missing or fails.
fn nft(arguments: &[&str], input: &str) -> bool {
    let mut command = Command::new("nft");
    command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return false };
    let written = child.stdin.take().is_some_and(|mut stdin| stdin.write_all(input.as_bytes()).is_ok());
    let ended = child.wait().is_ok_and(|status| status.success());
    written && ended
}
