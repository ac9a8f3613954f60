//! What a Redis Cluster does by itself: the faults that other tests inject, and the answers that
//! the layer relies on.

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, PushInfo, PushKind, RedisResult, Value};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::support::redis::Redis;
use crate::support::redis_cluster::{RedisCluster, SHARDS};
use crate::support::wait::{PATIENCE, holds, until, within};

/// Appends to a log and publishes the entry, as the layer does.
const APPEND: &str = "redis.call('XADD', KEYS[1], '*', 'e', ARGV[1]) \
                      redis.call('SET', KEYS[2], '1') \
                      return redis.call('SPUBLISH', ARGV[2], ARGV[1])";

/// A connection that subscribes and sends commands.
struct Client {
    connection: MultiplexedConnection,
    pushes: UnboundedReceiver<PushInfo>,
}

impl Client {
    async fn connect(redis: &Redis) -> Self {
        let (sender, pushes) = unbounded_channel();
        let config = AsyncConnectionConfig::new().set_push_sender(sender);
        let client = redis::Client::open(redis.url() + "?protocol=resp3").expect("an address");
        let connection = client.get_multiplexed_async_connection_with_config(&config).await;
        Self { connection: connection.expect("a connection"), pushes }
    }

    async fn try_send(&mut self, words: &[&str]) -> RedisResult<Value> {
        let mut command = redis::Cmd::new();
        command.arg(words).query_async(&mut self.connection).await
    }

    async fn send(&mut self, words: &[&str]) {
        self.try_send(words).await.unwrap_or_else(|error| panic!("{words:?}: {error}"));
    }

    /// Sends a command that must fail, and returns the first word of the error.
    async fn refused(&mut self, words: &[&str]) -> String {
        let error = self.try_send(words).await.expect_err("an error");
        error.code().unwrap_or_else(|| panic!("a code in {error}")).to_owned()
    }

    /// Runs [`APPEND`] for a group.
    async fn append(&mut self, group: &str, text: &str) -> RedisResult<Value> {
        let [log, sent, channel] = ["log", "sent", "c"].map(|name| format!("{name}:{{{group}}}"));
        self.try_send(&["EVAL", APPEND, "2", &log, &sent, text, &channel]).await
    }

    /// The next push of this kind, and its last part.
    async fn pushed(&mut self, kind: PushKind) -> Value {
        within(PATIENCE, &format!("a push {kind}"), async {
            loop {
                let push = self.pushes.recv().await.expect("a connection that is open");
                if push.kind == kind {
                    return push.data.last().expect("parts").clone();
                }
            }
        })
        .await
    }
}

fn text(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

#[tokio::test]
async fn each_master_has_a_replica_with_its_data() {
    let cluster = RedisCluster::start().await;
    for shard in 0..SHARDS {
        let key = cluster.name_in(shard, "key", str::to_owned).await;
        let slot = cluster.slot_of(&key).await;
        assert_eq!(cluster.owner_of(slot).await.port(), cluster.master(shard).await.port());
        let _: String = cluster.master(shard).await.query(&["SET", &key, "1"]).await;
        let replica = cluster.replica(shard).await;
        until(PATIENCE, "the replica to have the key", async || {
            let keys = replica.keys("*").await;
            holds(keys == [key.clone()], || format!("{keys:?}"))
        })
        .await;
    }
    cluster.flush().await;
    for master in cluster.masters().await {
        assert_eq!(master.keys("*").await, [""; 0]);
    }
    let kinds: Vec<String> = cluster.errors().await.into_keys().collect();
    assert_eq!(kinds, ["ERR"], "CLIENT SETINFO alone, which a later Redis has");
}

#[tokio::test]
async fn a_slot_that_moves_is_refused_by_kinds_of_error_and_unsubscribed() {
    let cluster = RedisCluster::start().await;
    let group = cluster.name_in(0, "group", str::to_owned).await;
    let slot = cluster.slot_of(&group).await;
    let mut old = Client::connect(cluster.master(0).await).await;
    let mut new = Client::connect(cluster.master(1).await).await;
    old.send(&["SSUBSCRIBE", &format!("c:{{{group}}}")]).await;
    assert_eq!(new.refused(&["SSUBSCRIBE", &format!("c:{{{group}}}")]).await, "MOVED");
    old.append(&group, "before").await.expect("an entry");
    assert_eq!(old.pushed(PushKind::SMessage).await, text("before"));

    cluster
        .move_slot(slot, 1, async {
            assert_eq!(old.append(&group, "none").await.unwrap_err().code(), Some("ASK"));
            new.send(&["ASKING"]).await;
            new.append(&group, "in the window").await.expect("an entry");
        })
        .await;
    assert_eq!(old.pushed(PushKind::SUnsubscribe).await, Value::Int(0));
    assert!(old.pushes.try_recv().is_err(), "no subscriber has received what came in the window");
    assert_eq!(old.append(&group, "none").await.unwrap_err().code(), Some("MOVED"));
    let entries: i64 = cluster.owner_of(slot).await.query(&["XLEN", &format!("log:{{{group}}}")]).await;
    assert_eq!((entries, cluster.shard_of(slot).await), (2, 1));
}

#[tokio::test]
async fn a_missing_key_of_a_migrating_slot_is_tried_again() {
    let cluster = RedisCluster::start().await;
    let group = cluster.name_in(0, "group", str::to_owned).await;
    let slot = cluster.slot_of(&group).await.to_string();
    let (master, other) = (cluster.master(0).await, cluster.master(1).await);
    let id: String = other.query(&["CLUSTER", "MYID"]).await;
    let _: String = master.query(&["SET", &format!("log:{{{group}}}"), "1"]).await;
    let _: String = master.query(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id]).await;
    let mut client = Client::connect(master).await;
    assert_eq!(client.append(&group, "a").await.unwrap_err().code(), Some("TRYAGAIN"));
}

