//! A client that reads steadily is not silent, however slow its line: it can answer a ping only
//! after it has read what is before it, here and in the proxy.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use crate::support::cluster::Cluster;
use crate::support::connection::Connection;
use crate::support::frame::{CLOSE, Frame, PING, PONG, TEXT};
use crate::support::handshake::Handshake;
use crate::support::node::Node;
use crate::support::v1_client::V1Client;
use crate::support::wait::{seconds, within};

/// The rate of the readers, in bytes a second.
const RATE: u32 = 4096;
/// How often they read.
const PAUSE: Duration = Duration::from_millis(250);
/// What each receives: twice its text, which takes a reader about 90 s.
const TEXTS: usize = 36;

/// Reads slowly until it has received [`TEXTS`] messages, and answers every ping at once. Returns
/// the longest time between two answers.
async fn read_steadily(address: SocketAddr, handshake: Handshake, opened: impl AsyncFnOnce()) -> Duration {
    let mut connection = Connection::narrow_to(address, 4096);
    let response = handshake.request().send_on(&mut connection).await;
    assert_eq!(response.status, 101, "{response:?}");
    opened().await;
    let (mut received, mut longest, mut answered) = (0, Duration::ZERO, Instant::now());
    while received < TEXTS {
        let count = connection.read_at_most((RATE / 4) as usize).await;
        assert!(count > 0, "the end of the connection after {received} of {TEXTS} messages");
        while let Some(frame) = Frame::take(connection.buffer()) {
            match frame.opcode {
                PING => {
                    connection.send_frame(&Frame::new(PONG, &frame.payload)).await;
                    longest = longest.max(answered.elapsed());
                    answered = Instant::now();
                }
                TEXT => {
                    let frame: Value = serde_json::from_slice(&frame.payload).expect("a frame in JSON");
                    received += usize::from(frame["type"] == "message");
                }
                CLOSE => panic!("{:?} after {received} of {TEXTS} messages", frame.close_code()),
                _ => {}
            }
        }
        sleep(PAUSE).await;
    }
    longest.max(answered.elapsed())
}

async fn publish_all(node: &Node, room: &str) {
    let mut sender = V1Client::join(node, room).await;
    for n in 0..TEXTS {
        sender.publish(&format!("{n} {}", "x".repeat(7_500))).await;
    }
}

#[tokio::test]
async fn a_slow_but_steady_reader_is_not_silent() {
    let mut site = Cluster::with_nodes(1).await;
    let proxy = site.nginx.address();
    let node = &*site.node(0);
    publish_all(node, "past").await;
    let past = || Handshake::to_room("past").history(TEXTS);
    let live = async |room: &'static str, address| {
        read_steadily(address, Handshake::to_room(room), async || publish_all(node, room).await).await
    };
    let readers = Box::pin(async {
        tokio::join!(
            live("direct", node.address()),
            live("proxied", proxy),
            read_steadily(node.address(), past(), async || {}),
            read_steadily(proxy, past(), async || {}),
        )
    });
    let longest = within(seconds(200), "all steady readers", readers).await;
    let longest = [longest.0, longest.1, longest.2, longest.3];
    println!("the longest times between two answers: {longest:?}");
    assert!(longest.iter().any(|time| *time > seconds(60)), "slow enough: {longest:?}");
}
