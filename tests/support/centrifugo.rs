//! A client of Centrifugo's protocol in JSON, and the nodes that its tests need.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::deployment::{Deployment, LayerKind};
use super::jwt_keys;
use super::node::{Node, Plan};
use super::user::User;
use super::wait::{PATIENCE, within};
use super::websocket::{Message, WebSocket};

/// The secret of the tokens, which only `--weak-tokens` allows.
const TOKEN_SECRET: &str = "secret";
/// The options that the tests of centrifuge-python expect of their server.
const NAMESPACES: &str = ":presence,join_leave,force_push_join_leave,history_size=100,history_ttl=300s;\
                          smallhistory:history_size=2,history_ttl=300s;quiet;\
                          readonly:allow_publish_for_subscriber=false";

/// A plan for a node that takes tokens without an end, as the tests of Centrifugo's clients do.
pub fn plan() -> Plan {
    let plan = Node::plan().env("PARLOR_TOKEN_KEY", TOKEN_SECRET).env("PARLOR_TOKEN_ALGORITHM", "HS256");
    let plan = plan.env("PARLOR_WEAK_TOKENS", "true").env("PARLOR_PERSONAL_CHANNELS", "true");
    plan.env("PARLOR_NAMESPACES", NAMESPACES)
}

/// Starts nodes by [`plan`].
pub async fn deployment(layer: LayerKind) -> Deployment {
    Deployment::of(layer, &plan()).await
}

/// A token with these claims.
pub fn token(claims: &Value) -> String {
    signed(claims, TOKEN_SECRET)
}

/// A token with these claims, signed with this secret.
pub fn signed(claims: &Value, secret: &str) -> String {
    let head = json!({ "typ": "JWT", "alg": "HS256" });
    let key = EncodingKey::from_secret(secret.as_bytes());
    jwt_keys::token(&head, claims, &key, Algorithm::HS256)
}

/// A token of this user, without an end.
pub fn token_of(user: &str) -> String {
    token(&json!({ "sub": user }))
}

pub struct CentrifugoClient {
    socket: WebSocket,
    number: u64,
    /// The result of the connect request.
    pub connected: Value,
    /// Pushes that arrived while something else was awaited, the oldest first.
    pushes: VecDeque<Value>,
}

impl CentrifugoClient {
    /// Opens a socket and sends nothing.
    pub async fn open(node: &Node) -> Self {
        Self::open_at(node.address()).await
    }

    /// Opens a socket at this address and sends nothing.
    pub async fn open_at(address: SocketAddr) -> Self {
        let socket = WebSocket::connect(address, "/connection/websocket", &[]).await;
        let socket = socket.unwrap_or_else(|error| panic!("{error}"));
        Self { socket, number: 0, connected: Value::Null, pushes: VecDeque::new() }
    }

    /// Connects as the user of a browser, without a token.
    pub async fn by(user: &User, node: &Node) -> Self {
        let origin = format!("http://{}", node.address());
        let headers = [("cookie", user.cookies()), ("origin", origin)];
        let headers = headers.into_iter().filter(|(_, value)| !value.is_empty()).collect::<Vec<_>>();
        let socket = WebSocket::connect(node.address(), "/connection/websocket", &headers).await;
        let socket = socket.unwrap_or_else(|error| panic!("{error}"));
        let mut client = Self { socket, number: 0, connected: Value::Null, pushes: VecDeque::new() };
        client.connected = client.result("connect", &json!({})).await;
        client
    }

    /// Connects as this user.
    pub async fn connect(node: &Node, user: &str) -> Self {
        Self::connect_with(node, &json!({ "token": token_of(user) })).await
    }

    /// Connects by this request.
    pub async fn connect_with(node: &Node, request: &Value) -> Self {
        let mut client = Self::open(node).await;
        client.connected = client.result("connect", request).await;
        client
    }

    /// The id of the connection.
    pub fn id(&self) -> &str {
        self.connected["client"].as_str().expect("an id")
    }

