//! The operator pages: who has access, and what they show.

use serde_json::Value;

use crate::support::cli::operator;
use crate::support::http::{Request, Response};
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::routes::{Way, table};
use crate::support::user::{FIELD, User, form};
use crate::support::wait::{PATIENCE, holds, until};

/// The routes below these paths.
fn ways() -> Vec<Way> {
    let is_ours = |path: &str| path.starts_with("/admin") || path.starts_with("/ws/admin");
    let ways: Vec<Way> = table().into_iter().filter(|way| is_ours(&way.path)).collect();
    assert!(ways.len() >= 15, "{ways:?}");
    ways
}

async fn asked(node: &Node, who: &mut User, method: &str, path: &str) -> Response {
    if method == "socket" {
        return who.open_socket(node, path).await.0;
    }
    let token = who.token(node).await;
    let request = form(path, &[(FIELD, &token), ("action", "ban"), ("user", &"a".repeat(16))]);
    let request = request.method(method).header("Origin", &format!("http://{}", node.address()));
    who.send(node, request).await
}

#[tokio::test]
async fn operator_pages_are_404_for_all_other_users() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut users = [User::anonymous(), User::guest(&node).await, User::registered(&node, "bob").await];
    for way in ways() {
        let path = way.path.replace("{room}", "lobby");
        for who in &mut users {
            for method in [way.method, "DELETE", "PUT"] {
                let response = asked(&node, who, method, &path).await;
                let nothing = asked(&node, who, method, "/adminx/").await;
                let reported =
                    |response: &Response| (response.status, response.body.clone(), response.headers.len());
                assert_eq!(reported(&response), reported(&nothing), "{method} {path} of {:?}", who.name);
                assert_eq!(response.status, 404, "{method} {path} of {:?}", who.name);
            }
        }
        let key = Request::new(if way.method == "socket" { "GET" } else { way.method }, &path);
        assert_eq!(key.header("Authorization", "Bearer plk_x_y").send(&node).await.status, 404, "{path}");
    }
    let audit: i64 = redis.query(&["ZCARD", "parlor:index:auditors"]).await;
    assert_eq!(audit, 0, "nothing was done");
}

#[tokio::test]
async fn operators_see_every_page_in_both_languages() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = operator(&node, &redis, "ann").await;
    for (language, words) in [("zh-CN", "审计日志"), ("en", "Audit log")] {
        for page in [
            "/admin/",
            "/admin/rooms/",
            "/admin/rooms/lobby/",
            "/admin/users/",
            "/admin/keys/",
            "/admin/audit/",
        ] {
            let request =
                Request::get(page).header("Accept", "text/html").header("Accept-Language", language);
            let response = ann.send(&node, request).await;
            assert_eq!(
                (response.status, response.content_type()),
                (200, "text/html"),
                "{page}: {response:?}"
            );
            assert!(page.contains("lobby") || response.body.contains(words), "{page}: {}", response.body);
        }
    }
    let response = ann.get(&node, "/admin").await;
    assert_eq!((response.status, response.header("location")), (308, Some("/admin/")));
    let response = ann.get(&node, "/admin/rooms/?room=%E8%81%8A%20a").await;
    assert_eq!((response.status, response.header("location")), (303, Some("/admin/rooms/%E8%81%8A%20a/")));
    assert_eq!(ann.get(&node, "/admin/rooms/?room=a%2Fb").await.status, 400);
    assert_eq!(
        ann.get(&node, "/admin/rooms/@bob/").await.status,
        400,
        "operators have no page of direct messages"
    );
}

#[tokio::test]
async fn a_form_without_its_csrf_token_is_rejected() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut ann = operator(&node, &redis, "ann").await;
    let before: i64 = redis.query(&["ZCARD", "parlor:index:audit:ann"]).await;
    for way in ways().iter().filter(|way| ["POST", "DELETE"].contains(&way.method)) {
        let path = way.path.replace("{room}", "lobby");
        for action in ["close", "ban", "make"] {
            let fields =
                [("action", action), ("user", "0123456789abcdef"), ("name", "x"), ("scope_read", "on")];
            let response = ann.send(&node, form(&path, &fields).method(way.method)).await;
            assert_eq!(response.status, 403, "{way:?}: {response:?}");
        }
    }
    let after: i64 = redis.query(&["ZCARD", "parlor:index:audit:ann"]).await;
    assert_eq!(before, after);
}

async fn figures(node: &Node, who: &mut User, of: &str) -> Value {
    let response = who.get(node, &format!("/admin/figures?of={of}")).await;
    assert_eq!(response.status, 200, "{response:?}");
    response.json()
}

#[tokio::test]
async fn statistics_cover_every_node() {
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut ann = operator(&nodes[0], &redis, "ann").await;
    let mut bob = User::anonymous().join(&nodes[1], "lobby").await;
    bob.publish("hi").await;
    until(PATIENCE, "figures of two nodes, of which one has a socket", async || {
        let figures = figures(&nodes[0], &mut ann, "nodes").await;
        let rows = figures["rows"].as_array().cloned().unwrap_or_default();
        let sum = |figure: &str| rows.iter().filter_map(|row| row[figure].as_u64()).sum::<u64>();
        let all = (rows.len(), sum("sockets"), sum("published")) == (2, 1, 1);
        let timed = rows.iter().all(|row| row["since_ms"].as_u64() < figures["at"].as_u64());
        holds(all && timed && rows.iter().all(|row| row["lag_ms"].is_number()), || figures.to_string())
    })
    .await;
    assert_eq!(ann.get(&nodes[0], "/admin/figures?of=people").await.status, 400);
}

#[tokio::test]
async fn statistics_list_rooms_and_only_count_direct_messages() {
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut ann = operator(&nodes[0], &redis, "ann").await;
    let [mut bob, eve] = [User::registered(&nodes[0], "bob").await, User::registered(&nodes[1], "eve").await];
    assert_eq!(bob.post(&nodes[0], "/rooms/", &[("room", "cellar")]).await.status, 303);
    let mut sender = bob.join(&nodes[0], "聊天").await;
    for n in 0..3 {
        sender.publish(&n.to_string()).await;
    }
    let _sockets = [
        eve.join(&nodes[1], "聊天").await,
        bob.join(&nodes[0], "cellar").await,
        bob.join(&nodes[0], "@eve").await,
        eve.join(&nodes[1], "@bob").await,
    ];
    assert_eq!(ann.post(&nodes[0], "/admin/rooms/attic/", &[("action", "close")]).await.status, 303);
    let row = |name: &str, users: u64, messages: u64, private: bool, closed: bool| {
        serde_json::json!({
            "name": name, "people": users, "per_minute": messages, "kept": messages, "private": private, "closed": closed,
        })
    };
    let expected =
        [row("聊天", 2, 3, false, false), row("cellar", 1, 0, true, false), row("attic", 0, 0, false, true)];
    until(PATIENCE, "figures of the rooms", async || {
        let figures = figures(&nodes[1], &mut ann, "rooms").await;
        holds(figures["rows"] == serde_json::json!(expected) && figures["talks"] == 1, || figures.to_string())
    })
    .await;
    let page = ann.get(&nodes[0], "/admin/rooms/").await.body;
    for shown in ["<bdi>聊天</bdi>", "<bdi>cellar</bdi>", "<bdi>attic</bdi>"] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    for hidden in ["dm:", "@bob", "@eve"] {
        assert!(!page.contains(hidden), "{hidden} in {page}");
    }
}
