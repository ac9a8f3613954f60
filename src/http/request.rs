//! What a handler is asked: a request that was read whole and checked.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, HeaderMap, UPGRADE};
use hyper::http::request::Parts;
use minijinja::context;

use crate::auth::identity::Identity;
use crate::http::client_address::ClientAddress;
use crate::http::connection::Connection;
use crate::http::context::Context;
use crate::http::csrf::CsrfToken;
use crate::http::params::Params;
use crate::http::response::{Refusal, Response};
use crate::layer::Appended;
use crate::layer::LayerError;
use crate::wire::event::Event;
use crate::wire::group::Group;
use crate::wire::headers;
use crate::wire::origin;

/// What browsers send forms as.
const FORM: &str = "application/x-www-form-urlencoded";

/// A request, on its way through one handler.
pub struct Request {
    pub(crate) context: Arc<Context>,
    /// Where it came from, and the answer goes.
    pub(crate) stream: Connection,
    pub(crate) peer: ClientAddress,
    pub(crate) parts: Parts,
    pub(crate) params: Params,
    pub(crate) body: Bytes,
    /// When it received_at: what is known of its client is not older.
    pub(crate) received_at: Instant,
    pub(crate) identity: Arc<Identity>,
}

impl Request {
    /// The node that serves it.
    pub fn context(&self) -> &Context {
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

    /// The method.
    pub(crate) fn method(&self) -> &Method {
        &self.parts.method
    }

    /// The first value of this name in the query string, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        headers::query(&self.parts.uri, name)
    }

    /// The path that was asked for, with its query.
    pub fn target(&self) -> &str {
        self.parts.uri.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str)
    }

    /// The whole address of a path of this host, as the client would write it.
    pub fn address_of(&self, path: &str) -> String {
        let scheme = if self.is_secure() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.header("host").unwrap_or_default())
    }

    /// A header's first line, if it is readable.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// A header that means something only if it stands there once.
    ///
    /// # Errors
    /// 400 if it stands there twice, or is not readable.
    pub fn only_header(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.parts.headers.get_all(name).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let text = value.to_str().ok().filter(|_| values.next().is_none());
        text.map(Some).ok_or_else(|| Refusal::bad_request(format!("`{name}`: expected once, in ASCII")))
    }

    /// The whole body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The client's address, as far as trusted proxies know it.
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer.address
    }

    /// Whether the client came by https, as far as trusted proxies know it.
    pub(crate) fn is_secure(&self) -> bool {
        self.peer.secure
    }

    /// Who the client is.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// Writes an event of this client (its members `user` and `name`) to a group's log and publishes it on every node; under a
    /// name of the client's own choosing, once.
    ///
    /// # Errors
    /// [`LayerError`] when the layer did not take it.
    pub async fn append(
        &self,
        group: &Group,
        event: &Event,
        name: Option<&str>,
    ) -> Result<Appended, LayerError> {
        let (event, key) = self.identity.attribute(event, name);
        self.context.append(group, &event, key.as_ref()).await
    }

    /// Publishes an event of this client (its members `user` and `name`) to a group, on every node, unlogged.
    ///
    /// # Errors
    /// [`LayerError`] when the layer did not take it.
    pub async fn publish(&self, group: &Group, event: &Event) -> Result<(), LayerError> {
        let (event, _) = self.identity.attribute(event, None);
        self.context.publish(group, &event).await
    }

    /// The headers.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// The language among the application's that the client likes best.
    pub(crate) fn language(&self) -> &'static str {
        self.context.pages().language(headers::text(&self.parts.headers, &ACCEPT_LANGUAGE))
    }

    /// A page from a template. Templates also get `lang`, `t` (the catalogue), `who` (`id`, `name`, `is_user`, `is_staff`), `path`
    /// (that of the request) and `csrf_token()`.
    ///
    /// # Errors
    /// 500 when the template is wrong; the log says how.
    pub fn render(&self, template: &str, context: minijinja::Value) -> Result<Response, Refusal> {
        let csrf = CsrfToken::of(&self.parts.headers);
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

    /// Whether a header says from which page the request comes.
    pub(crate) fn names_its_page(&self) -> bool {
        ["sec-fetch-site", "origin", "referer"].iter().any(|name| self.parts.headers.contains_key(*name))
    }

    /// Checks that the request comes from no page, from a page of this host or from an allowed origin.
    ///
    /// # Errors
    /// Returns 403 for a foreign page.
    pub(crate) fn check_origin(&self) -> Result<(), Refusal> {
        Ok(origin::check_request(&self.parts.headers, &self.context.config().network.allowed_origins)?)
    }

    /// Whether a person looks at the answer.
    pub(crate) fn wants_page(&self) -> bool {
        let headers = &self.parts.headers;
        let is_form = headers::text(headers, &CONTENT_TYPE).is_some_and(|kind| kind.starts_with(FORM));
        let navigates = (self.parts.method.is_safe() || is_form) && !headers.contains_key(UPGRADE);
        navigates
            && headers::text(&self.parts.headers, &ACCEPT).is_some_and(|accept| accept.contains("text/html"))
    }
}
