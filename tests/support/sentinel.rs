//! A Redis with a replica, watched by three Sentinels, and its failovers.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::authority::{Authority, Certificate};
use super::process::Process;
use super::redis::Redis;
use super::reserved_port::ReservedPort;
use super::tls_redis::{redis_with, settings_of};
use super::wait::{PATIENCE, holds, seconds, until};

/// The number of Sentinels that must agree that the master is down.
const QUORUM: usize = 2;

pub struct SentinelCluster {
    /// The initial master and its replica.
    pub first: Redis,
    pub second: Redis,
    /// The port of the second one, as the Sentinels have it.
    second_port: u16,
    sentinels: Vec<Sentinel>,
    /// The ports for TLS.
    _ports: Vec<ReservedPort>,
}

struct Sentinel {
    port: ReservedPort,
    password: &'static str,
    _process: Process,
    _folder: TempDir,
}

impl SentinelCluster {
    pub async fn start() -> Self {
        let first = Redis::start().await;
        let second = first.replica_of().await;
        let sentinels = (0..3).map(|_| Sentinel::of(first.port(), "", "")).collect();
        let second_port = second.port();
        Self { first, second, second_port, sentinels, _ports: Vec::new() }.settled().await
    }

    /// Starts servers and Sentinels that speak TLS to one another and to clients, with this
    /// certificate. The Sentinels have this password. Returns the addresses of their ports for TLS.
    pub async fn start_with_tls(
        authority: &Authority,
        certificate: &Certificate,
        password: &'static str,
    ) -> (Self, String) {
        let ports: Vec<_> = (0..5).map(|_| ReservedPort::reserve()).collect();
        let tls = |port| settings_of(authority, certificate, port);
        let first = redis_with(&tls(&ports[0]), &["--repl-diskless-sync-delay", "0"]).await;
        let first_port = ports[0].number();
        let replicated = ["--replicaof", "127.0.0.1", &first_port.to_string()];
        let second = redis_with(&tls(&ports[1]), &replicated).await;
        second.wait_until_in_step().await;
        first.wait_for_acks().await;
        let sentinels = ports[2..].iter().map(|port| {
            let lines: Vec<_> = tls(port).iter().map(|(name, value)| format!("{name} {value}\n")).collect();
            Sentinel::of(first_port, password, &lines.concat())
        });
        let sentinels = sentinels.collect();
        let addresses: Vec<_> = ports[2..].iter().map(|port| port.address().to_string()).collect();
        let second_port = ports[1].number();
        let guarded = Self { first, second, second_port, sentinels, _ports: ports }.settled().await;
        (guarded, addresses.join(","))
    }

    async fn settled(self) -> Self {
        for sentinel in &self.sentinels {
            until(seconds(20), "a Sentinel to know the replica and the other two", async || {
                let state = sentinel.ask(&["SENTINEL", "MASTER", "parlor"]).await?;
                let member = |name: &str| {
                    let place = state.iter().position(|word| word == name)?;
                    state.get(place + 1).cloned()
                };
                let (replicas, others) = (member("num-slaves"), member("num-other-sentinels"));
                holds(replicas.as_deref() == Some("1") && others.as_deref() == Some("2"), || {
                    format!("{replicas:?} replicas, {others:?} other Sentinels")
                })
            })
            .await;
        }
        self
    }

    /// The URL in a node's settings.
    pub fn url(&self) -> String {
        let places: Vec<_> =
            self.sentinels.iter().map(|sentinel| sentinel.port.address().to_string()).collect();
        format!("redis+sentinel://{}/parlor", places.join(","))
    }

    /// The URL of one of the Sentinels, as if it were a Redis.
    pub fn url_of_a_sentinel(&self) -> String {
        format!("redis://{}", self.sentinels[0].port.address())
    }

    /// Waits until the Sentinels have promoted the second one.
    pub async fn wait_for_failover(&self) {
        for sentinel in &self.sentinels {
            until(seconds(30), "the Sentinels to choose the replica", async || {
                let place = sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "parlor"]).await?;
                holds(place == ["127.0.0.1", &self.second_port.to_string()], || format!("{place:?}"))
            })
            .await;
        }
        self.second.wait_for_role("master", PATIENCE).await;
    }
}

impl Sentinel {
    /// Starts a Sentinel with these further lines of settings.
    fn of(master: u16, password: &'static str, lines: &str) -> Self {
        let port = ReservedPort::reserve();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("sentinel.conf");
        let settings = format!(
            "port {}\nbind 127.0.0.1\ndir {}\nsentinel monitor parlor 127.0.0.1 {} {QUORUM}\n\
             sentinel down-after-milliseconds parlor 1000\nsentinel failover-timeout parlor 5000\n\
             requirepass \"{password}\"\n{lines}",
            port.number(),
            folder.path().display(),
            master,
        );
        fs::write(&file, settings).expect("a file for the Sentinel's settings");
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel");
        Self { port, password, _process: Process::spawn("sentinel", &mut command), _folder: folder }
    }

    async fn ask(&self, command: &[&str]) -> Result<Vec<String>, String> {
        let ask = async {
            let client = redis::Client::open(format!("redis://:{}@{}", self.password, self.port.address()))?;
            let mut connection = client.get_multiplexed_async_connection().await?;
            let mut request = redis::Cmd::new();
            request.arg(command).query_async(&mut connection).await
        };
        ask.await.map_err(|error: redis::RedisError| error.to_string())
    }
}
