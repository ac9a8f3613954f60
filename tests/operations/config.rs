//! Settings are checked before the node binds, and an invalid one is reported in one line.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;

use serde_json::Value;

use crate::support::connection::Connection;
use crate::support::http::Request;
use crate::support::node::{Node, Plan};
use crate::support::process::Signal;
use crate::support::redis::Redis;
use crate::support::reserved_port::ReservedPort;
use crate::support::tutorial_client::TutorialClient;
use crate::support::wait::PATIENCE;

/// Each setting with its variable and a word of its default.
const SETTINGS: [(&str, &str, &str); 58] = [
    ("--listen", "PARLOR_LISTEN", "127.0.0.1:8000"),
    ("--redis-url", "REDIS_URL", ""),
    ("--redis-prefix", "PARLOR_REDIS_PREFIX", ""),
    ("--channels-prefix", "PARLOR_CHANNELS_PREFIX", "asgi"),
    ("--redis-password-file", "PARLOR_REDIS_PASSWORD_FILE", "PARLOR_REDIS_PASSWORD."),
    ("--redis-sentinel-password-file", "PARLOR_REDIS_SENTINEL_PASSWORD_FILE", "SENTINEL_PASSWORD"),
    ("--redis-ca", "PARLOR_REDIS_CA", ""),
    ("--redis-cert", "PARLOR_REDIS_CERT", ""),
    ("--redis-key", "PARLOR_REDIS_KEY", ""),
    ("--redis-tls-name", "PARLOR_REDIS_TLS_NAME", ""),
    ("--wait-for-redis", "PARLOR_WAIT_FOR_REDIS", ""),
    ("--threads", "PARLOR_THREADS", "1"),
    ("--log-level", "PARLOR_LOG_LEVEL", "info"),
    ("--log-format", "PARLOR_LOG_FORMAT", "text"),
    ("--max-message-bytes", "PARLOR_MAX_MESSAGE_BYTES", "65536"),
    ("--max-name-chars", "PARLOR_MAX_NAME_CHARS", "64"),
    ("--public-rooms", "PARLOR_PUBLIC_ROOMS", "lobby"),
    ("--max-outbox-bytes", "PARLOR_MAX_OUTBOX_BYTES", "1048576"),
    ("--max-outbox-messages", "PARLOR_MAX_OUTBOX_MESSAGES", "4096"),
    ("--max-channels", "PARLOR_MAX_CHANNELS", "128"),
    ("--namespaces", "PARLOR_NAMESPACES", ""),
    ("--personal-channels", "PARLOR_PERSONAL_CHANNELS", ""),
    ("--weak-tokens", "PARLOR_WEAK_TOKENS", ""),
    ("--max-connections", "PARLOR_MAX_CONNECTIONS", "ulimit -Hn"),
    ("--keep-alive-seconds", "PARLOR_KEEP_ALIVE_SECONDS", "75"),
    ("--move-on-seconds", "PARLOR_MOVE_ON_SECONDS", "10"),
    ("--log-messages", "PARLOR_LOG_MESSAGES", "1000"),
    ("--log-bytes", "PARLOR_LOG_BYTES", "134217728"),
    ("--log-seconds", "PARLOR_LOG_SECONDS", "86400"),
    ("--drain-seconds", "PARLOR_DRAIN_SECONDS", "20"),
    ("--wait-replicas", "PARLOR_WAIT_REPLICAS", "0"),
    ("--allowed-origins", "PARLOR_ALLOWED_ORIGINS", ""),
    ("--assets", "PARLOR_ASSETS", ""),
    ("--secret-file", "PARLOR_SECRET_FILE", "PARLOR_SECRET."),
    ("--no-guests", "PARLOR_NO_GUESTS", ""),
    ("--no-signup", "PARLOR_NO_SIGNUP", ""),
    ("--session-days", "PARLOR_SESSION_DAYS", "14"),
    ("--operator", "PARLOR_OPERATOR", ""),
    ("--operator-password-file", "PARLOR_OPERATOR_PASSWORD_FILE", "PARLOR_OPERATOR_PASSWORD"),
    ("--token-key-file", "PARLOR_TOKEN_KEY_FILE", "PARLOR_TOKEN_KEY"),
    ("--token-algorithm", "PARLOR_TOKEN_ALGORITHM", "HS256"),
    ("--token-jwks-file", "PARLOR_TOKEN_JWKS_FILE", ""),
    ("--token-audience", "PARLOR_TOKEN_AUDIENCE", ""),
    ("--token-issuer", "PARLOR_TOKEN_ISSUER", ""),
    ("--allowed-hosts", "PARLOR_ALLOWED_HOSTS", "localhost"),
    ("--trusted-proxies", "PARLOR_TRUSTED_PROXIES", ""),
    ("--messages-per-second", "PARLOR_MESSAGES_PER_SECOND", "50"),
    ("--bytes-per-second", "PARLOR_BYTES_PER_SECOND", "262144"),
    ("--address-bytes-per-second", "PARLOR_ADDRESS_BYTES_PER_SECOND", "4194304"),
    ("--reads-per-second", "PARLOR_READS_PER_SECOND", "100"),
    ("--address-rooms", "PARLOR_ADDRESS_ROOMS", "1000"),
    ("--handshakes-per-second", "PARLOR_HANDSHAKES_PER_SECOND", "50"),
    ("--requests-per-second", "PARLOR_REQUESTS_PER_SECOND", "200"),
    ("--logins-per-minute", "PARLOR_LOGINS_PER_MINUTE", "10"),
    ("--publishes-per-second", "PARLOR_PUBLISHES_PER_SECOND", "100"),
    ("--connections-per-address", "PARLOR_CONNECTIONS_PER_ADDRESS", "4000"),
    ("--sockets-per-user", "PARLOR_SOCKETS_PER_USER", "50"),
    ("--sockets-per-address", "PARLOR_SOCKETS_PER_ADDRESS", "1000"),
];

