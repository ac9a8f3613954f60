//! The way of a node to its Redis.

use super::store::Store;
use crate::support::cluster_links::ClusterLinks;
use crate::support::redis::Redis;
use crate::support::redis_proxy::{Direction, RedisProxy};

pub enum Link {
    Single(RedisProxy),
    Cluster(ClusterLinks),
}

impl Link {
    /// Puts proxies before the servers; Sentinels would name the servers themselves.
    pub async fn to(store: &Store) -> Option<Self> {
        match store {
            Store::Alone(redis) => Some(Self::Single(RedisProxy::start(redis).await)),
            Store::RedisCluster(cluster) => Some(Self::Cluster(ClusterLinks::start(cluster).await)),
            Store::SentinelCluster(_) => None,
        }
    }

    pub fn url(&self) -> String {
        match self {
            Self::Single(proxy) => proxy.url(),
            Self::Cluster(links) => links.url(),
        }
    }

    /// Cuts all connections and each new one, until the link is opened again.
    pub fn cut(&self) {
        match self {
            Self::Single(proxy) => proxy.cut(),
            Self::Cluster(links) => links.cut(),
        }
    }

    /// Holds all bytes in this direction, without an error on either side.
    pub fn hold(&self, direction: Direction) {
        match self {
            Self::Single(proxy) => proxy.hold(direction),
            Self::Cluster(links) => links.hold(direction),
        }
    }

    pub fn open(&self) {
        match self {
            Self::Single(proxy) => proxy.open(),
            Self::Cluster(links) => links.open(),
        }
    }

    /// Cuts all connections to a single Redis; new ones reach this one.
    pub fn turn_to(&self, redis: &Redis) {
        let Self::Single(proxy) = self else { panic!("a link to a single Redis") };
        proxy.turn_to(redis);
    }

    /// Puts a proxy before a server that was added to a Redis Cluster.
    pub async fn add(&mut self, server: &Redis) {
        let Self::Cluster(links) = self else { panic!("links to a Redis Cluster") };
        links.add(server).await;
    }
}
