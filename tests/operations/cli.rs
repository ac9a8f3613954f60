//! Commands: secrets, accounts and keys, and their effect on live sockets.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::support::cli::{command, key, operator};
use crate::support::connection::Connection;
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::process::Process;
use crate::support::redis::Redis;
use crate::support::redis_proxy::RedisProxy;
use crate::support::user::{User, password};
use crate::support::wait::{PATIENCE, holds, seconds, until};

/// Runs `parlor` with these arguments and this environment, which must fail: returns its one line
/// on stderr.
async fn rejected(environment: &[(&str, &str)], words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
    command.env_clear().envs(environment.iter().copied()).args(words);
    let mut process = Process::spawn("parlor", &mut command);
    let status = process.exit(PATIENCE).await;
    let text = process.stderr.text();
    assert_eq!(status.code(), Some(2), "parlor {words:?}: {text}");
    assert_eq!(text.lines().count(), 1, "one line: {text:?}");
    assert!(process.stdout.all().is_empty(), "stdout of a refusal: {:?}", process.stdout.all());
    text
}

#[tokio::test]
async fn generated_secrets_are_strong_and_distinct() {
    let mut seen = BTreeSet::new();
    for _ in 0..8 {
        let mut secret = Command::new(env!("CARGO_BIN_EXE_parlor"));
        // It needs no Redis and does not check a node's settings.
        let mut process =
            Process::spawn("parlor", secret.env_clear().env("PARLOR_SECRET", "weak").arg("secret"));
        assert!(process.exit(PATIENCE).await.success(), "{}", process.stderr.text());
        let secret = process.stdout.text().trim_end().to_owned();
        Node::plan().env("PARLOR_SECRET", &secret).start().await;
        assert!(secret.len() >= 43 && seen.insert(secret));
    }
}

#[tokio::test]
async fn added_accounts_can_log_in_and_only_staff_are_operators() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    command(&redis, &["user", "add", "bob"]).await;
    let mut bob = User::logged_in(&node, "bob").await;
    assert_eq!(bob.get(&node, "/admin/").await.status, 404);
    let mut ann = operator(&node, &redis, "ann").await;
    assert_eq!(ann.get(&node, "/admin/").await.status, 200);
    let listed = command(&redis, &["user", "list"]).await;
    let listed: Vec<Vec<&str>> = listed.lines().map(|line| line.split('\t').collect()).collect();
    let shown: BTreeSet<(&str, &str)> = listed.iter().map(|line| (line[0], line[2])).collect();
    assert_eq!(shown, [("ann", "operator"), ("bob", "")].into());
}

#[tokio::test]
async fn a_password_may_come_from_stdin() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let line = format!("printf '%s\\n' '{}' | \"$0\" user add bob", password("bob"));
    let mut shell = Command::new("sh");
    shell.env("REDIS_URL", redis.url()).args(["-c", &line, env!("CARGO_BIN_EXE_parlor")]);
    let mut process = Process::spawn("a shell", &mut shell);
    assert!(process.exit(PATIENCE).await.success(), "{}", process.stderr.text());
    User::logged_in(&node, "bob").await;
}

#[tokio::test]
async fn weak_input_is_rejected_in_one_line_without_the_password() {
    let redis = Redis::start().await;
    command(&redis, &["user", "add", "bob"]).await;
    let url = redis.url();
    let with = |password: &'static str| [("REDIS_URL", url.as_str()), ("PARLOR_PASSWORD", password)];
    for (password, name, expected) in [
        ("hunter2", "carl", "8 to 128 characters"),
        ("carl-carl", "Carl-Carl", "not the name"),
        ("the long secret", "a b", "1 to 32 letters"),
        ("the long secret", "~carl", "1 to 32 letters"),
        ("the long secret", "a\u{202e}b", "1 to 32 letters"),
        ("the long secret", "B\u{43e}b", "looks like it"),
    ] {
        let text = rejected(&with(password), &["user", "add", name]).await;
        assert!(text.contains(expected), "{name:?}: {text:?}");
        assert!(!text.contains(password), "{text:?}");
    }
    let url = [("REDIS_URL", url.as_str())];
    for (words, expected) in [
        (&["user", "add", "carl"][..], "PARLOR_PASSWORD"),
        (&["user", "staff", "nobody", "on"], "no account `nobody`"),
        (&["user", "staff", "bob", "perhaps"], "on, off"),
        (&["user"], "add, staff, list"),
        (&["key", "add", "billing"], "--scope"),
        (
            &["key", "add", "billing", "--scope", "publish,fly"],
            "`fly`, expected some of publish, read, disconnect, connections",
        ),
        (&["key", "add", "a b", "--scope", "read"], "1 to 32 letters"),
        (&["key", "revoke", "billing"], "no key `billing`"),
    ] {
        let text = rejected(&url, words).await;
        assert!(text.contains(expected), "{words:?}: {text:?}");
    }
    let accounts: i64 = redis.query(&["ZCARD", "parlor:index:users"]).await;
    let keys: i64 = redis.query(&["ZCARD", "parlor:index:keys"]).await;
    assert_eq!((accounts, keys), (1, 0));
}