/// Settings that take any text, or none.
const FREE: [&str; 8] = [
    "--wait-for-redis",
    "--no-guests",
    "--no-signup",
    "--operator",
    "--token-audience",
    "--token-issuer",
    "--personal-channels",
    "--weak-tokens",
];

/// Invalid values of all other settings.
const BAD: [(&str, &[&str]); 50] = [
    ("--listen", &["nonsense", "127.0.0.1", "127.0.0.1:99999", ":x", "127.0.0.1:0,nonsense"]),
    (
        "--redis-url",
        &["nonsense", "http://127.0.0.1:6379", "redis+sentinel://127.0.0.1:26379", "redis+sentinel:///x"],
    ),
    ("--redis-prefix", &["{chat}", "a b", "ä"]),
    ("--channels-prefix", &["{chat}", "a:b", "ä"]),
    ("--redis-password-file", &["/no/such/file"]),
    ("--redis-sentinel-password-file", &["/no/such/file"]),
    ("--redis-ca", &["/no/such/file", "/tmp"]),
    ("--redis-cert", &["/no/such/file"]),
    ("--redis-key", &["/no/such/file"]),
    ("--redis-tls-name", &["a b", "https://a", "a:1"]),
    ("--threads", &["many", "-1", "0"]),
    ("--log-level", &["parlor=loud", "=,="]),
    ("--log-format", &["xml", "JSON5"]),
    ("--max-message-bytes", &["many", "-1", "1.5", "99999999999999999999999"]),
    ("--max-name-chars", &["many", "-1", "0"]),
    ("--public-rooms", &["a/b", "lobby,..", "lobby,a:b"]),
    ("--max-outbox-bytes", &["many", "-1", "0"]),
    ("--max-outbox-messages", &["many", "-1", "0"]),
    ("--max-channels", &["many", "-1", "0"]),
    ("--namespaces", &["a b", "dm:presence", "a:history_size=0", "a:presence=maybe", "a:delta"]),
    ("--max-connections", &["many", "-1", "0"]),
    ("--log-messages", &["many", "-1", "0"]),
    ("--log-bytes", &["many", "-1", "1.5"]),
    ("--log-seconds", &["many", "-1", "0"]),
    ("--keep-alive-seconds", &["many", "-1", "1.5"]),
    ("--move-on-seconds", &["many", "-1", "1.5"]),
    ("--drain-seconds", &["many", "-1", "1.5"]),
    ("--wait-replicas", &["many", "-1"]),
    ("--assets", &["/no/such/folder"]),
    ("--secret-file", &["/no/such/file", "/tmp"]),
    ("--session-days", &["many", "-1", "0", "9999"]),
    ("--operator-password-file", &["/no/such/file"]),
    ("--token-key-file", &["/no/such/file"]),
    ("--token-algorithm", &["none", "HS1", "RS"]),
    ("--token-jwks-file", &["/no/such/file"]),
    ("--allowed-hosts", &["https://example.com", "a b", "example.com,*.example.com", "example.com:80"]),
    ("--allowed-origins", &["null", "https://*.a.example", "*.a.example", "app://a/b", "example.com:80"]),
    ("--trusted-proxies", &["nonsense", "10.0.0.0/33", "127.0.0.1,nginx"]),
    ("--messages-per-second", &["many", "-1", "1.5"]),
    ("--bytes-per-second", &["many", "-1", "99999999999999"]),
    ("--address-bytes-per-second", &["many", "-1", "99999999999999"]),
    ("--reads-per-second", &["many", "-1", "1.5"]),
    ("--address-rooms", &["many", "-1", "1.5"]),
    ("--handshakes-per-second", &["many", "-1"]),
    ("--publishes-per-second", &["many", "-1"]),
    ("--logins-per-minute", &["many", "-1"]),
    ("--requests-per-second", &["many", "-1"]),
    ("--connections-per-address", &["many", "-1"]),
    ("--sockets-per-user", &["many", "-1"]),
    ("--sockets-per-address", &["many", "-1"]),
];

