//! HTTP: checks a request, finds its route, calls the handler, and dresses the answer.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{CACHE_CONTROL, CONNECTION, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Method, Version};
use tokio::time::timeout;
use tracing::debug;

pub use hyper::StatusCode;

use crate::auth::Identity;
use crate::http::client_address::ClientAddress;
use crate::http::connection::Connection;
use crate::http::context::Context;
use crate::http::problem;
use crate::http::request::Request;
use crate::http::response;
pub use crate::http::response::{Refusal, Response};
use crate::http::upgrade::Upgrade;
use crate::server::state::State;
use crate::telemetry::{LimitReason, METRICS};
use crate::wire::host;
use crate::wire::host::HostPattern;

/// Longest body that is read.
const MAX_BODY: usize = 128 * 1024;
/// How long a body may take.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// What every answer carries: no framing, no guessing of types, no referrer for strangers (Django's
/// `SecurityMiddleware`), and no script, style or connection but our own.
const HEADERS: [(&str, &str); 5] = [
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

/// Answers one request of this connection, which comes from `connected`. `full` means that the node holds all connections it may.
pub(crate) async fn serve(
    running: Arc<State>,
    stream: Connection,
    connected: IpAddr,
    request: hyper::Request<Incoming>,
    full: bool,
) -> Result<hyper::Response<response::Body>, Infallible> {
    let node = Arc::clone(&running.node);
    let (parts, body) = request.into_parts();
    let peer = ClientAddress::of(connected, &parts.headers, &node.config().network.trusted_proxies);
    let (received_at, identity) = (Instant::now(), Arc::new(Identity::anonymous()));
    let (name, no_body, node_of) = (None, Bytes::new(), Arc::clone(&node));
    let request = Request { node: node_of, stream, peer, parts, name, body: no_body, received_at, identity };
    let reader = Audience::of(&request);
    let unsound = check(&request.parts, &node.config().network.allowed_hosts).err();
    // A proxy in front may have seen other requests in these bytes: none that follow are believed.
    let last = full || unsound.is_some();
    let answer = if full {
        METRICS.refused(LimitReason::Connections);
        Err(Refusal::unavailable("too many connections: try again later"))
    } else if let Some(refusal) = unsound {
        Err(refusal)
    } else {
        answer(&running, request, body).await
    };
    let mut response = answer.unwrap_or_else(|refusal| refused(&node, refusal, &reader)).0;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        for (name, value) in HEADERS {
            response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        // A cache may keep a 404 or a 308 by itself, and give it to somebody else.
        response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    if last
        || response.status() == StatusCode::PAYLOAD_TOO_LARGE
        || response.status() == StatusCode::REQUEST_TIMEOUT
    {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// What RFC 9112 demands and hyper leaves to us: one good `Host`, one way to tell the body's length; and the host must be
/// one of the node's.
pub(crate) fn check(parts: &Parts, allowed: &[HostPattern]) -> Result<(), Refusal> {
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
    if !named.into_iter().all(|host| host::is_allowed(host, allowed)) {
        METRICS.refused(LimitReason::Hosts);
        return Err(Refusal::bad_request(
            "`Host`: expected a host of this node, as in --allowed-hosts (PARLOR_ALLOWED_HOSTS)",
        ));
    }
    // hyper drops a `Content-Length` beside it, so that two lengths, as request smuggling has them,
    // could not be told from one. No client of ours needs it, and nginx does not send it.
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err(Refusal::bad_request("`Transfer-Encoding`: expected `Content-Length`"));
    }
    Ok(())
}

async fn answer(running: &State, mut request: Request, body: Incoming) -> Result<Response, Refusal> {
    let path = request.parts.uri.path().to_owned();
    let segments: Vec<&str> = path.strip_prefix('/').unwrap_or_default().split('/').collect();
    let route = (running.routes)(&segments).ok_or_else(Refusal::not_found)?;
    request.name.clone_from(&route.name);
    let socket = route.feeds || !route.sockets.is_empty();
    if socket {
        // Before anything is looked up: a crowd must not become as many questions to the layer.
        request.node.limits().handshake(request.peer())?;
    }
    if !route.open {
        let identity = Identity::of(request.node.auth(), &request.parts, socket).await.map_err(Refusal::from);
        if route.staff && !is_staffs(&identity) {
            return Err(Refusal::not_found());
        }
        request.identity = Arc::new(identity?);
    }
    if !route.sockets.is_empty() {
        let handshake = Upgrade::check(&mut request.parts)?;
        let open = route.opener(&handshake).ok_or_else(|| {
            Refusal::bad_request("`Sec-WebSocket-Protocol`: expected a subprotocol of this route")
        })?;
        return open(Arc::clone(&running.realtime), request, handshake).await;
    }
    // hyper leaves out the body of an answer to HEAD.
    let method = if request.parts.method == Method::HEAD { &Method::GET } else { &request.parts.method };
    let Some((_, handler)) = route.handlers.iter().find(|(on, _)| on == method) else {
        let allowed: Vec<Method> = route.handlers.iter().map(|(on, _)| on.clone()).collect();
        return Err(Refusal::method(&allowed));
    };
    request.body = bounded(body).await?;
    handler(Arc::clone(&running.realtime), request).await
}

/// Whether an operator asks. Nobody else learns that there is anything, not by a refusal either; whether it is one cannot
/// be told while the layer is away.
fn is_staffs(identity: &Result<Identity, Refusal>) -> bool {
    match identity {
        Ok(identity) => identity.is_staff(),
        Err(refusal) => refusal.status == StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Reads a body to its end, within its bounds.
async fn bounded(body: Incoming) -> Result<Bytes, Refusal> {
    let too_large =
        || Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("`body`: expected at most {MAX_BODY} bytes"));
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_large());
    }
    match timeout(BODY_PATIENCE, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => {
            debug!(%error, "could not read a body");
            Err(Refusal::bad_request("`body`: ended early"))
        }
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "`body`: did not come in time")),
    }
}

/// Who reads why a request was refused.
enum Audience {
    /// A person, in this language: a page.
    Person(&'static str),
    /// Another program where such are served: a problem.
    Program,
    /// Whatever it is: a line of text.
    Other,
}

impl Audience {
    fn of(request: &Request) -> Self {
        if problem::is_told(request.node.site(), &request.parts.uri) {
            Self::Program
        } else if request.wants_page() {
            Self::Person(request.language())
        } else {
            Self::Other
        }
    }
}

/// A refusal, told as its reader can take it.
fn refused(node: &Context, refusal: Refusal, reader: &Audience) -> Response {
    debug!(status = refusal.status.as_u16(), detail = %refusal.detail, "refused a request");
    let line = || Response::text(refusal.status, format!("{}\n", refusal.detail));
    let mut response = match reader {
        Audience::Person(language) => {
            node.pages().refusal(&refusal, language).map_or_else(|_| line(), Response::html)
        }
        Audience::Program => problem::response(&refusal),
        Audience::Other => line(),
    };
    *response.0.status_mut() = refusal.status;
    refusal.headers.into_iter().fold(response, |response, (name, value)| response.with(name, value))
}
