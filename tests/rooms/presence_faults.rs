//! Presence under faults: late answers, slow readers, failovers, restored and lost data, and
//! another clock. Each node is asked for its list, and each member for its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use parlor::{Group, Presence};

use crate::support::handshake::Handshake;
use crate::support::http::Request;
use crate::support::layer_nodes::LayerNode;
use crate::support::member_list::MemberList;
use crate::support::node::Node;
use crate::support::process::Signal;
use crate::support::redis::Redis;
use crate::support::redis_proxy::RedisProxy;
use crate::support::tutorial_client::TutorialClient;
use crate::support::user::User;
use crate::support::v1_client::V1Client;
use crate::support::wait::{PATIENCE, holds, seconds, until};

/// How long a user may be away without having left.
const GRACE: Duration = Duration::from_secs(5);
/// Within which a list is right again after Redis lost or replaced something.
const REPAIR: Duration = Duration::from_secs(30);
const GROUP_HASH: &str = "parlor:m:{chat_lobby}";

async fn join(node: &Node, guest: u64) -> MemberList {
    MemberList::new(Handshake::to_room("lobby").with_guest(guest).connect(node).await)
}

/// Waits until each member's own list, and that which each node gives to a newcomer, has these
/// members and no other.
async fn all_agree(nodes: &[&Node], members: &mut [MemberList], limit: Duration) {
    let truth: BTreeSet<String> = members.iter().map(|member| member.client.user().to_owned()).collect();
    let agrees = |list: &MemberList| {
        let listed: BTreeSet<String> = list.users().into_iter().flatten().map(str::to_owned).collect();
        holds(listed == truth && list.count() == truth.len() as u64, || {
            let missing: Vec<_> = truth.difference(&listed).collect();
            let ghosts: Vec<_> = listed.difference(&truth).collect();
            format!("{}: missing {missing:?}, ghosts {ghosts:?}, count {}", list.client.user(), list.count())
        })
    };
    until(limit, "every member's own list to be right", async || {
        join_all(members.iter_mut().map(|member| member.listen(Duration::from_millis(50)))).await;
        members.iter().try_for_each(agrees)
    })
    .await;
    for node in nodes {
        until(limit, "the node to be ready", async || {
            let answer = Request::get("/readyz").send(node).await;
            holds(answer.status == 200, || answer.body)
        })
        .await;
        // The same person as one that is there, so that the truth does not change.
        let list = join(node, 0).await;
        agrees(&list).unwrap_or_else(|wrong| panic!("what {} tells newcomers: {wrong}", node.address()));
        list.client.close().await;
    }
}

#[tokio::test]
async fn two_hundred_joins_and_leaves_with_late_answers_leave_every_list_right() {
    let redis = Redis::start().await;
    let mut proxies = Vec::new();
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let proxy = RedisProxy::start(&redis).await;
        nodes.push(Node::plan().flag("--redis-url", &proxy.url()).start().await);
        proxies.push(proxy);
    }
    let nodes: Vec<&Node> = nodes.iter().collect();
    let mut members = vec![join(nodes[0], 0).await];
    proxies.iter().for_each(RedisProxy::delay_everything);
    // 60 stay, 140 come and go; on one node only commands are late, as with a busy pool.
    proxies[1].delay_replies();
    for wave in 0..4 {
        let guests = (0..50).map(|n| wave * 50 + n + 1);
        let mut joined = join_all(guests.map(|guest| join(nodes[(guest % 3) as usize], guest))).await;
        let gone = joined.split_off(15);
        members.extend(joined);
        drop(gone);
        join_all(members.iter_mut().map(|member| member.listen(Duration::from_millis(10)))).await;
    }
    all_agree(&nodes, &mut members, GRACE + PATIENCE + seconds(10)).await;
    proxies.iter().for_each(RedisProxy::open);
    all_agree(&nodes, &mut members, PATIENCE).await;
}

/// A member that is sent more than it reads for now.
async fn catching_up(writer: &mut MemberList, node: &Node) -> MemberList {
    let text = "x".repeat(8000);
    for _ in 0..1000 {
        writer.client.publish(&text).await;
    }
    MemberList::new(Handshake::to_room("lobby").with_guest(2).history(1000).connect(node).await)
}