    /// Sends a text as it is.
    pub async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await;
    }

    /// Waits for the next ping of the server, which is not answered.
    pub async fn next_ping(&mut self, limit: Duration) {
        within(limit, "a ping", async { while self.next().await != json!({}) {} }).await;
    }

    /// Sends a command, and returns its reply.
    pub async fn call(&mut self, method: &str, request: &Value) -> Value {
        self.number += 1;
        let number = self.number;
        self.send(&json!({ "id": number, method: request }).to_string()).await;
        self.reply(number).await
    }

    /// Returns the reply to the command with this number.
    pub async fn reply(&mut self, number: u64) -> Value {
        within(PATIENCE, &format!("a reply to command {number}"), async {
            loop {
                let message = self.next().await;
                if message["id"] == number {
                    return message;
                }
            }
        })
        .await
    }

    /// Returns the next reply to any command.
    pub async fn any_reply(&mut self) -> Value {
        within(PATIENCE, "a reply", async {
            loop {
                let message = self.next().await;
                if message["id"].is_u64() {
                    return message;
                }
            }
        })
        .await
    }

    /// Sends a command that succeeds, and returns its result.
    pub async fn result(&mut self, method: &str, request: &Value) -> Value {
        let mut reply = self.call(method, request).await;
        assert!(reply.get(method).is_some(), "{method} {request}: {reply}");
        reply[method].take()
    }

    /// Sends a command that fails, and returns the code of its error.
    pub async fn error(&mut self, method: &str, request: &Value) -> u64 {
        let reply = self.call(method, request).await;
        reply["error"]["code"].as_u64().unwrap_or_else(|| panic!("{method} {request}: {reply}"))
    }

    pub async fn subscribe(&mut self, channel: &str) -> Value {
        self.result("subscribe", &json!({ "channel": channel })).await
    }

    pub async fn publish(&mut self, channel: &str, data: &Value) {
        self.result("publish", &json!({ "channel": channel, "data": data })).await;
    }

    /// Returns the next push of a channel that has this member.
    pub async fn push(&mut self, channel: &str, member: &str) -> Value {
        self.push_of(&json!(channel), member).await
    }

    /// Returns the next push of the connection that has this member.
    pub async fn push_of_connection(&mut self, member: &str) -> Value {
        self.push_of(&Value::Null, member).await
    }

    async fn push_of(&mut self, channel: &Value, member: &str) -> Value {
        within(PATIENCE, &format!("{member} of {channel}"), async {
            let is_it = |push: &Value| push["channel"] == *channel && push.get(member).is_some();
            loop {
                if let Some(at) = self.pushes.iter().position(is_it) {
                    return self.pushes.remove(at).expect("found")[member].take();
                }
                let message = self.next().await;
                assert!(message.get("push").is_some() || message == json!({}), "{message}");
            }
        })
        .await
    }

    /// Returns the data of the next publications of a channel.
    pub async fn data(&mut self, channel: &str, count: usize) -> Vec<Value> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(self.push(channel, "pub").await["data"].take());
        }
        all
    }

    /// Returns the pushes that arrived and were not awaited.
    pub fn unread(&self) -> &VecDeque<Value> {
        &self.pushes
    }

    /// Reads for this time; the end of the connection fails the test.
    pub async fn stays_connected(&mut self, time: Duration) {
        let read = async {
            loop {
                self.next().await;
            }
        };
        let _: Result<(), _> = tokio::time::timeout(time, read).await;
    }

    /// Returns how the server closed the socket.
    pub async fn closed(&mut self) -> (u16, String) {
        self.closed_within(PATIENCE).await
    }

    /// Returns how the server closed the socket within this time.
    pub async fn closed_within(&mut self, time: Duration) -> (u16, String) {
        self.socket.closed(time, |_| {}).await
    }

    /// Returns the next message, and queues it if it is a push.
    async fn next(&mut self) -> Value {
        let text = match self.socket.next_data().await {
            Some(Message::Text(text)) => text,
            other => panic!("{other:?} instead of a message"),
        };
        assert!(!text.contains(['\n', '\r']), "clients split messages into lines: {text}");
        let message: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        if let Some(push) = message.get("push") {
            self.pushes.push_back(push.clone());
        }
        message
    }
}