#[tokio::test]
async fn a_failover_moves_a_shard_to_its_replica() {
    let cluster = RedisCluster::start().await;
    let group = cluster.name_in(1, "group", str::to_owned).await;
    let (old, new) = (cluster.master(1).await.port(), cluster.replica(1).await.port());
    let mut client = Client::connect(cluster.master(1).await).await;
    client.send(&["SSUBSCRIBE", &format!("c:{{{group}}}")]).await;
    cluster.fail_over(1).await;
    assert_eq!((cluster.master(1).await.port(), cluster.replica(1).await.port()), (new, old));
    client.pushed(PushKind::SUnsubscribe).await;
    assert_eq!(client.append(&group, "none").await.unwrap_err().code(), Some("MOVED"));
}

#[tokio::test]
async fn a_dead_master_is_replaced_and_comes_back_as_a_replica() {
    let mut cluster = RedisCluster::start().await;
    let (old, new) = (cluster.master(2).await.port(), cluster.replica(2).await.port());
    cluster.kill_master(2).await;
    cluster.wait_for_promotion(2).await;
    assert_eq!(cluster.master(2).await.port(), new);
    cluster.restart().await;
    assert_eq!((cluster.master(2).await.port(), cluster.replica(2).await.port()), (new, old));
}

#[tokio::test]
async fn a_frozen_master_is_replaced_and_comes_back_as_a_replica() {
    let mut cluster = RedisCluster::start().await;
    let (old, new) = (cluster.master(0).await.port(), cluster.replica(0).await.port());
    cluster.freeze_master(0).await;
    cluster.wait_for_promotion(0).await;
    assert_eq!(cluster.master(0).await.port(), new);
    cluster.thaw();
    cluster.wait_until_ok().await;
    assert_eq!((cluster.master(0).await.port(), cluster.replica(0).await.port()), (new, old));
}

#[tokio::test]
async fn slots_move_to_another_shard_and_to_a_new_one() {
    let mut cluster = RedisCluster::start().await;
    cluster.reshard(0, 1, 200).await;
    assert_eq!(slots(&cluster).await, [5461 - 200, 5462 + 200, 5461]);
    let new = cluster.add_shard("0.05").await;
    let slots = slots(&cluster).await;
    assert!((250..=290).contains(&slots[new]), "{slots:?}");
}

/// The number of slots of each shard.
async fn slots(cluster: &RedisCluster) -> Vec<usize> {
    let mut slots = Vec::new();
    for shard in 0..cluster.shards() {
        slots.push(cluster.slots_in(shard).await);
    }
    slots
}

#[tokio::test]
async fn a_cluster_without_a_shard_serves_the_others_if_it_may() {
    let mut cluster = RedisCluster::with(&["--cluster-require-full-coverage", "no"]).await;
    let keys =
        [cluster.name_in(0, "key", str::to_owned).await, cluster.name_in(1, "key", str::to_owned).await];
    cluster.stop_shard(0);
    let mut other = Client::connect(cluster.master(1).await).await;
    until(PATIENCE, "the shard to count as failed", async || {
        let nodes: String = cluster.master(1).await.query(&["CLUSTER", "NODES"]).await;
        holds(nodes.matches(" master,fail ").count() == 1, || nodes.clone())
    })
    .await;
    other.send(&["SET", &keys[1], "1"]).await;
    assert_eq!(other.refused(&["SET", &keys[0], "1"]).await, "MOVED");
    cluster.restart().await;
    let _: String = cluster.master(0).await.query(&["SET", &keys[0], "1"]).await;
}
