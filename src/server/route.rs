//! The types of the route table: a route, its endpoints and its sockets.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use hyper::Method;

use crate::http::path_pattern::PathPattern;
use crate::http::request::Request;
use crate::http::response::{Refusal, Response};
use crate::http::upgrade::Upgrade;
use crate::limits::RequestKind;
use crate::realtime::access::Access;
use crate::realtime::admission;
use crate::realtime::channel::Channel;
use crate::realtime::protocol::Protocol;
use crate::realtime::runtime::Realtime;
use crate::realtime::streams::{NoStreams, Streams};
use crate::server::guards::{Csrf, Rate, Who};

/// The future of a handler.
pub type Answer = Pin<Box<dyn Future<Output = Result<Response, Refusal>> + Send>>;

/// A handler, as [`handler!`](crate::handler) makes it of an async function.
pub type Handler = fn(Request) -> Answer;

/// Admits a client to a channel; without an upgrade, to its Server-Sent Events.
type Open = fn(Arc<Realtime>, Request, Option<Upgrade>) -> Answer;

/// One row of the route table: a path, the endpoints of its methods or its sockets, and its access.
///
/// All of it is data: [`Application::routes`](crate::Application) is a `static`.
///
/// ```
/// use parlor::{Csrf, Rate, Refusal, Request, Response, Route, StatusCode, handler};
///
/// async fn show(request: Request) -> Result<Response, Refusal> {
///     let shelf = request.param("shelf").ok_or_else(Refusal::not_found)?;
///     Ok(Response::text(StatusCode::OK, format!("shelf {shelf}\n")))
/// }
///
/// async fn add(request: Request) -> Result<Response, Refusal> {
///     let title = request.form().get("title").to_owned();
///     Ok(Response::text(StatusCode::CREATED, title))
/// }
///
/// static ROUTES: &[Route] = &[
///     // A form: the CSRF token is checked and the rate is limited by default.
///     Route::new("shelf", "/shelves/{shelf}/").get(handler!(show)).post(handler!(add)),
///     Route::new("hook", "/hook")
///         .post(handler!(add).csrf(Csrf::Off("the sender signs the body")).rate(Rate::Publishes)),
/// ];
/// # assert_eq!(ROUTES.len(), 2);
/// ```
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "columns of the table")]
pub struct Route {
    pub(crate) name: &'static str,
    pub(crate) pattern: PathPattern,
    pub(crate) slash: Slash,
    pub(crate) who: Who,
    /// See [`probe`](Self::probe).
    pub(crate) is_probe: bool,
    /// See [`files`](Self::files).
    is_file: bool,
    get: Option<Endpoint>,
    post: Option<Endpoint>,
    delete: Option<Endpoint>,
    sockets: [Option<Socket>; 2],
    pub(crate) sse: Option<Open>,
    /// Whether POST opens a stream, too.
    posts_open: bool,
    /// See [`shared`](Self::shared).
    pub(crate) is_shared: bool,
}

/// The handler of one method, and its guards.
#[derive(Clone, Copy)]
pub struct Endpoint {
    pub(crate) handler: Handler,
    pub(crate) csrf: Csrf,
    pub(crate) rate: Rate,
    pub(crate) scope: Option<&'static str>,
}

/// The opener of sockets with one protocol.
#[derive(Clone, Copy)]
pub(crate) struct Socket {
    subprotocol: Option<&'static str>,
    is_default: bool,
    is_asked_for: fn(&Request, &Upgrade) -> bool,
    pub(crate) open: Open,
}

/// The handling of a slash at the end of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slash {
    /// The path is served as the pattern writes it, and not otherwise.
    Exact,
    /// The path is served with a slash and without one.
    Optional,
    /// GET without the slash is answered by 308 to the path with it; where the path has parameters,
    /// if the handler would serve that.
    Redirect,
}

impl Route {
    /// Creates a route with a name, for [`Request::url`] and templates, and a path of literal
    /// segments, `{param}` and `{rest*}`.
    ///
    /// By default all clients that are not banned may use it, and a slash must match the pattern
    /// ([`Slash::Exact`]).
    #[must_use]
    pub const fn new(name: &'static str, pattern: &'static str) -> Self {
        Self {
            name,
            pattern: PathPattern::new(pattern),
            slash: Slash::Exact,
            who: Who::Anyone,
            is_probe: false,
            is_file: false,
            get: None,
            post: None,
            delete: None,
            sockets: [None; 2],
            sse: None,
            posts_open: false,
            is_shared: false,
        }
    }

    /// Serves GET and HEAD.
    #[must_use]
    pub const fn get(mut self, endpoint: Endpoint) -> Self {
        self.get = Some(endpoint);
        self
    }

    /// Serves POST.
    #[must_use]
    pub const fn post(mut self, endpoint: Endpoint) -> Self {
        self.post = Some(endpoint);
        self
    }

