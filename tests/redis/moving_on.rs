//! A node that Redis does not reach has its clients go on at another node.

use std::time::{Duration, Instant};

use crate::support::event_stream::EventStream;
use crate::support::http::Request;
use crate::support::nginx::Nginx;
use crate::support::node::{Node, Plan};
use crate::support::redis::Redis;
use crate::support::redis_proxy::{Direction, RedisProxy};
use crate::support::reserved_port::ReservedPort;
use crate::support::resuming_client::ResumingClient;
use crate::support::tutorial_client::TutorialClient;
use crate::support::v1_client::{V1Client, assert_chain, texts_of};
use crate::support::wait::{PATIENCE, seconds};

/// The node's own period, the time over which it closes sockets, and that of a busy machine.
const MOVED_WITHIN: Duration = seconds(20);

fn at(port: &ReservedPort) -> Plan {
    Node::bare_plan().flag("--listen", &port.address().to_string())
}

#[tokio::test]
async fn clients_of_a_node_cut_off_receive_everything_at_another() {
    let redis = Redis::start().await;
    let proxy = RedisProxy::start(&redis).await;
    let ports = [(); 3].map(|()| ReservedPort::reserve());
    let nginx = Nginx::start(ports.each_ref().map(ReservedPort::number)).await;
    // At first it is the only one, so that all clients are there.
    let cut = at(&ports[0]).env("REDIS_URL", &proxy.url()).start().await;
    let clients: Vec<_> = (0..8).map(|_| ResumingClient::connect(nginx.address(), "lobby")).collect();
    for client in &clients {
        client.wait_until_connected(PATIENCE).await;
    }
    let mut plain = TutorialClient::chat(&cut, "lobby").await;
    let mut stream = EventStream::open(&cut, Request::get("/sse/chat/lobby/")).await;
    let others = [at(&ports[1]).redis(&redis).start().await, at(&ports[2]).redis(&redis).start().await];
    let mut sender = V1Client::join(&others[0], "lobby").await;
    sender.publish("first").await;
    let first = stream.receive_event("message").await;
    for client in &clients {
        client.wait_for_text("first", PATIENCE).await;
    }
    proxy.hold(Direction::Both);
    let held = Instant::now();
    let mut said = vec!["first".to_owned()];
    while clients.iter().any(|client| client.observations().arrivals.len() < 2) {
        assert!(held.elapsed() < MOVED_WITHIN, "clients are still there");
        said.push(said.len().to_string());
        sender.publish(said.last().expect("a text")).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("all clients are at another node after {:?}", held.elapsed());
    sender.publish("last").await;
    said.push("last".to_owned());
    for client in &clients {
        client.wait_for_text("last", PATIENCE).await;
        let notes = client.observations();
        assert_eq!(notes.reported, Vec::<serde_json::Value>::new(), "no loss was reported");
        assert_chain(&notes.messages);
        assert_eq!(texts_of(&notes.messages), said, "each once");
    }
    stream.receive_event("bye").await;
    stream.wait_for_end(PATIENCE).await;
    let mut next = EventStream::after(&others[1], "lobby", &first.id.expect("an id")).await;
    for text in &said[1..] {
        assert_eq!(next.receive_event("message").await.frame["text"], **text);
    }
    // The plain socket cannot resume. It stays, and receives what was logged when Redis is back.
    proxy.open();
    for text in &said {
        assert_eq!(plain.receive_chat().await, *text);
    }
}

#[tokio::test]
async fn moving_on_is_a_setting() {
    let redis = Redis::start().await;
    let proxy = RedisProxy::start(&redis).await;
    let plan = Node::plan().env("REDIS_URL", &proxy.url());
    let keeps = plan.clone().flag("--move-on-seconds", "0").start().await;
    let moves = plan.flag("--move-on-seconds", "2").start().await;
    let mut stays = V1Client::join(&keeps, "lobby").await;
    let mut goes = V1Client::join(&moves, "lobby").await;
    proxy.hold(Direction::Both);
    goes.receive_frame("bye").await;
    assert_eq!(goes.closed(PATIENCE).await, (1012, "this node cannot reach Redis: connect again".to_owned()));
    stays.receives_none_of(&["bye"], seconds(4)).await;
    proxy.open();
    stays.publish_until_acked("after", "after", PATIENCE).await;
}
