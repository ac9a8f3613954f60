//! Sessions: each log-in creates a new one, it ends when it is ended, and its secret is stored only
//! in the browser.

use std::collections::BTreeMap;

use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::user::{CSRF, SESSION, User};

/// Whether the cookie is a session: only then it can get a ticket.
async fn is_login(node: &Node, session: &str) -> bool {
    let mut person = User::anonymous();
    person.set_cookie(SESSION, session);
    let token = person.token(node).await;
    let own = format!("http://{}", node.address());
    let request = Request::post("/api/tickets").header("Origin", &own).header("X-CSRFToken", &token);
    let response = person.send(node, request.body("")).await;
    assert!(matches!(response.status, 201 | 401 | 403), "{response:?}");
    response.status == 201
}

fn session_of(person: &User) -> String {
    person.cookie(SESSION).expect("a login").to_owned()
}

#[tokio::test]
async fn each_login_gets_a_new_session_secret() {
    let node = Node::alone().await;
    let chosen = "A".repeat(43);
    let mut ann = User::anonymous();
    ann.set_cookie(SESSION, &chosen);
    let before = ann.token(&node).await;
    assert_eq!(ann.sign_up(&node, "ann").await.status, 303);
    let first = session_of(&ann);
    assert_ne!(first, chosen);
    assert_ne!(ann.cookie(CSRF), Some(before.as_str()), "the token of the form changes, too");
    assert!(!is_login(&node, &chosen).await, "a secret that a stranger chose");
    assert!(is_login(&node, &first).await);

    // Again in the same browser: the previous session ends.
    let before = ann.token(&node).await;
    assert_eq!(ann.log_in(&node, "ann").await.status, 303);
    let second = session_of(&ann);
    assert_ne!(second, first);
    assert_ne!(ann.cookie(CSRF), Some(before.as_str()));
    assert!(is_login(&node, &second).await);
    assert!(!is_login(&node, &first).await, "the login that was renewed");

    // In another browser: both are valid.
    let bob = User::logged_in(&node, "ann").await;
    assert!(is_login(&node, &session_of(&bob)).await && is_login(&node, &second).await);
}

#[tokio::test]
async fn a_planted_cookie_gains_nothing_from_a_login() {
    let node = Node::alone().await;
    let mallory = User::registered(&node, "mallory").await;
    User::registered(&node, "ann").await;
    // The victim's browser has every cookie of the attacker's, as a neighbouring host could set
    // them.
    let mut victim = mallory.clone();
    assert_eq!(victim.log_in(&node, "ann").await.status, 303);
    assert_ne!(session_of(&victim), session_of(&mallory));
    let ann = victim.join(&node, "lobby").await;
    let now = mallory.join(&node, "lobby").await;
    assert_ne!(ann.user(), now.user());
    assert_ne!(ann.welcome["names"][ann.user()], now.welcome["names"][now.user()]);
}

#[tokio::test]
async fn an_ended_sessions_cookie_stays_invalid() {
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut ann = User::registered(&nodes[0], "ann").await;
    let kept = session_of(&ann);
    assert!(is_login(&nodes[1], &kept).await);
    assert_eq!(ann.log_out(&nodes[0]).await.status, 303);
    assert_eq!(ann.cookie(SESSION), None, "the cookie is removed");
    for node in &nodes {
        assert!(!is_login(node, &kept).await);
    }
}

#[tokio::test]
async fn an_invalid_session_cookie_is_anonymous() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let ann = User::registered(&node, "ann").await;
    let real = session_of(&ann);
    let logins = redis.keys("parlor:record:login:*").await;
    let hash = logins[0].rsplit(':').next().expect("a hash").to_owned();
    let mut flipped = real.clone().into_bytes();
    flipped[20] = if flipped[20] == b'x' { b'y' } else { b'x' };
    for cookie in [
        String::new(),
        "*".to_owned(),
        "A".repeat(43),
        hash,
        format!("{real}A"),
        real[..42].to_owned(),
        real.to_lowercase(),
        String::from_utf8(flipped).unwrap(),
        format!("{real}%00"),
        format!("\"{real}\""),
        format!(" {real} x"),
    ] {
        assert!(!is_login(&node, &cookie).await, "{cookie:?}");
    }
    assert!(is_login(&node, &real).await);
}

#[tokio::test]
async fn the_session_cookie_is_http_only_and_same_site() {
    let node = Node::plan().flag("--trusted-proxies", "127.0.0.1/32").start().await;
    for (scheme, secure) in [("http", false), ("https", true)] {
        let mut ann = User::anonymous().with_header("X-Forwarded-Proto", scheme);
        let response = ann.sign_up(&node, &format!("ann-{scheme}")).await;
        assert_eq!(response.status, 303, "{response:?}");
        let session = if secure { "__Host-parlor_session" } else { SESSION };
        for name in [session, CSRF] {
            let attributes = response.cookie(name).to_ascii_lowercase();
            assert!(attributes.contains("; samesite=lax") && attributes.contains("; path=/"), "{attributes}");
            assert_eq!(attributes.contains("; httponly"), name == session, "{attributes}");
            assert_eq!(attributes.contains("; secure"), secure, "{scheme}: {attributes}");
            assert!(!attributes.contains("; domain"), "{attributes}");
        }
    }
}

#[tokio::test]
async fn redis_and_the_log_contain_no_session_secret_or_password() {
    let redis = Redis::start().await;
    let node = Node::plan().redis(&redis).flag("--log-level", "trace").start().await;
    let mut ann = User::registered(&node, "ann").await;
    let own = format!("http://{}", node.address());
    let token = ann.token(&node).await;
    let request = Request::post("/api/tickets").header("Origin", &own).header("X-CSRFToken", &token);
    let response = ann.send(&node, request.body("")).await;
    let ticket = response.json()["ticket"].as_str().expect("a ticket").to_owned();
    ann.join(&node, "lobby").await.publish("hi").await;
    Request::upgrade(&format!("/ws/chat/lobby/?ticket={ticket}x")).send(&node).await;
    User::anonymous()
        .post(&node, "/accounts/login/", &[("name", "ann"), ("password", "hunter2hunter2")])
        .await;
    let secrets: BTreeMap<&str, String> = BTreeMap::from([
        ("the login", session_of(&ann)),
        ("the ticket", ticket),
        ("the password", crate::support::user::password("ann")),
        ("a wrong password", "hunter2hunter2".to_owned()),
        ("the guest's cookie", ann.cookie("parlor_guest").unwrap_or("none at all").to_owned()),
    ]);
    let mut kept = node.log().text();
    for key in redis.keys("*").await {
        let dump: Vec<u8> = redis.query(&["DUMP", &key]).await;
        kept.extend([&*key, " ", &*String::from_utf8_lossy(&dump), "\n"]);
    }
    for (what, secret) in secrets {
        assert!(!kept.contains(&secret), "{what} is in Redis or in the log");
    }
}
