//! A client of Server-Sent Events (WHATWG HTML, section 9.2), and the POST that publishes beside
//! it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use super::connection::Connection;
use super::http::{Request, Response};
use super::node::Node;
use super::tutorial_client::encoded;
use super::wait::{PATIENCE, within};
use serde_json::Value;

/// The path of a room's stream.
pub fn stream_of(room: &str) -> String {
    format!("/sse/chat/{}/", encoded(room))
}

pub struct EventStream {
    connection: Connection,
    /// Status line and headers, in lower case.
    pub head: String,
    /// Bytes of blocks; a proxy cuts them anywhere, also within a character.
    bytes: Vec<u8>,
    /// The last chunk has arrived.
    complete: bool,
    unread: VecDeque<Part>,
}

/// One block between two empty lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    pub comment: Option<String>,
    pub event: Option<String>,
    pub id: Option<String>,
    pub retry: Option<u64>,
    /// The frame in `data:`; `null` without data.
    pub frame: Value,
}

impl EventStream {
    /// Opens the stream; any status but 200 fails the test.
    pub async fn open(node: &Node, request: Request) -> Self {
        let mut connection = Connection::connect(node).await;
        connection.send(&request.header("Accept", "text/event-stream").bytes(node.address())).await;
        let head = connection.response_head().await.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        Self::from_connection(connection, head)
    }

    /// Opens the stream; `None` when the connection fails, the status is another than 200, or the
    /// stream has an end from the start: so a browser learns of a refusal.
    pub async fn try_open(address: SocketAddr, request: Request) -> Option<Self> {
        let mut connection = Connection::try_connect(address).await.ok()?;
        let request = request.header("Accept", "text/event-stream").bytes(address);
        connection.try_send(&request).await.ok()?;
        let head = connection.try_response_head().await?.to_ascii_lowercase();
        let is_endless = head.contains("transfer-encoding: chunked");
        (head.starts_with("http/1.1 200 ") && is_endless).then(|| Self::from_connection(connection, head))
    }

    fn from_connection(connection: Connection, head: String) -> Self {
        Self { connection, head, bytes: Vec::new(), complete: false, unread: VecDeque::new() }
    }

    /// The stream of this room, after the message with this id.
    pub async fn after(node: &Node, room: &str, id: &str) -> Self {
        Self::open(node, Request::get(&stream_of(room)).header("Last-Event-ID", id)).await
    }

    /// The next part of any kind, or `None` at the end.
    pub async fn next_part(&mut self, limit: Duration) -> Option<Part> {
        within(limit, "a part of an event stream", self.try_next_part()).await
    }

    /// The next part of any kind, or `None` at the end, however long it takes.
    pub async fn try_next_part(&mut self) -> Option<Part> {
        loop {
            if let Some(end) = self.bytes.windows(2).position(|window| window == b"\n\n") {
                let part: Vec<u8> = self.bytes.drain(..end + 2).collect();
                return Some(Part::read(std::str::from_utf8(&part).expect("a block in UTF-8")));
            }
            if self.unchunk() {
                continue;
            }
            if self.complete || !self.connection.read_more().await {
                return None;
            }
        }
    }

    /// The next event whose frame is of this type; others stay unread. A gap before a message fails
    /// the test.
    pub async fn receive_event(&mut self, kind: &str) -> Part {
        if let Some(place) = self.unread.iter().position(|part| part.frame["type"] == kind) {
            return self.unread.remove(place).expect("an event at its place");
        }
        loop {
            let part = self.next_part(PATIENCE).await;
            let part =
                part.unwrap_or_else(|| panic!("the end of the stream before `{kind}`: {:?}", self.unread));
            if part.frame["type"] == kind {
                return part;
            }
            assert!(kind != "message" || part.frame["type"] != "gap", "instead of a message: {part:?}");
            self.unread.push_back(part);
        }
    }

    /// Waits for the end of the stream.
    pub async fn wait_for_end(&mut self, limit: Duration) {
        while self.next_part(limit).await.is_some() {}
    }

    /// Moves one complete chunk from the connection's buffer to the bytes; `false` without one.
    fn unchunk(&mut self) -> bool {
        let raw = self.connection.buffer();
        let Some(line) = raw.windows(2).position(|window| window == b"\r\n") else { return false };
        let size = std::str::from_utf8(&raw[..line]).expect("the size of a chunk");
        let size = usize::from_str_radix(size.trim(), 16).expect("the size of a chunk");
        let end = line + 2 + size;
        if raw.len() < end + 2 {
            return false;
        }
        self.complete = size == 0;
        self.bytes.extend(&raw[line + 2..end]);
        raw.drain(..end + 2);
        !self.complete
    }
}

impl Part {
    fn read(text: &str) -> Self {
        let mut part = Self::default();
        let mut data: Vec<&str> = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" => part.comment = Some(value.to_owned()),
                "event" => part.event = Some(value.to_owned()),
                "id" => part.id = Some(value.to_owned()),
                "retry" => part.retry = Some(value.parse().expect("a whole number in `retry`")),
                "data" => data.push(value),
                other => panic!("the field {other:?} in {text:?}"),
            }
        }
        if !data.is_empty() {
            let data = data.join("\n");
            part.frame = serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error} in {data:?}"));
        }
        part
    }
}

/// Publishes over HTTP.
pub async fn post(node: &Node, room: &str, body: &Value) -> Response {
    messages(room).body(body.to_string()).send(node).await
}

/// The request that publishes, without its body.
pub fn messages(room: &str) -> Request {
    let request = Request::post(&format!("/chat/{}/messages", encoded(room)));
    request.header("Content-Type", "application/json")
}