#[tokio::test]
async fn joins_and_leaves_during_a_catch_up_are_sent() {
    let redis = Redis::start().await;
    let [first, second] = Node::several(&redis).await;
    let mut members = vec![join(&first, 0).await];
    let leaver = join(&second, 1).await;
    let mut slow = catching_up(&mut members[0], &first).await;
    assert_eq!(slow.count(), 3);
    // It does not read while others come and go.
    leaver.client.close().await;
    members.push(join(&second, 3).await);
    members.push(join(&first, 4).await);
    tokio::time::sleep(GRACE + seconds(1)).await;
    slow.listen(seconds(2)).await;
    members.push(slow);
    all_agree(&[&first, &second], &mut members, PATIENCE).await;
}

#[tokio::test]
async fn a_nickname_that_changes_during_a_catch_up_is_known() {
    let redis = Redis::start().await;
    let [first, second] = Node::several(&redis).await;
    let mut members = vec![join(&first, 0).await];
    let mut guest = User::guest(&second).await;
    let mut tab = guest.join(&second, "lobby").await;
    let user = tab.user().to_owned();
    let mut slow = catching_up(&mut members[0], &first).await;
    // It does not read while the guest comes back under another name.
    assert_eq!(guest.post(&second, "/accounts/guest/", &[("nickname", "zoe")]).await.status, 303);
    tab.closed(PATIENCE).await;
    tab = guest.join(&second, "lobby").await;
    assert_eq!(tab.welcome["name"], "~zoe");
    until(PATIENCE, "the new name", async || {
        slow.listen(Duration::from_millis(50)).await;
        holds(slow.name_of(&user) == Some("~zoe"), || format!("{:?}", slow.name_of(&user)))
    })
    .await;
    members.extend([slow, MemberList::new(tab)]);
    all_agree(&[&first, &second], &mut members, PATIENCE).await;
}

#[tokio::test]
async fn users_of_a_node_that_dies_while_redis_is_away_leave() {
    for loses_data in [false, true] {
        let mut redis = Redis::start().await;
        let mut nodes: [Node; 3] = Node::several(&redis).await;
        let joins = (0..6).map(|guest| join(&nodes[(guest % 3) as usize], guest));
        let mut members = join_all(joins).await;
        all_agree(&nodes.iter().collect::<Vec<_>>(), &mut members, PATIENCE).await;
        if loses_data {
            redis.kill();
        } else {
            redis.signal(Signal::SIGSTOP);
        }
        nodes[2].kill();
        let mut guest = 0..6;
        members.retain(|_| guest.next().is_some_and(|guest| guest % 3 != 2));
        if loses_data {
            redis.restart().await;
        } else {
            redis.signal(Signal::SIGCONT);
        }
        all_agree(&[&nodes[0], &nodes[1]], &mut members, REPAIR).await;
    }
}

#[tokio::test]
async fn users_of_a_node_that_is_forgotten_leave_after_one_question() {
    let redis = Redis::start().await;
    let mut dying = Node::on(&redis).await;
    let _members = [V1Client::join(&dying, "lobby").await, V1Client::join(&dying, "kitchen").await];
    dying.kill();
    // Other nodes remove it from there a minute later.
    redis.query::<i64>(&["DEL", "parlor:beats"]).await;
    let other = LayerNode::connect(&redis.url()).await;
    let [listed, counted] = ["chat_lobby", "chat_kitchen"].map(Group::new);
    assert_eq!(other.layer.presence(&listed).await.expect("a list").count, 1);
    assert_eq!(other.layer.member_count(&counted).await.expect("a count"), 1);
    until(seconds(15) + PATIENCE, "the users to leave both", async || {
        let left = [redis.seats(listed.name()).await, redis.seats(counted.name()).await];
        holds(left.iter().all(BTreeMap::is_empty), || format!("{left:?}"))
    })
    .await;
}

#[tokio::test]
async fn users_under_a_former_id_that_older_data_brings_back_are_removed() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut members = join_all((0..4).map(|guest| join(&node, guest))).await;
    all_agree(&[&node], &mut members, PATIENCE).await;
    let old = dump(&redis).await;
    members.pop().expect("a member").client.close().await;
    all_agree(&[&node], &mut members, GRACE + PATIENCE).await;
    // From here on Redis has the users under another id of the node.
    redis.query::<i64>(&["DEL", GROUP_HASH]).await;
    members.push(join(&node, 10).await);
    all_agree(&[&node], &mut members, REPAIR).await;
    restore(&redis, &old).await;
    members.push(join(&node, 11).await);
    all_agree(&[&node], &mut members, REPAIR).await;
}

