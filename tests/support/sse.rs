//! A reader of Server-Sent Events, by hand (WHATWG HTML, section 9.2), and the POST that goes with it.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::encoded;
use super::http::{Answer, Request};
use super::node::Node;
use super::wait::{PATIENCE, within};

/// The path of a room's stream.
pub fn stream_of(room: &str) -> String {
    format!("/sse/chat/{}/", encoded(room))
}

pub struct EventStream {
    stream: TcpStream,
    /// Status line and headers, in lower case.
    pub head: String,
    raw: Vec<u8>,
    text: String,
    over: bool,
    kept: VecDeque<Part>,
}

/// What stands between two empty lines.
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
    /// Opens the stream; anything but a 200 is a failure of the test.
    pub async fn open(node: &Node, request: Request) -> Self {
        let mut stream = TcpStream::connect(node.address()).await.expect("a TCP connection");
        let request = request.header("Accept", "text/event-stream").bytes(node.address());
        stream.write_all(&request).await.expect("the node to take a request");
        let mut raw = Vec::new();
        let end = within(PATIENCE, "the head of a stream", async {
            loop {
                if let Some(end) = raw.windows(4).position(|window| window == b"\r\n\r\n") {
                    return end + 4;
                }
                let count = stream.read_buf(&mut raw).await.expect("a head");
                assert!(count > 0, "the end within a head: {:?}", String::from_utf8_lossy(&raw));
            }
        })
        .await;
        let head = String::from_utf8_lossy(&raw[..end]).to_ascii_lowercase();
        raw.drain(..end);
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        Self { stream, head, raw, text: String::new(), over: false, kept: VecDeque::new() }
    }

    /// The stream of this room, after the message with this id.
    pub async fn after(node: &Node, room: &str, id: &str) -> Self {
        Self::open(node, Request::get(&stream_of(room)).header("Last-Event-ID", id)).await
    }

    /// The next part of any kind, or `None` at the end.
    pub async fn part(&mut self, limit: Duration) -> Option<Part> {
        within(limit, "a part of an event stream", async {
            loop {
                if let Some(end) = self.text.find("\n\n") {
                    let rest = self.text.split_off(end + 2);
                    let part = std::mem::replace(&mut self.text, rest);
                    return Some(Part::read(&part));
                }
                if self.unchunk() {
                    continue;
                }
                if self.over || self.stream.read_buf(&mut self.raw).await.unwrap_or(0) == 0 {
                    return None;
                }
            }
        })
        .await
    }

    /// The next event whose frame is of this type; others are kept for whoever asks for them. A gap before a
    /// message is a failure.
    pub async fn event_of(&mut self, kind: &str) -> Part {
        if let Some(place) = self.kept.iter().position(|part| part.frame["type"] == kind) {
            return self.kept.remove(place).expect("an event at its place");
        }
        loop {
            let part = self.part(PATIENCE).await;
            let part =
                part.unwrap_or_else(|| panic!("the end of the stream before `{kind}`: {:?}", self.kept));
            if part.frame["type"] == kind {
                return part;
            }
            assert!(kind != "message" || part.frame["type"] != "gap", "instead of a message: {part:?}");
            self.kept.push_back(part);
        }
    }

    /// Waits for the end of the stream.
    pub async fn ended(&mut self, limit: Duration) {
        while self.part(limit).await.is_some() {}
    }

    /// Moves one chunk from the raw bytes to the text, if a whole one is there.
    fn unchunk(&mut self) -> bool {
        let Some(line) = self.raw.windows(2).position(|window| window == b"\r\n") else { return false };
        let size = std::str::from_utf8(&self.raw[..line]).expect("the size of a chunk");
        let size = usize::from_str_radix(size.trim(), 16).expect("the size of a chunk");
        let end = line + 2 + size;
        if self.raw.len() < end + 2 {
            return false;
        }
        self.over = size == 0;
        self.text += std::str::from_utf8(&self.raw[line + 2..end]).expect("a chunk in whole characters");
        self.raw.drain(..end + 2);
        !self.over
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

/// Says something without a socket.
pub async fn post(node: &Node, room: &str, body: &Value) -> Answer {
    messages(room).body(body.to_string()).send(node).await
}

/// The request that says something, still without a body.
pub fn messages(room: &str) -> Request {
    let request = Request::post(&format!("/chat/{}/messages", encoded(room)));
    request.header("Content-Type", "application/json")
}
