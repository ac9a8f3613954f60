//! Dispatch: checks a request, finds its route, runs its guards and its handler.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HOST,
    HeaderName, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING,
};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Method, Version};
use tokio::time::timeout;
use tracing::{debug, warn};

pub(crate) use hyper::StatusCode;

use crate::auth::error::AuthError;
use crate::auth::identity::{Identity, Role};
use crate::config::setting::Setting;
use crate::http::client_address;
use crate::http::client_address::ClientAddress;
use crate::http::connection::Connection;
use crate::http::context::Context;
use crate::http::params::Params;
use crate::http::problem;
use crate::http::request::Request;
use crate::http::response;
pub(crate) use crate::http::response::{Refusal, Response};
use crate::http::upgrade::Upgrade;
use crate::limits::Limits;
use crate::server::acceptance::Acceptance;
use crate::server::cors::Sharing;
use crate::server::guards;
use crate::server::guards::Who;
use crate::server::route::{Endpoint, Route};
use crate::server::routes::Found;
use crate::server::state::State;
use crate::telemetry::{LimitReason, LogThrottle, METRICS};
use crate::wire::frame;
use crate::wire::host;
use crate::wire::host::HostPattern;

/// The longest body that is read.
const MAX_REQUEST_BODY_BYTES: usize = 128 * 1024;
/// The most characters of a client's header in the log.
const MAX_LOGGED_CHARS: usize = 200;
/// The time in which a body must be complete.
const REQUEST_BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long ago a client may have been identified when its body is complete. A client could hold
/// the body back, and lose its rights meanwhile.
const MAX_IDENTITY_AGE: Duration = Duration::from_millis(100);

/// The media type of Server-Sent Events, and all that a browser's `EventSource` accepts.
const EVENT_STREAM: &str = "text/event-stream";
/// How long a browser waits at least before its `EventSource` asks again.
const EVENT_SOURCE_RETRY_TIME: Duration = Duration::from_secs(2);

/// Headers of every response: no framing, no type sniffing, no referrer to other origins (Django's
/// `SecurityMiddleware`), and no script, style or connection of another origin.
const SECURITY_HEADERS: [(&str, &str); 5] = [
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
];

