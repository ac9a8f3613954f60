//! Resuming with `since` returns everything sent meanwhile, each message once, or the reason why
//! not.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::deployment::{Deployment, LayerKind, on_both_layers};
use crate::support::handshake::Handshake;
use crate::support::metrics::metric;
use crate::support::node::Node;
use crate::support::v1_client::{V1Client, assert_chain, fresh_id, id_of, texts_of};
use crate::support::wait::seconds;

/// Publishes the numbers of a range and returns the messages.
async fn says(member: &mut V1Client, numbers: std::ops::Range<usize>) -> Vec<Value> {
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
            let told = (&member.welcome["recovered"], &member.welcome["reason"]);
            assert_eq!(told, (&json!(false), &json!(reason)), "{} {}", ticket.target(), member.welcome);
            let wanted = &newest[newest.len().saturating_sub(count)..];
            let past = if count == 0 { Vec::new() } else { member.receive_history().await };
            assert_eq!(texts_of(&past), wanted, "{}", ticket.target());
            member.receives_none_of(&["message", "gap"], seconds(0)).await;
        }
    }
}

async fn a_resume_on_any_node_returns_everything_since(layer: LayerKind) {
    let world = Deployment::start(layer).await;
    let mut ann = V1Client::join(world.first(), "lobby").await;
    let said = says(&mut ann, 0..300).await;
    assert_chain(&said);
    for (place, node) in
        [0, 1, 150, 298, 299].iter().flat_map(|place| world.nodes.iter().map(move |node| (*place, node)))
    {
        let mut bob = Handshake::to_room("lobby").since(&id_of(&said[place])).connect(node).await;
        assert_eq!((&bob.welcome["recovered"], &bob.welcome["reason"]), (&json!(true), &Value::Null));
        assert_eq!(bob.welcome["last"], said[299]["id"]);
        if place < 299 {
            assert_eq!(bob.receive_history().await, said[place + 1..]);
        }
        bob.receives_none_of(&["message", "gap"], seconds(0)).await;
    }
}

async fn history_adds_nothing_to_a_resume(layer: LayerKind) {
    let world = Deployment::start(layer).await;
    let mut ann = V1Client::join(world.first(), "lobby").await;
    let said = says(&mut ann, 0..20).await;
    let ticket = Handshake::to_room("lobby").since(&id_of(&said[9])).history(15);
    let mut bob = ticket.connect(world.last()).await;
    assert_eq!(bob.welcome["recovered"], true);
    assert_eq!(bob.receive_history().await, said[10..]);
}

async fn repeated_resumes_under_load_miss_nothing(layer: LayerKind) {
    const LAST: usize = 1000;
    let world = Deployment::start(layer).await;
    let mut flood = V1Client::join(world.first(), "lobby").await;
    let mut first = V1Client::join(world.last(), "lobby").await;
    let speak = async {
        for n in 0..=LAST {
            flood.publish(&n.to_string()).await;
        }
    };
    let listen = async {
        let mut heard = vec![first.receive().await];
        let (mut visits, last) = (0, LAST.to_string());
        while heard.last().unwrap()["text"] != last {
            let ticket = Handshake::to_room("lobby").since(&id_of(heard.last().unwrap()));
            let mut member = ticket.connect(&world.nodes[visits % world.nodes.len()]).await;
            assert_eq!(member.welcome["recovered"], true, "{}", member.welcome);
            visits += 1;
            // Reads some history, or some live messages, and disconnects.
            for _ in 0..=(visits * 7) % 40 {
                heard.push(member.receive().await);
                if heard.last().unwrap()["text"] == last {
                    break;
                }
            }
        }
        heard
    };
    let ((), heard) = tokio::join!(speak, listen);
    assert_chain(&heard);
    assert_eq!(texts_of(&heard), numbers(0..LAST + 1));
}

async fn a_resume_from_before_the_log_is_reported_as_trimmed(layer: LayerKind) {
    let world = Deployment::with(layer, &[("--log-messages", "100")]).await;
    let mut ann = V1Client::join(world.first(), "lobby").await;
    let said = says(&mut ann, 0..500).await;
    let newest = texts_of(&said);
    // A node that was subscribed may have them in its cache; another one reads the log.
    let strangers = &world.nodes[world.nodes.len() - 1..];
    cannot_resume(strangers, &id_of(&said[0]), "trimmed", &newest).await;
    cannot_resume(strangers, &id_of(&said[150]), "trimmed", &newest).await;
    if layer == LayerKind::Memory {
        cannot_resume(strangers, &id_of(&said[398]), "trimmed", &newest).await;
    }
    let mut bob = Handshake::to_room("lobby").since(&id_of(&said[400])).connect(world.last()).await;
    assert_eq!(bob.welcome["recovered"], true, "what the log keeps can be resumed");
    assert_eq!(bob.receive_history().await, said[401..]);
    let mut cleo = Handshake::to_room("lobby").history(1000).connect(world.last()).await;
    let kept = cleo.receive_history().await;
    assert!(said.ends_with(&kept), "the log is the end of what was said");
    match layer {
        LayerKind::Memory => assert_eq!(kept.len(), 100),
        LayerKind::Redis => assert!((100..300).contains(&kept.len()), "{} messages are kept", kept.len()),
    }
    assert!(metric(world.last(), "parlor_resumes_total{outcome=\"trimmed\"}").await >= 3);
}

