//! What operators do to accounts and keys, what they cannot do to themselves, and the audit page.

use futures_util::future::join_all;

use crate::support::cli::operator;
use crate::support::http::Request;
use crate::support::metrics::metric;
use crate::support::node::Node;
use crate::support::operator_site::{OperatorSite, pairs};
use crate::support::redis_proxy::RedisProxy;
use crate::support::user::{SESSION, User};
use crate::support::wait::seconds;

#[tokio::test]
async fn ended_sessions_and_changed_roles_take_effect_at_once() {
    let mut scene = OperatorSite::start().await;
    let mut bob = User::registered(&scene.nodes[1], "bob").await;
    let mut socket = bob.join(&scene.nodes[1], "lobby").await;
    let id = socket.user().to_owned();
    assert_eq!(scene.post("/admin/users/", &[("action", "end_logins"), ("user", &id)]).await, 303);
    assert_eq!(socket.closed(seconds(1)).await.0, 4401);
    assert!(!bob.get(&scene.nodes[1], "/chat/").await.body.contains("id=\"logout\""), "no user is logged in");
    let mut bob = User::logged_in(&scene.nodes[1], "bob").await;
    for (action, status) in [("staff_on", 200), ("staff_off", 404)] {
        let mut socket = bob.join(&scene.nodes[1], "lobby").await;
        assert_eq!(scene.post("/admin/users/", &[("action", action), ("user", &id)]).await, 303);
        assert_eq!(socket.closed(seconds(1)).await.0, 1012);
        assert_eq!(bob.get(&scene.nodes[1], "/admin/").await.status, status);
    }
    let about = format!("bob ({id})");
    assert_eq!(
        scene.audit_entries(3).await,
        pairs(&[("staff_off", "bob"), ("staff_on", "bob"), ("end_logins", &about)])
    );
}

#[tokio::test]
async fn a_deed_takes_few_round_trips_however_many_logins_a_user_has() {
    const LOGINS: usize = 20;
    const MAX_CALLS: i64 = 30;
    let mut scene = OperatorSite::start().await;
    let bob = User::registered(&scene.nodes[1], "bob").await;
    let id = bob.join(&scene.nodes[1], "lobby").await.user().to_owned();
    let node = &scene.nodes[1];
    let browsers = join_all((0..LOGINS).map(|_| async {
        let mut browser = User::guest(node).await;
        assert_eq!(browser.log_in(node, "bob").await.status, 303);
        browser
    }));
    let mut browsers = browsers.await;
    for action in ["ban", "unban", "end_logins"] {
        let calls = "parlor_redis_round_trip_seconds_count";
        let before = metric(&scene.nodes[0], calls).await;
        assert_eq!(scene.post("/admin/users/", &[("action", action), ("user", &id)]).await, 303);
        let calls = metric(&scene.nodes[0], calls).await - before;
        assert!(calls <= MAX_CALLS, "{action}: {calls} round trips");
        for browser in &mut browsers {
            let mut guest = browser.clone();
            guest.remove_cookie(SESSION);
            let status = if action == "ban" { 403 } else { 200 };
            assert_eq!(guest.get(&scene.nodes[0], "/chat/lobby/").await.status, status, "{action}");
        }
    }
    assert_eq!(scene.redis.single().keys("parlor:record:login:*").await.len(), 1, "ann's");
}

#[tokio::test]
async fn a_former_operator_loses_the_operator_pages() {
    let mut scene = OperatorSite::start().await;
    let eve = operator(&scene.nodes[1], &scene.redis, "eve").await;
    let mut tail = eve.handshake_at("/ws/admin/lobby/").connect(&scene.nodes[1]).await;
    let id = tail.user().to_owned();
    assert_eq!(scene.post("/admin/users/", &[("action", "staff_off"), ("user", &id)]).await, 303);
    assert_eq!(tail.closed(seconds(1)).await.0, 1012);
    assert_eq!(eve.open_socket(&scene.nodes[1], "/ws/admin/lobby/").await.0.status, 404);
}

#[tokio::test]
async fn operators_cannot_act_on_themselves_or_unknown_users() {
    let mut scene = OperatorSite::start().await;
    let own = scene.ann.join(&scene.nodes[0], "lobby").await.user().to_owned();
    for (path, action, user) in [
        ("/admin/users/", "ban", own.as_str()),
        ("/admin/users/", "staff_off", &own),
        ("/admin/rooms/lobby/", "ban", &own),
        ("/admin/rooms/lobby/", "kick", "bob"),
        ("/admin/users/", "ban", "*"),
        ("/admin/users/", "staff_on", "0123456789abcdef"),
        ("/admin/users/", "end_logins", "0123456789abcdef"),
        ("/admin/users/", "promote", "0123456789abcdef"),
        ("/admin/rooms/lobby/", "burn", "0123456789abcdef"),
        ("/admin/keys/", "burn", "0123456789abcdef"),
    ] {
        assert_eq!(
            scene.post(path, &[("action", action), ("user", user)]).await,
            400,
            "{path} {action} {user}"
        );
    }
    let audited: i64 = scene.redis.single().query(&["ZCARD", "parlor:index:audit:ann"]).await;
    assert_eq!(audited, 0);
}