    /// Serves DELETE.
    #[must_use]
    pub const fn delete(mut self, endpoint: Endpoint) -> Self {
        self.delete = Some(endpoint);
        self
    }

    /// Opens the sockets of clients that ask for `P`, by its subprotocol or in the query. A second
    /// call adds a second protocol; the first that the client asks for is chosen.
    ///
    /// # Panics
    /// Panics at the third protocol, which stops the compilation of a `static`.
    #[must_use]
    pub const fn socket<A: Access, C: Channel, P: Protocol>(self) -> Self {
        self.socket_with::<A, C, P, NoStreams>()
    }

    /// As [`socket`](Self::socket), of clients that may join further channels.
    ///
    /// # Panics
    /// As [`socket`](Self::socket).
    #[must_use]
    pub const fn socket_with<A: Access, C: Channel, P: Protocol, S: Streams>(self) -> Self {
        self.add_socket(Socket::new::<P>(|realtime, request, upgrade| {
            Box::pin(admission::open::<A, C, P, S>(realtime, request, upgrade))
        }))
    }

    /// As [`socket`](Self::socket), of clients that join channels and begin in none.
    ///
    /// # Panics
    /// As [`socket`](Self::socket).
    #[must_use]
    pub const fn connection<P: Protocol, S: Streams>(self) -> Self {
        self.add_socket(Socket::new::<P>(|realtime, request, upgrade| {
            Box::pin(ready(admission::open_without_channel::<P, S>(&realtime, request, upgrade)))
        }))
    }

    const fn add_socket(mut self, socket: Socket) -> Self {
        self.sockets = match self.sockets {
            [None, _] => [Some(socket), None],
            [first, None] => [first, Some(socket)],
            _ => panic!("a route has at most two protocols"),
        };
        self
    }

    /// Streams what sockets of this channel receive as Server-Sent Events.
    #[must_use]
    pub const fn sse<A: Access, C: Channel, P: Protocol>(mut self) -> Self {
        self.sse = Some(|realtime, request, upgrade| {
            Box::pin(admission::open::<A, C, P, NoStreams>(realtime, request, upgrade))
        });
        self
    }

    /// Opens connections whose frames are the body of a response, for clients that send by further
    /// requests: GET, or POST with the first message as its body. `B` is for those whose body has
    /// the type `application/octet-stream`.
    #[must_use]
    pub const fn client_stream<T: Protocol, B: Protocol, S: Streams>(mut self) -> Self {
        self.sse = Some(|realtime, request, _| {
            Box::pin(ready(if request.header("content-type") == Some("application/octet-stream") {
                admission::open_client_stream::<B, S>(&realtime, &request)
            } else {
                admission::open_client_stream::<T, S>(&realtime, &request)
            }))
        });
        self.posts_open = true;
        self
    }

    /// Restricts the clients that may use the route.
    #[must_use]
    pub const fn who(mut self, who: Who) -> Self {
        self.who = who;
        self
    }

    /// Marks a route that supervisors, load balancers or monitoring ask. It is served under any IP
    /// address as `Host`, which they may know only as the address of the node, and on a node that
    /// has reached its limit of connections.
    #[must_use]
    pub const fn probe(mut self) -> Self {
        self.is_probe = true;
        self
    }

    /// Marks a route that serves files from memory, of which a page needs dozens: an address may
    /// request ten times as many as of other routes.
    #[must_use]
    pub const fn files(mut self) -> Self {
        self.is_file = true;
        self
    }

    /// Lets pages of the origins in `--allowed-origins` read the answers, with their credentials
    /// (CORS): the origins whose sockets are admitted.
    #[must_use]
    pub const fn shared(mut self) -> Self {
        self.is_shared = true;
        self
    }

    /// Sets the handling of a slash at the end of the path.
    #[must_use]
    pub const fn slash(mut self, slash: Slash) -> Self {
        self.slash = slash;
        self
    }