/// One line that names the setting and the value.
fn names(text: &str, flag: &str, variable: &str, value: &str) {
    assert_eq!(text.lines().count(), 1, "one line: {text:?}");
    assert!(text.contains(flag) || text.contains(variable), "{flag} or {variable} in {text:?}");
    // A list is rejected for its invalid part.
    let part = value.rsplit(',').next().unwrap();
    assert!(text.contains(part), "what came ({value}) in {text:?}");
    assert!(!text.contains("panicked"), "{text:?}");
}

#[tokio::test]
async fn invalid_flags_are_rejected_in_one_line() {
    for (flag, values) in BAD {
        let (_, variable, _) = SETTINGS.into_iter().find(|(name, ..)| *name == flag).unwrap();
        for value in values {
            // In this form a value may begin with a dash.
            let text = Node::plan().switch(&format!("{flag}={value}")).rejected().await;
            names(&text, flag, variable, value);
            assert!(!text.contains("invalid digit"), "in the words of the settings: {text:?}");
        }
    }
}

#[tokio::test]
async fn invalid_variables_are_rejected_in_one_line() {
    for (flag, values) in BAD {
        let (_, variable, _) = SETTINGS.into_iter().find(|(name, ..)| *name == flag).unwrap();
        let plan = if flag == "--listen" { Node::bare_plan() } else { Node::plan() };
        for value in values {
            let text = plan.clone().env(variable, value).rejected().await;
            names(&text, flag, variable, value);
            assert!(!text.contains("invalid digit"), "in the words of the settings: {text:?}");
        }
    }
}

#[tokio::test]
async fn an_unknown_flag_is_rejected_in_one_line() {
    for flag in ["--lisen", "-x"] {
        let text = Node::bare_plan().switch(flag).rejected().await;
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(text.contains(flag), "{text:?}");
    }
    let text = Node::bare_plan().switch("stray").rejected().await;
    assert!(text.contains("stray") && text.lines().count() == 1, "{text:?}");
}

#[tokio::test]
async fn a_taken_port_ends_the_start_in_one_line() {
    let node = Node::alone().await;
    let address = node.address().to_string();
    for plan in [Node::bare_plan().flag("--listen", &address), Node::plan().flag("--listen", &address)] {
        let text = plan.rejected().await;
        names(&text, "--listen", "PARLOR_LISTEN", &address);
    }
}

#[tokio::test]
async fn a_node_listens_on_every_address() {
    let plans: [Plan; 3] = [
        Node::bare_plan().flag("--listen", "127.0.0.1:0,127.0.0.1:0"),
        Node::bare_plan().flag("--listen", "127.0.0.1:0").flag("--listen", "127.0.0.1:0"),
        Node::bare_plan().env("PARLOR_LISTEN", "127.0.0.1:0,127.0.0.1:0"),
    ];
    for plan in plans {
        let node = Node::from_process(plan.spawn(), 2).await;
        assert_ne!(node.addresses()[0], node.addresses()[1]);
        for address in node.addresses() {
            let mut connection = Connection::connect_to(*address).await;
            assert_eq!(Request::get("/healthz").send_on(&mut connection).await.status, 200, "{address}");
        }
    }
}

