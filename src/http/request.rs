//! The argument of a handler: a request whose body is read and whose guards have passed.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, COOKIE, HeaderMap, UPGRADE};
use hyper::http::request::Parts;
use minijinja::context;

use crate::auth::identity::Identity;
use crate::http::client_address::ClientAddress;
use crate::http::connection::Connection;
use crate::http::context::Context;
use crate::http::csrf::CsrfToken;
use crate::http::params::Params;
use crate::http::response::{Refusal, Response};
use crate::layer::LayerError;
use crate::wire::event::Event;
use crate::wire::group::Group;
use crate::wire::headers;

/// The content type of forms.
const FORM: &str = "application/x-www-form-urlencoded";

/// A request, as a handler receives it.
pub struct Request {
    pub(crate) context: Arc<Context>,
    /// The connection of the request and its response.
    pub(crate) stream: Connection,
    pub(crate) peer: ClientAddress,
    pub(crate) parts: Parts,
    pub(crate) params: Params,
    pub(crate) body: Bytes,
    /// When the request arrived. The identity is not older.
    pub(crate) received_at: Instant,
    pub(crate) identity: Arc<Identity>,
    /// Whether the identity is the client's. Otherwise it is that of an anonymous client.
    pub(crate) is_authenticated: bool,
}

impl Request {
    /// Returns the node that serves the request.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Returns the parameter `{name}` of the route's path, percent-decoded.
    ///
    /// Returns `None` when it is not UTF-8, or when the path has no parameter of this name.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name)
    }

    /// Writes the path of a route, as [`Context::url`].
    ///
    /// # Panics
    /// Panics when there is no route of this name, or when the argument of a parameter is missing.
    pub fn url(&self, route: &str, arguments: &[(&str, &str)]) -> String {
        self.context.url(route, arguments)
    }

    /// Returns the method.
    pub(crate) fn method(&self) -> &Method {
        &self.parts.method
    }

    /// Returns the first value of this name in the query string, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        headers::query(&self.parts.uri, name)
    }

    /// Returns the request's path with its query.
    pub fn target(&self) -> &str {
        self.parts.uri.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str)
    }

    /// Returns the absolute URL of a path of this host, as the client sees it.
    pub fn address_of(&self, path: &str) -> String {
        let scheme = if self.is_secure() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.header("host").unwrap_or_default())
    }

    /// Returns the first value of a header, if it is ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// Returns the value of a header that may occur once.
    ///
    /// # Errors
    /// Returns 400 if it occurs twice, or is not ASCII.
    pub fn only_header(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.parts.headers.get_all(name).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let text = value.to_str().ok().filter(|_| values.next().is_none());
        text.map(Some).ok_or_else(|| Refusal::bad_request(format!("`{name}`: expected once, in ASCII")))
    }

    /// Returns the whole body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the client's address, as reported by trusted proxies.
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer.address
    }

    /// Returns whether the client uses HTTPS, as reported by trusted proxies.
    pub(crate) fn is_secure(&self) -> bool {
        self.peer.secure
    }

    /// Returns whether the request is the handshake of a WebSocket, perhaps a malformed one.
    pub(crate) fn is_handshake(&self) -> bool {
        headers::lists(self.headers(), &UPGRADE, "websocket")
    }

    /// Returns the client's identity.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// Publishes an unlogged event of this client to a group, on every node. Sets the members
    /// `user` and `name` to the client.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not accept it.
    pub async fn publish(&self, group: &Group, event: &Event) -> Result<(), LayerError> {
        let (event, _) = self.identity.attribute(event, None);
        self.context.publish(group, &event).await
    }

    /// Returns the headers.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// Returns the application's language for this client.
    pub(crate) fn language(&self) -> &'static str {
        self.context.pages().language(headers::text(&self.parts.headers, &ACCEPT_LANGUAGE))
    }

    /// Renders a page from a template. Templates also receive `lang`, `t` (the catalogue), `who`
    /// (`id`, `name`, `is_user`, `is_staff`), `path` (of the request) and `csrf_token()`.
    ///
    /// # Errors
    /// Returns 500 when the template is invalid; the log has the cause.
    pub fn render(&self, template: &str, context: minijinja::Value) -> Result<Response, Refusal> {
        let csrf = CsrfToken::from_headers(&self.parts.headers);
        let who = &self.identity;
        let who = context! {
            id => who.id(), name => who.name(), is_user => who.is_user(), is_staff => who.is_staff(),
        };
        let context = context! { who, path => self.parts.uri.path(), ..context };
        let page = self.context.pages().render(template, self.language(), &context, &csrf)?;
        let response = Response::html(page);
        let cookies = [csrf.cookie(self.is_secure()), self.guest_cookie(), self.login_cookie()];
        Ok(cookies.iter().flatten().fold(response, |response, cookie| response.with_cookie(cookie)))
    }

    /// Counts one more item of a body whose route is limited by items ([`Rate::PublishesPerItem`]).
    ///
    /// [`Rate::PublishesPerItem`]: crate::Rate::PublishesPerItem
    ///
    /// # Errors
    /// Returns 429 above the limit of publishing.
    pub fn charge_item(&self) -> Result<(), Refusal> {
        Ok(self.context.limits().publish(self.identity.id())?)
    }

    /// Counts one more item of such a body that reads instead of publishing, for the client's
    /// address.
    ///
    /// # Errors
    /// Returns 429 above the limit of reads.
    pub fn charge_read(&self) -> Result<(), Refusal> {
        Ok(self.context.limits().read(self.peer())?)
    }

    /// Counts a message into this group's log, for the client's address.
    ///
    /// # Errors
    /// Returns 429 if the address has messages in too many logs.
    pub fn charge_log(&self, group: &Group) -> Result<(), Refusal> {
        Ok(self.context.limits().posted_to(self.peer(), group)?)
    }

    /// Returns whether a header states the page that made the request.
    pub(crate) fn names_its_page(&self) -> bool {
        ["sec-fetch-site", "origin", "referer"].iter().any(|name| self.parts.headers.contains_key(*name))
    }

    /// Returns whether a browser may have sent the request with the cookies of its user because the
    /// user followed a link: it navigates, or names no page whose script has sent the request.
    pub(crate) fn may_be_link(&self) -> bool {
        let headers = &self.parts.headers;
        let is_typed = headers.get("sec-fetch-site").is_some_and(|site| site == "none");
        headers.contains_key(COOKIE) && (is_typed || self.wants_page() || !self.names_its_page())
    }

    /// Returns whether the client expects a page: it navigates, and accepts HTML.
    pub(crate) fn wants_page(&self) -> bool {
        let headers = &self.parts.headers;
        let is_form = headers::text(headers, &CONTENT_TYPE).is_some_and(|kind| kind.starts_with(FORM));
        let navigates = (self.parts.method.is_safe() || is_form) && !headers.contains_key(UPGRADE);
        navigates
            && headers::text(&self.parts.headers, &ACCEPT).is_some_and(|accept| accept.contains("text/html"))
    }
}
