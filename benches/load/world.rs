//! The nodes of one run and their private Redis.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::Result;
use crate::pin::Pin;
use crate::process::{self, Process};
use crate::redis_server::RedisServer;
use crate::setting::{Layer, Setting};

pub(crate) struct World {
    nodes: Vec<Process>,
    addresses: Vec<SocketAddr>,
    pub(crate) redis: Option<RedisServer>,
    born: Instant,
    /// Dropped last, so that the next run chooses its CPUs afresh.
    pin: Option<Pin>,
}

/// Resources used up to a point in time or, after a subtraction, in a period.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    /// Wall-clock time.
    time: Duration,
    pub(crate) nodes: Duration,
    pub(crate) redis: Duration,
    /// CPU of this program.
    own: Duration,
}

impl World {
    pub(crate) fn start(setting: Setting) -> Result<Self> {
        let pin = setting.pinned.then(Pin::new).transpose()?;
        let redis = (setting.layer == Layer::Redis).then(RedisServer::start).transpose()?;
        let (mut nodes, mut addresses) = (Vec::new(), Vec::new());
        for _ in 0..setting.nodes {
            let url = redis.as_ref().map(RedisServer::url);
            let mut node = start_node(url.as_deref())?;
            let line = node.first_line()?;
            let address = line.strip_prefix("listening on http://").and_then(|text| text.parse().ok());
            addresses.push(address.ok_or_else(|| format!("a node did not start; it said `{line}`"))?);
            nodes.push(node);
        }
        Ok(Self { nodes, addresses, redis, born: Instant::now(), pin })
    }

    /// Returns the node of a client; clients are spread evenly.
    pub(crate) fn address(&self, client: usize) -> SocketAddr {
        self.addresses[client % self.addresses.len()]
    }

    /// Returns the resources used up to now.
    pub(crate) fn spent(&self) -> Result<Spent> {
        let nodes = self.nodes.iter().map(Process::cpu).sum::<Result<_>>()?;
        let redis = self.redis.as_ref().map_or(Ok(Duration::ZERO), |redis| redis.process.cpu())?;
        Ok(Spent { time: self.born.elapsed(), nodes, redis, own: process::cpu(std::process::id())? })
    }

    /// Returns the resources used since `start`.
    pub(crate) fn spent_since(&self, start: &Spent) -> Result<Spent> {
        let now = self.spent()?;
        Ok(Spent {
            time: now.time.saturating_sub(start.time),
            nodes: now.nodes.saturating_sub(start.nodes),
            redis: now.redis.saturating_sub(start.redis),
            own: now.own.saturating_sub(start.own),
        })
    }

    /// Returns whether all processes share one CPU.
    pub(crate) fn is_pinned(&self) -> bool {
        self.pin.is_some()
    }

    /// Returns the memory of the nodes, in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        self.nodes.iter().map(Process::memory).sum()
    }
}

impl Spent {
    /// Returns the share of one CPU that this program used.
    pub(crate) fn own_share(&self) -> f64 {
        self.own.as_secs_f64() / self.time.as_secs_f64()
    }

    /// Returns the share of one CPU that all processes used together.
    pub(crate) fn share(&self) -> f64 {
        (self.nodes + self.redis + self.own).as_secs_f64() / self.time.as_secs_f64()
    }
}

fn start_node(redis: Option<&str>) -> Result<Process> {
    let mut arguments =
        vec!["--listen", "127.0.0.1:0", "--log-level", "error", "--max-connections", "100000"];
    // All clients share one address and connect as fast as possible.
    arguments.extend(["--sockets-per-address", "0", "--handshakes-per-second", "0"]);
    arguments.extend(["--sockets-per-user", "0", "--messages-per-second", "0", "--bytes-per-second", "0"]);
    if let Some(url) = redis {
        arguments.extend(["--redis-url", url]);
    }
    Process::start(env!("CARGO_BIN_EXE_parlor"), &arguments)
}
