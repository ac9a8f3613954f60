//! A start blames what is wrong: which server answers, and what it refuses.

use crate::support::metrics::metric;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::redis_cluster::RedisCluster;
use crate::support::sentinel::SentinelCluster;
use crate::support::wait::{PATIENCE, holds, until};

/// The line of a start at this URL that ends with this exit code.
async fn line(url: &str, code: i32) -> String {
    let text = Node::plan().env("REDIS_URL", url).ended_with(code).await;
    assert_eq!(text.lines().filter(|line| line.starts_with("parlor: ")).count(), 1, "one line: {text:?}");
    text
}

fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} in {text:?}");
    }
}

#[tokio::test]
async fn a_start_at_a_server_of_another_kind_names_it() {
    let cluster = RedisCluster::start().await;
    let url = cluster.master(0).await.url();
    has(&line(&url, 2).await, &["a node of a Redis Cluster", "redis+cluster://host:port,host:port"]);
    let redis = Redis::start().await;
    let url = redis.url().replace("redis://", "redis+cluster://");
    has(&line(&url, 2).await, &["a single Redis, not a node of a Cluster", "redis://host:port"]);
    let sentinels = SentinelCluster::start().await;
    has(&line(&sentinels.url_of_a_sentinel(), 2).await, &["Sentinel", "redis+sentinel://"]);
    let node = Node::alone().await;
    has(&line(&format!("redis://{}", node.address()), 2).await, &["HTTP server"]);
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("redis://{}", silent.local_addr().expect("an address"));
    has(&line(&url, 75).await, &["does not answer", "--wait-for-redis"]);
}

#[tokio::test]
async fn a_start_without_the_right_password_asks_for_it() {
    let redis = Redis::start().await;
    redis.query::<String>(&["CONFIG", "SET", "requirepass", "hunter2"]).await;
    let text = line(&redis.url(), 2).await;
    let settings = ["redis://:PASSWORD@host", "PARLOR_REDIS_PASSWORD", "--redis-password-file"];
    has(&text, &[&["NOAUTH", "requires a password"], &settings[..]].concat());
    let text = line(&redis.url().replace("redis://", "redis://:wrong-one@"), 2).await;
    has(&text, &["WRONGPASS", "check user and password in REDIS_URL"]);
    assert!(!text.contains("wrong-one"), "{text:?}");
}

#[tokio::test]
async fn a_wrong_password_is_blamed_on_the_setting_that_it_comes_from() {
    let redis = Redis::start().await;
    redis.query::<String>(&["CONFIG", "SET", "requirepass", "hunter2"]).await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "wrong-one").expect("a file");
    let path = file.path().to_str().expect("UTF-8");
    for (plan, setting) in [
        (Node::plan().env("PARLOR_REDIS_PASSWORD", "wrong-one"), "the password in PARLOR_REDIS_PASSWORD"),
        (Node::plan().flag("--redis-password-file", path), "the password in --redis-password-file"),
    ] {
        let plan = plan.redis(&redis);
        let text = plan.clone().ended_with(2).await;
        has(&text, &["WRONGPASS", "the user in REDIS_URL", setting]);
        assert!(!text.contains("wrong-one") && !text.contains("password in REDIS_URL"), "{text:?}");
        let node = plan.switch("--wait-for-redis").start().await;
        let asks = |line: &str| line.contains("reconnecting") && line.contains(setting);
        node.log().wait_for("the setting, later too", PATIENCE, asks).await;
    }
}

#[tokio::test]
async fn a_node_that_waits_for_redis_is_not_advised_to_wait() {
    let redis = Redis::reserve();
    let node = Node::plan().redis(&redis).switch("--wait-for-redis").start().await;
    let line = node.log().wait_for("a warning", PATIENCE, |line| line.contains("could not connect")).await;
    has(&line, &["start Redis", "REDIS_URL"]);
    assert!(!line.contains("--wait-for-redis"), "{line:?}");
}

#[tokio::test]
async fn a_start_at_a_redis_with_too_many_clients_names_their_limit() {
    let redis = Redis::start().await;
    let _only = redis.subscribe("anything").await;
    redis.query::<String>(&["CONFIG", "SET", "maxclients", "1"]).await;
    has(&line(&redis.url(), 75).await, &["maxclients"]);
}

#[tokio::test]
async fn a_start_that_redis_lets_do_too_little_ends_in_its_words() {
    let redis = Redis::start().await;
    for (user, rules, words) in [
        ("keys", "~other:* &* +@all", &["NOPERM"][..]),
        ("commands", "~* &* +@all -set", &["NOPERM", "'set'"]),
        ("scripts", "~* &* +@all -evalsha", &["NOPERM", "evalsha"]),
        ("redactions", "~* &* +@all -zadd", &["The user executing the script can't run this command"]),
        ("trimming", "~* &* +@all -xtrim", &["The user executing the script can't run this command"]),
        ("beats", "~* &* +@all -hset", &["NOPERM", "'hset'"]),
        ("publishing", "~* &* +@all -publish", &["NOPERM", "'publish'"]),
        ("groups", "~* resetchannels &parlor:* +@all", &["NOPERM", "SUBSCRIBE asgi__group__"]),
        ("own", "~* resetchannels &asgi__group__* +@all", &["NOPERM", "SUBSCRIBE parlor:"]),
    ] {
        let mut command = vec!["ACL", "SETUSER", user, "on", ">pw"];
        command.extend(rules.split(' '));
        redis.query::<String>(&command).await;
        let text = line(&redis.url().replace("redis://", &format!("redis://{user}:pw@")), 2).await;
        has(&text, words);
    }
    redis.query::<String>(&["REPLICAOF", "127.0.0.1", "1"]).await;
    has(&line(&redis.url(), 75).await, &["READONLY"]);
    for command in ["SCRIPT", "EVALSHA", "XADD", "HSET", "PUBLISH", "SUBSCRIBE"] {
        let renamed = Redis::with(&["--rename-command", command, ""]).await;
        let text = line(&renamed.url(), 2).await;
        assert!(text.to_lowercase().contains("unknown"), "{command}: {text:?}");
    }
}

#[tokio::test]
async fn a_start_at_a_database_that_the_user_may_not_select_ends() {
    let redis = Redis::start().await;
    redis.query::<String>(&["ACL", "SETUSER", "one", "on", ">pw", "~*", "&*", "+@all", "-select"]).await;
    let url = format!("{}/3", redis.url().replace("redis://", "redis://one:pw@"));
    has(&line(&url, 2).await, &["NOPERM", "'select'", "check the ACL"]);
    let node = Node::plan().env("REDIS_URL", &url).switch("--wait-for-redis").start().await;
    let is_named = |line: &str| line.contains("WARN") && line.contains("'select'");
    node.log().wait_for("a warning in Redis' words", PATIENCE, is_named).await;
    until(PATIENCE, "the refusal to be counted", async || {
        let count = metric(&node, "parlor_redis_refusals_total{kind=\"not_permitted\"}").await;
        holds(count > 0, || count.to_string())
    })
    .await;
    assert_eq!(metric(&node, "parlor_redis_refusals_total{kind=\"other\"}").await, 0);
}

#[tokio::test]
async fn a_redis_that_evicts_is_warned_of() {
    for (policy, warns) in [("allkeys-lru", true), ("noeviction", false)] {
        let redis = Redis::with(&["--maxmemory", "100mb", "--maxmemory-policy", policy]).await;
        let node = Node::on(&redis).await;
        let is_warned = node.log().text().contains("set maxmemory-policy to noeviction");
        assert_eq!(is_warned, warns, "{policy}: {}", node.log().text());
    }
}
