//! Resuming with `since` returns everything sent meanwhile, each message once, or the reason why
//! not.

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use crate::support::deployment::{Deployment, LayerKind, on_every_layer};
use crate::support::handshake::Handshake;
use crate::support::metrics::metric;
use crate::support::node::Node;
use crate::support::v1_client::{V1Client, assert_chain, fresh_id, id_of, texts_of};
use crate::support::wait::seconds;

/// Publishes the numbers of a range and returns the messages.
async fn publish_numbers(member: &mut V1Client, numbers: std::ops::Range<usize>) -> Vec<Value> {
    for n in numbers.clone() {
        member.publish(&n.to_string()).await;
    }
    member.receive_until(&(numbers.end - 1).to_string()).await
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// Resumes from an id that the node cannot honour: the welcome says why, and the newest messages
/// follow.
async fn cannot_resume(nodes: &[Node], since: &str, reason: &str, newest: &[String]) {
    for node in nodes {
        for (ticket, count) in [
            (Handshake::to_room("lobby").since(since), 50),
            (Handshake::to_room("lobby").since(since).history(7), 7),
            (Handshake::to_room("lobby").since(since).history(0), 0),
        ] {
            let mut member = ticket.connect(node).await;
            let reported = (&member.welcome["recovered"], &member.welcome["reason"]);
            assert_eq!(reported, (&json!(false), &json!(reason)), "{} {}", ticket.target(), member.welcome);
            let wanted = &newest[newest.len().saturating_sub(count)..];
            let past = if count == 0 { Vec::new() } else { member.receive_history().await };
            assert_eq!(texts_of(&past), wanted, "{}", ticket.target());
            member.receives_none_of(&["message", "gap"], seconds(0)).await;
        }
    }
}

async fn a_resume_on_any_node_returns_everything_since(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    let sent = publish_numbers(&mut ann, 0..300).await;
    assert_chain(&sent);
    for (place, node) in
        [0, 1, 150, 298, 299].iter().flat_map(|place| deployment.nodes.iter().map(move |node| (*place, node)))
    {
        let mut bob = Handshake::to_room("lobby").since(&id_of(&sent[place])).connect(node).await;
        assert_eq!((&bob.welcome["recovered"], &bob.welcome["reason"]), (&json!(true), &Value::Null));
        assert_eq!(bob.welcome["last"], sent[299]["id"]);
        if place < 299 {
            assert_eq!(bob.receive_history().await, sent[place + 1..]);
        }
        bob.receives_none_of(&["message", "gap"], seconds(0)).await;
    }
}

async fn history_adds_nothing_to_a_resume(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    let sent = publish_numbers(&mut ann, 0..20).await;
    let ticket = Handshake::to_room("lobby").since(&id_of(&sent[9])).history(15);
    let mut bob = ticket.connect(deployment.last()).await;
    assert_eq!(bob.welcome["recovered"], true);
    assert_eq!(bob.receive_history().await, sent[10..]);
}

async fn repeated_resumes_under_load_miss_nothing(layer: LayerKind) {
    const LAST: usize = 1000;
    let deployment = Deployment::start(layer).await;
    let mut flood = V1Client::join(deployment.first(), "lobby").await;
    let mut first = V1Client::join(deployment.last(), "lobby").await;
    let speak = async {
        for n in 0..=LAST {
            flood.publish(&n.to_string()).await;
        }
    };
    let listen = async {
        let mut received = vec![first.receive().await];
        let (mut visits, last) = (0, LAST.to_string());
        while received.last().unwrap()["text"] != last {
            let ticket = Handshake::to_room("lobby").since(&id_of(received.last().unwrap()));
            let mut member = ticket.connect(&deployment.nodes[visits % deployment.nodes.len()]).await;
            assert_eq!(member.welcome["recovered"], true, "{}", member.welcome);
            visits += 1;
            // Reads some history, or some live messages, and disconnects.
            for _ in 0..=(visits * 7) % 40 {
                received.push(member.receive().await);
                if received.last().unwrap()["text"] == last {
                    break;
                }
            }
        }
        received
    };
    let ((), received) = tokio::join!(speak, listen);
    assert_chain(&received);
    assert_eq!(texts_of(&received), numbers(0..LAST + 1));
}

async fn a_resume_from_before_the_log_is_reported_as_trimmed(layer: LayerKind) {
    let deployment = Deployment::with(layer, &[("--log-messages", "100")]).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    let sent = publish_numbers(&mut ann, 0..500).await;
    let newest = texts_of(&sent);
    // A node that was subscribed may have them in its cache; another one reads the log.
    let strangers = &deployment.nodes[deployment.nodes.len() - 1..];
    cannot_resume(strangers, &id_of(&sent[0]), "trimmed", &newest).await;
    cannot_resume(strangers, &id_of(&sent[150]), "trimmed", &newest).await;
    if layer == LayerKind::Memory {
        cannot_resume(strangers, &id_of(&sent[398]), "trimmed", &newest).await;
    }
    let mut bob = Handshake::to_room("lobby").since(&id_of(&sent[400])).connect(deployment.last()).await;
    assert_eq!(bob.welcome["recovered"], true, "what the log keeps can be resumed");
    assert_eq!(bob.receive_history().await, sent[401..]);
    let mut cleo = Handshake::to_room("lobby").history(1000).connect(deployment.last()).await;
    let kept = cleo.receive_history().await;
    assert!(sent.ends_with(&kept), "the log is the end of what was said");
    match layer {
        LayerKind::Memory => assert_eq!(kept.len(), 100),
        LayerKind::Redis | LayerKind::Cluster => {
            assert!((100..300).contains(&kept.len()), "{} messages are kept", kept.len());
        }
    }
    assert!(metric(deployment.last(), "parlor_resumes_total{outcome=\"trimmed\"}").await >= 3);
}

async fn a_resume_from_an_unknown_id_is_reported_as_unknown(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    let newest = texts_of(&publish_numbers(&mut ann, 0..60).await);
    let mut other = V1Client::join(deployment.first(), "kitchen").await;
    let foreign = id_of(&publish_numbers(&mut other, 0..1).await[0]);
    cannot_resume(&deployment.nodes, &foreign, "unknown", &newest).await;
    // Well formed, and of a time in the future.
    let future = "9999999999999-0";
    cannot_resume(&deployment.nodes, future, "unknown", &newest).await;
    assert!(metric(deployment.first(), "parlor_resumes_total{outcome=\"unknown\"}").await >= 3);
}

async fn a_resume_from_a_malformed_id_is_reported_as_malformed(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    let newest = texts_of(&publish_numbers(&mut ann, 0..60).await);
    let mut wrong = vec!["abc", "-", "1-", "-1", "1-2-3", "$", "+", "*", "0x10-0", "1 2", "聊天", "(1-0"]
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    wrong.push("9".repeat(100));
    wrong.push(format!("{}-0", u128::MAX));
    for since in wrong {
        cannot_resume(&deployment.nodes, &since, "malformed", &newest).await;
    }
    assert!(metric(deployment.first(), "parlor_resumes_total{outcome=\"malformed\"}").await > 0);
}

async fn a_resume_of_an_empty_room_is_not_recovered(layer: LayerKind) {
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    let id = id_of(&publish_numbers(&mut ann, 0..1).await[0]);
    let bob = Handshake::to_room("empty").since(&id).connect(deployment.last()).await;
    assert_eq!(bob.welcome["recovered"], false, "{}", bob.welcome);
    assert!(bob.welcome["reason"].is_string(), "{}", bob.welcome);
}

async fn a_thousand_simultaneous_resumes_share_few_log_reads(layer: LayerKind) {
    const MANY: usize = 1000;
    const MAX_PENDING_HANDSHAKES: usize = 100;
    let deployment = Deployment::start(layer).await;
    let mut ann = V1Client::join(deployment.first(), "lobby").await;
    let sent = publish_numbers(&mut ann, 0..200).await;
    let log_reads = async || {
        let mut sum = 0;
        for node in &deployment.nodes {
            sum += metric(node, "parlor_log_reads_total").await;
        }
        sum
    };
    let before = log_reads().await;
    let tickets: Vec<Handshake> =
        (0..MANY).map(|n| Handshake::to_room("lobby").since(&id_of(&sent[n % 150]))).collect();
    // A handshake waits at most a second for one of the node's connections to Redis.
    let handshakes = tickets
        .iter()
        .enumerate()
        .map(|(n, ticket)| ticket.connect(&deployment.nodes[n % deployment.nodes.len()]));
    let mut members: Vec<_> = stream::iter(handshakes).buffered(MAX_PENDING_HANDSHAKES).collect().await;
    for (n, member) in members.iter_mut().enumerate() {
        assert_eq!(member.welcome["recovered"], true, "{}", member.welcome);
        assert_eq!(member.receive_history().await, sent[n % 150 + 1..]);
    }
    let cost = log_reads().await - before;
    println!("{MANY} resumes on {} nodes cost {cost} reads of the log", deployment.nodes.len());
    assert!(cost <= 40, "{cost} reads of the log for {MANY} resumes");
    ann.publish_as(&fresh_id(), "all here?").await;
    for member in &mut members {
        assert_eq!(member.receive().await["text"], "all here?");
    }
}

on_every_layer! {
    a_resume_on_any_node_returns_everything_since
    history_adds_nothing_to_a_resume
    repeated_resumes_under_load_miss_nothing
    a_resume_from_before_the_log_is_reported_as_trimmed
    a_resume_from_an_unknown_id_is_reported_as_unknown
    a_resume_from_a_malformed_id_is_reported_as_malformed
    a_resume_of_an_empty_room_is_not_recovered
    a_thousand_simultaneous_resumes_share_few_log_reads
}
