//! TLS to Redis: chat over it, and what is wrong with a certificate, in words.

use crate::support::authority::{Authority, Certificate};
use crate::support::http::Request;
use crate::support::node::{Node, Plan};
use crate::support::tls_redis::TlsRedis;
use crate::support::v1_client::V1Client;
use crate::support::wait::{PATIENCE, holds, until};

/// The line of a start that ends with this exit code has these words in it.
async fn ends(plan: &Plan, code: i32, words: &[&str]) {
    let text = plan.ended_with(code).await;
    assert_eq!(text.lines().filter(|line| line.starts_with("parlor: ")).count(), 1, "one line: {text:?}");
    for word in words {
        assert!(text.contains(word), "{word:?} in {text:?}");
    }
}

fn with_certificate(plan: Plan, certificate: &Certificate) -> Plan {
    plan.flag("--redis-cert", &certificate.cert).flag("--redis-key", &certificate.key)
}

#[tokio::test]
async fn nodes_and_commands_speak_only_tls_to_redis() {
    let tls = TlsRedis::start().await;
    let (near, far) = (tls.plan().start().await, tls.plan().env("REDIS_URL", &tls.url("localhost")));
    let far = far.start().await;
    let mut ann = V1Client::join(&near, "lobby").await;
    let mut bob = V1Client::join(&far, "lobby").await;
    // More than a record, and more than one write to the socket.
    let long = "x".repeat(60_000);
    for text in ["hi", long.as_str()] {
        ann.publish(text).await;
        assert_eq!(bob.receive().await["text"], text);
    }
    assert_eq!(Request::get("/readyz").send(&near).await.body, "ready (redis)\n");
    let command = tls.plan().env("PARLOR_PASSWORD", "a long enough password");
    let mut added = command.switch("user").switch("add").switch("carol").spawn();
    assert_eq!(added.exit(PATIENCE).await.code(), Some(0), "{}", added.stderr.text());
    let clients: String = tls.redis.query(&["CLIENT", "LIST"]).await;
    let plain = format!("laddr={} ", tls.redis.address());
    let plain: Vec<_> = clients.lines().filter(|line| line.contains(&plain)).collect();
    assert_eq!(plain.len(), 1, "only the test itself uses the port without TLS: {plain:?}");
    assert!(clients.lines().count() > 4, "{clients}");
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_gets_that_of_the_settings() {
    let authority = Authority::new("the test's");
    let (server, client) = (authority.issue(&["127.0.0.1"]), authority.issue(&["node"]));
    let other = Authority::new("another");
    let foreign = other.issue(&["node"]);
    let mut tls = TlsRedis::with(authority, &server, &["--tls-auth-clients", "yes"]).await;
    for _ in 0..2 {
        let node = with_certificate(tls.plan(), &client).start().await;
        let mut ann = V1Client::join(&node, "lobby").await;
        ann.publish("hi").await;
        ends(&tls.plan(), 2, &["requires a certificate", "--redis-cert", "--redis-key"]).await;
        ends(&with_certificate(tls.plan(), &foreign), 2, &["refuses the certificate of --redis-cert"]).await;
        // TLS 1.2 refuses in the handshake, 1.3 after it.
        let settings = ["--tls-auth-clients", "yes", "--tls-protocols", "TLSv1.2"];
        tls = TlsRedis::with(tls.authority, &server, &settings).await;
    }
}

#[tokio::test]
async fn an_authority_that_is_not_trusted_ends_the_start() {
    let tls = TlsRedis::start().await;
    let other = Authority::new("another");
    let words = ["authority that is not trusted", "--redis-ca"];
    ends(&tls.plan().env("PARLOR_REDIS_CA", &other.file()), 2, &words).await;
    let of_system = tls.plan().without_env("PARLOR_REDIS_CA");
    ends(&of_system.clone().env("SSL_CERT_FILE", &other.file()), 2, &words).await;
    let _node = of_system.env("SSL_CERT_FILE", &tls.authority.file()).start().await;
    // An authority of the same name, as one that was made again.
    let namesake = Authority::new("the test's");
    ends(&tls.plan().env("PARLOR_REDIS_CA", &namesake.file()), 2, &["not signed", "--redis-ca"]).await;
}

#[tokio::test]
async fn a_certificate_of_another_name_is_accepted_only_by_that_name() {
    let authority = Authority::new("the test's");
    let certificate = authority.issue(&["redis.example.com", "10.1.2.3"]);
    let tls = TlsRedis::with(authority, &certificate, &[]).await;
    let words = ["for redis.example.com, 10.1.2.3, not for 127.0.0.1", "--redis-tls-name"];
    ends(&tls.plan(), 2, &words).await;
    let by_name = tls.plan().env("REDIS_URL", &tls.url("localhost"));
    ends(&by_name, 2, &["for redis.example.com, 10.1.2.3, not for localhost"]).await;
    for name in ["redis.example.com", "10.1.2.3"] {
        let _node = tls.plan().flag("--redis-tls-name", name).start().await;
    }
    tls.change_certificate(&tls.authority.issue(&[])).await;
    ends(&tls.plan(), 2, &["for no name (subjectAltName), not for 127.0.0.1"]).await;
    tls.change_certificate(&tls.authority.own()).await;
    ends(&tls.plan(), 2, &["that of an authority (CA:TRUE)"]).await;
}

#[tokio::test]
async fn a_certificate_that_expires_is_named_until_it_is_renewed() {
    let tls = TlsRedis::start().await;
    let expired = tls.authority.issue_for(2020..2021, &["127.0.0.1"]);
    let node = tls.plan().start().await;
    tls.change_certificate(&expired).await;
    ends(&tls.plan(), 2, &["certificate expired", "days ago", "renew it"]).await;
    let says = |line: &str| line.contains("certificate expired");
    node.log().wait_for("the reason", PATIENCE, says).await;
    let state = Request::get("/readyz").send(&node).await;
    assert!(state.status == 503 && state.body.contains("certificate expired"), "{state:?}");
    tls.change_certificate(&tls.authority.issue_for(2090..2099, &["127.0.0.1"])).await;
    ends(&tls.plan(), 75, &["not valid yet", "is the clock right?"]).await;
    tls.change_certificate(&tls.authority.issue(&["127.0.0.1"])).await;
    until(PATIENCE, "the node to be ready again", async || {
        let state = Request::get("/readyz").send(&node).await;
        holds(state.status == 200, || format!("{state:?}"))
    })
    .await;
}

#[tokio::test]
async fn the_wrong_one_of_two_ports_is_named() {
    let tls = TlsRedis::start().await;
    let address = tls.port.address().to_string();
    let plain = Node::plan().env("REDIS_URL", &format!("redis://{address}"));
    ends(&plain, 2, &["speaks TLS", "REDIS_URL with rediss"]).await;
    let url = format!("rediss://{}", tls.redis.address());
    ends(&tls.plan().env("REDIS_URL", &url), 2, &["speaks no TLS", "REDIS_URL with redis "]).await;
    let node = Node::alone().await;
    let url = format!("rediss://{}", node.address());
    ends(&tls.plan().env("REDIS_URL", &url), 2, &["speaks no TLS"]).await;
}

#[tokio::test]
async fn settings_of_tls_that_do_not_fit_end_the_start() {
    let authority = Authority::new("the test's");
    let (one, other) = (authority.issue(&["one"]), authority.issue(&["other"]));
    let empty = tempfile::NamedTempFile::new().expect("a file");
    let empty = empty.path().to_str().expect("UTF-8");
    let (url, ca) = ("rediss://127.0.0.1:1", authority.file());
    for (url, flags, words) in [
        (url, &[("--redis-cert", &*one.cert)][..], &["--redis-cert", "--redis-key (PARLOR_REDIS_KEY)"][..]),
        (url, &[("--redis-key", &*one.key)], &["--redis-key", "--redis-cert (PARLOR_REDIS_CERT)"]),
        (url, &[("--redis-ca", empty)], &["--redis-ca", "a certificate in PEM", empty]),
        (url, &[("--redis-cert", &*one.key), ("--redis-key", &*one.key)], &["--redis-cert", "PEM"]),
        (url, &[("--redis-cert", &*one.cert), ("--redis-key", empty)], &["--redis-key", "a key in PEM"]),
        (url, &[("--redis-cert", &*one.cert), ("--redis-key", &*other.key)], &["--redis-cert", "not usable"]),
        ("redis://127.0.0.1:1", &[("--redis-ca", &*ca)], &["--redis-ca", "rediss://"]),
        ("redis://127.0.0.1:1", &[("--redis-tls-name", "a")], &["--redis-tls-name", "rediss://"]),
        (url, &[("--redis-sentinel-password-file", empty)], &["--redis-sentinel", "redis+sentinel://"]),
        ("redis+unix:///run/redis.sock", &[("--redis-ca", &*ca)], &["--redis-ca", "rediss://"]),
    ] {
        let plan = flags.iter().fold(Node::plan(), |plan, (flag, value)| plan.flag(flag, value));
        ends(&plan.env("REDIS_URL", url), 2, words).await;
        let command = flags.iter().fold(Node::bare_plan(), |plan, (flag, value)| plan.flag(flag, value));
        ends(&command.env("REDIS_URL", url).switch("user").switch("list"), 2, words).await;
    }
}
