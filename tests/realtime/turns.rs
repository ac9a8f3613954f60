//! A message with many requests whose replies are long: other clients have their turns meanwhile.

use serde_json::json;
use tokio_centrifuge::config::Protocol;

use crate::support::bystander::BystanderRoom;
use crate::support::centrifugo::{plan, token_of};
use crate::support::connection::Connection;
use crate::support::encoded_client::EncodedClient;
use crate::support::frame::Frame;
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::wait::{seconds, within};

/// The requests of the message.
const REQUESTS: usize = 200;
/// The messages of each reply, as many as it may have: they cost time rather than bytes.
const REPLY_MESSAGES: usize = 300;
/// The fewest messages of others that are delivered meanwhile. It was one where a client had a turn
/// without end, and is more than 100 on an idle machine.
const MIN_DELIVERIES: usize = 10;

/// A message that connects, and then asks for the history again and again.
fn message() -> String {
    let history = json!({ "channel": "attic", "limit": REPLY_MESSAGES });
    let connect = json!({ "id": 1, "connect": { "token": token_of("ann") } });
    let subscribe = json!({ "id": 2, "subscribe": { "channel": "attic" } });
    let requests = (3..REQUESTS + 3).map(|id| json!({ "id": id, "history": history }));
    let commands: Vec<_> =
        [connect, subscribe].into_iter().chain(requests).map(|it| it.to_string()).collect();
    commands.join("\n")
}

/// Sends the message, and returns the connection on which the replies arrive.
async fn ask(node: &Node, transport: &str) -> Connection {
    let path = format!("/connection/{transport}");
    if transport == "websocket" {
        let mut connection = Connection::websocket(node, &path).await;
        connection.send_frame(&Frame::text(&message())).await;
        return connection;
    }
    let mut connection = Connection::connect(node).await;
    connection.send(&Request::post(&path).body(message()).bytes(node.address())).await;
    connection
}

/// Reads, as fast as the node writes, up to the last reply.
async fn read_all(mut connection: Connection) {
    let last = format!(r#"{{"id":{},"history""#, REQUESTS + 2).into_bytes();
    loop {
        assert!(connection.read_more().await, "the end before the last reply");
        let buffer = connection.buffer();
        if buffer.windows(last.len()).any(|bytes| bytes == last) {
            return;
        }
        buffer.drain(..buffer.len().saturating_sub(last.len()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_are_served_between_long_replies_to_one_message() {
    let plan = plan().env("PARLOR_NAMESPACES", &format!(":history_size={REPLY_MESSAGES},history_ttl=300s"));
    let mut room = BystanderRoom::with_node(plan.start().await).await;
    let mut writer = EncodedClient::connect(room.node.address(), Protocol::Json, "bob").await;
    writer.subscribe("attic").await;
    for _ in 0..REPLY_MESSAGES {
        writer.publish("attic", &json!(1)).await;
    }
    for transport in ["websocket", "http_stream", "sse"] {
        let replies = ask(&room.node, transport).await;
        let replies = tokio::spawn(within(seconds(60), "the last reply", read_all(replies)));
        let mut deliveries = 0;
        while !replies.is_finished() {
            room.expect_delivery(transport).await;
            deliveries += 1;
        }
        replies.await.expect("all replies");
        assert!(deliveries >= MIN_DELIVERIES, "{transport}: {deliveries} deliveries");
    }
}
