//! Client libraries that others wrote, unmodified.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::centrifugo::{deployment, plan, token};
use crate::support::cli::key;
use crate::support::deployment::{LayerKind, on_every_layer};
use crate::support::nginx::Nginx;
use crate::support::process_tree::ProcessTree;
use crate::support::python::{installed, program};
use crate::support::redis::Redis;
use crate::support::wait::{holds, seconds, until};

/// Runs the client tests of centrifuge-python 0.7.0 against this address.
async fn run_python_suite(address: SocketAddr) {
    let folder = installed(Path::new("sources/centrifuge_python-0.7.0"));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/centrifugo/python_suite.py");
    let mut command = Command::new(program("python"));
    command.current_dir(&folder).arg(script).arg(".");
    command.args([address.ip().to_string(), address.port().to_string()]);
    let mut suite = ProcessTree::spawn("python_suite.py", &mut command);
    let status = suite.exit(seconds(150)).await;
    let last = suite.stdout.all().pop();
    let report = suite.stderr.text();
    let failed = report.split_once("======").map_or(&*report, |(_, failed)| failed);
    assert_eq!(last.as_deref(), Some("ran 62, failed 0"), "{status}: {failed}");
}

async fn the_tests_of_the_python_client_pass(layer: LayerKind) {
    let deployment = deployment(layer).await;
    run_python_suite(deployment.first().address()).await;
}

on_every_layer! {
    the_tests_of_the_python_client_pass
}

#[tokio::test]
async fn the_javascript_client_works_on_each_of_its_transports_across_nodes() {
    let redis = Redis::start().await;
    let plan = plan().redis(&redis);
    let mut nodes = [plan.start().await, plan.start().await, plan.start().await];
    let nginx = Nginx::start(nodes.each_ref().map(|node| node.address().port())).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/centrifugo/centrifuge_js.mjs");
    let mut command = Command::new("node");
    command.arg(script).arg(format!("http://{}", nginx.address()));
    let claims = json!({ "sub": "42", "info": { "name": "Deep Thought" } });
    command.arg(format!("http://{}", nodes[2].address())).arg(token(&claims));
    command.arg(key(&redis, "backend", "publish,disconnect,connections").await);
    let mut client = ProcessTree::spawn("centrifuge_js.mjs", &mut command);
    until(seconds(60), "the client to have tried its transports", async || {
        let ended = client.ended();
        assert!(ended.is_none(), "{ended:?}\n{}\n{}", client.stdout.text(), client.stderr.text());
        holds(client.stdout.all().iter().any(|line| line == "kill"), || client.stdout.text())
    })
    .await;
    nodes[0].kill();
    let status = client.exit(seconds(60)).await;
    assert_eq!(status.code(), Some(0), "{}\n{}", client.stdout.text(), client.stderr.text());
    let expected =
        ["WebSocket, JSON", "WebSocket, Protobuf", "http_stream, JSON", "http_stream, Protobuf", "sse"];
    let expected: Vec<String> = expected.iter().map(|name| format!("ok: {name}")).collect();
    assert_eq!(client.stdout.all(), [&expected[..], &["kill".to_owned(), "ok: killed".to_owned()]].concat());
}

#[tokio::test]
async fn the_python_library_for_the_server_api_works() {
    let redis = Redis::start().await;
    let node = plan().redis(&redis).start().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/centrifugo/cent_calls.py");
    let mut command = Command::new(program("python"));
    command.arg(script).arg(format!("http://{}/centrifugo/api", node.address()));
    command.arg(key(&redis, "backend", "publish,read,disconnect,connections").await);
    let mut calls = ProcessTree::spawn("cent_calls.py", &mut command);
    let status = calls.exit(seconds(60)).await;
    assert_eq!(calls.stdout.all(), ["ok"], "{status}: {}", calls.stderr.text());
}

#[tokio::test]
async fn the_tests_of_the_python_client_pass_across_nodes() {
    let redis = Redis::start().await;
    let plan = plan().redis(&redis);
    let nodes = [plan.start().await, plan.start().await, plan.start().await];
    let nginx = Nginx::start(nodes.each_ref().map(|node| node.address().port())).await;
    run_python_suite(nginx.address()).await;
}
