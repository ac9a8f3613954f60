//! A user with a browser: cookies that are kept and sent back, forms with their CSRF token, sockets
//! with an Origin.

use std::collections::BTreeMap;

use super::connection::Connection;
use super::handshake::Handshake;
use super::http::{Request, Response};
use super::node::Node;
use super::v1_client::V1Client;

/// The session cookie.
pub const SESSION: &str = "parlor_session";
/// The CSRF cookie.
pub const CSRF: &str = "csrftoken";
/// The form field that repeats the CSRF cookie.
pub const FIELD: &str = "csrfmiddlewaretoken";

#[derive(Clone, Debug, Default)]
pub struct User {
    cookies: BTreeMap<String, String>,
    /// Further headers of every request, as from a proxy.
    headers: Vec<(String, String)>,
    pub name: String,
}

impl User {
    /// A user with a new browser.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// A user with a guest's cookie.
    pub async fn guest(node: &Node) -> Self {
        let mut user = Self::anonymous();
        let response = user.get(node, "/chat/lobby/").await;
        assert_eq!(response.status, 200, "{response:?}");
        assert!(user.cookie("parlor_guest").is_some(), "{response:?}");
        user
    }

    /// Signs up with this name and has a session.
    pub async fn registered(node: &Node, name: &str) -> Self {
        let mut user = Self::anonymous();
        let response = user.sign_up(node, name).await;
        assert_eq!(response.status, 303, "{name} signs up: {response:?}");
        assert!(user.cookie(SESSION).is_some(), "a login after signing up: {response:?}");
        user
    }

    /// Logs in with this name in another browser.
    pub async fn logged_in(node: &Node, name: &str) -> Self {
        let mut user = Self::anonymous();
        let response = user.log_in(node, name).await;
        assert_eq!(response.status, 303, "{name} logs in: {response:?}");
        user
    }

    /// Adds a header to every request.
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

    pub fn remove_cookie(&mut self, name: &str) {
        self.cookies.remove(name);
    }

    /// The header `Cookie`.
    pub fn cookies(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// Signs up with [`password`] through the form.
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

    /// Adds the browser's cookies to the request.
    pub fn with_cookies(&self, request: Request) -> Request {
        let request = self.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        if self.cookies.is_empty() { request } else { request.header("Cookie", &self.cookies()) }
    }

    /// Sends a request with the cookies and keeps those of the response.
    pub async fn send(&mut self, node: &Node, request: Request) -> Response {
        let response = self.with_cookies(request).send(node).await;
        self.keep(&response);
        response
    }

    /// Opens a page.
    pub async fn get(&mut self, node: &Node, target: &str) -> Response {
        self.send(node, Request::get(target).header("Accept", "text/html")).await
    }

    /// Sends a form like a browser: with the page's origin and its token.
    pub async fn post(&mut self, node: &Node, target: &str, fields: &[(&str, &str)]) -> Response {
        let token = self.token(node).await;
        let fields: Vec<_> = fields.iter().copied().chain([(FIELD, token.as_str())]).collect();
        let request = form(target, &fields).header("Origin", &self.origin(node));
        self.send(node, request).await
    }

    /// The origin of the node's pages, as the user's browser sees it.
    fn origin(&self, node: &Node) -> String {
        let is_https =
            self.headers.iter().any(|(name, value)| name == "X-Forwarded-Proto" && value == "https");
        format!("{}://{}", if is_https { "https" } else { "http" }, node.address())
    }

    /// The CSRF token; opens a page with a form when there is none.
    pub async fn token(&mut self, node: &Node) -> String {
        if self.cookie(CSRF).is_none() {
            let page = self.get(node, "/accounts/login/").await;
            assert_eq!(page.status, 200, "{page:?}");
        }
        self.cookie(CSRF).expect("a token with a page that has a form").to_owned()
    }

    /// A handshake to a room with this user's cookies.
    pub fn handshake(&self, room: &str) -> Handshake {
        Handshake::to_room(room).with_cookies(&self.cookies())
    }

    /// A handshake to any path with this user's cookies.
    pub fn handshake_at(&self, path: &str) -> Handshake {
        Handshake::at(path).with_cookies(&self.cookies())
    }

    /// Joins a room on `parlor.v1`.
    pub async fn join(&self, node: &Node, room: &str) -> V1Client {
        self.handshake(room).connect(node).await
    }

    /// The tutorial protocol's handshake at this path, and its response.
    pub async fn open_socket(&self, node: &Node, path: &str) -> (Response, Connection) {
        let mut connection = Connection::connect(node).await;
        let origin = format!("http://{}", node.address());
        let request = self.with_cookies(Request::upgrade(path).header("Origin", &origin));
        let response = request.send_on(&mut connection).await;
        (response, connection)
    }

    /// Keeps cookies like a browser: an empty or expired one is removed.
    fn keep(&mut self, response: &Response) {
        let set = response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
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

/// The password of every account with this name.
pub fn password(name: &str) -> String {
    format!("the long secret of {name}")
}

/// A form as a browser sends it, without cookies.
pub fn form(target: &str, fields: &[(&str, &str)]) -> Request {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    Request::post(target).header("Content-Type", "application/x-www-form-urlencoded").body(body)
}
