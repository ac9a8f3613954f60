//! A change of rights is announced before it is made: whatever becomes of the node that makes it,
//! no socket keeps a right that has ended.

use parlor::{Control, Disconnect};

use crate::support::cli::{key, operator};
use crate::support::layer_nodes::LayerNode;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::user::{SESSION, User};
use crate::support::wait::PATIENCE;

/// The fields of a form.
type Fields<'a> = &'a [(&'a str, &'a str)];

#[tokio::test]
async fn a_right_that_ended_without_a_command_ends_after_its_announcement() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let (ann, bob) = (User::registered(&node, "ann").await, User::registered(&node, "bob").await);
    let (mut stays, mut ends) = (ann.join(&node, "lobby").await, bob.join(&node, "lobby").await);
    // What a node writes that ends before it sends the command.
    for record in redis.keys("parlor:record:*").await {
        let text: String = redis.query(&["GET", &record]).await;
        if text.contains("\"name\":\"bob\"") {
            let banned = text.replace("\"banned\":false", "\"banned\":true");
            assert_ne!(text, banned);
            redis.query::<()>(&["SET", &record, &banned]).await;
        }
    }
    let other = LayerNode::connect(&redis.url()).await;
    for user in [stays.user(), ends.user()] {
        let announced = Disconnect {
            user: Some(user.to_owned()),
            code: 4403,
            is_announcement: true,
            ..Disconnect::default()
        };
        other.layer.disconnect(&announced).await.expect("an announcement");
    }
    assert_eq!(ends.closed(PATIENCE).await, (4403, "banned".to_owned()));
    stays.publish("still here").await;
}

#[tokio::test]
async fn each_change_of_rights_is_announced_before_it_is_made() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut zed = operator(&node, &redis, "zed").await;
    let mut ann = User::registered(&node, "ann").await;
    let bob = User::registered(&node, "bob").await;
    let id = bob.join(&node, "lobby").await.user().to_owned();
    assert_eq!(ann.post(&node, "/rooms/", &[("room", "board")]).await.status, 303);
    key(&redis, "billing", "publish").await;
    let mut monitor = redis.monitor().await;
    let user = ("user", id.as_str());
    let changes: [(&str, &str, Fields<'_>); 8] = [
        ("private room", "/rooms/", &[("room", "attic")]),
        ("ban", "/admin/users/", &[("action", "ban"), user]),
        ("end of logins", "/admin/users/", &[("action", "end_logins"), user]),
        ("operator", "/admin/users/", &[("action", "staff_on"), user]),
        ("closed room", "/admin/rooms/hall/", &[("action", "close")]),
        ("revoked key", "/admin/keys/", &[("action", "revoke"), ("name", "billing")]),
        ("removal from a room", "/chat/board/members/", &[("action", "remove"), ("name", "bob")]),
        ("logout", "/accounts/logout/", &[]),
    ];
    for (change, path, fields) in changes {
        monitor.commands().await;
        let is_owners = path.starts_with("/chat/") || path == "/rooms/";
        let client = if is_owners { &mut ann } else { &mut zed };
        let response = client.post(&node, path, fields).await;
        assert_eq!(response.status, 303, "{change}: {}", response.body);
        let commands = monitor.commands().await;
        let is_write = |command: &String| {
            ["\"SET\"", "\"DEL\"", "\"ZADD\"", "\"ZREM\"", "\"UNLINK\""]
                .iter()
                .any(|name| command.contains(name))
                && (command.contains("parlor:record:") || command.contains("parlor:index:"))
                // Lists for pages, which give no right.
                && !["audit", "rooms_of:", "rooms_made:", "invitations:"].iter().any(|list| command.contains(list))
        };
        let is_decision =
            |command: &String| command.contains("\"EVALSHA\"") && command.contains("parlor:{control}:log");
        let is_announcement = |command: &String| is_decision(command) && command.contains("is_announcement");
        let announced =
            commands.iter().position(is_announcement).unwrap_or_else(|| panic!("{change}: {commands:#?}"));
        let written: Vec<usize> = (0..commands.len()).filter(|at| is_write(&commands[*at])).collect();
        let made = commands.iter().rposition(|command| is_decision(command) && !is_announcement(command));
        let made = made.unwrap_or_else(|| panic!("{change} without a command: {commands:#?}"));
        assert!(!written.is_empty(), "{change}: {commands:#?}");
        assert!(written.iter().all(|at| (announced..made).contains(at)), "{change}: {commands:#?}");
    }
}

#[tokio::test]
async fn a_logout_without_a_session_costs_the_nodes_nothing() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let decisions = async || redis.query::<u64>(&["XLEN", "parlor:{control}:log"]).await;
    let mut mallory = User::guest(&node).await;
    let before = decisions().await;
    for n in 0..5 {
        mallory.set_cookie(SESSION, &format!("{n}").repeat(43));
        assert_eq!(mallory.post(&node, "/accounts/logout/", &[]).await.status, 303);
    }
    assert_eq!(decisions().await, before);
    let mut ann = User::registered(&node, "ann").await;
    let before = decisions().await;
    assert_eq!(ann.log_out(&node).await.status, 303);
    assert_eq!(decisions().await, before + 2, "an announcement and a command");
}
