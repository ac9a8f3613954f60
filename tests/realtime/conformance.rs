//! Third-party clients: Autobahn's cases against the socket, and a Python library on the tutorial
//! protocol.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::node::Node;
use crate::support::process_tree::ProcessTree;
use crate::support::python::program;
use crate::support::test_app::test_app;
use crate::support::wait::seconds;

#[tokio::test]
async fn the_socket_passes_the_autobahn_cases() {
    let node = test_app(&["--max-message-bytes", "67108864", "--max-outbox-bytes", "134217728"]).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(program("kosoku"));
    // 12 and 13 are compression, which the node does not offer.
    command.args(["-p", "2", "-x", "12.*", "-x", "13.*", "-o"]).arg(folder.path());
    command.arg(node.address().to_string());
    let mut kosoku = ProcessTree::spawn("kosoku", &mut command);
    let status = kosoku.exit(seconds(90)).await;
    let output = kosoku.stdout.text() + &kosoku.stderr.text();
    assert_eq!(status.code(), Some(0), "{output}");

    let index = fs::read_to_string(folder.path().join("index.json")).expect("a report");
    let index: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_str(&index).expect("a report");
    let cases = &index[&node.address().to_string()];
    // Of 301. How an invalid byte within a text is noticed is free (6.4.3, 6.4.4), and so are three
    // ways to end (7).
    assert!(cases.len() >= 300, "{} cases: {output}", cases.len());
    let strict = cases.values().filter(|case| case["behavior"] == "OK").count();
    assert!(strict + 5 >= cases.len(), "{strict} of {} cases are OK: {cases:?}", cases.len());
}

#[tokio::test]
async fn the_tutorial_protocol_serves_a_python_client() {
    let node = Node::alone().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/realtime/websockets_client.py");
    let mut command = Command::new(program("python"));
    command.args(["-X", "utf8", script]).arg(node.address().to_string());
    let mut client = ProcessTree::spawn("wire_client.py", &mut command);
    let status = client.exit(seconds(40)).await;
    assert_eq!(status.code(), Some(0), "{}\n{}", client.stdout.text(), client.stderr.text());
    assert_eq!(
        client.stdout.all(),
        ["ok: two_people_in_a_room", "ok: bad_frames_and_their_codes", "ok: push_lines_after_a_get",]
    );
}