#[tokio::test]
async fn commands_without_redis_fail() {
    for words in [&["user", "list"][..], &["user", "add", "bob"], &["key", "list"]] {
        let text = rejected(&[("PARLOR_PASSWORD", "the long secret")], words).await;
        assert!(text.contains("REDIS_URL") && text.contains("--operator"), "{text:?}");
    }
    let away = Redis::reserve().url();
    let text = rejected(&[("REDIS_URL", &away)], &["user", "list"]).await;
    assert!(text.contains("could not connect to Redis"), "{text:?}");
}

#[tokio::test]
async fn a_change_of_role_reaches_live_sockets_on_every_node() {
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut bob = User::registered(&nodes[0], "bob").await;
    for (words, status) in [("on", 200), ("off", 404)] {
        let mut sockets = [bob.join(&nodes[0], "lobby").await, bob.join(&nodes[1], "lobby").await];
        command(&redis, &["user", "staff", "bob", words]).await;
        for socket in &mut sockets {
            let (code, _) = socket.closed(seconds(1)).await;
            assert_eq!(code, 1012, "the client reconnects at once with its new role");
        }
        assert_eq!(bob.get(&nodes[1], "/admin/").await.status, status);
    }
}

#[tokio::test]
async fn a_key_is_shown_once_and_ends_when_it_is_revoked() {
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let text = key(&redis, "billing", "read,publish").await;
    let bearer = format!("Bearer {text}");
    let rooms = || Request::get("/api/rooms").header("Authorization", &bearer);
    assert_eq!(rooms().send(&nodes[0]).await.status, 200);
    let listed = command(&redis, &["key", "list"]).await;
    assert!(listed.starts_with("billing\t") && listed.contains("\tread, publish\t"), "{listed:?}");
    let secret = text.rsplit('_').next().unwrap();
    assert!(!listed.contains(secret), "{listed:?}");
    for stored in redis.keys("parlor:record:*").await {
        let record: String = redis.query(&["GET", &stored]).await;
        assert!(!record.contains(secret), "{stored} holds the key");
    }
    let mut socket = Connection::connect(&nodes[1]).await;
    let upgrade = Request::upgrade("/ws/chat/lobby/").header("Authorization", &bearer);
    assert_eq!(upgrade.send_on(&mut socket).await.status, 101);
    command(&redis, &["key", "revoke", "billing"]).await;
    assert_eq!(socket.close_code().await, (4401, "this key is revoked".to_owned()));
    for node in &nodes {
        assert_eq!(rooms().send(node).await.status, 401);
    }
    assert_eq!(command(&redis, &["key", "list"]).await, "");
}

#[tokio::test]
async fn what_is_gone_in_that_moment_is_an_error() {
    let redis = Redis::start().await;
    let proxy = RedisProxy::start(&redis).await;
    command(&redis, &["user", "add", "bob"]).await;
    key(&redis, "billing", "read").await;
    for (note, words, record, error) in [
        (
            "staff_on",
            &["user", "staff", "bob", "on"][..],
            "user:bob",
            "the account `bob` was removed in this moment",
        ),
        (
            "key_revoke",
            &["key", "revoke", "billing"],
            "key_name:billing",
            "the key `billing` was revoked in this moment",
        ),
    ] {
        proxy.hold_from(note);
        let meanwhile = async {
            proxy.wait_until_held().await;
            assert_eq!(redis.query::<i64>(&["DEL", &format!("parlor:record:{record}")]).await, 1, "{record}");
            proxy.open();
        };
        let url = proxy.url();
        let environment = [("REDIS_URL", &*url)];
        let (said, ()) = tokio::join!(rejected(&environment, words), meanwhile);
        assert!(said.contains(error), "{words:?}: {said:?}");
    }
}

#[tokio::test]
async fn commands_write_to_the_audit_log() {
    let redis = Redis::start().await;
    command(&redis, &["user", "add", "bob"]).await;
    command(&redis, &["user", "staff", "bob", "on"]).await;
    command(&redis, &["user", "staff", "bob", "on"]).await;
    command(&redis, &["key", "add", "billing", "--scope", "read,publish"]).await;
    command(&redis, &["key", "revoke", "billing"]).await;
    command(&redis, &["user", "list"]).await;
    let actors = redis.keys("parlor:index:audit:*").await;
    assert_eq!(actors.len(), 1, "{actors:?}");
    let lines: Vec<String> = redis.query(&["ZRANGE", &actors[0], "0", "-1"]).await;
    let entries: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let done: Vec<_> = entries
        .iter()
        .map(|entry| (entry["what"].as_str().unwrap(), entry["about"].as_str().unwrap()))
        .collect();
    let expected = [
        ("user_add", "bob"),
        ("staff_on", "bob"),
        ("key_add", "billing: read, publish"),
        ("key_revoke", "billing"),
    ];
    assert_eq!(done, expected, "what changed nothing is not there");
    for entry in &entries {
        let who = entry["who"].as_str().unwrap();
        assert!(who.starts_with("command line (") && who.ends_with(')') && who.len() > 15, "{who:?}");
    }
}

