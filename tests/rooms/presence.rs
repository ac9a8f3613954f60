//! Presence: users rather than sockets, with five seconds to reconnect, and without users of dead
//! nodes.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::support::deployment::{Deployment, LayerKind, on_every_layer};
use crate::support::handshake::Handshake;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::v1_client::V1Client;
use crate::support::wait::{PATIENCE, holds, seconds, until};

/// How long a user may be away without having left.
const GRACE: Duration = Duration::from_secs(5);
/// How long a killed node is not known to be dead.
const LEASE: Duration = Duration::from_secs(10);

/// The next presence change.
async fn change_frame(member: &mut V1Client, limit: Duration) -> Value {
    loop {
        let frame = member.receive_any(&["presence"], limit).await;
        if frame["user"] != member.user() {
            return frame;
        }
        assert_eq!(frame["change"], "join", "one may see oneself come");
    }
}

/// The kind of the next presence change, `join` or `leave`, and its user.
async fn change(member: &mut V1Client, limit: Duration) -> (String, String) {
    let frame = change_frame(member, limit).await;
    let text =
        |name: &str| frame[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {frame}")).to_owned();
    (text("change"), text("user"))
}

/// Asserts that no other presence change arrives within this time.
async fn nobody_moves_for(member: &mut V1Client, time: Duration) {
    if let Ok(frame) = timeout(time, change_frame(member, Duration::MAX)).await {
        panic!("a presence change: {frame}");
    }
}

fn came(member: &V1Client) -> (String, String) {
    ("join".to_owned(), member.user().to_owned())
}

fn left(user: &str) -> (String, String) {
    ("leave".to_owned(), user.to_owned())
}

async fn two_tabs_are_one_user_that_joins_and_leaves_once(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    let guest = Handshake::to_room("lobby").with_guest(1);
    let first = guest.connect(deployment.first()).await;
    let joined = change_frame(&mut ann, PATIENCE).await;
    assert_eq!(
        (&joined["change"], &joined["user"], &joined["count"]),
        (&json!("join"), &json!(first.user()), &json!(2))
    );
    let second = guest.connect(deployment.last()).await;
    assert_eq!(second.welcome["count"], 2);
    let user = first.user().to_owned();
    first.close().await;
    nobody_moves_for(&mut ann, GRACE + seconds(2)).await;
    second.close().await;
    let gone = Instant::now();
    let frame = change_frame(&mut ann, GRACE + PATIENCE).await;
    assert_eq!(
        (&frame["change"], &frame["user"], &frame["count"]),
        (&json!("leave"), &json!(user), &json!(1))
    );
    let after = gone.elapsed();
    assert!((seconds(4)..GRACE + PATIENCE).contains(&after), "left after {after:?}");
    nobody_moves_for(&mut ann, seconds(2)).await;
}

async fn a_reload_is_not_a_departure(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    let guest = Handshake::to_room("lobby").with_guest(1);
    let mut bob = guest.connect(deployment.first()).await;
    assert_eq!(change(&mut ann, PATIENCE).await, came(&bob));
    for round in 0..4 {
        drop(bob);
        sleep(Duration::from_millis(300)).await;
        // Every second time on the other node.
        bob = guest.connect(if round % 2 == 0 { deployment.last() } else { deployment.first() }).await;
        assert_eq!(bob.welcome["count"], 2, "{}", bob.welcome);
    }
    nobody_moves_for(&mut ann, GRACE + seconds(3)).await;
}

async fn a_member_counts_until_the_leave_grace_ends(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let bob = V1Client::join(deployment.first(), "lobby").await;
    let user = bob.user().to_owned();
    bob.close().await;
    let mut ann = V1Client::join(deployment.last(), "lobby").await;
    assert_eq!(ann.welcome["count"], 2, "{}", ann.welcome);
    assert!(ann.welcome["members"].as_array().unwrap().contains(&json!(user)), "{}", ann.welcome);
    assert_eq!(change(&mut ann, PATIENCE).await, left(&user));
    let cleo = V1Client::join(deployment.first(), "lobby").await;
    assert_eq!(cleo.welcome["count"], 2, "{}", cleo.welcome);
}

async fn all_members_see_joins_and_leaves_in_one_order(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut watchers = Vec::new();
    for n in 0..3 {
        watchers.push(V1Client::join(&deployment.nodes[n % deployment.nodes.len()], "lobby").await);
    }
    let own: Vec<String> = watchers.iter().map(|watcher| watcher.user().to_owned()).collect();
    let guests: Vec<V1Client> = join_all((0..20).map(|n: u64| {
        let node = if n.is_multiple_of(2) { deployment.first() } else { deployment.last() };
        async move { Handshake::to_room("lobby").with_guest(n).connect(node).await }
    }))
    .await;
    // A user that leaves before the join was sent was never there.
    let mut disconnects = vec![Vec::new(); watchers.len()];
    for (watcher, disconnect) in watchers.iter_mut().zip(&mut disconnects) {
        moves(watcher, &own, disconnect, 20).await;
    }
    drop(guests);
    for (watcher, disconnect) in watchers.iter_mut().zip(&mut disconnects) {
        moves(watcher, &own, disconnect, 40).await;
        for (_, user) in disconnect.iter() {
            let changes: Vec<&str> = disconnect
                .iter()
                .filter(|(_, other)| other == user)
                .map(|(change, _)| change.as_str())
                .collect();
            assert_eq!(changes, ["join", "leave"]);
        }
        nobody_moves_for(watcher, Duration::from_millis(200)).await;
    }
    assert!(disconnects.iter().all(|disconnect| *disconnect == disconnects[0]), "{disconnects:?}");
}

/// Waits until this many presence changes of other users have arrived.
async fn moves(watcher: &mut V1Client, own: &[String], disconnect: &mut Vec<(String, String)>, count: usize) {
    while disconnect.len() < count {
        let (change, user) = change(watcher, GRACE + PATIENCE).await;
        if !own.contains(&user) {
            disconnect.push((change, user));
        }
    }
}

async fn presence_is_per_room(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    let guest = Handshake::to_room("kitchen").with_guest(1).connect(deployment.last()).await;
    assert_eq!(guest.welcome["count"], 1);
    nobody_moves_for(&mut ann, seconds(1)).await;
}

async fn above_200_members_only_the_count_is_sent(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut members = join_all((0..200).map(|n| {
        let node = &deployment.nodes[n % deployment.nodes.len()];
        async move { V1Client::join(node, "lobby").await }
    }))
    .await;
    if let Some(redis) = &deployment.redis {
        until(PATIENCE, "200 users", async || {
            let users = redis.server_of("chat_lobby").await.seats("chat_lobby").await.len();
            holds(users == 200, || users.to_string())
        })
        .await;
    }
    let ann = V1Client::join(deployment.first(), "lobby").await;
    assert!(
        ann.welcome["members"].is_null() && ann.welcome["count"] == 201,
        "{:.200}",
        ann.welcome.to_string()
    );
    while members[0].receive_frame("presence").await["count"] != 201 {}
    let mut more = join_all((0..79).map(|_| V1Client::join(deployment.last(), "lobby"))).await;
    let counts = async {
        let mut frames = Vec::new();
        loop {
            let frame = members[0].receive_frame("presence").await;
            assert_eq!(
                (&frame["change"], &frame["user"], &frame["members"]),
                (&json!("state"), &Value::Null, &Value::Null)
            );
            frames.push(Instant::now());
            if frame["count"] == 280 {
                return frames;
            }
        }
    };
    let frames = counts.await;
    assert!(frames.len() <= 10, "{} frames for 79 comings", frames.len());
    // A newcomer is in the first count that it is sent, at either node.
    let ann = V1Client::join(deployment.first(), "lobby").await;
    assert_eq!((&ann.welcome["count"], &ann.welcome["members"]), (&json!(281), &Value::Null));
    while more[0].receive_frame("presence").await["count"] != 281 {}
    let bob = V1Client::join(deployment.last(), "lobby").await;
    assert_eq!((&bob.welcome["count"], &bob.welcome["members"]), (&json!(282), &Value::Null));
    drop((ann, bob));
    drop(more);
    drop(members.split_off(100));
    until(seconds(15), "a list again, when there are fewer", async || {
        let frame = members[0].receive_frame("presence").await;
        let listed = frame["members"].as_array().map(Vec::len);
        holds(frame["count"] == 101 && (listed == Some(101) || frame["change"] == "leave"), || {
            frame.to_string()
        })
    })
    .await;
    let bob = V1Client::join(deployment.last(), "lobby").await;
    assert_eq!(bob.welcome["members"].as_array().map(Vec::len), Some(102));
}

async fn typing_is_broadcast_at_a_limited_rate(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    let mut bob = V1Client::join(deployment.last(), "lobby").await;
    let typing = json!({ "type": "typing" });
    for _ in 0..10 {
        ann.send_json(&typing).await;
    }
    for member in [&mut ann, &mut bob] {
        let frame = member.receive_frame("typing").await;
        assert!((2000..=30_000).contains(&frame["for_ms"].as_u64().expect("milliseconds")), "{frame}");
        member.receives_none_of(&["typing"], Duration::from_millis(500)).await;
    }
    let (user, name) = (ann.user().to_owned(), ann.welcome["name"].clone());
    sleep(seconds(2)).await;
    ann.send_json(&typing).await;
    let frame = bob.receive_frame("typing").await;
    let wanted =
        json!({ "type": "typing", "room": "lobby", "user": user, "name": name, "for_ms": frame["for_ms"] });
    assert_eq!(frame, wanted);
    let mut late = Handshake::to_room("lobby").history(50).connect(deployment.last()).await;
    late.receives_none_of(&["typing", "message"], Duration::from_millis(300)).await;
}

on_every_layer! {
    two_tabs_are_one_user_that_joins_and_leaves_once
    a_reload_is_not_a_departure
    a_member_counts_until_the_leave_grace_ends
    all_members_see_joins_and_leaves_in_one_order
    presence_is_per_room
    above_200_members_only_the_count_is_sent
    typing_is_broadcast_at_a_limited_rate
}

#[tokio::test]
async fn users_of_a_killed_node_leave_once() {
    let redis = Redis::start().await;
    let [mut dying, first, second] = Node::several(&redis).await;
    let mut watchers = [V1Client::join(&first, "lobby").await, V1Client::join(&second, "lobby").await];
    let both = Handshake::to_room("lobby").with_guest(1);
    let stays = both.connect(&first).await;
    let also_at_dying = both.connect(&dying).await;
    let mut lost = Vec::new();
    for n in 2..12 {
        lost.push(Handshake::to_room("lobby").with_guest(n).connect(&dying).await);
    }
    let mut users: Vec<String> = lost.iter().map(|member| member.user().to_owned()).collect();
    users.sort();
    for watcher in &mut watchers {
        watcher.receives_none_of(&["nothing"], Duration::from_millis(300)).await;
        watcher.take_unread();
    }
    dying.kill();
    let killed = Instant::now();
    let leaves = join_all(watchers.iter_mut().map(async |watcher| {
        let mut leaves = Vec::new();
        while leaves.len() < users.len() {
            let (change, user) = change(watcher, LEASE + PATIENCE * 2).await;
            assert_eq!(change, "leave", "of {user}");
            leaves.push(user);
        }
        leaves
    }))
    .await;
    println!("people of a killed node had left after {:?}", killed.elapsed());
    assert!(killed.elapsed() < LEASE + PATIENCE * 2, "{:?}", killed.elapsed());
    assert_eq!(leaves[0], leaves[1], "in one order");
    let mut seen = leaves[0].clone();
    seen.sort();
    assert_eq!(seen, users, "each once, without the user that has another tab");
    join_all(watchers.iter_mut().map(|watcher| nobody_moves_for(watcher, seconds(8)))).await;
    let late = V1Client::join(&second, "lobby").await;
    assert_eq!(late.welcome["count"], 4, "{}", late.welcome);
    drop((stays, also_at_dying));
}

#[tokio::test]
async fn a_user_that_moves_after_a_nodes_death_never_left() {
    let redis = Redis::start().await;
    let [mut dying, other] = Node::several(&redis).await;
    let mut watcher = V1Client::join(&other, "lobby").await;
    let guest = Handshake::to_room("lobby").with_guest(1);
    let lost = guest.connect(&dying).await;
    assert_eq!(change(&mut watcher, PATIENCE).await, came(&lost));
    dying.kill();
    let back = guest.connect(&other).await;
    assert_eq!(back.welcome["count"], 2);
    nobody_moves_for(&mut watcher, seconds(22)).await;
}
