//! Client libraries that others wrote, unmodified.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::support::centrifugo::{deployment, plan};
use crate::support::deployment::{LayerKind, on_both_layers};
use crate::support::nginx::Nginx;
use crate::support::process_tree::ProcessTree;
use crate::support::python::{installed, program};
use crate::support::redis::Redis;
use crate::support::wait::seconds;

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

on_both_layers! {
    the_tests_of_the_python_client_pass
}

#[tokio::test]
async fn the_tests_of_the_python_client_pass_across_nodes() {
    let redis = Redis::start().await;
    let plan = plan().redis(&redis);
    let nodes = [plan.start().await, plan.start().await, plan.start().await];
    let nginx = Nginx::start(nodes.each_ref().map(|node| node.address().port())).await;
    run_python_suite(nginx.address()).await;
}
