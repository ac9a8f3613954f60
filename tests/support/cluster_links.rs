//! The way of a node to each server of a Redis Cluster: a proxy before each, which stands for it in
//! what the servers say of one another.

use super::ports::Ports;
use super::redis::Redis;
use super::redis_cluster::RedisCluster;
use super::redis_proxy::{Direction, RedisProxy};

pub struct ClusterLinks {
    proxies: Vec<RedisProxy>,
    ports: Ports,
}

impl ClusterLinks {
    pub async fn start(cluster: &RedisCluster) -> Self {
        let mut links = Self { proxies: Vec::new(), ports: Ports::default() };
        for server in cluster.servers() {
            links.add(server).await;
        }
        links
    }

    /// Puts a proxy before a server that was added.
    pub async fn add(&mut self, server: &Redis) {
        let proxy = RedisProxy::translating(server, self.ports.clone()).await;
        self.ports.add(server.port(), proxy.address().port());
        self.proxies.push(proxy);
    }

    /// The URL in a node's settings.
    pub fn url(&self) -> String {
        let addresses: Vec<_> = self.proxies.iter().map(|proxy| proxy.address().to_string()).collect();
        format!("redis+cluster://{}", addresses.join(","))
    }

    /// Cuts all connections and each new one, until the links are opened again.
    pub fn cut(&self) {
        self.proxies.iter().for_each(RedisProxy::cut);
    }

    /// Holds all bytes in this direction, without an error on either side.
    pub fn hold(&self, direction: Direction) {
        self.proxies.iter().for_each(|proxy| proxy.hold(direction));
    }

    pub fn open(&self) {
        self.proxies.iter().for_each(RedisProxy::open);
    }
}
