//! Three nodes behind nginx on one Redis that keeps what it has, and the gate before them.

use super::gate::Gate;
use crate::support::nginx::Nginx;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::reserved_port::ReservedPort;
use crate::support::sentinel::SentinelCluster;

pub struct Stage {
    pub store: Store,
    pub gate: Gate,
    places: [Place; 3],
    flags: Vec<(&'static str, String)>,
    /// Ends of nodes that no fault had asked for.
    pub surprises: Vec<String>,
    _nginx: Nginx,
}

pub enum Store {
    /// With an append-only file that is on the disk before anybody is answered. With `everysec` Redis may put
    /// the write itself off by up to two seconds while an fsync runs, and a kill in that time takes acked
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

impl Stage {
    /// `drain` is the nodes' grace at their end, in seconds.
    pub async fn alone(drain: u64) -> Self {
        let redis = Redis::with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
        Self::on(Store::Alone(redis), vec![("--drain-seconds", drain.to_string())]).await
    }

    /// `replicas` is how many must have a message before it is acked.
    pub async fn guarded(replicas: u8) -> Self {
        let flags = vec![("--wait-replicas", replicas.to_string())];
        Self::on(Store::SentinelCluster(Box::new(SentinelCluster::start().await)), flags).await
    }

    async fn on(store: Store, flags: Vec<(&'static str, String)>) -> Self {
        let ports = [ReservedPort::reserve(), ReservedPort::reserve(), ReservedPort::reserve()];
        let nginx = Nginx::start(ports.each_ref().map(ReservedPort::number)).await;
        let gate = Gate::before(nginx.address()).await;
        let mut places = Vec::new();
        for port in ports {
            let node = start(&port, &store, &flags).await;
            places.push(Place { port, node, doomed: false });
        }
        let places = places.try_into().unwrap_or_else(|_| unreachable!("as many places as ports"));
        Self { store, gate, places, flags, surprises: Vec::new(), _nginx: nginx }
    }

    /// The Redis without Sentinels.
    pub fn redis(&mut self) -> &mut Redis {
        match &mut self.store {
            Store::Alone(redis) => redis,
            Store::SentinelCluster(guarded) => &mut guarded.first,
        }
    }

    /// The node at this place, to which something will be done that may end it.
    pub fn doom(&mut self, index: usize) -> &mut Node {
        self.places[index].doomed = true;
        &mut self.places[index].node
    }

    /// Starts each node that has ended, as a service manager does.
    pub async fn revive(&mut self) {
        for place in &mut self.places {
            if place.node.runs() {
                continue;
            }
            if !place.doomed {
                let log = place.node.log().tail(20);
                self.surprises.push(format!("a node ended by itself; the end of its log:\n{log}"));
            }
            place.node = start(&place.port, &self.store, &self.flags).await;
            place.doomed = false;
        }
    }

    pub fn node_ports(&self) -> [u16; 3] {
        self.places.each_ref().map(|place| place.port.number())
    }
}

async fn start(port: &ReservedPort, store: &Store, flags: &[(&str, String)]) -> Node {
    let url = match store {
        Store::Alone(redis) => redis.url(),
        Store::SentinelCluster(guarded) => guarded.url(),
    };
    let plan = Node::bare_plan().flag("--listen", &port.address().to_string()).flag("--redis-url", &url);
    let plan = flags.iter().fold(plan, |plan, (name, value)| plan.flag(name, value));
    // Few messages are kept for a slow reader, and for who comes back late all that are said in the run.
    let plan = plan.flag("--max-outbox-messages", "64");
    plan.flag("--log-messages", "200000").start().await
}