async fn a_resume_from_an_unknown_id_is_reported_as_unknown(layer: LayerKind) {
    let world = Deployment::start(layer).await;
    let mut ann = V1Client::join(world.first(), "lobby").await;
    let newest = texts_of(&says(&mut ann, 0..60).await);
    let mut other = V1Client::join(world.first(), "kitchen").await;
    let foreign = id_of(&says(&mut other, 0..1).await[0]);
    cannot_resume(&world.nodes, &foreign, "unknown", &newest).await;
    // Well formed, and of a time in the future.
    let future = "9999999999999-0";
    cannot_resume(&world.nodes, future, "unknown", &newest).await;
    assert!(metric(world.first(), "parlor_resumes_total{outcome=\"unknown\"}").await >= 3);
}

async fn a_resume_from_a_malformed_id_is_reported_as_malformed(layer: LayerKind) {
    let world = Deployment::start(layer).await;
    let mut ann = V1Client::join(world.first(), "lobby").await;
    let newest = texts_of(&says(&mut ann, 0..60).await);
    let mut wrong = vec!["abc", "-", "1-", "-1", "1-2-3", "$", "+", "*", "0x10-0", "1 2", "聊天", "(1-0"]
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    wrong.push("9".repeat(100));
    wrong.push(format!("{}-0", u128::MAX));
    for since in wrong {
        cannot_resume(&world.nodes, &since, "malformed", &newest).await;
    }
    assert!(metric(world.first(), "parlor_resumes_total{outcome=\"malformed\"}").await > 0);
}

async fn a_resume_of_an_empty_room_is_not_recovered(layer: LayerKind) {
    let world = Deployment::start(layer).await;
    let mut ann = V1Client::join(world.first(), "lobby").await;
    let id = id_of(&says(&mut ann, 0..1).await[0]);
    let bob = Handshake::to_room("empty").since(&id).connect(world.last()).await;
    assert_eq!(bob.welcome["recovered"], false, "{}", bob.welcome);
    assert!(bob.welcome["reason"].is_string(), "{}", bob.welcome);
}

async fn a_thousand_simultaneous_resumes_share_few_log_reads(layer: LayerKind) {
    const MANY: usize = 1000;
    let world = Deployment::start(layer).await;
    let mut ann = V1Client::join(world.first(), "lobby").await;
    let said = says(&mut ann, 0..200).await;
    let reads = async || {
        let mut sum = 0;
        for node in &world.nodes {
            sum += metric(node, "parlor_log_reads_total").await;
        }
        sum
    };
    let before = reads().await;
    let tickets: Vec<Handshake> =
        (0..MANY).map(|n| Handshake::to_room("lobby").since(&id_of(&said[n % 150]))).collect();
    let mut members = join_all(
        tickets.iter().enumerate().map(|(n, ticket)| ticket.connect(&world.nodes[n % world.nodes.len()])),
    )
    .await;
    for (n, member) in members.iter_mut().enumerate() {
        assert_eq!(member.welcome["recovered"], true, "{}", member.welcome);
        assert_eq!(member.receive_history().await, said[n % 150 + 1..]);
    }
    let spent = reads().await - before;
    println!("{MANY} resumes on {} nodes cost {spent} reads of the log", world.nodes.len());
    assert!(spent <= 40, "{spent} reads of the log for {MANY} resumes");
    ann.publish_as(&fresh_id(), "all here?").await;
    for member in &mut members {
        assert_eq!(member.receive().await["text"], "all here?");
    }
}

on_both_layers! {
    a_resume_on_any_node_returns_everything_since
    history_adds_nothing_to_a_resume
    repeated_resumes_under_load_miss_nothing
    a_resume_from_before_the_log_is_reported_as_trimmed
    a_resume_from_an_unknown_id_is_reported_as_unknown
    a_resume_from_a_malformed_id_is_reported_as_malformed
    a_resume_of_an_empty_room_is_not_recovered
    a_thousand_simultaneous_resumes_share_few_log_reads
}
