//! A real nginx with the site of `deploy/nginx.conf`, before three ports.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;

use tempfile::TempDir;

use super::process_tree::ProcessTree;
use super::reserved_port::ReservedPort;
use super::wait::{PATIENCE, holds, until};

/// Runs the lines by which `make cluster` makes a site's configuration: they change the addresses
/// and log files and put a main file around it.
const COMPOSE: &str = r#"
    read -ra node_ports <<<"$nodes"
    source <(sed -n '/^# --- nginx: /,/^# --- start/p' "$here/cluster.sh")
"#;

pub struct Nginx {
    process: ProcessTree,
    port: ReservedPort,
    folder: TempDir,
}

impl Nginx {
    /// Starts nginx with the site as it is.
    pub async fn start(nodes: [u16; 3]) -> Self {
        Self::with(nodes, "").await
    }

    /// Starts nginx with more directives in the site's `server`, as an operator may add.
    pub async fn with(nodes: [u16; 3], directives: &str) -> Self {
        let port = ReservedPort::reserve();
        let folder = tempfile::tempdir().expect("a temporary folder");
        compose(folder.path(), port.number(), nodes);
        add(&folder.path().join("site.conf"), directives);
        let mut command = Command::new("nginx");
        // Debian's nginx is not on every user's path.
        command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
        command.args(["-e", "stderr", "-p"]).arg(folder.path());
        command.arg("-c").arg(folder.path().join("nginx.conf"));
        let mut process = ProcessTree::spawn("nginx", &mut command);
        // nginx writes this file once it has its port.
        let file = folder.path().join("nginx.pid");
        until(PATIENCE, "nginx to write its process id", async || {
            assert!(process.ended().is_none(), "nginx ended: {}", process.stderr.text());
            let id = fs::read_to_string(&file).unwrap_or_default();
            holds(id.trim() == process.id().to_string(), || format!("{id:?}; {}", process.stderr.text()))
        })
        .await;
        Self { process, port, folder }
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The lines of the access log so far.
    pub fn access_log(&self) -> String {
        fs::read_to_string(self.folder.path().join("parlor.access.log")).unwrap_or_default()
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("parlor.access.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!(
                "--- nginx {}: its last requests, newest first\n{}",
                self.process.id(),
                lines.join("\n")
            );
        }
    }
}

fn compose(folder: &Path, port: u16, nodes: [u16; 3]) {
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", COMPOSE]);
    command.env("here", concat!(env!("CARGO_MANIFEST_DIR"), "/deploy")).env("folder", folder);
    command.env("site_port", port.to_string()).env("nodes", nodes.map(|node| node.to_string()).join(" "));
    let output = command.output().expect("bash");
    assert!(output.status.success(), "composing nginx' configuration: {output:?}");
    let site = fs::read_to_string(folder.join("site.conf"))
        .expect("deploy/cluster.sh has lines from `# --- nginx: …` to `# --- start …` that write site.conf");
    let servers = nodes.map(|node| format!("server 127.0.0.1:{node} "));
    for part in servers.iter().chain([&format!("listen 127.0.0.1:{port};")]) {
        assert!(
            site.contains(part),
            "`{part}` in the site that deploy/cluster.sh makes of nginx.conf:\n{site}"
        );
    }
}

fn add(site: &Path, directives: &str) {
    let text = fs::read_to_string(site).expect("the site");
    let (head, rest) = text.split_once("    server_tokens off;\n").expect("`server_tokens off;` in the site");
    fs::write(site, format!("{head}    server_tokens off;\n{directives}\n{rest}")).expect("the site");
}