#[tokio::test]
async fn an_entry_of_the_audit_log_is_written_before_the_deed() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = operator(&node, &redis, "ann").await;
    let bob = User::registered(&node, "bob").await.join(&node, "lobby").await;
    let mut monitor = redis.monitor().await;
    for words in [
        &["user", "add", "eve"][..],
        &["user", "staff", "bob", "on"],
        &["key", "add", "billing", "--scope", "read"],
        &["key", "revoke", "billing"],
    ] {
        command(&redis, words).await;
        entry_comes_first(&monitor.commands().await, &format!("{words:?}"));
    }
    for (path, fields) in [
        ("/admin/users/", &[("action", "staff_off"), ("user", bob.user())][..]),
        ("/admin/users/", &[("action", "ban"), ("user", bob.user())]),
        ("/admin/users/", &[("action", "unban"), ("user", bob.user())]),
        ("/admin/rooms/attic/", &[("action", "close")]),
        ("/admin/rooms/attic/", &[("action", "reopen")]),
        ("/admin/rooms/lobby/", &[("action", "kick"), ("user", bob.user())]),
    ] {
        assert!(ann.post(&node, path, fields).await.status < 400, "{path} {fields:?}");
        entry_comes_first(&monitor.commands().await, &format!("{path} {fields:?}"));
    }
}

/// The first change of records, indexes and decisions is that of the audit log.
fn entry_comes_first(commands: &[String], what: &str) {
    const WRITES: [&str; 8] = ["SET", "DEL", "ZADD", "ZREM", "XADD", "EVALSHA", "EVAL", "GETDEL"];
    const KEPT: [&str; 3] = ["parlor:record:", "parlor:index:", "parlor:{control}"];
    let is_write = |command: &&String| {
        let mut words = command.split('"').skip(1).step_by(2);
        let verb = words.next().unwrap_or_default().to_uppercase();
        WRITES.contains(&&*verb) && words.any(|word| KEPT.iter().any(|kept| word.starts_with(kept)))
    };
    let writes: Vec<&String> = commands.iter().filter(is_write).collect();
    assert!(writes.len() > 2, "{what}: {commands:#?}");
    let is_entry =
        |command: &str| command.contains("parlor:index:audit:") || command.contains("parlor:index:auditors");
    assert!(is_entry(writes[0]) && is_entry(writes[1]), "{what}: {writes:#?}");
}

#[tokio::test]
async fn a_node_creates_the_operator_named_in_its_settings() {
    let redis = Redis::start().await;
    let plan = Node::plan().flag("--operator", "ann").env("PARLOR_OPERATOR_PASSWORD", &password("ann"));
    let alone = plan.start().await;
    let on_redis = [plan.clone().redis(&redis).start().await, plan.clone().redis(&redis).start().await];
    for node in [&alone, &on_redis[0], &on_redis[1]] {
        let mut ann = User::logged_in(node, "ann").await;
        let page = ann.get(node, "/admin/audit/").await;
        assert_eq!(page.status, 200);
        let made = page.body.matches("data-what=\"user_add_staff\"").count();
        assert_eq!((made, page.body.contains("--operator")), (1, true), "{}", page.body);
    }
}

#[tokio::test]
async fn the_operator_is_created_once_redis_is_reachable() {
    let mut redis = Redis::reserve();
    let plan = Node::plan().flag("--operator", "ann").env("PARLOR_OPERATOR_PASSWORD", &password("ann"));
    let node = plan.redis(&redis).switch("--wait-for-redis").start().await;
    redis.restart().await;
    until(PATIENCE, "an operator's account", async || {
        let response = User::anonymous().log_in(&node, "ann").await;
        holds(response.status == 303, || format!("{response:?}"))
    })
    .await;
}

#[tokio::test]
async fn a_taken_operator_name_does_not_become_an_operator() {
    let redis = Redis::start().await;
    let first = Node::on(&redis).await;
    let mut mallory = User::registered(&first, "ann").await;
    let plan =
        Node::plan().flag("--operator", "ann").env("PARLOR_OPERATOR_PASSWORD", "the operator's password");
    let node = plan.redis(&redis).start().await;
    assert_eq!(mallory.get(&node, "/admin/").await.status, 404);
    node.log().wait_for("a warning", PATIENCE, |line| line.contains("has the name of --operator")).await;
}

#[tokio::test]
async fn an_invalid_operator_name_ends_the_start() {
    let plan = Node::plan().flag("--operator", "a b").env("PARLOR_OPERATOR_PASSWORD", "the long secret");
    let text = plan.rejected().await;
    assert!(text.contains("--operator (PARLOR_OPERATOR): expected a name"), "{text:?}");
}