#[tokio::test]
async fn every_list_is_right_after_a_failover_behind_one_address() {
    let master = Redis::start().await;
    let proxy = RedisProxy::start(&master).await;
    let plan = Node::plan().flag("--redis-url", &proxy.url());
    let nodes = [plan.start().await, plan.start().await, plan.start().await];
    let nodes: Vec<&Node> = nodes.iter().collect();
    let mut members = join_all((0..6).map(|guest| join(nodes[(guest % 3) as usize], guest))).await;
    all_agree(&nodes, &mut members, PATIENCE).await;
    let replica = master.replica_of().await;
    replica.query::<String>(&["REPLICAOF", "NO", "ONE"]).await;
    // What the replica does not have: three joined, and two left.
    for guest in 6..9 {
        members.push(join(nodes[(guest % 3) as usize], guest).await);
    }
    for gone in members.drain(1..3) {
        gone.client.close().await;
    }
    all_agree(&nodes, &mut members, GRACE + PATIENCE).await;
    proxy.turn_to(&replica);
    all_agree(&nodes, &mut members, REPAIR).await;
    // And the next changes are reported.
    members.push(join(nodes[0], 9).await);
    all_agree(&nodes, &mut members, PATIENCE).await;
}

/// All keys with their values, as of one moment.
async fn dump(redis: &Redis) -> Vec<(String, Vec<u8>)> {
    let mut keys = Vec::new();
    for key in redis.keys("*").await {
        let value: Option<Vec<u8>> = redis.query(&["DUMP", &key]).await;
        keys.extend(value.map(|value| (key, value)));
    }
    keys
}

/// Puts these keys in the place of all others, at one moment: a node that looks at its log of
/// decisions meanwhile never finds it empty. The nodes' connections see nothing of it.
async fn restore(redis: &Redis, keys: &[(String, Vec<u8>)]) {
    let mut replacement = redis::pipe();
    replacement.cmd("FLUSHALL").ignore();
    for (key, value) in keys {
        replacement.cmd("RESTORE").arg(key).arg(0).arg(value).arg("REPLACE").ignore();
    }
    redis.transaction(&mut replacement).await;
}

#[tokio::test]
async fn every_list_is_right_after_older_data_was_restored() {
    let redis = Redis::start().await;
    let nodes: [Node; 3] = Node::several(&redis).await;
    let nodes: Vec<&Node> = nodes.iter().collect();
    let mut members = join_all((0..6).map(|guest| join(nodes[(guest % 3) as usize], guest))).await;
    all_agree(&nodes, &mut members, PATIENCE).await;
    let old = dump(&redis).await;
    for round in 0..2 {
        let guest = 10 + round;
        members.push(join(nodes[(round % 3) as usize], guest).await);
        let gone = members.remove(1);
        gone.client.close().await;
        all_agree(&nodes, &mut members, GRACE + PATIENCE).await;
        restore(&redis, &old).await;
        if round == 1 {
            redis.query::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        }
        all_agree(&nodes, &mut members, REPAIR + seconds(15)).await;
    }
}

#[tokio::test]
async fn a_hash_that_is_lost_alone_is_written_again_unnoticed() {
    let redis = Redis::start().await;
    let nodes: [Node; 3] = Node::several(&redis).await;
    let nodes: Vec<&Node> = nodes.iter().collect();
    let mut members = join_all((0..6).map(|guest| join(nodes[(guest % 3) as usize], guest))).await;
    all_agree(&nodes, &mut members, PATIENCE).await;
    redis.query::<i64>(&["DEL", GROUP_HASH]).await;
    until(REPAIR + seconds(5), "all users to be in Redis again", async || {
        let users = redis.seats("chat_lobby").await.len();
        holds(users == 6, || users.to_string())
    })
    .await;
    all_agree(&nodes, &mut members, PATIENCE).await;
    // The next leave is reported, whatever was lost.
    redis.query::<i64>(&["DEL", GROUP_HASH]).await;
    members.remove(0).client.close().await;
    members.push(join(nodes[1], 0).await);
    members.remove(0).client.close().await;
    members.push(join(nodes[0], 20).await);
    all_agree(&nodes, &mut members, REPAIR + PATIENCE).await;
}