#[tokio::test]
async fn a_node_listens_on_one_port_of_both_families() {
    if TcpListener::bind("[::1]:0").is_err() {
        return; // no IPv6 here
    }
    let reserved = ReservedPort::reserve();
    let port = reserved.number();
    for addresses in [format!("0.0.0.0:{port},[::]:{port}"), format!("[::]:{port},0.0.0.0:{port}")] {
        let mut node = Node::from_process(Node::bare_plan().flag("--listen", &addresses).spawn(), 2).await;
        for host in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
            let address = host.parse().expect("an address");
            let mut connection = Connection::connect_to(address).await;
            assert_eq!(Request::get("/healthz").send_on(&mut connection).await.status, 200, "{host}");
        }
        node.kill();
    }
}

#[tokio::test]
async fn a_flag_overrides_its_variable() {
    let node = Node::plan().flag("--max-name-chars", "3").env("PARLOR_MAX_NAME_CHARS", "10").start().await;
    assert_eq!(Request::get("/chat/four/").send(&node).await.status, 400);
    let node = Node::plan().env("PARLOR_MAX_NAME_CHARS", "10").start().await;
    assert_eq!(Request::get("/chat/four/").send(&node).await.status, 200);
}

#[tokio::test]
async fn the_redis_url_may_come_from_the_environment() {
    let redis = Redis::start().await;
    let _node = Node::plan().env("REDIS_URL", &redis.url()).start().await;
    redis.wait_for_nodes(1).await;
}

#[tokio::test]
async fn the_redis_password_may_be_in_the_environment_or_a_file() {
    let redis = Redis::start().await;
    redis.query::<String>(&["CONFIG", "SET", "requirepass", "p@ss/word"]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, "p@ss/word\n").expect("a file");
    let path = file.to_str().expect("UTF-8");
    for plan in [
        Node::plan().redis(&redis).env("PARLOR_REDIS_PASSWORD", "p@ss/word"),
        Node::plan().redis(&redis).flag("--redis-password-file", path),
        Node::plan()
            .env("PARLOR_REDIS_PASSWORD_FILE", path)
            .env("REDIS_URL", &redis.url().replace("//", "//:old@")),
    ] {
        let node = plan.start().await;
        assert_eq!(Request::get("/readyz").send(&node).await.body, "ready (redis)\n");
        assert!(!node.log().text().contains("the command line shows the password"));
        let listed = plan.switch("user").switch("list").spawn().exit(PATIENCE).await;
        assert_eq!(listed.code(), Some(0), "commands use it too");
    }
    let url = redis.url().replace("redis://", "redis://:p%40ss%2Fword@");
    let node = Node::plan().flag("--redis-url", &url).start().await;
    let warned = |line: &str| line.contains("WARN") && line.contains("the command line shows the password");
    let line = node.log().wait_for("a warning", PATIENCE, warned).await;
    assert!(line.contains("PARLOR_REDIS_PASSWORD") && !line.contains("p%40ss"), "{line}");
}

#[tokio::test]
async fn a_wrong_url_of_redis_is_shown_with_its_scheme_and_without_its_password() {
    for (url, shown, why) in [
        ("rediss://:hunter2@a:1,b:2", "rediss://…@a:1,b:2", "one host"),
        ("redis://:hunter2@h:6379?database=2", "redis://…@h:6379?database=2", "than db"),
        ("redis+sentinel://h/m?db=x&sentinel_password=hunter2", "redis+sentinel://h/m?…", "a number"),
        ("unixsocket:///run/redis.sock", "unixsocket:///run/redis.sock", "redis+unix:///path/of/socket?db=0"),
    ] {
        let text = Node::plan().env("REDIS_URL", url).rejected().await;
        assert!(text.contains(shown) && text.contains(why) && !text.contains("hunter2"), "{text:?}");
    }
}

#[tokio::test]
async fn signals_that_ask_others_to_reload_are_ignored() {
    let mut node = Node::alone().await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    for (signal, name) in
        [(Signal::SIGHUP, "SIGHUP"), (Signal::SIGUSR1, "SIGUSR1"), (Signal::SIGUSR2, "SIGUSR2")]
    {
        node.signal(signal);
        let logged = |line: &str| line.contains("signal ignored") && line.contains(name);
        node.log().wait_for(name, PATIENCE, logged).await;
        ann.publish(name).await;
        assert_eq!(ann.receive_chat().await, name);
    }
}

/// The settings in the help, each with its description on one line.
fn settings_in(help: &str) -> BTreeMap<String, String> {
    let mut settings: BTreeMap<String, String> = BTreeMap::new();
    let mut current = None;
    for line in help.lines() {
        let text = line.trim_start();
        if line.len() - text.len() < 8 {
            let flag = text.strip_prefix("--").and_then(|text| text.split_whitespace().next());
            current = flag.map(|flag| format!("--{flag}"));
        }
        if let Some(flag) = &current {
            let description = settings.entry(flag.clone()).or_default();
            description.push_str(text);
            description.push(' ');
        }
    }
    settings
}

