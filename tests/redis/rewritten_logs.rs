//! A log that is lost and begins again: no id is used twice, and each loss is reported.

use std::collections::BTreeSet;

use parlor::{Appended, Broker, Group};
use serde_json::Value;

use crate::support::layer_nodes::LayerNode;
use crate::support::metrics::metric;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::v1_client::{V1Client, text_of};
use crate::support::wait::{PATIENCE, holds, until};

const LOG: &str = "parlor:log:{chat_lobby}";

#[tokio::test]
async fn no_id_is_used_twice_though_the_log_is_lost() {
    const ROUNDS: usize = 1000;
    let redis = Redis::start().await;
    let peer = LayerNode::connect(&redis.url()).await;
    let group = Group::new("chat_lobby");
    let (mut ids, mut greatest) = (BTreeSet::new(), None);
    for round in 0..ROUNDS {
        for n in 0..3 {
            let event = parlor::Event::new("chat_message").with("message", &n.to_string());
            let Ok(Appended::New(id, _)) = peer.layer.append(&group, &event, None).await else {
                panic!("an event without key is always new")
            };
            assert!(ids.insert(id), "{id} is used again in round {round}");
            assert!(greatest.replace(id).is_none_or(|before| before < id), "{id} comes after {greatest:?}");
        }
        redis.query::<i64>(&["DEL", LOG]).await;
    }
}

/// The texts that a member receives, up to this one, and the number of gaps before it.
async fn receive_until(member: &mut V1Client, last: &str) -> (Vec<String>, usize) {
    let (mut texts, mut gaps) = (Vec::new(), 0);
    while texts.last().is_none_or(|text| text != last) {
        let frame: Value = member.receive_any(&["message", "gap"], PATIENCE).await;
        if frame["type"] == "gap" {
            gaps += 1;
        } else {
            texts.push(text_of(&frame));
        }
    }
    (texts, gaps)
}

#[tokio::test]
async fn members_receive_all_that_is_said_while_the_log_is_lost() {
    const MESSAGES: usize = 600;
    let redis = Redis::start().await;
    let nodes = Node::several::<2>(&redis).await;
    let mut members = [V1Client::join(&nodes[0], "lobby").await, V1Client::join(&nodes[1], "lobby").await];
    let mut sender = V1Client::join(&nodes[0], "lobby").await;
    let speak = async {
        for n in 0..=MESSAGES {
            sender.publish(&n.to_string()).await;
        }
    };
    let lose = async {
        loop {
            redis.query::<i64>(&["DEL", LOG]).await;
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        }
    };
    let last = MESSAGES.to_string();
    let listen =
        futures_util::future::join_all(members.iter_mut().map(|member| receive_until(member, &last)));
    let received = tokio::select! {
        ((), received) = futures_util::future::join(speak, listen) => received,
        () = lose => unreachable!("it goes on"),
    };
    for (texts, gaps) in received {
        assert_eq!(texts, (0..=MESSAGES).map(|n| n.to_string()).collect::<Vec<_>>(), "{gaps} gaps");
        assert!(gaps > 0, "a lost log is reported");
    }
    for node in &nodes {
        assert_eq!(metric(node, "parlor_repairs_total").await, 0, "each was in the node's hands");
    }
}

#[tokio::test]
async fn a_log_that_expired_in_a_silent_room_is_no_gap() {
    let redis = Redis::start().await;
    // A node that is away for longer than this cannot know that nothing was said.
    let node = Node::plan().redis(&redis).flag("--log-seconds", "4").start().await;
    let mut ann = V1Client::join(&node, "lobby").await;
    ann.publish("before").await;
    ann.receive().await;
    until(PATIENCE, "the log to expire", async || {
        holds(!redis.exists(LOG).await, || "it is still there".to_owned())
    })
    .await;
    redis.query::<i64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    // A log that begins again before the node has read its end may have lost what was in it.
    let is_subscribed = |line: &str| line.contains("subscribed to redis groups=1");
    node.log().wait_for("the node to be subscribed again", PATIENCE, is_subscribed).await;
    let (mut texts, mut gaps) = (Vec::new(), 0);
    for (n, text) in ["after", "and on"].into_iter().enumerate() {
        let id = format!("message-{n}");
        ann.publish_until_acked(&id, text, PATIENCE).await;
        let (more, told) = receive_until(&mut ann, text).await;
        texts.extend(more);
        gaps += told;
    }
    assert_eq!((texts, gaps), (vec!["after".to_owned(), "and on".to_owned()], 0));
    assert!(metric(&node, "parlor_log_reads_total").await < 20, "it does not read on and on");
}
