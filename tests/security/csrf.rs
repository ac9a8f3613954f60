//! Cross-site request forgery: every route that changes something rejects forged requests and
//! changes nothing.

use crate::support::access_fixture::invite;
use crate::support::cli::operator;
use crate::support::deeds::{Body, Role, Token, deeds};
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::redis_snapshot::{changes, vault};
use crate::support::routes::{Way, rows, with_method};
use crate::support::user::{FIELD, User, form, password};

#[tokio::test]
async fn every_changing_route_rejects_forged_requests() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let own = format!("http://{}", node.address());
    let mut bob = User::registered(&node, "bob").await;
    let strangers = bob.token(&node).await;
    let user = bob.join(&node, "hall").await.user().to_owned();
    let mut ann = User::registered(&node, "ann").await;
    assert_eq!(ann.post(&node, "/rooms/", &[("room", "cellar")]).await.status, 303);
    let mut host = User::registered(&node, "host").await;
    assert_eq!(host.post(&node, "/rooms/", &[("room", "wine")]).await.status, 303);
    let invitation = invite(&node, &mut host, "wine").await;
    let mut op = operator(&node, &redis, "op").await;
    for deed in deeds(&invitation, &user) {
        let mut guest = User::guest(&node).await;
        let person = match deed.who {
            Role::Ann => &mut ann,
            Role::Guest => &mut guest,
            Role::Operator => &mut op,
        };
        let what = format!("{} {}", deed.way.method, deed.target);
        let token = person.token(&node).await;
        let before = vault(&redis).await;
        let with = |cookie, sent| deed.request(person, &Token { cookie, sent });
        let mut forged = vec![
            ("without a token", with(Some(&*token), None)),
            ("with a wrong token", with(Some(&*token), Some("x"))),
            ("with an empty token", with(Some(&*token), Some(""))),
            ("with empty tokens", with(Some(""), Some(""))),
            ("with a token and no cookie", with(None, Some(&*token))),
            ("with bob's token", with(Some(&*token), Some(&*strangers))),
        ];
        for (name, value) in [
            ("Origin", "http://evil.example"),
            ("Origin", "null"),
            ("Referer", "http://evil.example/page"),
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
        ] {
            forged.push((value, with(Some(&*token), Some(&*token)).header(name, value)));
        }
        if let Body::Form(_) = deed.body {
            forged.push(("with its own origin only", with(Some(&*token), None).header("Origin", &own)));
        }
        for (how, request) in forged {
            let response = request.send(&node).await;
            assert_eq!(response.status, 403, "{what} {how}: {response:?}");
        }
        let changed = changes(&before, &vault(&redis).await);
        assert!(changed.is_empty(), "{what}: forged requests changed {changed:?}");
        let response = with(Some(&*token), Some(&*token)).header("Origin", &own).send(&node).await;
        assert!(response.status < 400, "{what}, as it should be: {response:?}");
    }
}

#[tokio::test]
async fn the_csrf_tests_cover_every_changing_route() {
    let deeds: Vec<Way> = deeds("", "").into_iter().map(|deed| deed.way).collect();
    let ways = with_method(&["POST", "PUT", "PATCH", "DELETE"]);
    // Commands for a connection whose id is secret: `centrifugo::emulation`.
    let ways = ways.into_iter().filter(|way| way.path != "/emulation");
    let missing: Vec<_> = ways.filter(|way| !deeds.contains(way)).collect();
    assert!(missing.is_empty(), "routes without an attack: {missing:?}");
    for row in rows().into_iter().filter(|row| row.method != "GET") {
        let csrf = row.csrf.as_deref();
        assert!(matches!(csrf, Some("token" | "session-token" | "origin")), "a CSRF rule: {row:?}");
    }
}

#[tokio::test]
async fn a_foreign_page_cannot_log_a_visitor_in() {
    let node = Node::alone().await;
    User::registered(&node, "mallory").await;
    let fields = [("name", "mallory"), ("password", &*password("mallory"))];
    for (name, value) in [
        ("Origin", "http://evil.example"),
        ("Referer", "http://evil.example/"),
        ("Sec-Fetch-Site", "cross-site"),
        ("X", "y"),
    ] {
        let response = form("/accounts/login/", &fields).header(name, value).send(&node).await;
        assert_eq!(response.status, 403, "{name}: {value}: {response:?}");
        assert!(
            !response.headers.iter().any(|(_, value)| value.starts_with("parlor_session=")),
            "{response:?}"
        );
    }
}

#[tokio::test]
async fn a_csrf_token_in_the_query_is_ignored() {
    let node = Node::alone().await;
    let mut ann = User::anonymous();
    let token = ann.token(&node).await;
    let target = format!("/accounts/signup/?{FIELD}={token}&csrftoken={token}");
    let request = form(&target, &[("name", "ann"), ("password", "the long secret")]);
    let own = format!("http://{}", node.address());
    let response = ann.with_cookies(request).header("Origin", &own).send(&node).await;
    assert_eq!(response.status, 403, "{response:?}");
}
