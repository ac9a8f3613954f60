//! Sites of two prefixes or databases on one Redis share nothing in it but what they are set to.

use std::time::Duration;

use serde_json::json;

use crate::push::streams::ask;
use crate::support::node::{Node, Plan};
use crate::support::payload::{HI, event};
use crate::support::redis::Redis;
use crate::support::tutorial_client::TutorialClient;
use crate::support::user::{User, password};
use crate::support::v1_client::{V1Client, text_of};
use crate::support::wait::{PATIENCE, holds, seconds, until};

/// Time in which everything that reaches another site would be there.
const QUIET: Duration = seconds(1);
/// What a client of another site must not receive.
const FOREIGN: [&str; 6] = ["message", "gap", "presence", "typing", "push", "removed"];

fn site(redis: &Redis, database: u8, prefix: &str) -> Plan {
    Node::plan().flag("--redis-url", &format!("{}/{database}", redis.url())).flag("--redis-prefix", prefix)
}

/// Adds an operator to a site by its command line, and logs in.
async fn operator(plan: &Plan, node: &Node) -> User {
    let command = plan.clone().env("PARLOR_PASSWORD", &password("zed"));
    let words = ["user", "add", "--staff", "zed"];
    let mut process = words.iter().fold(command, |plan, word| plan.switch(word)).spawn();
    assert!(process.exit(PATIENCE).await.success(), "{}", process.stderr.text());
    User::logged_in(node, "zed").await
}

/// Does on each site in turn what its nodes exchange: no other site receives any of it.
async fn share_nothing(plans: &[Plan]) {
    let mut sites = Vec::new();
    for plan in plans {
        sites.push((plan.start().await, plan.start().await));
    }
    let mut members = Vec::new();
    for (node, _) in &sites {
        let member = V1Client::join(node, "lobby").await;
        assert_eq!(member.welcome["count"], 1, "{}", member.welcome);
        members.push((member, TutorialClient::push(node, "lobby").await));
    }
    for (number, (_, other)) in sites.iter().enumerate() {
        let mut friend = V1Client::join(other, "lobby").await;
        assert_eq!(friend.welcome["count"], 2, "{}", friend.welcome);
        friend.send_json(&json!({ "type": "typing" })).await;
        friend.publish(&format!("from site {number}")).await;
        ask(other, "POST", "lobby").await;
        let (member, page) = &mut members[number];
        for kind in ["presence", "typing", "message"] {
            let frame = member.receive_frame(kind).await;
            assert!(kind != "message" || text_of(&frame) == format!("from site {number}"), "{frame}");
        }
        page.receive().await;
        ask(other, "DELETE", "lobby").await;
        friend.close().await;
    }
    for (member, page) in &mut members {
        member.receive_frame("presence").await;
        member.take_unread();
        member.receives_none_of(&FOREIGN, QUIET).await;
        page.receives_nothing_for(QUIET).await;
    }
    let (plan, (node, _)) = (&plans[0], &sites[0]);
    let mut zed = operator(plan, node).await;
    let status = zed.post(node, "/admin/rooms/lobby/", &[("action", "close")]).await.status;
    assert!(status < 400, "{status}");
    let mut members = members.into_iter().map(|(member, _)| member);
    members.next().expect("a member").closed(PATIENCE).await;
    for mut member in members {
        member.publish("still open").await;
        member.receive_frame("message").await;
    }
}

#[tokio::test]
async fn sites_on_two_databases_share_nothing() {
    let redis = Redis::start().await;
    share_nothing(&[site(&redis, 0, "parlor"), site(&redis, 1, "parlor")]).await;
}

#[tokio::test]
async fn sites_with_two_prefixes_share_nothing() {
    let redis = Redis::start().await;
    let with_channels = site(&redis, 0, "third").flag("--channels-prefix", "third");
    share_nothing(&[site(&redis, 0, "parlor"), site(&redis, 0, "staging"), with_channels]).await;
}

#[tokio::test]
async fn events_of_django_reach_the_sites_with_its_prefix() {
    let redis = Redis::start().await;
    let sites = [
        (site(&redis, 0, "parlor"), Some("asgi")),
        (site(&redis, 0, "staging"), None),
        (site(&redis, 1, "parlor"), None),
        (site(&redis, 0, "shop").flag("--channels-prefix", "shop"), Some("shop")),
        (site(&redis, 2, "parlor").flag("--channels-prefix", "forum"), Some("forum")),
    ];
    let mut members = Vec::new();
    for (plan, prefix) in &sites {
        let node = plan.start().await;
        let member = TutorialClient::chat(&node, "lobby").await;
        let is_logged = node.log().text().contains("not exchanging events with Django");
        assert_eq!(is_logged, prefix.is_none(), "{}", node.log().text());
        members.push((node, member));
    }
    for (number, (_, prefix)) in sites.iter().enumerate() {
        let Some(prefix) = prefix else { continue };
        let channel = format!("{prefix}__group__chat_lobby");
        let mut django = redis.subscribe(&channel).await;
        assert_eq!(redis.publish(&channel, HI).await, 2, "{channel}");
        let (_, member) = &mut members[number];
        assert_eq!(member.receive_chat().await, "hi 你好");
        django.next_payload().await;
        member.publish("ho").await;
        let payload = django.next_payload().await;
        assert!(payload.windows(2).any(|part| part == b"ho"), "{payload:?}");
        member.receive().await;
    }
    for (_, member) in &mut members {
        member.receives_nothing_for(QUIET).await;
    }
    // Without it, one channel for each group.
    let channels: Vec<String> = redis.query(&["PUBSUB", "CHANNELS", "*chat_lobby*"]).await;
    let of_staging: Vec<_> = channels.iter().filter(|name| name.starts_with("staging")).collect();
    assert_eq!(of_staging, ["staging:c:{chat_lobby}"], "{channels:?}");
    redis.publish("staging:c:{chat_lobby}", &event("chat.message", "a node's")).await;
    assert_eq!(members[1].1.receive_chat().await, "a node's");
}

#[tokio::test]
async fn a_message_that_a_node_missed_is_read_from_its_own_site() {
    let redis = Redis::start().await;
    let plan = site(&redis, 3, "parlor");
    let nodes = [plan.start().await, plan.start().await];
    let mut ann = V1Client::join(&nodes[0], "lobby").await;
    let mut bob = V1Client::join(&nodes[1], "lobby").await;
    for round in 0..2 {
        ann.publish(&format!("before {round}")).await;
        bob.receive_frame("message").await;
        redis.query::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        ann.publish_until_acked(&format!("again-{round}"), "meanwhile", PATIENCE).await;
        assert_eq!(text_of(&bob.receive_frame("message").await), "meanwhile");
    }
    bob.receives_none_of(&["gap"], QUIET).await;
    until(PATIENCE, "both nodes to be there", async || {
        let count = redis.subscribers("parlor:3:c:{chat_lobby}").await;
        holds(count == 2, || count.to_string())
    })
    .await;
}
