//! How somebody comes to a room on `parlor.v1`: since when, with how much of the past, as whom.

use std::net::SocketAddr;

use cookie::{CookieJar, Key};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::client::encoded;
use super::connection::Wire;
use super::http::Request;
use super::member::Member;
use super::node::{Node, SECRET};
use super::wait::{PATIENCE, within};

/// The subprotocol.
pub const V1: &str = "parlor.v1";

#[derive(Clone, Debug)]
pub struct Ticket {
    path: String,
    query: Vec<String>,
    cookie: Option<String>,
    token: Option<String>,
}

impl Ticket {
    /// To a chat room.
    pub fn to(room: &str) -> Self {
        Self::at(&format!("/ws/chat/{}/", encoded(room)))
    }

    /// To any path.
    pub fn at(path: &str) -> Self {
        Self { path: path.to_owned(), query: Vec::new(), cookie: None, token: None }
    }

    /// With the id of the last message that one has.
    pub fn since(self, id: &str) -> Self {
        self.asking(&format!("since={}", encoded(id)))
    }

    /// With so many of the newest messages.
    pub fn history(self, count: usize) -> Self {
        self.asking(&format!("history={count}"))
    }

    /// With any parameter.
    pub fn asking(mut self, parameter: &str) -> Self {
        self.query.push(parameter.to_owned());
        self
    }

    /// As the person in the browser with this cookie: the same for each number.
    pub fn guest(mut self, number: u64) -> Self {
        self.cookie = Some(guest_cookie(number));
        self
    }

    /// With these cookies, as a browser sends them.
    pub fn with_cookies(mut self, cookies: &str) -> Self {
        self.cookie = Some(cookies.to_owned());
        self
    }

    /// Offering this token beside the subprotocol.
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

    /// Comes in at this node; a refusal is a failure of the test.
    pub async fn enter(&self, node: &Node) -> Member {
        self.enter_at(node.address()).await
    }

    pub async fn enter_at(&self, address: SocketAddr) -> Member {
        let what = format!("the handshake at {}", self.target());
        let handshake = within(PATIENCE, &what, self.try_enter_at(address)).await;
        Member::at(&self.target(), handshake.unwrap_or_else(|error| panic!("{what}: {error}"))).await
    }

    /// The open socket, before anything was read from it.
    pub async fn try_enter_at(&self, address: SocketAddr) -> Result<WebSocketStream<TcpStream>, Error> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut request = format!("ws://{address}{}", self.target()).into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("Sec-WebSocket-Protocol", self.protocols().parse()?);
        if let Some(cookie) = &self.cookie {
            // A browser sends both.
            headers.insert("Cookie", cookie.parse()?);
            headers.insert("Origin", format!("http://{address}").parse()?);
        }
        Ok(client_async(request, stream).await?.0)
    }

    /// The same by hand: a connection that is open and was read no further than the 101. Its receive buffer has so
    /// many bytes.
    pub async fn narrow(&self, node: &Node, bytes: usize) -> Wire {
        let mut wire = Wire::narrow(node, bytes);
        let answer = self.request().send_on(&mut wire).await;
        assert_eq!(answer.status, 101, "{answer:?}");
        wire
    }

    /// The handshake as a request, for those who want to see it refused.
    pub fn request(&self) -> Request {
        Request::upgrade(&self.target()).header("Sec-WebSocket-Protocol", &self.protocols())
    }
}

/// The cookie by which a browser is known, another one for each number.
pub fn guest_cookie(number: u64) -> String {
    format!("parlor_guest={}", signed("parlor_guest", &format!("{number:016x}.")))
}

/// The value of a cookie with its signature, by the secret that all nodes of tests have.
pub fn signed(name: &str, value: &str) -> String {
    let mut jar = CookieJar::new();
    jar.signed_mut(&Key::derive_from(SECRET.as_bytes())).add((name.to_owned(), value.to_owned()));
    jar.get(name).expect("a cookie that was added").value().to_owned()
}
