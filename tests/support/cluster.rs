//! A whole site: one Redis, nodes at three fixed ports, and nginx before them.

use super::nginx::Nginx;
use super::node::{Node, Plan};
use super::redis::Redis;
use super::reserved_port::ReservedPort;
use super::wait::{PATIENCE, until};

pub struct Cluster {
    pub nginx: Nginx,
    pub redis: Redis,
    places: [Place; 3],
}

/// A port that nginx knows, and the node at it, if it runs.
struct Place {
    port: ReservedPort,
    node: Option<Node>,
    /// The node's id in Redis.
    id: String,
}

impl Cluster {
    /// Starts a site with this many nodes; the other ports refuse connections.
    pub async fn with_nodes(count: usize) -> Self {
        let redis = Redis::start().await;
        let places = [(); 3].map(|()| Place { port: ReservedPort::reserve(), node: None, id: String::new() });
        let nginx = Nginx::start(places.each_ref().map(|place| place.port.number())).await;
        let mut site = Self { nginx, redis, places };
        for index in 0..count {
            site.start(index).await;
        }
        site
    }

    /// Starts the node at this index, for the first time or again.
    pub async fn start(&mut self, index: usize) {
        self.start_by(index, Node::bare_plan()).await;
    }

    /// Starts the node at this index by a plan without `--listen` and Redis.
    pub async fn start_by(&mut self, index: usize, plan: Plan) {
        let before = self.redis.nodes().await;
        let place = &mut self.places[index];
        let listen = place.port.address().to_string();
        place.node = Some(plan.flag("--listen", &listen).redis(&self.redis).start().await);
        place.id = until(PATIENCE, "the new node's name in Redis", async || {
            let nodes = self.redis.nodes().await;
            nodes.iter().find(|id| !before.contains(id)).cloned().ok_or_else(|| format!("{nodes:?}"))
        })
        .await;
    }

    pub fn node(&mut self, index: usize) -> &mut Node {
        self.places[index].node.as_mut().expect("a node that was started")
    }

    /// The nodes at which the group has members.
    pub async fn nodes_of(&self, group: &str) -> Vec<usize> {
        let members = self.redis.members(&format!("parlor:group:{{{group}}}")).await;
        (0..self.places.len()).filter(|index| members.contains(&self.places[*index].id)).collect()
    }
}
