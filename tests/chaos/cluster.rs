//! Three nodes behind nginx on one persistent Redis, and the proxy before them.

use std::net::SocketAddr;

use super::proxy::ChaosProxy;
use crate::support::nginx::Nginx;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::reserved_port::ReservedPort;
use crate::support::sentinel::SentinelCluster;

pub struct ChaosCluster {
    pub store: Store,
    pub proxy: ChaosProxy,
    places: [Place; 3],
    flags: Vec<(&'static str, String)>,
    /// Exits of nodes that no fault caused.
    pub unexpected_exits: Vec<String>,
    _nginx: Nginx,
}

pub enum Store {
    /// With an append-only file that is on disk before any reply. With `everysec`, Redis may delay
    /// the write by up to two seconds during an fsync, and a kill in that time loses acked
    /// messages.
    Alone(Redis),
    /// A master and a replica under three Sentinels.
    SentinelCluster(Box<SentinelCluster>),
}

struct Place {
    port: ReservedPort,
    node: Node,
    /// A fault has ended it, or may have.
    doomed: bool,
}

impl ChaosCluster {
    /// Starts a cluster with this drain time of the nodes, in seconds.
    pub async fn alone(drain: u64) -> Self {
        let redis = Redis::with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
        Self::on(Store::Alone(redis), vec![("--drain-seconds", drain.to_string())]).await
    }

    /// Starts a cluster in which an ack waits for this many replicas.
    pub async fn with_sentinels(replicas: u8) -> Self {
        let flags = vec![("--wait-replicas", replicas.to_string())];
        Self::on(Store::SentinelCluster(Box::new(SentinelCluster::start().await)), flags).await
    }

    async fn on(store: Store, flags: Vec<(&'static str, String)>) -> Self {
        let ports = [ReservedPort::reserve(), ReservedPort::reserve(), ReservedPort::reserve()];
        let nginx = Nginx::start(ports.each_ref().map(ReservedPort::number)).await;
        let proxy = ChaosProxy::before(nginx.address()).await;
        let mut places = Vec::new();
        for port in ports {
            let node = start(&port, &store, &flags).await;
            places.push(Place { port, node, doomed: false });
        }
        let places = places.try_into().unwrap_or_else(|_| unreachable!("as many places as ports"));
        Self { store, proxy, places, flags, unexpected_exits: Vec::new(), _nginx: nginx }
    }

    /// Returns the Redis without Sentinels.
    pub fn redis(&mut self) -> &mut Redis {
        match &mut self.store {
            Store::Alone(redis) => redis,
            Store::SentinelCluster(with_sentinels) => &mut with_sentinels.first,
        }
    }

    /// Returns the node at this index, for a fault that may end it.
    pub fn victim(&mut self, index: usize) -> &mut Node {
        self.places[index].doomed = true;
        &mut self.places[index].node
    }

    /// Restarts each node that has ended, like a service manager.
    pub async fn revive(&mut self) {
        for place in &mut self.places {
            if place.node.runs() {
                continue;
            }
            if !place.doomed {
                let log = place.node.log().tail(20);
                self.unexpected_exits.push(format!("a node ended by itself; the end of its log:\n{log}"));
            }
            place.node = start(&place.port, &self.store, &self.flags).await;
            place.doomed = false;
        }
    }

    pub fn node_addresses(&self) -> [SocketAddr; 3] {
        self.places.each_ref().map(|place| place.port.address())
    }

    pub fn node_ports(&self) -> [u16; 3] {
        self.places.each_ref().map(|place| place.port.number())
    }
}

async fn start(port: &ReservedPort, store: &Store, flags: &[(&str, String)]) -> Node {
    let url = match store {
        Store::Alone(redis) => redis.url(),
        Store::SentinelCluster(with_sentinels) => with_sentinels.url(),
    };
    let plan = Node::bare_plan().flag("--listen", &port.address().to_string()).flag("--redis-url", &url);
    let plan = flags.iter().fold(plan, |plan, (name, value)| plan.flag(name, value));
    // Few messages are queued for a slow reader; the log keeps all messages of a run.
    let plan = plan.flag("--max-outbox-messages", "64");
    plan.flag("--log-messages", "200000").start().await
}