/// Answers one request of the connection from `connected`.
pub(crate) async fn serve(
    state: Arc<State>,
    stream: Connection,
    connected: IpAddr,
    request: hyper::Request<Incoming>,
    acceptance: Acceptance,
) -> Result<hyper::Response<response::Body>, Infallible> {
    stream.on_request();
    let context = Arc::clone(&state.context);
    let (parts, body) = request.into_parts();
    let peer =
        ClientAddress::from_headers(connected, &parts.headers, &context.config().network.trusted_proxies);
    let found = state.routes.find(parts.uri.path());
    let route = found.as_ref().map(|found| found.route);
    let is_probe = route.is_some_and(|route| route.is_probe);
    let received_at = Instant::now();
    let request = Request {
        context: Arc::clone(&context),
        stream: stream.clone(),
        peer,
        parts,
        params: Params::default(),
        body: Bytes::new(),
        received_at,
        identity: Arc::new(Identity::anonymous()),
        is_authenticated: false,
    };
    let is_proxied = client_address::is_trusted(connected, &context.config().network.trusted_proxies);
    let audience = Audience::from_request(&request, is_proxied);
    let sharing = route.and_then(|route| Sharing::new(route, &request));
    let unsound = if stream.has_two_lengths() {
        Some(Refusal::bad_request("`Transfer-Encoding`: expected no `Content-Length` beside it"))
    } else {
        check(&request.parts, &context.config().network.allowed_hosts, is_probe).err()
    };
    // A proxy may parse other requests in these bytes, so the requests that follow are not trusted.
    // A node that stops, or is full, has the client connect again, perhaps to another node.
    let last = acceptance != Acceptance::Served || unsound.is_some() || context.is_stopping();
    if !is_probe {
        context.record_request();
    }
    let answer =
        if let Some(refusal) = check_acceptance(acceptance, &request, is_proxied).filter(|_| !is_probe) {
            Err(refusal)
        } else if let Some(refusal) = unsound {
            Err(refusal)
        } else {
            answer(&state, found, request, body).await
        };
    let mut response = answer.unwrap_or_else(|refusal| refused(&context, refusal, &audience));
    if let Some(sharing) = sharing {
        sharing.apply(&mut response);
    }
    let mut response = response.0;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        for (name, value) in SECURITY_HEADERS {
            response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        // Caches may store a 404 or a 308 by default, and serve it to other clients.
        response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if !is_upgrade && route.is_some_and(tells_why) {
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        response
            .headers_mut()
            .insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization"));
    }
    if (last && !is_upgrade)
        || response.status() == StatusCode::PAYLOAD_TOO_LARGE
        || response.status() == StatusCode::REQUEST_TIMEOUT
    {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let is_opened = is_upgrade || response.status().is_success() && !response.body().is_end_stream();
    if is_opened && route.is_some_and(Route::is_realtime) {
        METRICS.handshakes.observe(received_at.elapsed().as_secs_f64());
    }
    METRICS.requested(route.map(|route| route.name), response.status().as_u16());
    stream.on_response();
    Ok(response)
}

/// Returns the refusal of a connection above a limit. That of a trusted proxy counts for the client
/// of its latest request.
fn check_acceptance(acceptance: Acceptance, request: &Request, is_proxied: bool) -> Option<Refusal> {
    match acceptance {
        Acceptance::NodeFull => {
            METRICS.refused(LimitReason::Connections);
            Some(Refusal::unavailable("too many connections: try again later"))
        }
        Acceptance::Served if !is_proxied || request.stream.slot().count_for(request.peer()) => None,
        Acceptance::AddressFull | Acceptance::Served => Some(Limits::too_many_connections().into()),
    }
}

/// Checks what RFC 9112 (sections 3.2 and 6.3) requires and hyper does not check: one valid `Host`,
/// and a body whose length is stated in a way that every server understands. The host must be one
/// of the node's; a probe may name any IP address.
pub(crate) fn check(parts: &Parts, allowed: &[HostPattern], is_probe: bool) -> Result<(), Refusal> {
    let headers = &parts.headers;
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() || (host.is_none() && parts.version == Version::HTTP_11) {
        return Err(Refusal::bad_request("`Host`: expected once"));
    }
    let read = |host: &str| host.parse::<Authority>().ok().filter(host::is_sound);
    let host = host.map(|host| host.to_str().ok().and_then(read));
    if host == Some(None) {
        return Err(Refusal::bad_request("`Host`: expected a host and perhaps a port"));
    }
    // A target in absolute form names a host, too.
    let named = host.iter().flatten().chain(parts.uri.authority());
    let may_be_named = |host| host::is_allowed(host, allowed) || (is_probe && host::is_ip_address(host));
    if !named.into_iter().all(may_be_named) {
        static THROTTLE: LogThrottle = LogThrottle::new();
        METRICS.refused(LimitReason::Hosts);
        let setting = Setting("--allowed-hosts");
        if let Some(left_out) = THROTTLE.pass() {
            let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            let host: String = host.chars().take(MAX_LOGGED_CHARS).collect();
            warn!(host, left_out, "refused a host (logged once a minute): add it to {setting}");
        }
        return Err(Refusal::bad_request(format!("`Host`: expected a host of this node, as in {setting}")));
    }
    // hyper accepts other codings before `chunked`.
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if codings.next().is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        || codings.next().is_some()
    {
        return Err(Refusal::bad_request("`Transfer-Encoding`: expected `chunked`, or none"));
    }
    Ok(())
}

/// Answers a valid request. The calls below are the guards, in the one order in which they run.
async fn answer(
    state: &State,
    found: Option<Found>,
    mut request: Request,
    body: Incoming,
) -> Result<Response, Refusal> {
    let route = found.as_ref().map(|found| found.route);
    let is_options = request.parts.method == Method::OPTIONS;
    // Of any origin: it asks whether it may ask why its handshake was refused.
    let is_preflight = is_options && route.is_some_and(tells_why);
    route.filter(|_| !is_preflight).map_or(Ok(()), |route| guards::check_origin(route, &request))?;
    guards::check_address_rate(route, &request)?;
    if is_options && request.parts.uri.path() == "*" {
        return Ok(Response::options(Vec::new()));
    }
    let Found { route, params, lacks_slash } = found.ok_or_else(Refusal::not_found)?;
    request.params = params;
    if is_options && route.who != Who::Staff {
        return Ok(Response::options(route.allowed()));
    }
    let stream = route.sse.filter(|_| route.is_stream(&request.parts.method));
    let mut body = Some(body);
    if stream.is_some() {
        // Before the client is known: a ticket is valid once.
        request.body = read_body(&request, body.take()).await?;
    }
    authenticate(route, &mut request).await?;
    if route.is_websocket() {
        let upgrade = Upgrade::check(&mut request.parts)?;
        let open = route.opener(&request, &upgrade)?;
        return open(Arc::clone(&state.realtime), request, Some(upgrade)).await;
    }
    if let Some(open) = stream {
        return open(Arc::clone(&state.realtime), request, None).await;
    }
    let endpoint = route.endpoint(&request.parts.method)?;
    guards::check_scope(endpoint, &request)?;
    let authenticated_at = Instant::now();
    request.body = read_body(&request, body.take()).await?;
    if authenticated_at.elapsed() > MAX_IDENTITY_AGE {
        authenticate(route, &mut request).await?;
        guards::check_scope(endpoint, &request)?;
    }
    guards::check_csrf(endpoint, &request)?;
    guards::check_rate(endpoint, &request)?;
    if lacks_slash {
        return redirect_to_slash(route, endpoint, request).await;
    }
    (endpoint.handler)(request).await
}

/// Returns whether pages of all origins may read, without cookies, why the route refuses a
/// handshake. Browsers hide that from the page that dials.
fn tells_why(route: &Route) -> bool {
    route.is_websocket() && route.who != Who::Staff
}

/// Identifies the client, unless the route is public.
async fn authenticate(route: &Route, request: &mut Request) -> Result<(), Refusal> {
    if route.who == Who::Public {
        return Ok(());
    }
    let is_handshake = request.is_handshake();
    let auth = request.context.auth();
    let identity =
        Identity::authenticate(auth, &request.parts, request.is_secure(), route.is_realtime()).await;
    let identity = identity.map_err(|error| match error {
        // A request that asks why a handshake was refused.
        AuthError::Invalid { .. } if route.is_websocket() && !is_handshake => {
            AuthError::Invalid { socket: false }.into()
        }
        error => Refusal::from(error),
    });
    if route.who == Who::Staff {
        guards::check_staff(&identity)?;
    }
    let identity = identity?;
    // An anonymous client has another id each time: of one request it keeps the first.
    let is_still_anonymous = request.is_authenticated
        && identity.role() == Role::Anonymous
        && request.identity.role() == Role::Anonymous;
    if !is_still_anonymous {
        request.identity = Arc::new(identity);
    }
    request.is_authenticated = true;
    Ok(())
}

/// Answers 308 to the path with the slash and to the same query. Where the path names something,
/// only if the handler would serve it, so that a redirect discloses no more than the page.
async fn redirect_to_slash(
    route: &Route,
    endpoint: &Endpoint,
    request: Request,
) -> Result<Response, Refusal> {
    if !request.parts.method.is_safe() {
        return Err(Refusal::method(&[Method::GET, Method::HEAD]));
    }
    let arguments = request.params.arguments();
    let names_something = !arguments.is_empty();
    let Some(path) = route.pattern.fill(&arguments) else { return (endpoint.handler)(request).await };
    let target = match request.parts.uri.query().filter(|query| query.is_ascii()) {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    if names_something {
        let response = (endpoint.handler)(request).await?;
        if !response.0.status().is_success() {
            return Ok(response);
        }
    }
    Ok(Response::redirect(StatusCode::PERMANENT_REDIRECT, &target))
}

/// Reads a body to its end.
///
/// # Errors
/// Returns 413 above the limit of bytes, 429 above that of the address, 408 above the limit of
/// time, 400 when the body ends early.
async fn read_body(request: &Request, body: Option<Incoming>) -> Result<Bytes, Refusal> {
    let Some(body) = body else { return Ok(Bytes::new()) };
    let too_large = || {
        Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("`body`: expected at most {MAX_REQUEST_BODY_BYTES} bytes"),
        )
    };
    if body.size_hint().lower() > MAX_REQUEST_BODY_BYTES as u64 {
        return Err(too_large());
    }
    let mut held = request.context.limits().held_body(request.peer());
    let read = async {
        let (mut body, mut bytes) = (Limited::new(body, MAX_REQUEST_BODY_BYTES), BytesMut::new());
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
                Err(error) if error.is::<LengthLimitError>() => return Err(too_large()),
                Err(error) => {
                    debug!(%error, "could not read a body");
                    return Err(Refusal::bad_request("`body`: ended early"));
                }
            }
            held.grow_to(bytes.len())?;
        }
        Ok(bytes.freeze())
    };
    let in_time = timeout(REQUEST_BODY_TIMEOUT, read).await;
    in_time.map_err(|_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "`body`: did not come in time"))?
}

