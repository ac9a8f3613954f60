//! The persistent keys of a site in Redis, to see whether any has changed.

use std::collections::BTreeMap;

use super::redis::Redis;

/// The dump of each key.
pub type RedisSnapshot = BTreeMap<String, Vec<u8>>;

/// Takes a snapshot of records, indexes, logs and streams.
pub async fn vault(redis: &Redis) -> RedisSnapshot {
    let mut vault = RedisSnapshot::new();
    for pattern in ["parlor:record:*", "parlor:index:*", "parlor:log:*", "parlor:t:*", "parlor:x:*"] {
        for key in redis.keys(pattern).await {
            let dump: Option<Vec<u8>> = redis.query(&["DUMP", &key]).await;
            vault.extend(dump.map(|dump| (key, dump)));
        }
    }
    vault
}

/// The keys that differ between two snapshots.
pub fn changes(before: &RedisSnapshot, after: &RedisSnapshot) -> Vec<String> {
    let keys = before.keys().chain(after.keys()).filter(|key| before.get(*key) != after.get(*key));
    let mut keys: Vec<_> = keys.cloned().collect();
    keys.sort();
    keys.dedup();
    keys
}
