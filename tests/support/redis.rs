//! A private Redis on its own port, without persistence, that can be killed and restarted at the
//! same port.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, FromRedisValue, ToRedisArgs};
use tempfile::TempDir;

use super::process::{Process, Signal};
use super::redis_monitor::RedisMonitor;
use super::wait::{PATIENCE, holds, until, within};

/// Puts a clock of its own before that of the system. The C library stands behind it, so that Redis
/// takes memory from there: the allocator that it is linked with looks at the clock before that
/// works.
const FAKE_CLOCK: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1 libc.so.6";

pub struct Redis {
    port: u16,
    process: Option<Process>,
    directory: TempDir,
    /// Settings beyond those of every test's Redis.
    settings: Vec<String>,
    /// Its clock can be set.
    has_own_clock: bool,
}

impl Redis {
    /// Starts a Redis; retries when another program takes the free port first.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts a replica of this one and waits until it is in sync.
    pub async fn replica_of(&self) -> Self {
        // Not some seconds later, for further replicas that may come.
        let _: String = self.query(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]).await;
        let replica = Self::with(&["--replicaof", "127.0.0.1", &self.port.to_string()]).await;
        replica.wait_until_in_step().await;
        self.wait_for_acks().await;
        replica
    }

    /// Waits until each replica acknowledges what it is sent. Before its first acknowledgement, up
    /// to a second after it is in step, it is sent nothing.
    pub async fn wait_for_acks(&self) {
        let mut connection = self.connection().await.expect("a connection to Redis");
        until(PATIENCE, "an acknowledgement of each replica", async || {
            let info: String = self.query(&["INFO", "replication"]).await;
            let replicas = info.lines().filter(|line| line.starts_with("slave") && line.contains("port="));
            let mut write = redis::pipe();
            write.cmd("PUBLISH").arg("replicated").arg("").ignore().cmd("WAIT").arg(9).arg(100);
            let (acked,): (usize,) = write.query_async(&mut connection).await.expect("an answer of Redis");
            holds(acked > 0 && acked >= replicas.count(), || format!("{acked}: {info}"))
        })
        .await;
    }

    pub async fn wait_until_in_step(&self) {
        until(PATIENCE, "a replica to be in step", async || {
            let info: String = self.query(&["INFO", "replication"]).await;
            holds(info.contains("master_link_status:up"), || info.clone())
        })
        .await;
    }

    /// Starts another Redis with the settings and the data of this one, which knows nothing of what
    /// this one does from then on.
    pub async fn detached_copy(&self) -> Self {
        let settings: Vec<_> = self.settings.iter().map(String::as_str).collect();
        let copy = Self::start_first(&settings, self.has_own_clock).await;
        let _: String = copy.query(&["REPLICAOF", "127.0.0.1", &self.port.to_string()]).await;
        copy.wait_until_in_step().await;
        let _: String = copy.query(&["REPLICAOF", "NO", "ONE"]).await;
        copy
    }

    /// Starts a Redis with these settings, as in `--appendonly yes`.
    pub async fn with(settings: &[&str]) -> Self {
        Self::start_first(settings, false).await
    }

    /// Starts a Redis with these settings whose clock [`step_clock`](Self::step_clock) sets.
    pub async fn with_own_clock(settings: &[&str]) -> Self {
        Self::start_first(settings, true).await
    }

    async fn start_first(settings: &[&str], has_own_clock: bool) -> Self {
        for _ in 0..10 {
            let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
            let mut redis = Self { has_own_clock, ..Self::reserve_with(settings) };
            if redis.try_start().await {
                return redis;
            }
        }
        panic!("ten free ports were lost, or redis-server does not start");
    }

    /// Reserves a port without a server.
    pub fn reserve() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self { port: free_port(), process: None, directory, settings: Vec::new(), has_own_clock: false }
    }

    /// Reserves a port for a server with these settings.
    pub fn reserve_with(settings: Vec<String>) -> Self {
        Self { settings, ..Self::reserve() }
    }

    /// The directory of its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Whether it was started and not killed since.
    pub fn is_started(&self) -> bool {
        self.process.is_some()
    }

    /// Starts the server at its port, empty: without persistence no data outlives the process.
    pub async fn restart(&mut self) {
        within(PATIENCE, "Redis to start again at its port", async { while !self.try_start().await {} })
            .await;
    }

    /// Starts the server, unless another program has taken its port.
    pub async fn try_start(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &self.port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command
            .args(["--daemonize", "no", "--enable-debug-command", "local", "--dir"])
            .arg(self.directory.path())
            .args(&self.settings);
        if self.has_own_clock {
            if !self.clock().exists() {
                self.step_clock(0);
            }
            command.env("LD_PRELOAD", FAKE_CLOCK).env("FAKETIME_TIMESTAMP_FILE", self.clock());
            command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let mut process = Process::spawn("redis-server", &mut command);
        let pid = process.id();
        let up = until(PATIENCE, "Redis to answer", async || {
            if process.ended().is_some() {
                return Ok(false);
            }
            let info: String =
                self.try_query(&["INFO", "server"]).await.map_err(|error| error.to_string())?;
            // Another test's Redis could have taken the port.
            Ok(info.contains(&format!("process_id:{pid}\r\n")))
        })
        .await;
        self.process = up.then_some(process);
        up
    }

    /// Sets the clock to this many seconds from that of the machine, at once.
    pub fn step_clock(&self, seconds: i64) {
        // Renamed into its place: Redis reads the file at every look at the clock.
        let next = self.directory.path().join("next-clock");
        fs::write(&next, format!("{seconds:+}s\n")).expect("a file for the clock");
        fs::rename(next, self.clock()).expect("the clock's file");
    }

    fn clock(&self) -> PathBuf {
        self.directory.path().join("clock")
    }

    /// Sends SIGKILL; the port is free when this returns.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Lets the process write no file longer than it is now; the next write ends it, halfway.
    pub fn fill_disk(&self) {
        let longest = files_below(self.directory.path()).into_iter().max().unwrap_or_default();
        self.limit_files(&(longest + 20).to_string());
    }

    /// Lets the process, which has survived it, write files of any length again.
    pub fn free_disk(&self) {
        self.limit_files("unlimited");
    }

    fn limit_files(&self, bytes: &str) {
        let process = self.process.as_ref().expect("a Redis that runs");
        let (pid, limit) = (process.id().to_string(), format!("--fsize={bytes}:unlimited"));
        let status = Command::new("prlimit").args(["--pid", &pid, &limit]).status().expect("prlimit");
        assert!(status.success(), "prlimit: {status}");
    }

    /// Waits until the process has ended by itself.
    pub async fn wait_for_end(&mut self) {
        let process = self.process.as_mut().expect("a Redis that runs");
        until(PATIENCE, "Redis to end", async || holds(process.ended().is_some(), String::new)).await;
        self.process = None;
    }

    /// Freezes the process (SIGSTOP) or resumes it (SIGCONT).
    pub fn signal(&mut self, signal: Signal) {
        self.process.as_mut().expect("a Redis that runs").signal(signal);
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    async fn connection(&self) -> redis::RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        redis::Client::open(self.url())?.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Sends one command on a new connection.
    pub async fn try_query<T: FromRedisValue>(&self, command: &[impl ToRedisArgs]) -> redis::RedisResult<T> {
        let mut connection = self.connection().await?;
        let mut request = redis::Cmd::new();
        request.arg(command);
        request.query_async(&mut connection).await
    }

    /// Sends one command on a new connection and returns its reply.
    pub async fn query<T: FromRedisValue>(&self, command: &[impl ToRedisArgs]) -> T {
        within(PATIENCE, "an answer of Redis", self.try_query(command))
            .await
            .unwrap_or_else(|error| panic!("a command to Redis failed: {error}"))
    }

    /// Runs these commands as one transaction.
    pub async fn transaction(&self, commands: &mut redis::Pipeline) {
        let mut connection = self.connection().await.expect("a connection to Redis");
        let run = commands.atomic().query_async::<()>(&mut connection);
        within(PATIENCE, "an answer of Redis", run).await.expect("a transaction");
    }

    /// Waits until this is a `master` or a `slave`. Its connections break when that changes: a
    /// Sentinel kills them.
    pub async fn wait_for_role(&self, role: &str, limit: Duration) {
        until(limit, &format!("a Redis to be a {role}"), async || {
            let info: redis::RedisResult<String> = self.try_query(&["INFO", "replication"]).await;
            let info = info.map_err(|error| error.to_string())?;
            holds(info.contains(&format!("role:{role}")), || info.clone())
        })
        .await;
    }

    /// The CPU time that it has used.
    pub fn cpu(&self) -> Duration {
        self.process.as_ref().expect("a Redis that runs").cpu()
    }

    /// The bytes that it has sent.
    pub async fn sent_bytes(&self) -> usize {
        self.sent_bytes_and_commands().await.0
    }

    /// The bytes that it has sent, and the commands that it has carried out, also those of scripts.
    pub async fn sent_bytes_and_commands(&self) -> (usize, usize) {
        let info: String = self.query(&["INFO", "stats"]).await;
        let figure = |name: &str| {
            let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.expect("a figure").parse().expect("a number")
        };
        (figure("total_net_output_bytes"), figure("total_commands_processed"))
    }

    /// Publishes a payload and returns the number of connections that received it.
    pub async fn publish(&self, channel: &str, payload: &[u8]) -> i64 {
        self.query(&[b"PUBLISH", channel.as_bytes(), payload]).await
    }

    /// The members of a set, sorted.
    pub async fn members(&self, key: &str) -> Vec<String> {
        let mut members: Vec<String> = self.query(&["SMEMBERS", key]).await;
        members.sort();
        members
    }

    /// Waits until the set has this many members and returns them sorted.
    pub async fn wait_for_members(&self, key: &str, count: usize) -> Vec<String> {
        until(PATIENCE, &format!("{count} members of {key}"), async || {
            let members = self.members(key).await;
            if members.len() == count { Ok(members) } else { Err(format!("{members:?}")) }
        })
        .await
    }

    /// Waits until a node has registered and returns its id.
    pub async fn wait_for_node(&self) -> String {
        until(PATIENCE, "a node to be known to Redis", async || {
            self.nodes().await.pop().ok_or_else(|| "no node".to_owned())
        })
        .await
    }

    /// The names of the nodes that beat and have not said that they end, sorted.
    pub async fn nodes(&self) -> Vec<String> {
        let beats: BTreeMap<String, String> = self.query(&["HGETALL", "parlor:beats"]).await;
        beats.into_iter().filter(|(_, beat)| beat != "end").map(|(node, _)| node).collect()
    }

    /// Waits until this many nodes beat and returns their names sorted.
    pub async fn wait_for_nodes(&self, count: usize) -> Vec<String> {
        until(PATIENCE, &format!("{count} nodes"), async || {
            let nodes = self.nodes().await;
            if nodes.len() == count { Ok(nodes) } else { Err(format!("{nodes:?}")) }
        })
        .await
    }

    /// The users of a group with the names of the nodes that have them; fails if the group's
    /// hash contradicts itself.
    pub async fn seats(&self, group: &str) -> BTreeMap<String, Vec<String>> {
        let key = format!("parlor:m:{{{group}}}");
        let fields: BTreeMap<Vec<u8>, Vec<u8>> = self.query(&["HGETALL", &key]).await;
        let mut users = BTreeMap::new();
        for (field, value) in fields.iter().filter(|(field, _)| field[0] != b' ') {
            let ids = value.split(|byte| *byte == b'/').next().expect("ids");
            assert!(!ids.is_empty() && ids.len().is_multiple_of(9), "ids of nine bytes: {value:?}");
            let nodes = ids.chunks(9).map(|id| String::from_utf8_lossy(&id[..8]).into_owned());
            users.insert(String::from_utf8_lossy(field).into_owned(), nodes.collect());
        }
        if let Some(state) = fields.get(&b" m"[..]) {
            let count = u32::from_le_bytes(state[..4].try_into().expect("four bytes"));
            assert_eq!(count as usize, users.len(), "the count is that of the users: {fields:?}");
        }
        users
    }

    /// The keys that match the pattern, sorted.
    pub async fn keys(&self, pattern: &str) -> Vec<String> {
        let mut keys: Vec<String> = self.query(&["KEYS", pattern]).await;
        keys.sort();
        keys
    }

    pub async fn exists(&self, key: &str) -> bool {
        self.query(&["EXISTS", key]).await
    }

    /// Milliseconds until the key expires; -1 without expiry, -2 without key.
    pub async fn pttl(&self, key: &str) -> i64 {
        self.query(&["PTTL", key]).await
    }

    /// The number of connections that subscribe to the channel.
    pub async fn subscribers(&self, channel: &str) -> i64 {
        let (_, count): (String, i64) = self.query(&["PUBSUB", "NUMSUB", channel]).await;
        count
    }

    /// Waits until this many connections subscribe to the channel.
    pub async fn wait_for_subscribers(&self, channel: &str, wanted: i64) {
        until(PATIENCE, &format!("{wanted} subscribers of {channel}"), async || {
            let count = self.subscribers(channel).await;
            holds(count == wanted, || count.to_string())
        })
        .await;
    }

    /// Records the commands that Redis receives from now on.
    pub async fn monitor(&self) -> RedisMonitor {
        RedisMonitor::start(&self.url()).await
    }

    /// Subscribes to a channel as a Django process would.
    pub async fn subscribe(&self, channel: &str) -> Subscription {
        let client = redis::Client::open(self.url()).expect("a Redis address");
        let mut receiver = client.get_async_pubsub().await.expect("a subscribing connection");
        receiver.subscribe(channel).await.expect("SUBSCRIBE");
        Subscription(receiver)
    }
}

/// A port that no program listens on now, below the range of outgoing connections so that it stays
/// free.
pub fn free_port() -> u16 {
    let ports = (0..).map(|n| 20_000 + u16::try_from(RandomState::new().hash_one(n) % 10_000).unwrap_or(0));
    let port = ports.take(100).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    port.expect("a free port")
}

/// The lengths of all files in a directory and those in it.
fn files_below(directory: &Path) -> Vec<u64> {
    let entries = fs::read_dir(directory).expect("the directory of a Redis").flatten();
    let lengths = entries.flat_map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => files_below(&entry.path()),
        metadata => metadata.map(|metadata| metadata.len()).into_iter().collect(),
    });
    lengths.collect()
}

/// A subscribing connection of the test.
pub struct Subscription(PubSub);

impl Subscription {
    /// The next payload on the channel.
    pub async fn next_payload(&mut self) -> Vec<u8> {
        let message = within(PATIENCE, "a payload on the channel", self.0.on_message().next()).await;
        message.expect("the subscription to go on").get_payload_bytes().to_vec()
    }
}
