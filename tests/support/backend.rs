//! What nodes share: a Redis, or a Redis Cluster.

use super::deployment::LayerKind;
use super::redis::Redis;
use super::redis_cluster::RedisCluster;

/// What a node and a command connect to.
pub trait Backend {
    /// The URL in their settings.
    fn url(&self) -> String;
}

impl Backend for Redis {
    fn url(&self) -> String {
        self.url()
    }
}

impl Backend for RedisCluster {
    fn url(&self) -> String {
        self.url()
    }
}

/// One of both.
pub enum AnyRedis {
    Single(Redis),
    Cluster(Box<RedisCluster>),
}

impl Backend for AnyRedis {
    fn url(&self) -> String {
        match self {
            Self::Single(redis) => redis.url(),
            Self::Cluster(cluster) => cluster.url(),
        }
    }
}

impl AnyRedis {
    /// Starts that of a layer of many nodes.
    pub async fn start(layer: LayerKind) -> Self {
        match layer {
            LayerKind::Memory => panic!("memory has no Redis"),
            LayerKind::Redis => Self::Single(Redis::start().await),
            LayerKind::Cluster => Self::Cluster(Box::new(RedisCluster::start().await)),
        }
    }

    /// The server and the key of a record or an index, as in `index:audit:ann`.
    pub async fn place_of(&self, name: &str) -> (&Redis, String) {
        match self {
            Self::Single(redis) => (redis, format!("parlor:{name}")),
            Self::Cluster(_) => (self.server_of("control").await, format!("parlor:{{control}}:{name}")),
        }
    }

    /// All servers.
    pub fn servers(&self) -> Vec<&Redis> {
        match self {
            Self::Single(redis) => vec![redis],
            Self::Cluster(cluster) => cluster.servers().collect(),
        }
    }

    /// The only server; a Cluster fails the test.
    pub fn single(&self) -> &Redis {
        match self {
            Self::Single(redis) => redis,
            Self::Cluster(_) => panic!("one Redis, not a Cluster"),
        }
    }

    /// The server that has the keys of a group.
    pub async fn server_of(&self, group: &str) -> &Redis {
        match self {
            Self::Single(redis) => redis,
            Self::Cluster(cluster) => cluster.owner_of(cluster.slot_of(group).await).await,
        }
    }

    /// Waits until no server has a subscriber of the group.
    pub async fn wait_until_unsubscribed(&self, group: &str) {
        match self {
            Self::Single(redis) => redis.wait_for_subscribers(&format!("asgi__group__{group}"), 0).await,
            Self::Cluster(cluster) => cluster.wait_until_unsubscribed(group).await,
        }
    }

    /// Ends the connections of all subscribers.
    pub async fn kill_subscribers(&self) {
        for server in self.servers() {
            let _: i64 = server.query(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        }
    }
}