#[tokio::test]
async fn a_redis_emptied_under_load_ends_with_the_right_lists() {
    let redis = Redis::start().await;
    let nodes: [Node; 2] = Node::several(&redis).await;
    let nodes: Vec<&Node> = nodes.iter().collect();
    let mut members = vec![join(nodes[0], 0).await];
    for round in 0..4_u64 {
        redis.query::<String>(&["FLUSHALL"]).await;
        let guests = (1..6).map(|n| round * 10 + n);
        members.extend(join_all(guests.map(|guest| join(nodes[(guest % 2) as usize], guest))).await);
        members.pop().expect("a member").client.close().await;
    }
    all_agree(&nodes, &mut members, REPAIR + PATIENCE).await;
}

#[tokio::test]
async fn a_nickname_is_shown_in_every_room_without_a_leave() {
    let redis = Redis::start().await;
    let [first, second] = Node::several(&redis).await;
    let mut guest = User::guest(&first).await;
    let mut watchers = Vec::new();
    for (room, node) in [("lobby", &second), ("kitchen", &first)] {
        watchers.push((room, MemberList::new(V1Client::join(node, room).await)));
    }
    let mut tabs = Vec::new();
    for (room, node) in [("lobby", &first), ("lobby", &second), ("kitchen", &second)] {
        tabs.push((room, node, guest.join(node, room).await));
    }
    let user = tabs[0].2.user().to_owned();
    for (_, watcher) in &mut watchers {
        watcher.listen(seconds(1)).await;
        assert_eq!(watcher.count(), 2);
    }
    for name in ["zoe", "max"] {
        assert_eq!(guest.post(&first, "/accounts/guest/", &[("nickname", name)]).await.status, 303);
        // Each tab comes back under its new name.
        for (room, node, tab) in &mut tabs {
            let (code, _) = tab.closed(PATIENCE).await;
            assert_eq!(code, 1012);
            *tab = guest.join(node, room).await;
            assert_eq!(tab.welcome["name"], format!("~{name}"));
            assert_eq!(tab.welcome["count"], 2, "{}", tab.welcome);
            assert_eq!(tab.welcome["members"].as_array().map(Vec::len), Some(2), "{}", tab.welcome);
            assert_eq!(tab.welcome["names"][&user], format!("~{name}"), "{}", tab.welcome);
        }
        for (_, watcher) in &mut watchers {
            until(PATIENCE, "the new name", async || {
                watcher.listen(Duration::from_millis(50)).await;
                let known = watcher.name_of(&user).map(str::to_owned);
                holds(known == Some(format!("~{name}")), || format!("{known:?}"))
            })
            .await;
        }
    }
    for (_, watcher) in &mut watchers {
        watcher.listen(GRACE + seconds(2)).await;
        assert_eq!((watcher.count(), watcher.name_of(&user)), (2, Some("~max")));
    }
}

#[tokio::test]
async fn a_listener_of_a_push_stream_is_no_member_of_the_chat() {
    let redis = Redis::start().await;
    for nodes in [vec![Node::on(&redis).await, Node::on(&redis).await], vec![Node::alone().await]] {
        let (first, last) = (&nodes[0], nodes.last().expect("a node"));
        let mut ann = MemberList::new(V1Client::join(first, "lobby").await);
        let mut page = TutorialClient::push(last, "chat_lobby").await;
        ann.listen(seconds(1)).await;
        assert_eq!(ann.count(), 1);
        let bob = V1Client::join(last, "lobby").await;
        assert_eq!(bob.welcome["count"], 2, "{}", bob.welcome);
        // It still receives its stream.
        crate::push::streams::ask(first, "POST", "chat_lobby").await;
        page.receive().await;
    }
}

#[tokio::test]
async fn a_clock_of_redis_that_jumps_changes_no_list() {
    let redis = Redis::with_own_clock(&[]).await;
    let nodes: [Node; 2] = Node::several(&redis).await;
    let nodes: Vec<&Node> = nodes.iter().collect();
    let mut members = join_all((0..4).map(|guest| join(nodes[(guest % 2) as usize], guest))).await;
    for (step, hours) in [(0, 1), (1, 0), (2, 30), (3, -1)] {
        redis.step_clock(hours * 3600);
        let seconds: Vec<i64> = redis.query(&["TIME"]).await;
        let off = seconds[0] - i64::try_from(parlor::now() / 1000).expect("seconds");
        assert!((off - hours * 3600).abs() < 60, "the clock is set: {off} s");
        members.push(join(nodes[0], 10 + step).await);
        members.remove(1).client.close().await;
        all_agree(&nodes, &mut members, GRACE + PATIENCE).await;
    }
    all_agree(&nodes, &mut members, REPAIR).await;
}