/// The reader of a refusal.
enum Audience {
    /// A browser: a page in this language.
    Person(&'static str),
    /// A program at a path of the API: a problem document.
    Program,
    /// A browser's `EventSource`: a stream that ends. A status other than 200 is the end for it.
    EventSource {
        /// Whether a trusted proxy asks. It turns to another node on a 503.
        is_proxied: bool,
    },
    /// Any other client: a line of text.
    Other,
}

impl Audience {
    fn from_request(request: &Request, is_proxied: bool) -> Self {
        if request.header("accept") == Some(EVENT_STREAM) {
            Self::EventSource { is_proxied }
        } else if problem::is_api(request.context.site(), &request.parts.uri) {
            Self::Program
        } else if request.wants_page() {
            Self::Person(request.language())
        } else {
            Self::Other
        }
    }
}

/// Writes a refusal in the form that its reader expects.
fn refused(context: &Context, refusal: Refusal, audience: &Audience) -> Response {
    debug!(status = refusal.status.as_u16(), detail = %refusal.detail, "refused a request");
    let line = || Response::text(refusal.status, format!("{}\n", refusal.detail));
    let mut response = match audience {
        Audience::EventSource { is_proxied } if is_temporary(&refusal, *is_proxied) => {
            return try_again(&refusal);
        }
        Audience::Person(_) if refusal.is_brief => line(),
        Audience::Person(language) => {
            context.pages().refusal(&refusal, language).map_or_else(|_| line(), Response::html)
        }
        Audience::Program => problem::response(&refusal),
        Audience::EventSource { .. } | Audience::Other => line(),
    };
    *response.0.status_mut() = refusal.status;
    refusal.headers.into_iter().fold(response, |response, (name, value)| response.with(name, value))
}

/// Returns whether the same request may succeed later, and no proxy repeats it at once.
fn is_temporary(refusal: &Refusal, is_proxied: bool) -> bool {
    match refusal.status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::SERVICE_UNAVAILABLE => !is_proxied,
        _ => false,
    }
}

/// Answers a browser's `EventSource` with the time after which it connects again, and why.
fn try_again(refusal: &Refusal) -> Response {
    let after = refusal.headers.iter().find(|(name, _)| name == RETRY_AFTER);
    let seconds = after.and_then(|(_, value)| value.to_str().ok()?.parse().ok());
    let retry = frame::retry(seconds.map_or(EVENT_SOURCE_RETRY_TIME, Duration::from_secs));
    let text = format!("{retry}: {} {}\n\n", refusal.status.as_u16(), refusal.detail);
    let mut response = Response::text(StatusCode::OK, text);
    response.0.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    response
}