#[tokio::test]
async fn help_shows_every_setting_with_its_default_and_variable() {
    let mut process = Node::bare_plan().switch("--help").spawn();
    assert_eq!(process.exit(PATIENCE).await.code(), Some(0));
    let shown = settings_in(&process.stdout.text());
    for (flag, variable, default) in SETTINGS {
        let text = shown.get(flag).unwrap_or_else(|| panic!("{flag} in {:?}", shown.keys()));
        let variable = format!("[env: {variable}");
        assert!(text.contains(&variable) && text.contains(default), "{variable}, {default}: {text}");
    }
    // What these tests try of each setting is tried of all.
    let known: BTreeSet<&str> = SETTINGS.iter().map(|(flag, ..)| *flag).collect();
    assert_eq!(shown.keys().map(String::as_str).collect::<BTreeSet<_>>(), known, "all are known here");
    let tried: BTreeSet<&str> = BAD.iter().map(|(flag, _)| *flag).chain(FREE).collect();
    assert_eq!(tried, known, "with invalid values, if there are any");
    assert_eq!(process.stderr.all(), Vec::<String>::new());
}

#[tokio::test]
async fn help_does_not_show_passwords_from_the_environment() {
    let mut process =
        Node::bare_plan().switch("--help").env("REDIS_URL", "redis://:hunter2@127.0.0.1:6379").spawn();
    assert_eq!(process.exit(PATIENCE).await.code(), Some(0));
    assert!(!process.stdout.text().contains("hunter2"));
}

#[tokio::test]
async fn the_redis_password_is_never_printed() {
    let redis = Redis::reserve();
    let url = format!("redis://ann:hunter2@{}", redis.address());
    let text = Node::plan().flag("--redis-url", &url).flag("--log-level", "debug").ended_with(75).await;
    assert!(text.contains("could not connect to Redis") && !text.contains("hunter2"), "{text:?}");
}

#[tokio::test]
async fn stdout_has_only_the_listening_addresses() {
    let redis = Redis::start().await;
    let mut node = Node::plan().redis(&redis).flag("--log-level", "debug").start().await;
    let wanted = vec![format!("listening on http://{}", node.address())];
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    ann.publish("hi").await;
    ann.receive().await;
    ann.send("bad").await;
    assert_eq!(ann.closed().await.0, 1007);
    Request::get("/nothing").send(&node).await;
    node.signal(Signal::SIGTERM);
    assert_eq!(node.exit(PATIENCE).await.code(), Some(0));
    assert_eq!(node.stdout().all(), wanted);
    assert!(!node.log().all().is_empty(), "the log is on stderr");
}

#[tokio::test]
async fn json_logs_have_one_object_per_line() {
    let mut node = Node::plan().flag("--log-format", "json").flag("--log-level", "debug").start().await;
    let mut ann = TutorialClient::chat(&node, "lobby").await;
    ann.send("bad").await;
    assert_eq!(ann.closed().await.0, 1007);
    node.signal(Signal::SIGTERM);
    assert_eq!(node.exit(PATIENCE).await.code(), Some(0));
    let lines = node.log().all();
    assert!(!lines.is_empty());
    for line in lines.iter().chain(&node.stdout().all()) {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for member in ["timestamp", "level", "target", "message"] {
            assert!(value[member].is_string(), "{member} of {line}");
        }
        assert!(value["fields"].is_null(), "flat: {line}");
    }
    for plan in [
        Node::plan().env("PARLOR_LOG_FORMAT", "json").flag("--max-outbox-bytes", "many"),
        Node::plan().switch("--log-format=json").env("PARLOR_SECRET", "weak"),
    ] {
        let text = plan.rejected().await;
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(
            (&value["level"], &value["target"]),
            (&Value::from("ERROR"), &Value::from("parlor")),
            "{text}"
        );
    }
}

#[tokio::test]
async fn text_logs_in_a_pipe_have_no_colours() {
    let mut node = Node::plan().flag("--log-level", "debug").start().await;
    node.signal(Signal::SIGTERM);
    assert_eq!(node.exit(PATIENCE).await.code(), Some(0));
    assert!(!node.log().text().contains('\u{1b}'), "{}", node.log().text());
}

