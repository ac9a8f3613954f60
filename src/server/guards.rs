//! The guards of the route table: access, CSRF and rate limits.
//!
//! [`dispatch`](crate::server::dispatch) runs them; their order is the order of its calls.

use hyper::header::{AUTHORIZATION, COOKIE};
use tracing::warn;

use crate::auth::identity::{Identity, Role};
use crate::auth::usernames::Username;
use crate::config::setting::Setting;
use crate::http::csrf::CsrfToken;
use crate::http::request::Request;
use crate::http::response::Refusal;
use crate::limits::RequestKind;
use crate::server::route::{Endpoint, Route};
use crate::telemetry::{LimitReason, LogThrottle, METRICS};
use crate::wire::origin;
use crate::wire::origin::ForeignOrigin;

/// The most characters of a client's header in the log.
const MAX_LOGGED_CHARS: usize = 200;

/// The clients that may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// All clients. The client is not authenticated, so the route works while the layer is
    /// unreachable, and a page on it shows no user.
    Public,
    /// All clients that are not banned. Invalid credentials are rejected.
    Anyone,
    /// Operators. For other clients the route does not exist (404).
    Staff,
}

/// The CSRF rule of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Csrf {
    /// A request that changes something must come from an allowed origin and carry the token of the
    /// cookie, in the header `X-CSRFToken` or the form field `csrfmiddlewaretoken`. GET and HEAD
    /// are not checked.
    Token,
    /// As [`Token`](Self::Token), in the header only, when the client is authenticated by the
    /// cookie of a session. Browsers do not send other credentials on their own.
    SessionToken,
    /// A foreign `Sec-Fetch-Site`, `Origin` or `Referer` is rejected, for GET too. The token is
    /// required, in the header, of a request that changes something, has cookies and has none of
    /// these headers.
    Origin,
    /// Not checked, for this reason.
    Off(&'static str),
}

/// The rate class of an endpoint: which limiter counts a request, and by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// [`Messages`](Self::Messages) for methods that change something. GET and HEAD count against
    /// their address only, as every request does (`--requests-per-second`).
    ByMethod,
    /// As many requests as a socket may send messages (`--messages-per-second`), by user, or by
    /// address without one.
    Messages,
    /// `--publishes-per-second`, by API key or user. Requests of an address count by themselves, as
    /// those for a scope do: ten times as many.
    Publishes,
    /// As [`Publishes`](Self::Publishes), once for each item of the body: the handler calls
    /// [`Request::charge_item`], or [`Request::charge_read`] for an item that reads.
    PublishesPerItem,
    /// New names: `--logins-per-minute`, by address.
    Names,
    /// `--logins-per-minute`, by address, and a multiple of it by the account in the form field
    /// `name`.
    Logins,
    /// Limited by address only, for this reason.
    Unlimited(&'static str),
}

/// Rejects what a page of a foreign origin has started: a socket, a stream, or a request that
/// changes something. Checked before anything is counted or asked: the limits of an address belong
/// to its own pages.
///
/// # Errors
/// Returns 403.
pub(crate) fn check_origin(route: &Route, request: &Request) -> Result<(), Refusal> {
    let headers = request.headers();
    let allowed = &request.context().config().network.allowed_origins;
    // Of their own site, browsers name the origin in a handshake, and no other origin in a `GET`.
    if route.is_websocket() && request.is_handshake() {
        return origin::check_socket(headers, request.is_secure(), allowed)
            .map_err(|foreign| refuse_origin(request, &foreign));
    }
    let is_checked = match route.endpoint(request.method()) {
        _ if route.is_websocket() || route.is_stream(request.method()) => true,
        Ok(endpoint) => match endpoint.csrf {
            Csrf::Token => !request.method().is_safe(),
            // Browsers do not send this header on their own.
            Csrf::SessionToken => !request.method().is_safe() && !headers.contains_key(AUTHORIZATION),
            Csrf::Origin => true,
            Csrf::Off(_) => false,
        },
        Err(_) => false,
    };
    if !is_checked {
        return Ok(());
    }
    origin::check_request(headers, request.is_secure(), allowed)
        .map_err(|foreign| refuse_origin(request, &foreign))?;
    if route.is_client_stream(request.method()) && request.may_be_link() {
        METRICS.refused(LimitReason::Origins);
        return Err(Refusal::forbidden("`Sec-Fetch-Site`: with cookies, only scripts of this site may call"));
    }
    Ok(())
}

