//! `make cluster`: the script that runs a whole site on one machine.

use std::process::Command;

use crate::support::connection::Connection;
use crate::support::frame::{Frame, TEXT};
use crate::support::process::Signal;
use crate::support::process_tree::{ProcessTree, runs, send};
use crate::support::reserved_port::ReservedPort;
use crate::support::wait::{PATIENCE, holds, seconds, until};

/// Starts `deploy/cluster.sh` at its own ports and waits until it reports that the site is up.
async fn start(
    site: &ReservedPort,
    nodes: &[ReservedPort; 3],
    redis: &ReservedPort,
    folder: &std::path::Path,
) -> ProcessTree {
    // A test runner in the background may make its children ignore SIGINT.
    let mut command = Command::new("env");
    command.args(["--default-signal=INT", concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/cluster.sh")]);
    command.env("PARLOR_BIN", env!("CARGO_BIN_EXE_parlor")).env("TMPDIR", folder);
    command.env("CLUSTER_PORT", site.number().to_string());
    command.env("CLUSTER_REDIS_PORT", redis.number().to_string());
    let ports = nodes.each_ref().map(|port| port.number().to_string());
    command.env("CLUSTER_NODE_PORTS", ports.join(" "));
    let script = ProcessTree::spawn("cluster.sh", &mut command);
    script
        .stdout
        .wait_for("the address of the site", seconds(20), |line| line.contains("open http://"))
        .await;
    script
}

/// The process id in `cluster | PART is process ID, port …`, printed after the mark.
async fn process_of(script: &ProcessTree, part: &str, mark: usize) -> u32 {
    let begin = format!("cluster | {part} is process ");
    until(PATIENCE, &begin, async || {
        let lines = script.stdout.since(mark);
        let line = lines.iter().find_map(|line| line.strip_prefix(&begin)?.split(',').next());
        line.and_then(|id| id.parse().ok()).ok_or_else(|| format!("{lines:?}"))
    })
    .await
}

/// Two clients of one room through nginx: one sends, both receive.
async fn chat_works(site: &ReservedPort) {
    let mut ann = Connection::connect_to(site.address()).await.upgrade("/ws/chat/lobby/").await;
    let mut bob = Connection::connect_to(site.address()).await.upgrade("/ws/chat/lobby/").await;
    ann.send_frame(&Frame::text(r#"{"message": "hi"}"#)).await;
    for user in [&mut ann, &mut bob] {
        assert_eq!(
            user.frame_with_opcode(TEXT, PATIENCE).await.payload,
            r#"{"message": "[收到消息] hi"}"#.as_bytes()
        );
    }
}

#[tokio::test]
async fn the_script_restarts_a_dead_node_and_cleans_up() {
    let (site, redis, nodes) =
        (ReservedPort::reserve(), ReservedPort::reserve(), [(); 3].map(|()| ReservedPort::reserve()));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut script = start(&site, &nodes, &redis, folder.path()).await;
    chat_works(&site).await;

    let part = format!("node-{}", nodes[1].number());
    let first = process_of(&script, &part, 0).await;
    let mark = script.stdout.mark();
    send(first, Signal::SIGKILL);
    chat_works(&site).await;
    let second = process_of(&script, &part, mark).await;
    assert_ne!(first, second);
    until(PATIENCE, "the node to listen again", async || {
        let connection = Connection::try_connect(nodes[1].address()).await;
        holds(connection.is_ok(), || format!("{:?}", connection.err()))
    })
    .await;

    let mut ann = Connection::connect_to(site.address()).await.upgrade("/ws/chat/lobby/").await;
    let members = script.members();
    assert!(members.len() > 7, "the script, Redis, three nodes, nginx and its workers: {members:?}");
    script.signal(Signal::SIGINT);
    assert_eq!(ann.close_code().await.0, 1012, "nginx still carries what the nodes say at their end");
    assert_eq!(script.exit(seconds(15)).await.code(), Some(0), "{}", script.stdout.text());
    let left: Vec<&u32> = members.iter().filter(|member| runs(**member)).collect();
    assert!(left.is_empty(), "processes {left:?} of {members:?} are left: {}", script.stdout.text());
    let files: Vec<_> = folder.path().read_dir().expect("the folder").flatten().collect();
    assert!(files.is_empty(), "its temporary folder is gone: {files:?}");
}
