//! A room in which one client misbehaves and another one must not be affected.

use super::connection::Connection;
use super::frame::CLOSE;
use super::node::Node;
use super::tutorial_client::TutorialClient;
use super::wait::PATIENCE;

/// A node with a client in the lobby that must not be affected.
pub struct BystanderRoom {
    pub node: Node,
    bystander: TutorialClient,
    count: usize,
}

impl BystanderRoom {
    pub async fn start() -> Self {
        Self::with_node(Node::alone().await).await
    }

    pub async fn with_node(node: Node) -> Self {
        let bystander = TutorialClient::chat(&node, "lobby").await;
        Self { node, bystander, count: 0 }
    }

    /// Sends the bytes on a new socket of the lobby: the node closes it with this code and a
    /// reason, and ends the connection.
    pub async fn expect_close(&mut self, code: u16, what: &str, bytes: &[u8]) {
        self.expect_close_at("/ws/chat/lobby/", code, what, bytes).await;
    }

    pub async fn expect_close_at(&mut self, path: &str, code: u16, what: &str, bytes: &[u8]) {
        let mut sender = Connection::websocket(&self.node, path).await;
        sender.send(bytes).await;
        let (seen, reason) = sender.close_code().await;
        assert_eq!(seen, code, "the code for {what} (reason {reason:?})");
        assert!(!reason.is_empty() || is_close(bytes), "the reason for {what}");
        sender.wait_for_end(PATIENCE).await;
        self.expect_delivery(what).await;
    }

    /// Asserts that the bystander receives the next message and nothing before it.
    pub async fn expect_delivery(&mut self, after: &str) {
        self.count += 1;
        let text = format!("all well {}", self.count);
        self.bystander.publish(&text).await;
        assert_eq!(self.bystander.receive_chat().await, text, "after {after}");
    }
}

/// The answer to a Close frame needs no reason.
fn is_close(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first & 0xf == CLOSE)
}
