//! A room with many users, all of them of a node that does nothing but beat: written into Redis in
//! the format of `group.lua`.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::interval;

use super::redis::Redis;

/// The name of the node.
pub const NODE: &str = "crowded0";
/// Users that one call writes.
const STEP_USERS: usize = 2000;

pub struct LargeRoom {
    beats: JoinHandle<()>,
}

impl LargeRoom {
    /// Writes so many users into a group.
    pub async fn start(redis: &Redis, group: &str, users: usize) -> Self {
        let script = "local key, id = KEYS[1], ARGV[1] .. '0'
            local state = redis.call('HGET', key, ' m')
            local count, mark, digest, ids = 0, 0, 0, ''
            if state then
              count, mark, digest = struct.unpack('<IId', state)
              ids = string.sub(state, 17)
            end
            local share = redis.call('HGET', key, ' n' .. id)
            local own = share and struct.unpack('<I', share) or 0
            local fields = {}
            for n = own + 1, own + ARGV[2] do
              local user, name = string.format('%032x', n), '~user' .. n
              fields[#fields + 1] = user
              fields[#fields + 1] = id .. '/' .. name
              local weight = tonumber(string.sub(redis.sha1hex(user .. '/' .. name), 1, 12), 16)
              digest = (digest + weight) % 281474976710656
            end
            redis.call('HSET', key, unpack(fields))
            if not share then
              ids = ids .. id
            end
            redis.call('HSET', key, ' m', struct.pack('<IId', count + ARGV[2], mark, digest) .. ids,
              ' n' .. id, struct.pack('<II', own + ARGV[2], 1))
            redis.call('PEXPIRE', key, 86400000)";
        let key = format!("parlor:m:{{{group}}}");
        for start in (0..users).step_by(STEP_USERS) {
            let count = STEP_USERS.min(users - start).to_string();
            redis.query::<redis::Value>(&["EVAL", script, "1", &key, NODE, &count]).await;
        }
        let facts = json!({
            "name": NODE, "since_ms": 1, "sockets": users, "groups": 1, "published": 0, "delivered": 0,
        });
        let top = json!([[group, users]]).to_string();
        for command in [
            vec!["SADD", &format!("parlor:group:{{{group}}}"), NODE],
            vec!["HSET", "parlor:facts", NODE, &facts.to_string()],
            vec!["SET", &format!("parlor:top:{NODE}"), &top, "EX", "600"],
            vec!["HSET", "parlor:beats", NODE, "1"],
        ] {
            redis.query::<redis::Value>(&command).await;
        }
        let client = redis::Client::open(redis.url()).expect("a URL");
        let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
        let beats = tokio::spawn(async move {
            let mut ticks = interval(Duration::from_secs(1));
            loop {
                ticks.tick().await;
                let mut beat = redis::Cmd::new();
                beat.arg(&["HINCRBY", "parlor:beats", NODE, "1"]);
                if beat.query_async::<redis::Value>(&mut connection).await.is_err() {
                    return;
                }
            }
        });
        Self { beats }
    }
}

/// The node is dead now.
impl Drop for LargeRoom {
    fn drop(&mut self) {
        self.beats.abort();
    }
}
