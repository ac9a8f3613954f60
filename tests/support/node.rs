//! A running node: the real binary on a free port of 127.0.0.1.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::backend::Backend;
use super::output::Output;
use super::process::{Process, Signal};
use super::wait::{PATIENCE, until};

/// The secret with which nodes sign cookies.
pub const SECRET: &str = "a publicly known secret of tests 0123456789";

/// Disables limits and the host check: all clients of a test come from one address, and many are
/// fast. Tests of limits set their own.
pub const OPEN_DOORS: [(&str, &str); 8] = [
    ("PARLOR_ALLOWED_HOSTS", "*"),
    ("PARLOR_SOCKETS_PER_ADDRESS", "0"),
    ("PARLOR_SOCKETS_PER_USER", "0"),
    ("PARLOR_HANDSHAKES_PER_SECOND", "0"),
    ("PARLOR_MESSAGES_PER_SECOND", "0"),
    ("PARLOR_BYTES_PER_SECOND", "0"),
    ("PARLOR_LOGINS_PER_MINUTE", "0"),
    ("PARLOR_PUBLISHES_PER_SECOND", "0"),
];

pub struct Node {
    process: Process,
    addresses: Vec<SocketAddr>,
}

/// Flags and environment of a node that is not started yet.
#[derive(Clone, Default)]
pub struct Plan {
    /// Another program than the one that was built for these tests.
    program: Option<PathBuf>,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl Node {
    /// A plan without `--listen`, with a short drain and [`OPEN_DOORS`] as its environment.
    pub fn bare_plan() -> Plan {
        let plan = Plan::default().env("PARLOR_DRAIN_SECONDS", "1").env("PARLOR_SECRET", SECRET);
        OPEN_DOORS.into_iter().fold(plan, |plan, (name, value)| plan.env(name, value))
    }

    /// A plan for a free port, on the memory layer unless the plan gets a Redis.
    pub fn plan() -> Plan {
        Self::bare_plan().flag("--listen", "127.0.0.1:0")
    }

    /// Starts a node on the memory layer.
    pub async fn alone() -> Self {
        Self::plan().start().await
    }

    /// Starts a node on this Redis.
    pub async fn on(redis: &impl Backend) -> Self {
        Self::plan().redis(redis).start().await
    }

    /// Starts several nodes on one Redis at the same time.
    pub async fn several<const COUNT: usize>(redis: &impl Backend) -> [Self; COUNT] {
        let plan = Self::plan().redis(redis);
        let nodes = futures_util::future::join_all((0..COUNT).map(|_| plan.start())).await;
        nodes.try_into().unwrap_or_else(|_| unreachable!("as many nodes as were started"))
    }

    /// Waits until a process says that it listens on `count` addresses.
    pub async fn from_process(mut process: Process, count: usize) -> Self {
        let addresses = until(PATIENCE, "the node to say `listening on http://…`", async || {
            let ended = process.ended();
            let lines = process.stdout.all();
            let addresses: Vec<_> = lines.iter().take(count).map(|line| listening_address(line)).collect();
            if addresses.len() == count {
                return Ok(addresses);
            }
            let seen = format!("stdout {lines:?}, stderr:\n{}", process.stderr.tail(20));
            assert!(ended.is_none(), "the node ended with {ended:?} instead of listening: {seen}");
            Err(seen)
        })
        .await;
        Self { process, addresses }
    }

    /// The first address that the node listens on.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// All addresses that the node listens on, in the order of its lines on stdout.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The CPU time that the process has used.
    pub fn cpu(&self) -> Duration {
        self.process.cpu()
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// A figure of `/proc/ID/status` in kilobytes: `VmRSS` now, `VmHWM` at most.
    pub fn kilobytes(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.expect("a process that runs");
        let value = status.lines().find_map(|text| text.strip_prefix(line)?.split_whitespace().nth(1));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{line} in {status}"))
    }

    /// What the node wrote to stderr: its log.
    pub fn log(&self) -> &Output {
        &self.process.stderr
    }

    /// What the node wrote to stdout.
    pub fn stdout(&self) -> &Output {
        &self.process.stdout
    }

    /// Sends SIGKILL and waits until the kernel has closed the node's sockets.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Sends SIGTERM.
    pub fn terminate(&mut self) {
        self.process.signal(Signal::SIGTERM);
    }

    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Whether the process runs.
    pub fn runs(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Waits for the node to end by itself.
    pub async fn exit(&mut self, limit: Duration) -> ExitStatus {
        self.process.exit(limit).await
    }
}

impl Plan {
    /// Starts the program at this path instead of the one that was built for these tests.
    pub fn program(mut self, path: &Path) -> Self {
        self.program = Some(path.to_owned());
        self
    }

    /// Adds a flag with its value.
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([name.into(), value.into()]);
        self
    }

    /// Adds a flag without value.
    pub fn switch(mut self, name: &str) -> Self {
        self.arguments.push(name.into());
        self
    }

    /// Sets a variable of the node's environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Leaves a variable unset.
    pub fn without_env(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    pub fn redis(self, redis: &impl Backend) -> Self {
        self.env("REDIS_URL", &redis.url())
    }

    /// Sets the clock of the node's machine to this many seconds from the time that it is.
    pub fn clock_off_by(self, seconds: i64) -> Self {
        self.env("LD_PRELOAD", "/usr/$LIB/faketime/libfaketimeMT.so.1")
            .env("FAKETIME", &format!("{seconds:+}s"))
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    /// Starts the binary without waiting for anything.
    pub fn spawn(&self) -> Process {
        static COUNT: AtomicUsize = AtomicUsize::new(1);
        let name = format!("node {}", COUNT.fetch_add(1, Ordering::Relaxed));
        let program = self.program.as_deref().unwrap_or(Path::new(env!("CARGO_BIN_EXE_parlor")));
        let mut command = Command::new(program);
        // The node must not read the caller's environment.
        command.env_clear().envs(self.environment.iter().cloned()).args(&self.arguments);
        Process::spawn(&name, &mut command)
    }

    /// Starts the binary and waits until it says where it listens.
    pub async fn start(&self) -> Node {
        Node::from_process(self.spawn(), 1).await
    }

    /// Starts the binary, which must exit with code 2 within `PATIENCE`. Returns its stderr.
    pub async fn rejected(&self) -> String {
        self.ended_with(2).await
    }

    /// Starts the binary, which must exit with this code within `PATIENCE`. Returns its stderr.
    pub async fn ended_with(&self, code: i32) -> String {
        let mut process = self.spawn();
        let status = process.exit(PATIENCE).await;
        let text = process.stderr.text();
        assert_eq!(status.code(), Some(code), "exit code of a start that must be refused; stderr: {text}");
        assert!(process.stdout.all().is_empty(), "stdout of a refused start: {:?}", process.stdout.all());
        text
    }
}

/// The address in `listening on http://ADDRESS`; any other line fails the test.
fn listening_address(line: &str) -> SocketAddr {
    // In JSON the text is a member of an object.
    let text = serde_json::from_str(line).map_or_else(
        |_| line.to_owned(),
        |value: Value| value["message"].as_str().unwrap_or_default().to_owned(),
    );
    text.strip_prefix("listening on http://")
        .and_then(|address| address.parse().ok())
        .unwrap_or_else(|| panic!("a line on stdout that is not `listening on http://ADDRESS`: {line:?}"))
}
