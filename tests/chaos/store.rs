//! Where the nodes keep logs and accounts: one Redis, one with a replica, or a Redis Cluster.

use std::time::Duration;

use crate::support::redis::Redis;
use crate::support::redis_cluster::RedisCluster;
use crate::support::sentinel::SentinelCluster;

pub enum Store {
    Alone(Redis),
    /// A master and a replica under three Sentinels.
    SentinelCluster(Box<SentinelCluster>),
    RedisCluster(Box<RedisCluster>),
}

impl Store {
    pub fn url(&self) -> String {
        match self {
            Self::Alone(redis) => redis.url(),
            Self::SentinelCluster(with_sentinels) => with_sentinels.url(),
            Self::RedisCluster(cluster) => cluster.url(),
        }
    }

    /// Returns the single Redis.
    pub fn single(&mut self) -> &mut Redis {
        let Self::Alone(redis) = self else { panic!("one Redis") };
        redis
    }

    pub fn with_sentinels(&mut self) -> &mut SentinelCluster {
        let Self::SentinelCluster(with_sentinels) = self else { panic!("a failover needs Sentinels") };
        with_sentinels
    }

    pub fn redis_cluster(&mut self) -> &mut RedisCluster {
        let Self::RedisCluster(cluster) = self else { panic!("a Redis Cluster") };
        cluster
    }

    /// Returns the servers that take writes.
    pub async fn masters(&self) -> Vec<&Redis> {
        match self {
            Self::Alone(redis) => vec![redis],
            Self::SentinelCluster(with_sentinels) => vec![&with_sentinels.first],
            Self::RedisCluster(cluster) => cluster.masters().await,
        }
    }

    /// Sets a setting of all masters.
    pub async fn set(&self, setting: &str, value: &str) {
        for master in self.masters().await {
            let _: String = master.query(&["CONFIG", "SET", setting, value]).await;
        }
    }

    /// Ends the connections of all subscribers.
    pub async fn kill_subscribers(&self) {
        for master in self.masters().await {
            let _: i64 = master.query(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        }
    }

    /// Makes all masters answer nothing for this time.
    pub async fn pause(&self, time: Duration) {
        let millis = time.as_millis().to_string();
        for master in self.masters().await {
            let _: String = master.query(&["CLIENT", "PAUSE", &millis, "ALL"]).await;
        }
    }

    /// Removes everything.
    pub async fn flush(&self) {
        for master in self.masters().await {
            let _: String = master.query(&["FLUSHALL"]).await;
        }
    }

    /// Makes each master throw away one key of fifty, and as many as are written from now on.
    pub async fn evict(&self) {
        self.set("maxmemory-policy", "allkeys-random").await;
        for master in self.masters().await {
            let used: String = master.query(&["INFO", "memory"]).await;
            let used = used.lines().find_map(|line| line.strip_prefix("used_memory:"));
            let used: u64 = used.and_then(|used| used.trim().parse().ok()).expect("the memory in use");
            let limit = (used - used / 50).to_string();
            let _: String = master.query(&["CONFIG", "SET", "maxmemory", &limit]).await;
        }
    }

    /// Ends [`evict`](Self::evict).
    pub async fn keep_all(&self) {
        self.set("maxmemory", "0").await;
        self.set("maxmemory-policy", "noeviction").await;
    }

    /// Leaves two messages in each stream.
    pub async fn trim_logs(&self) {
        for master in self.masters().await {
            for key in master.keys("*").await {
                let kind: String = master.query(&["TYPE", &key]).await;
                if kind == "stream" {
                    let _: i64 = master.query(&["XTRIM", &key, "MAXLEN", "2"]).await;
                }
            }
        }
    }

    /// Whether any log has a message with this id.
    pub async fn has_logged(&self, id: &str) -> bool {
        for master in self.masters().await {
            for log in master.keys("parlor:log:*").await {
                let entries: redis::Value = master.query(&["XRANGE", &log, id, id]).await;
                if entries != redis::Value::Array(Vec::new()) {
                    return true;
                }
            }
        }
        false
    }
}

/// The accounts and logins, as an operator has them from a backup: those of each master.
pub struct Accounts(Vec<Vec<(String, Vec<u8>)>>);

impl Accounts {
    pub async fn saved(store: &Store) -> Self {
        let mut all = Vec::new();
        for master in store.masters().await {
            let mut records = Vec::new();
            for key in master.keys("parlor:*record:*").await {
                let dump: Option<Vec<u8>> = master.query(&["DUMP", &key]).await;
                records.extend(dump.map(|dump| (key, dump)));
            }
            all.push(records);
        }
        Self(all)
    }

    /// Restores those that a master has no more.
    pub async fn restore(self, store: &Store) {
        for (master, records) in store.masters().await.into_iter().zip(self.0) {
            for (key, dump) in records {
                if !master.exists(&key).await {
                    let _: String = master.query(&[b"RESTORE", key.as_bytes(), b"0", &dump]).await;
                }
            }
        }
    }
}