#[tokio::test]
async fn the_log_level_error_is_quiet() {
    let mut node = Node::plan().flag("--log-level", "error").start().await;
    TutorialClient::chat(&node, "lobby").await.close().await;
    node.signal(Signal::SIGTERM);
    assert_eq!(node.exit(PATIENCE).await.code(), Some(0));
    assert_eq!(node.log().all(), Vec::<String>::new());
}

#[tokio::test]
async fn the_log_begins_with_what_the_node_runs_with() {
    let node = Node::plan().start().await;
    let line = node.log().wait_for("starting", PATIENCE, |line| line.contains("starting")).await;
    for word in [concat!("version=\"", env!("CARGO_PKG_VERSION")), "this node stands alone", "threads=1"] {
        assert!(line.contains(word), "{word} in {line}");
    }
    for word in ["max_connections=", "hosts=", "proxies=\"none\""] {
        assert!(line.contains(word), "{word} in {line}");
    }
}

#[tokio::test]
async fn the_start_names_redis_without_its_password() {
    let redis = Redis::start().await;
    let url = redis.url().replace("redis://", "redis://default:@");
    let node = Node::plan().env("REDIS_URL", &url).start().await;
    let line = node.log().wait_for("starting", PATIENCE, |line| line.contains("starting")).await;
    assert!(line.contains(&redis.address()) && !line.contains('@'), "{line}");
}

#[tokio::test]
async fn an_unknown_variable_is_named_in_a_warning() {
    let known = Node::plan().env("PARLOR_PASSWORD", "x").env("PARLOR_MAX_NAME_CHARS", "10");
    // Kubernetes sets these for a Service that is called parlor.
    let known = known.env("PARLOR_SERVICE_HOST", "10.0.0.1").env("PARLOR_PORT", "tcp://10.0.0.1:8000");
    let node = known.env("PARLOR_LISTN", "127.0.0.1:1").start().await;
    let line = node
        .log()
        .wait_for("unknown environment variable", PATIENCE, |line| {
            line.contains("unknown environment variable")
        })
        .await;
    assert!(line.contains("WARN") && line.contains("PARLOR_LISTN"), "{line}");
    for name in ["PARLOR_PASSWORD", "PARLOR_MAX_NAME_CHARS", "PARLOR_SERVICE_HOST", "PARLOR_PORT"] {
        assert!(!node.log().text().contains(name), "{}", node.log().text());
    }
}

#[tokio::test]
async fn the_level_warning_means_warn_and_another_word_ends_the_start() {
    let node = Node::plan().env("PARLOR_LOG_LEVEL", "Warning").start().await;
    assert!(!node.log().text().contains("INFO"), "{}", node.log().text());
    for word in ["loud", "info,loud"] {
        let text = Node::plan().env("PARLOR_LOG_LEVEL", word).rejected().await;
        names(&text, "--log-level", "PARLOR_LOG_LEVEL", word);
        assert!(text.contains("expected error, warn"), "{text}");
    }
}

#[tokio::test]
async fn a_similar_name_is_suggested() {
    let text = Node::bare_plan().switch("--lisen").rejected().await;
    assert!(text.contains("did you mean `--listen`?") && text.lines().count() == 1, "{text:?}");
    let text = Node::bare_plan().switch("usr").rejected().await;
    assert!(text.contains("did you mean `user`?") && text.lines().count() == 1, "{text:?}");
}

#[tokio::test]
async fn an_empty_variable_is_not_set() {
    let mut plan = Node::plan();
    for (_, variable, _) in SETTINGS {
        plan = plan.env(variable, "");
    }
    let plan = plan.env("PARLOR_ALLOWED_HOSTS", "*").env("PARLOR_DRAIN_SECONDS", "1");
    let node = plan.start().await;
    assert_eq!(Request::get("/chat/lobby/").send(&node).await.status, 200);
}

#[tokio::test]
async fn switches_take_the_usual_words_in_any_case() {
    for (word, status) in [("1", 404), ("TRUE", 404), ("Yes", 404), ("on", 404), ("0", 200), ("No", 200)] {
        let node = Node::plan().env("PARLOR_NO_SIGNUP", word).start().await;
        assert_eq!(Request::get("/accounts/signup/").send(&node).await.status, status, "{word}");
    }
    let text = Node::plan().env("PARLOR_NO_SIGNUP", "maybe").rejected().await;
    names(&text, "--no-signup", "PARLOR_NO_SIGNUP", "maybe");
}
