//! The library under Node.js against real nodes, and what its package has.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::node::SECRET;
use crate::support::process_tree::ProcessTree;
use crate::support::redis::Redis;
use crate::support::wait::seconds;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/js");

#[tokio::test]
async fn the_library_resumes_and_sends_against_a_real_node() {
    let redis = Redis::start().await;
    let mut command = Command::new("node");
    // Node.js 20 has a WebSocket of its own only with this flag.
    command.args(["--experimental-websocket", "--test", "test/live.test.js"]).current_dir(FOLDER);
    command.env("PARLOR_BINARY", env!("CARGO_BIN_EXE_parlor")).env("PARLOR_SECRET", SECRET);
    command.env("REDIS_URL", redis.url());
    let mut tests = ProcessTree::spawn("node --test", &mut command);
    let status = tests.exit(seconds(180)).await;
    assert!(status.success(), "{}", tests.stdout.tail(100));
}

#[test]
fn the_types_compile_as_programs_use_them() {
    let compiler = concat!(env!("CARGO_MANIFEST_DIR"), "/target/npm/node_modules/.bin/tsc");
    assert!(Path::new(compiler).exists(), "there is no {compiler}: run tests/install.sh first");
    let options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "test/types.ts"];
    let output = Command::new(compiler).args(options).current_dir(FOLDER).output().expect("tsc");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_package_has_exactly_the_files_of_the_library() {
    let output =
        Command::new("npm").args(["pack", "--dry-run", "--json"]).current_dir(FOLDER).output().expect("npm");
    assert!(output.status.success(), "{output:?}");
    let packed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let files = packed[0]["files"].as_array().expect("files");
    let mut names: Vec<&str> = files.iter().filter_map(|file| file["path"].as_str()).collect();
    names.sort_unstable();
    let expected = ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "package.json", "parlor.d.ts", "parlor.js"];
    assert_eq!(names, expected);
}

#[test]
fn the_package_has_the_projects_licences_and_version() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        let read = |folder: &Path| fs::read(folder.join(licence)).expect(licence);
        assert_eq!(read(root), read(Path::new(FOLDER)), "{licence}");
    }
    let package = fs::read(Path::new(FOLDER).join("package.json")).expect("package.json");
    let package: Value = serde_json::from_slice(&package).expect("JSON");
    assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
}