    /// Returns the endpoints by their methods.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (Method, &Endpoint)> {
        let by_method =
            [(Method::GET, &self.get), (Method::POST, &self.post), (Method::DELETE, &self.delete)];
        by_method.into_iter().filter_map(|(method, endpoint)| Some((method, endpoint.as_ref()?)))
    }

    pub(crate) fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.sockets.iter().flatten()
    }

    pub(crate) fn is_websocket(&self) -> bool {
        self.sockets[0].is_some()
    }

    /// Returns whether the route serves WebSockets or Server-Sent Events.
    pub(crate) fn is_realtime(&self) -> bool {
        self.is_websocket() || self.sse.is_some()
    }

    /// Returns the kind by which requests of an address are limited. A route is limited unless it
    /// is a probe.
    pub(crate) fn request_kind(&self, method: &Method) -> RequestKind {
        if self.is_probe {
            RequestKind::Probe
        } else if self.is_file {
            RequestKind::File
        } else if self.endpoint(method).is_ok_and(Endpoint::is_for_keys) {
            RequestKind::Api
        } else {
            RequestKind::Page
        }
    }

    /// Returns whether a request with this method opens a stream.
    pub(crate) fn is_stream(&self, method: &Method) -> bool {
        self.sse.is_some() && (*method == Method::GET || self.posts_open && *method == Method::POST)
    }

    /// Returns whether a request with this method has messages of a client, and opens the stream of
    /// the answers.
    pub(crate) fn is_client_stream(&self, method: &Method) -> bool {
        self.posts_open && self.is_stream(method)
    }

    /// Returns the endpoint of this method; HEAD is served as GET, of which hyper leaves out the
    /// body, unless GET changes something.
    ///
    /// # Errors
    /// Returns 405 with `Allow` when the route does not serve the method.
    pub(crate) fn endpoint(&self, method: &Method) -> Result<&Endpoint, Refusal> {
        let is_head = method == Method::HEAD;
        let method = if is_head { &Method::GET } else { method };
        let found = self.endpoints().find(|(served, _)| served == method);
        let found = found.map(|(_, endpoint)| endpoint).filter(|endpoint| !is_head || endpoint.get_is_safe());
        found.ok_or_else(|| Refusal::method(&self.allowed()))
    }

    /// Returns the methods that the route serves.
    pub(crate) fn allowed(&self) -> Vec<Method> {
        let get = if self.is_realtime() { Some(Method::GET) } else { None };
        let head = self.get.as_ref().filter(|get| get.get_is_safe()).map(|_| Method::HEAD);
        let post = if self.posts_open { Some(Method::POST) } else { None };
        let mut allowed: Vec<Method> =
            get.into_iter().chain(post).chain(self.endpoints().map(|(method, _)| method)).collect();
        if let Some(head) = head {
            allowed.insert(1, head);
        }
        allowed
    }

    /// Returns the opener for this handshake: that of the first protocol that the client asks for,
    /// else that of the default.
    ///
    /// # Errors
    /// Returns 400 when the client asks for no protocol of this route and the route requires it.
    pub(crate) fn opener(&self, request: &Request, upgrade: &Upgrade) -> Result<Open, Refusal> {
        let chosen = self.sockets().find(|socket| (socket.is_asked_for)(request, upgrade));
        let chosen = chosen.or_else(|| self.sockets().find(|socket| socket.is_default));
        chosen.map(|socket| socket.open).ok_or_else(|| {
            let names = self.sockets().filter_map(|socket| socket.subprotocol);
            let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
            Refusal::bad_request(format!("`Sec-WebSocket-Protocol`: expected {}", names.join(" or ")))
        })
    }
}

impl Socket {
    const fn new<P: Protocol>(open: Open) -> Self {
        Self {
            subprotocol: P::SUBPROTOCOL,
            is_default: P::IS_DEFAULT,
            is_asked_for: |request, upgrade| {
                let is_value = |(name, value): &(&str, &str)| request.query(name).as_deref() == Some(*value);
                P::SUBPROTOCOL.is_some_and(|protocol| upgrade.offers(protocol))
                    || P::IN_QUERY.iter().any(is_value)
            },
            open,
        }
    }
}

impl Endpoint {
    /// A handler with the guards of a form: the CSRF token for methods that change something, and
    /// the rate of their method.
    #[must_use]
    pub const fn new(handler: Handler) -> Self {
        Self { handler, csrf: Csrf::Token, rate: Rate::ByMethod, scope: None }
    }

    /// Returns whether GET changes nothing: a CSRF rule that covers GET says that it does.
    fn get_is_safe(&self) -> bool {
        self.csrf != Csrf::Origin
    }

    /// Returns whether API keys call it: it requires a scope, or counts against the limit of a key.
    fn is_for_keys(&self) -> bool {
        self.scope.is_some() || matches!(self.rate, Rate::Publishes | Rate::PublishesPerItem)
    }

    /// Replaces the CSRF rule.
    #[must_use]
    pub const fn csrf(mut self, csrf: Csrf) -> Self {
        self.csrf = csrf;
        self
    }

    /// Replaces the rate class.
    #[must_use]
    pub const fn rate(mut self, rate: Rate) -> Self {
        self.rate = rate;
        self
    }

    /// Requires an API key with this scope, or an operator. A key is not sent by a browser on its
    /// own, so the CSRF token is required of sessions only ([`Csrf::SessionToken`]).
    #[must_use]
    pub const fn scope(mut self, scope: &'static str) -> Self {
        self.scope = Some(scope);
        self.csrf(Csrf::SessionToken)
    }
}

/// Makes an [`Endpoint`] of an async function from [`Request`] to `Result<Response, Refusal>`.
#[macro_export]
macro_rules! handler {
    ($handler:path) => {
        $crate::Endpoint::new(|request| ::std::boxed::Box::pin($handler(request)))
    };
}
