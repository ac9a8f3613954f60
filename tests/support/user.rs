//! A person with a browser: cookies that are kept and sent back, forms with their CSRF token, sockets with an Origin.

use std::collections::BTreeMap;

use super::connection::Connection;
use super::handshake::Handshake;
use super::http::{Request, Response};
use super::node::Node;
use super::v1_client::V1Client;

/// The cookie of a login.
pub const SESSION: &str = "parlor_session";
/// The cookie that a form must repeat.
pub const CSRF: &str = "csrftoken";
/// The field in which it does.
pub const FIELD: &str = "csrfmiddlewaretoken";

#[derive(Clone, Debug, Default)]
pub struct User {
    cookies: BTreeMap<String, String>,
    /// What comes with every request beside them, as from a proxy.
    headers: Vec<(String, String)>,
    pub name: String,
}

impl User {
    /// Somebody with a new browser.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// Somebody who was here once and has a guest's cookie.
    pub async fn guest(node: &Node) -> Self {
        let mut person = Self::anonymous();
        let answer = person.get(node, "/chat/lobby/").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(person.cookie("parlor_guest").is_some(), "{answer:?}");
        person
    }

    /// Somebody who has just made an account with this name, and is logged in.
    pub async fn registered(node: &Node, name: &str) -> Self {
        let mut person = Self::anonymous();
        let answer = person.sign_up(node, name).await;
        assert_eq!(answer.status, 303, "{name} signs up: {answer:?}");
        assert!(person.cookie(SESSION).is_some(), "a login after signing up: {answer:?}");
        person
    }

    /// The same person in another browser.
    pub async fn logged_in(node: &Node, name: &str) -> Self {
        let mut person = Self::anonymous();
        let answer = person.log_in(node, name).await;
        assert_eq!(answer.status, 303, "{name} logs in: {answer:?}");
        person
    }

    /// With this header in every request.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    pub fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    /// The header `Cookie`.
    pub fn cookies(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// Makes an account with [`password`], by the form.
    pub async fn sign_up(&mut self, node: &Node, name: &str) -> Response {
        name.clone_into(&mut self.name);
        self.post(node, "/accounts/signup/", &[("name", name), ("password", &password(name))]).await
    }

    pub async fn log_in(&mut self, node: &Node, name: &str) -> Response {
        name.clone_into(&mut self.name);
        self.post(node, "/accounts/login/", &[("name", name), ("password", &password(name))]).await
    }

    pub async fn log_out(&mut self, node: &Node) -> Response {
        self.post(node, "/accounts/logout/", &[]).await
    }

    /// The request with this browser's cookies.
    pub fn with_cookies(&self, request: Request) -> Request {
        let request = self.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        if self.cookies.is_empty() { request } else { request.header("Cookie", &self.cookies()) }
    }

    /// Sends any request with the cookies and keeps those of the answer.
    pub async fn send(&mut self, node: &Node, request: Request) -> Response {
        let answer = self.with_cookies(request).send(node).await;
        self.keep(&answer);
        answer
    }

    /// Opens a page.
    pub async fn get(&mut self, node: &Node, target: &str) -> Response {
        self.send(node, Request::get(target).header("Accept", "text/html")).await
    }

    /// Sends a form as a browser does: with its own page's origin, and the token.
    pub async fn post(&mut self, node: &Node, target: &str, fields: &[(&str, &str)]) -> Response {
        let token = self.token(node).await;
        let fields: Vec<_> = fields.iter().copied().chain([(FIELD, token.as_str())]).collect();
        let request = form(target, &fields).header("Origin", &format!("http://{}", node.address()));
        self.send(node, request).await
    }

    /// The CSRF token; a page with a form is opened for it if need be.
    pub async fn token(&mut self, node: &Node) -> String {
        if self.cookie(CSRF).is_none() {
            let page = self.get(node, "/accounts/login/").await;
            assert_eq!(page.status, 200, "{page:?}");
        }
        self.cookie(CSRF).expect("a token with a page that has a form").to_owned()
    }

    /// How this person comes to a room.
    pub fn handshake(&self, room: &str) -> Handshake {
        Handshake::to_room(room).with_cookies(&self.cookies())
    }

    /// How this person comes to any socket.
    pub fn handshake_at(&self, path: &str) -> Handshake {
        Handshake::at(path).with_cookies(&self.cookies())
    }

    /// Joins a room on `parlor.v1`.
    pub async fn join(&self, node: &Node, room: &str) -> V1Client {
        self.handshake(room).connect(node).await
    }

    /// The handshake at this path on the plain wire, and its answer.
    pub async fn open_socket(&self, node: &Node, path: &str) -> (Response, Connection) {
        let mut wire = Connection::connect(node).await;
        let origin = format!("http://{}", node.address());
        let request = self.with_cookies(Request::upgrade(path).header("Origin", &origin));
        let answer = request.send_on(&mut wire).await;
        (answer, wire)
    }

    /// As a browser keeps cookies: one that is empty or has no time left is forgotten.
    fn keep(&mut self, answer: &Response) {
        let set = answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        for (_, line) in set {
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            let (name, value) = pair.split_once('=').unwrap_or_else(|| panic!("a cookie without =: {line}"));
            if value.is_empty() || attributes.to_ascii_lowercase().contains("max-age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// The password of everybody with this name.
pub fn password(name: &str) -> String {
    format!("the long secret of {name}")
}

/// A form as a browser sends it, without cookies.
pub fn form(target: &str, fields: &[(&str, &str)]) -> Request {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    Request::post(target).header("Content-Type", "application/x-www-form-urlencoded").body(body)
}
