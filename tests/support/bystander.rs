//! A room in which one person misbehaves and another one must not notice.

use super::client::Client;
use super::connection::Wire;
use super::frame::CLOSE;
use super::node::Node;
use super::wait::PATIENCE;

/// A room with somebody who must not notice anything.
pub struct Scene {
    pub node: Node,
    onlooker: Client,
    count: usize,
}

impl Scene {
    pub async fn set() -> Self {
        Self::at(Node::alone().await).await
    }

    pub async fn at(node: Node) -> Self {
        let onlooker = Client::chat(&node, "lobby").await;
        Self { node, onlooker, count: 0 }
    }

    /// Sends the bytes on a new socket of the room: it is closed with this code and a reason, and then ended.
    pub async fn closes(&mut self, code: u16, what: &str, bytes: &[u8]) {
        self.closes_at("/ws/chat/lobby/", code, what, bytes).await;
    }

    pub async fn closes_at(&mut self, path: &str, code: u16, what: &str, bytes: &[u8]) {
        let mut sender = Wire::socket(&self.node, path).await;
        sender.send(bytes).await;
        let (seen, reason) = sender.close_code().await;
        assert_eq!(seen, code, "the code for {what} (reason {reason:?})");
        assert!(!reason.is_empty() || is_close(bytes), "the reason for {what}");
        sender.ended(PATIENCE).await;
        self.goes_on(what).await;
    }

    /// The others hear what is said and nothing else.
    pub async fn goes_on(&mut self, after: &str) {
        self.count += 1;
        let text = format!("all well {}", self.count);
        self.onlooker.say(&text).await;
        assert_eq!(self.onlooker.hear_chat().await, text, "after {after}");
    }
}

/// A Close frame is answered, not refused: the answer needs no reason.
fn is_close(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first & 0xf == CLOSE)
}
