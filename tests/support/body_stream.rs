//! A response whose body goes on: objects, one a line, with or without `data: ` before them.

use serde_json::Value;

use super::connection::Connection;
use super::http::Request;
use super::node::Node;
use super::wait::{PATIENCE, until, within};

pub struct BodyStream {
    connection: Connection,
    seen: usize,
    /// The status line and the headers.
    pub head: String,
}

impl BodyStream {
    /// Sends a request that is answered 200.
    pub async fn open(node: &Node, request: Request) -> Self {
        let mut connection = Connection::connect(node).await;
        connection.send(&request.bytes(node.address())).await;
        let head = connection.response_head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        Self { connection, seen: 0, head }
    }

    /// Returns the next object for which this holds.
    pub async fn next(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        until(PATIENCE, "a message of a stream", async || {
            let text = String::from_utf8_lossy(self.connection.buffer()).into_owned();
            // Chunks have their lengths on lines of their own.
            let lines = text.lines().skip(self.seen);
            let json = |line: &str| serde_json::from_str(line.strip_prefix("data: ").unwrap_or(line));
            let parsed = lines.map(|line| json(line).unwrap_or(Value::Null));
            let whole =
                if text.ends_with('\n') { usize::MAX } else { text.lines().count().saturating_sub(1) };
            for (index, message) in parsed.enumerate() {
                if self.seen + index < whole && message.is_object() && is_it(&message) {
                    self.seen += index + 1;
                    return Ok(message);
                }
            }
            assert!(self.connection.read_more().await, "the stream ended: {text}");
            Err(text)
        })
        .await
    }

    /// Waits until the server has ended the stream.
    pub async fn ended(&mut self) {
        // The last chunk: the connection stays open.
        let ended = async {
            while !self.connection.buffer().ends_with(b"\r\n0\r\n\r\n") {
                assert!(self.connection.read_more().await, "the connection ended before the stream");
            }
        };
        within(PATIENCE, "the end of a stream", ended).await;
    }
}
