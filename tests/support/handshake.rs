//! A `parlor.v1` handshake: the path, where to resume, how much history, and the credentials.

use std::net::SocketAddr;

use cookie::{CookieJar, Key};

use super::connection::Connection;
use super::http::Request;
use super::node::{Node, SECRET};
use super::tutorial_client::{chat_path, encoded};
use super::v1_client::V1Client;
use super::wait::{PATIENCE, within};
use super::websocket::{Error, WebSocket};

/// The subprotocol.
pub const V1: &str = "parlor.v1";

#[derive(Clone, Debug)]
pub struct Handshake {
    path: String,
    query: Vec<String>,
    cookie: Option<String>,
    token: Option<String>,
}

impl Handshake {
    /// For a chat room.
    pub fn to_room(room: &str) -> Self {
        Self::at(&chat_path(room))
    }

    /// For any path.
    pub fn at(path: &str) -> Self {
        Self { path: path.to_owned(), query: Vec::new(), cookie: None, token: None }
    }

    /// Resumes after the message with this id.
    pub fn since(self, id: &str) -> Self {
        self.query(&format!("since={}", encoded(id)))
    }

    /// Asks for this many of the newest messages.
    pub fn history(self, count: usize) -> Self {
        self.query(&format!("history={count}"))
    }

    /// Adds any parameter.
    pub fn query(mut self, parameter: &str) -> Self {
        self.query.push(parameter.to_owned());
        self
    }

    /// As the guest of this number.
    pub fn with_guest(mut self, number: u64) -> Self {
        self.cookie = Some(guest_cookie(number));
        self
    }

    /// With these cookies, as a browser sends them.
    pub fn with_cookies(mut self, cookies: &str) -> Self {
        self.cookie = Some(cookies.to_owned());
        self
    }

    /// Offers this token beside the subprotocol.
    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// The subprotocols that are offered.
    fn protocols(&self) -> String {
        match &self.token {
            Some(token) => format!("{V1}, parlor.token.{token}"),
            None => V1.to_owned(),
        }
    }

    /// Path and query.
    pub fn target(&self) -> String {
        if self.query.is_empty() {
            return self.path.clone();
        }
        format!("{}?{}", self.path, self.query.join("&"))
    }

    /// Connects to this node; a rejected handshake fails the test.
    pub async fn connect(&self, node: &Node) -> V1Client {
        self.connect_to(node.address()).await
    }

    pub async fn connect_to(&self, address: SocketAddr) -> V1Client {
        let what = format!("the handshake at {}", self.target());
        let handshake = within(PATIENCE, &what, self.try_connect(address)).await;
        V1Client::welcomed(handshake.unwrap_or_else(|error| panic!("{what}: {error}"))).await
    }

    /// The open socket, before its first frame was read.
    pub async fn try_connect(&self, address: SocketAddr) -> Result<WebSocket, Error> {
        let mut headers = vec![("sec-websocket-protocol", self.protocols())];
        if let Some(cookie) = &self.cookie {
            // A browser sends both.
            headers.push(("cookie", cookie.clone()));
            headers.push(("origin", format!("http://{address}")));
        }
        WebSocket::connect(address, &self.target(), &headers).await
    }

    /// An open socket as a raw connection, read no further than the 101. Its receive buffer has
    /// this many bytes.
    pub async fn connect_narrow(&self, node: &Node, bytes: usize) -> Connection {
        let mut connection = Connection::narrow(node, bytes);
        let response = self.request().send_on(&mut connection).await;
        assert_eq!(response.status, 101, "{response:?}");
        connection
    }

    /// The handshake as a request, to look at its response.
    pub fn request(&self) -> Request {
        Request::upgrade(&self.target()).header("Sec-WebSocket-Protocol", &self.protocols())
    }
}

/// The cookie of the guest of this number.
pub fn guest_cookie(number: u64) -> String {
    format!("parlor_guest={}", signed("parlor_guest", &format!("{number:016x}.")))
}

/// The value of a cookie with its signature by [`SECRET`].
pub fn signed(name: &str, value: &str) -> String {
    let mut jar = CookieJar::new();
    jar.signed_mut(&Key::derive_from(SECRET.as_bytes())).add((name.to_owned(), value.to_owned()));
    jar.get(name).expect("a cookie that was added").value().to_owned()
}