#[tokio::test]
async fn a_key_is_shown_once_and_can_be_revoked() {
    let mut scene = OperatorSite::start().await;
    for (fields, status) in [
        (&[("action", "make"), ("name", "billing")][..], 400),
        (&[("action", "make"), ("name", "a b"), ("scope_read", "on")], 400),
        (&[("action", "revoke"), ("name", "billing")], 404),
    ] {
        assert_eq!(scene.post("/admin/keys/", fields).await, status, "{fields:?}");
    }
    let fields = [("action", "make"), ("name", "billing"), ("scope_read", "on"), ("scope_publish", "on")];
    let page = scene.ann.post(&scene.nodes[0], "/admin/keys/", &fields).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.headers.iter().any(|(_, value)| value == "no-store"), "{:?}", page.headers);
    let text =
        page.body.split_once("id=\"made-key\">").expect("the key").1.split('<').next().expect("a text");
    let rooms = Request::get("/api/rooms").header("Authorization", &format!("Bearer {text}"));
    assert_eq!(rooms.send(&scene.nodes[1]).await.status, 200);
    let page = scene.ann.get(&scene.nodes[1], "/admin/keys/").await.body;
    assert!(page.contains("#billing") && !page.contains("plk_"), "{page}");
    assert_eq!(scene.post("/admin/keys/", &fields).await, 409);
    assert_eq!(scene.post("/admin/keys/", &[("action", "revoke"), ("name", "billing")]).await, 303);
    assert_eq!(rooms.send(&scene.nodes[1]).await.status, 401);
    let expected = [("key_revoke", "billing"), ("key_add", "billing: publish, read")];
    assert_eq!(scene.audit_entries(2).await, pairs(&expected));
}

#[tokio::test]
async fn a_revocation_spares_a_key_that_took_the_name_meanwhile() {
    let site = OperatorSite::start().await;
    let proxy = RedisProxy::start(site.redis.single()).await;
    let slow = Node::plan().env("REDIS_URL", &proxy.url()).start().await;
    let (node, mut ann) = (&site.nodes[0], site.ann);
    let make = [("action", "make"), ("name", "billing"), ("scope_read", "on")];
    let revoke = [("action", "revoke"), ("name", "billing")];
    assert_eq!(ann.post(node, "/admin/keys/", &make).await.status, 200);
    let mut late = ann.clone();
    proxy.hold_from("key_revoke");
    let meanwhile = async {
        proxy.wait_until_held().await;
        assert_eq!(ann.post(node, "/admin/keys/", &revoke).await.status, 303);
        assert_eq!(ann.post(node, "/admin/keys/", &make).await.status, 200);
        proxy.open();
    };
    let (revoked, ()) = tokio::join!(late.post(&slow, "/admin/keys/", &revoke), meanwhile);
    assert_eq!(revoked.status, 303, "the key that was meant is gone: {}", revoked.body);
    assert!(ann.get(node, "/admin/keys/").await.body.contains("#billing"), "the new key is there");
}

#[tokio::test]
async fn a_role_of_an_account_that_is_gone_meanwhile_is_not_given() {
    let site = OperatorSite::start().await;
    let proxy = RedisProxy::start(site.redis.single()).await;
    let slow = Node::plan().env("REDIS_URL", &proxy.url()).start().await;
    let mut ann = site.ann;
    let id = User::registered(&slow, "bob").await.join(&slow, "lobby").await.user().to_owned();
    proxy.hold_from("staff_on");
    let meanwhile = async {
        proxy.wait_until_held().await;
        assert_eq!(site.redis.single().query::<i64>(&["DEL", "parlor:record:user:bob"]).await, 1);
        proxy.open();
    };
    let fields = [("action", "staff_on"), ("user", &*id)];
    let (given, ()) = tokio::join!(ann.post(&slow, "/admin/users/", &fields), meanwhile);
    assert_eq!(given.status, 400, "{}", given.body);
}

#[tokio::test]
async fn the_audit_page_shows_operator_action_subject_and_time() {
    let mut scene = OperatorSite::start().await;
    for n in 0..201 {
        let action = if n % 2 == 0 { "close" } else { "reopen" };
        assert_eq!(scene.post("/admin/rooms/%E8%81%8A%E5%A4%A9/", &[("action", action)]).await, 303);
    }
    let page = scene.ann.get(&scene.nodes[1], "/admin/audit/").await.body;
    assert_eq!(page.matches("<tr data-what=").count(), 200, "the newest");
    assert!(
        page.contains("<bdi>ann</bdi>")
            && page.contains("<bdi>聊天</bdi>")
            && page.contains("<time datetime=\"20")
    );
    let page = scene.ann.get(&scene.nodes[1], "/admin/audit/?all=1").await.body;
    assert_eq!(page.matches("<tr data-what=").count(), 202, "with how ann's account was made");
    assert!(page.contains("command line ("), "{page}");
}
