//! Three nodes behind nginx on one persistent Redis, or a Redis Cluster, and the proxy before them.

use std::net::SocketAddr;

use super::link::Link;
use super::proxy::ChaosProxy;
use super::store::Store;
use crate::support::nginx::Nginx;
use crate::support::node::{Node, Plan};
use crate::support::redis::Redis;
use crate::support::redis_cluster::RedisCluster;
use crate::support::reserved_port::ReservedPort;
use crate::support::sentinel::SentinelCluster;

/// An append-only file that is on disk before any reply. With `everysec`, Redis may delay the write
/// by up to two seconds during an fsync, and a kill in that time loses acked messages.
const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];
/// What each node has for itself: nodes of different settings share a Redis.
const OWN_FLAGS: [[(&str, &str); 1]; 3] =
    [[("--threads", "1")], [("--threads", "2")], [("--max-outbox-bytes", "65536")]];

/// The log keeps all messages of a run.
pub const WHOLE_LOG: usize = 200_000;

pub struct ChaosCluster {
    pub store: Store,
    pub proxy: ChaosProxy,
    places: [Place; 3],
    /// Exits of nodes that no fault caused.
    pub unexpected_exits: Vec<String>,
    /// What nodes have logged that have ended.
    past_logs: String,
    _nginx: Nginx,
}

struct Place {
    port: ReservedPort,
    node: Node,
    /// Between the node and its Redis, if no Sentinel names it.
    link: Option<Link>,
    plan: Plan,
    /// A fault has ended it, or may have.
    doomed: bool,
}

impl ChaosCluster {
    /// Starts a cluster with this drain time of the nodes, in seconds.
    pub async fn alone(drain: u64) -> Self {
        Self::on(Store::Alone(Redis::with(&DURABLE).await), vec![("--drain-seconds", drain.to_string())])
            .await
    }

    /// The same on a Redis whose clock can be set.
    pub async fn with_own_clock(drain: u64) -> Self {
        let redis = Redis::with_own_clock(&DURABLE).await;
        Self::on(Store::Alone(redis), vec![("--drain-seconds", drain.to_string())]).await
    }

    /// Starts a cluster in which an ack waits for this many replicas.
    pub async fn with_sentinels(replicas: u8) -> Self {
        let flags = vec![("--wait-replicas", replicas.to_string())];
        Self::on(Store::SentinelCluster(Box::new(SentinelCluster::start().await)), flags).await
    }

    /// Starts nodes on a Redis Cluster in which an ack waits for this many replicas.
    pub async fn on_redis_cluster(drain: u64, replicas: u8) -> Self {
        // Without a shard, the others go on.
        let settings: Vec<_> = DURABLE.into_iter().chain(["--cluster-require-full-coverage", "no"]).collect();
        let cluster = RedisCluster::with(&settings).await;
        let flags = vec![("--drain-seconds", drain.to_string()), ("--wait-replicas", replicas.to_string())];
        Self::on(Store::RedisCluster(Box::new(cluster)), flags).await
    }

    async fn on(store: Store, flags: Vec<(&'static str, String)>) -> Self {
        let ports = [ReservedPort::reserve(), ReservedPort::reserve(), ReservedPort::reserve()];
        let nginx = Nginx::start(ports.each_ref().map(ReservedPort::number)).await;
        let proxy = ChaosProxy::before(nginx.address()).await;
        let mut places = Vec::new();
        for (port, own) in ports.into_iter().zip(OWN_FLAGS) {
            let link = Link::to(&store).await;
            let plan = plan(
                &port,
                &store,
                link.as_ref(),
                flags.iter().map(|(name, value)| (*name, value.as_str())).chain(own),
            );
            places.push(Place { port, node: plan.start().await, link, plan, doomed: false });
        }
        let places = places.try_into().unwrap_or_else(|_| unreachable!("as many places as ports"));
        let (unexpected_exits, past_logs) = (Vec::new(), String::new());
        Self { store, proxy, places, unexpected_exits, past_logs, _nginx: nginx }
    }

    /// Returns the single Redis.
    pub fn redis(&mut self) -> &mut Redis {
        self.store.single()
    }

    /// Adds a master to the Redis Cluster, and gives it slots.
    pub async fn add_shard(&mut self, weight: &str) {
        let cluster = self.store.redis_cluster();
        let shard = cluster.add_shard(weight).await;
        let master = cluster.master(shard).await;
        for place in &mut self.places {
            place.link.as_mut().expect("a link to each server").add(master).await;
        }
    }

    /// Returns the node at this index, for a fault that may end it.
    pub fn victim(&mut self, index: usize) -> &mut Node {
        self.places[index].doomed = true;
        &mut self.places[index].node
    }

    /// Returns a node that no fault is about to end.
    pub fn node(&self) -> &Node {
        &self.places[0].node
    }

    /// Makes the node at this index trim logs to this many messages from its next start on.
    pub fn set_log_messages(&mut self, index: usize, count: usize) {
        let plan = self.places[index].plan.clone();
        self.places[index].plan = plan.env("PARLOR_LOG_MESSAGES", &count.to_string());
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
            self.past_logs += &place.node.log().text();
            place.node = place.plan.start().await;
            place.doomed = false;
        }
    }

    /// Returns what all nodes have logged, those first that have ended.
    pub fn logs(&self) -> String {
        let logs = self.places.iter().map(|place| format!("\n\n{}", place.node.log().text()));
        self.past_logs.clone() + &logs.collect::<String>()
    }

    /// Returns the way of the node at this index to its Redis.
    pub fn link(&self, index: usize) -> &Link {
        self.places[index].link.as_ref().expect("a Redis without Sentinels")
    }

    /// Puts another Redis behind the address of the old one, which ends.
    pub fn swap_redis(&mut self, other: Redis) {
        for place in &self.places {
            place.link.as_ref().expect("a Redis without Sentinels").turn_to(&other);
        }
        self.store = Store::Alone(other);
    }

    pub fn node_addresses(&self) -> [SocketAddr; 3] {
        self.places.each_ref().map(|place| place.port.address())
    }

    pub fn node_ports(&self) -> [u16; 3] {
        self.places.each_ref().map(|place| place.port.number())
    }
}

fn plan<'a>(
    port: &ReservedPort,
    store: &Store,
    link: Option<&Link>,
    flags: impl Iterator<Item = (&'a str, &'a str)>,
) -> Plan {
    let url = link.map_or_else(|| store.url(), Link::url);
    let plan = Node::bare_plan().flag("--listen", &port.address().to_string()).flag("--redis-url", &url);
    // As deploy/nginx.conf says: then a node that stops answers 503 to a stream as well, and nginx
    // asks another one.
    let plan = plan.flag("--trusted-proxies", "127.0.0.1");
    // Few messages are queued for a slow reader.
    let plan = plan.flag("--max-outbox-messages", "64");
    let plan = plan.env("PARLOR_LOG_MESSAGES", &WHOLE_LOG.to_string());
    flags.fold(plan, |plan, (name, value)| plan.flag(name, value))
}
