//! HTTP/1 requests with any head, valid or not, and their responses.

use std::net::SocketAddr;

use serde_json::Value;

use super::connection::Connection;
use super::node::Node;

#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    version: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    host: bool,
}

impl Request {
    /// A request with its own `Host` header and nothing else.
    pub fn new(method: &str, target: &str) -> Self {
        let [method, target, version] = [method, target, "HTTP/1.1"].map(str::to_owned);
        Self { method, target, version, headers: Vec::new(), body: Vec::new(), host: true }
    }

    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub fn post(target: &str) -> Self {
        Self::new("POST", target)
    }

    /// A valid WebSocket handshake with the key of RFC 6455 section 1.3.
    pub fn upgrade(target: &str) -> Self {
        Self::get(target)
            .header("Upgrade", "websocket")
            .header("Connection", "Upgrade")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("Sec-WebSocket-Version", "13")
    }

    pub fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// Adds a header; one of the same name stays.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Removes a header, also `Host`.
    pub fn without(mut self, name: &str) -> Self {
        self.host &= !name.eq_ignore_ascii_case("host");
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self
    }

    /// Replaces all headers of this name.
    pub fn with(self, name: &str, value: &str) -> Self {
        self.without(name).header(name, value)
    }

    /// A body with its `Content-Length`.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        let length = self.body.len().to_string();
        self.with("Content-Length", &length)
    }

    /// A body without a header that announces it.
    pub fn raw_body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// The bytes on the wire.
    pub fn bytes(&self, host: SocketAddr) -> Vec<u8> {
        let mut lines = vec![format!("{} {} {}", self.method, self.target, self.version)];
        lines.extend(self.host.then(|| format!("Host: {host}")));
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        [lines.join("\r\n").as_bytes(), b"\r\n\r\n", &self.body].concat()
    }

    /// Sends the request on a new connection.
    pub async fn send(&self, node: &Node) -> Response {
        self.send_on(&mut Connection::connect(node).await).await
    }

    /// Sends the request on this connection.
    pub async fn send_on(&self, connection: &mut Connection) -> Response {
        let bytes = self.bytes(connection.peer());
        connection.send(&bytes).await;
        connection.response_within(super::wait::PATIENCE, self.method == "HEAD").await
    }
}

#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Response {
    /// The header's value; a second header of the name fails the test.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let first = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is there twice in {:?}", self.headers);
        first
    }

    /// The `Set-Cookie` header of this cookie, with its attributes; fails the test when it is
    /// missing.
    pub fn cookie(&self, name: &str) -> &str {
        let of_name = |value: &str| value.strip_prefix(name).is_some_and(|rest| rest.starts_with('='));
        let set = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case("set-cookie"));
        let mut set = set.map(|(_, value)| value.as_str()).filter(|value| of_name(value));
        set.next().unwrap_or_else(|| panic!("no cookie {name} in {:?}", self.headers))
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error} in the JSON body of {self:?}"))
    }

    /// The type in `Content-Type`, without parameters.
    pub fn content_type(&self) -> &str {
        self.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim()
    }

    /// Takes one complete response from the front of the bytes; `ended` says that no more will
    /// follow.
    pub fn take(bytes: &mut Vec<u8>, to_head: bool, over: bool) -> Option<Self> {
        let end = find(bytes, b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&bytes[..end]).expect("an ASCII head").to_owned();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().expect("a status");
        let headers = lines
            .map(|line| line.split_once(':').unwrap_or_else(|| panic!("a header without colon: {line:?}")))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let mut response = Self { status, headers, body: String::new() };
        let (body, length) = response.body_of(&bytes[end..], to_head, over)?;
        response.body = String::from_utf8(body).expect("a body in UTF-8");
        bytes.drain(..end + length);
        Some(response)
    }

    /// The body and the number of bytes that it takes on the wire.
    fn body_of(&self, bytes: &[u8], to_head: bool, over: bool) -> Option<(Vec<u8>, usize)> {
        if to_head || matches!(self.status, 100..=199 | 204 | 304) {
            return Some((Vec::new(), 0));
        }
        if self.header("transfer-encoding") == Some("chunked") {
            return unchunked(bytes);
        }
        let length = match self.header("content-length") {
            Some(length) => length.parse().expect("a length"),
            None if over => bytes.len(),
            None => return None,
        };
        Some((bytes.get(..length)?.to_vec(), length))
    }

    /// Whether the body of this response may end with the connection.
    pub fn may_end_here(bytes: &[u8]) -> bool {
        let head = String::from_utf8_lossy(bytes).to_ascii_lowercase();
        head.contains("\r\n\r\n") && !head.contains("content-length:") && !head.contains("transfer-encoding:")
    }
}

/// A complete chunked body (RFC 9112 section 7.1) without trailers.
fn unchunked(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let line = at + find(&bytes[at..], b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..line]).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).expect("the size of a chunk");
        let start = line + 2;
        body.extend(bytes.get(start..start + size)?);
        at = start + size + 2;
        if size == 0 {
            return (bytes.len() >= at).then_some((body, at));
        }
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