/// Counts and logs what a foreign page started. The two hosts side by side show a proxy that passes
/// another `Host` on than browsers send.
fn refuse_origin(request: &Request, foreign: &ForeignOrigin) -> Refusal {
    static THROTTLE: LogThrottle = LogThrottle::new();
    let setting = Setting("--allowed-origins");
    METRICS.refused(LimitReason::Origins);
    if let Some(left_out) = THROTTLE.pass() {
        let shown = |name| request.header(name).unwrap_or("none").chars().take(MAX_LOGGED_CHARS);
        let shown = |name| shown(name).collect::<String>();
        let origin = if request.header("origin").is_some() { shown("origin") } else { shown("referer") };
        warn!(
            origin,
            host = shown("host"),
            left_out,
            "refused a page of another origin (logged once a minute): add the origin to {setting}, or have \
             the proxy pass on the Host that browsers send, with its port (nginx: $http_host)"
        );
    }
    Refusal::forbidden(format!("{}; see {setting}", foreign.0))
}

/// Rejects clients that are not operators.
///
/// Whether a client is an operator is unknown while the layer is unreachable; that stays a 503.
///
/// # Errors
/// Returns 404, as for a path that does not exist.
pub(crate) fn check_staff(identity: &Result<Identity, Refusal>) -> Result<(), Refusal> {
    let may_be_staff = match identity {
        Ok(identity) => identity.is_staff(),
        Err(refusal) => refusal.status().is_server_error(),
    };
    if may_be_staff { Ok(()) } else { Err(Refusal::not_found()) }
}

/// Checks the scope of the client's API key. Operators have every scope.
///
/// # Errors
/// Returns 401 for anonymous clients and guests, 403 for users and for keys without the scope.
pub(crate) fn check_scope(endpoint: &Endpoint, request: &Request) -> Result<(), Refusal> {
    let Some(scope) = endpoint.scope else { return Ok(()) };
    let identity = request.identity();
    match identity.role() {
        Role::Staff => Ok(()),
        Role::Key if identity.may(scope) => Ok(()),
        Role::Key => {
            Err(Refusal::forbidden(format!("`Authorization`: expected a key with the scope `{scope}`")))
        }
        Role::User => Err(Refusal::forbidden("expected an API key, or the login of an operator")),
        Role::Anonymous | Role::Guest => {
            Err(Refusal::unauthorized("`Authorization`: expected `Bearer` and an API key"))
        }
    }
}

/// Checks the token that the CSRF rule requires; [`check_origin`] has checked the origin.
///
/// # Errors
/// Returns 403.
pub(crate) fn check_csrf(endpoint: &Endpoint, request: &Request) -> Result<(), Refusal> {
    let changes = !request.method().is_safe();
    let in_header = || request.header("x-csrftoken");
    match endpoint.csrf {
        Csrf::Token if changes => {
            let in_form = || request.form().get("csrfmiddlewaretoken").to_owned();
            let sent = in_header().map_or_else(in_form, str::to_owned);
            CsrfToken::check(request.headers(), &sent)
        }
        Csrf::SessionToken if changes && request.identity().login().is_some() => {
            CsrfToken::check(request.headers(), in_header().unwrap_or_default())
        }
        Csrf::Origin if changes && request.headers().contains_key(COOKIE) && !request.names_its_page() => {
            CsrfToken::check(request.headers(), in_header().unwrap_or_default())
        }
        Csrf::Token | Csrf::SessionToken | Csrf::Origin | Csrf::Off(_) => Ok(()),
    }
}

/// Counts the request against its address, before anything is asked: a crowd must not cause as many
/// calls of the layer. Sockets and streams count as handshakes, all else by the kind of its route.
///
/// # Errors
/// Returns 429 above the limit.
pub(crate) fn check_address_rate(route: Option<&Route>, request: &Request) -> Result<(), Refusal> {
    let (limits, address, method) = (request.context().limits(), request.peer(), request.method());
    if route.is_some_and(Route::is_realtime) {
        return Ok(limits.handshake(address)?);
    }
    let kind = route.map_or(RequestKind::Page, |route| route.request_kind(method));
    limits.request(address, kind).map_err(|limited| Refusal::from(limited).brief())
}

/// Counts the request in the rate class of its endpoint.
///
/// # Errors
/// Returns 429 above the limit.
pub(crate) fn check_rate(endpoint: &Endpoint, request: &Request) -> Result<(), Refusal> {
    let (limits, address, identity) = (request.context().limits(), request.peer(), request.identity());
    match endpoint.rate {
        Rate::ByMethod if request.method().is_safe() => {}
        Rate::ByMethod | Rate::Messages => {
            limits.post(address, identity.is_user().then(|| identity.id()))?;
            limits.posted_bytes(address, request.body().len())?;
        }
        Rate::Publishes => limits.publish(identity.id())?,
        Rate::Names => limits.naming(address)?,
        Rate::Logins => {
            let name = Username::parse(request.form().get("name")).map(|name| name.skeleton());
            limits.login(address, name.as_deref().unwrap_or_default())?;
        }
        Rate::PublishesPerItem | Rate::Unlimited(_) => {}
    }
    Ok(())
}
