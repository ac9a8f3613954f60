//! `make cluster`: the script that runs a whole site on one machine.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::support::connection::Connection;
use crate::support::frame::{Frame, TEXT};
use crate::support::process::Signal;
use crate::support::process_tree::{ProcessTree, runs, send};
use crate::support::redis::free_port;
use crate::support::reserved_port::ReservedPort;
use crate::support::wait::{PATIENCE, holds, seconds, until};

/// Starts `deploy/cluster.sh` at its own ports, with this kind of Redis, and waits until it reports
/// that the site is up.
async fn start(
    site: &ReservedPort,
    nodes: &[ReservedPort; 3],
    (kind, redis_port): (&str, u16),
    folder: &Path,
) -> ProcessTree {
    // A test runner in the background may make its children ignore SIGINT.
    let mut command = Command::new("env");
    command.args(["--default-signal=INT", concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/cluster.sh")]);
    command.env("PARLOR_BIN", env!("CARGO_BIN_EXE_parlor")).env("TMPDIR", folder);
    command.env("CLUSTER_PORT", site.number().to_string());
    command.env("REDIS", kind).env("CLUSTER_REDIS_PORT", redis_port.to_string());
    let ports = nodes.each_ref().map(|port| port.number().to_string());
    command.env("CLUSTER_NODE_PORTS", ports.join(" "));
    let script = ProcessTree::spawn("cluster.sh", &mut command);
    script
        .stdout
        .wait_for("the address of the site", seconds(40), |line| line.contains("open http://"))
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
    chat_works_in("lobby", site).await;
}

async fn chat_works_in(room: &str, site: &ReservedPort) {
    let path = format!("/ws/chat/{room}/");
    let mut ann = Connection::connect_to(site.address()).await.upgrade(&path).await;
    let mut bob = Connection::connect_to(site.address()).await.upgrade(&path).await;
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
    let mut script = start(&site, &nodes, ("", redis.number()), folder.path()).await;
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
    ends_without_a_trace(script, &members, folder.path()).await;
}

/// Waits for the end of the script, after which none of the processes and no file is left.
async fn ends_without_a_trace(mut script: ProcessTree, members: &[u32], folder: &Path) {
    assert_eq!(script.exit(seconds(15)).await.code(), Some(0), "{}", script.stdout.text());
    let left: Vec<&u32> = members.iter().filter(|member| runs(**member)).collect();
    assert!(left.is_empty(), "processes {left:?} of {members:?} are left: {}", script.stdout.text());
    let files: Vec<_> = folder.read_dir().expect("the folder").flatten().collect();
    assert!(files.is_empty(), "its temporary folder is gone: {files:?}");
}

/// The first of twelve ports in a row that no program listens on.
fn twelve_ports() -> u16 {
    let is_free = |first: u16| (first..first + 12).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    std::iter::repeat_with(free_port).find(|first| is_free(*first)).expect("ports do not end")
}

#[tokio::test]
async fn the_script_replaces_a_dead_master_of_a_redis_cluster() {
    let (site, redis_port, nodes) =
        (ReservedPort::reserve(), twelve_ports(), [(); 3].map(|()| ReservedPort::reserve()));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut script = start(&site, &nodes, ("cluster", redis_port), folder.path()).await;
    let rooms = ["lobby", "kitchen", "hall", "attic"];
    for room in rooms {
        chat_works_in(room, &site).await;
    }

    let master = format!("redis-{redis_port}");
    let (first, mark) = (process_of(&script, &master, 0).await, script.stdout.mark());
    send(first, Signal::SIGKILL);
    assert_ne!(process_of(&script, &master, mark).await, first);
    for room in rooms {
        chat_works_in(room, &site).await;
    }
    until(PATIENCE, "the old master to be a replica", async || {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &redis_port.to_string(), "INFO", "replication"]);
        let info = command.output().map_err(|error| error.to_string())?.stdout;
        let info = String::from_utf8_lossy(&info);
        holds(info.contains("role:slave") && info.contains("master_link_status:up"), || info.to_string())
    })
    .await;

    let members = script.members();
    assert!(members.len() > 12, "the script, six Redis, three nodes, nginx and its workers: {members:?}");
    script.signal(Signal::SIGINT);
    ends_without_a_trace(script, &members, folder.path()).await;
}
