//! Responses and refusals of handlers.

use std::borrow::Cow;
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{Either, Full};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, SET_COOKIE, VARY};
use hyper::{Method, StatusCode};
use tracing::debug;

use crate::auth::error::AuthError;
use crate::layer::LayerError;
use crate::limits::Limited;
use crate::telemetry::Chain;

/// The body of a response: complete, or a stream.
pub(crate) type Body = Either<Full<Bytes>, UnsyncBoxBody<Bytes, Infallible>>;

/// A response: status, headers and a body.
#[derive(Debug)]
pub struct Response(pub(crate) hyper::Response<Body>);

impl Response {
    /// Creates a response with this body.
    pub fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut response = hyper::Response::new(Either::Left(Full::new(body.into())));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self(response)
    }

    /// Creates a 200 with a streamed body.
    pub(crate) fn stream(content_type: &'static str, body: UnsyncBoxBody<Bytes, Infallible>) -> Self {
        let mut response = Self::new(StatusCode::OK, content_type, "");
        *response.0.body_mut() = Either::Right(body);
        response
    }

    /// Creates a 200 with a page, which varies by language and, with its CSRF token, by visitor.
    pub fn html(body: String) -> Self {
        Self::new(StatusCode::OK, "text/html; charset=utf-8", body)
            .with(VARY, HeaderValue::from_static("Accept-Language, Cookie"))
            .with(hyper::header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))
    }

    /// Creates plain text with this status.
    pub fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body.into())
    }

    /// Creates a 200 with this JSON text.
    pub fn json(json: impl Into<String>) -> Self {
        Self::json_with(StatusCode::OK, json)
    }

    /// Creates a response with this status and JSON text.
    pub fn json_with(status: StatusCode, json: impl Into<String>) -> Self {
        Self::new(status, "application/json", json.into()).unstored()
    }

    /// Creates a 204 with the methods that a path serves in `Allow`.
    pub(crate) fn options(mut allowed: Vec<Method>) -> Self {
        allowed.push(Method::OPTIONS);
        let mut response = Self::text(StatusCode::NO_CONTENT, "").with(ALLOW, allow(&allowed).1);
        response.0.headers_mut().remove(CONTENT_TYPE);
        response
    }

    /// Creates a redirect to a path of this host.
    pub fn redirect(status: StatusCode, location: &str) -> Self {
        let location = HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/"));
        Self::new(status, "text/plain; charset=utf-8", "").with(LOCATION, location)
    }

    /// Forbids caches to store the response.
    #[must_use]
    pub fn unstored(self) -> Self {
        self.with(hyper::header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
    }

    /// Sets the status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        *self.0.status_mut() = status;
        self
    }

    /// Adds a header.
    #[must_use]
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers_mut().append(name, value);
        self
    }

    /// Adds a cookie, written as `name=value; attributes`.
    #[must_use]
    pub(crate) fn with_cookie(self, cookie: &str) -> Self {
        match HeaderValue::from_str(cookie) {
            Ok(cookie) => self.with(SET_COOKIE, cookie),
            Err(_) => self,
        }
    }
}

/// 503 when a retry may succeed, else 500.
impl From<LayerError> for Refusal {
    fn from(error: LayerError) -> Self {
        debug!(error = %Chain(&error), "layer call failed");
        error.record();
        if error.is_retryable() {
            Self::unavailable("the server cannot reach its store: try again later")
        } else {
            Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the server could not answer")
        }
    }
}

/// 429, with the time to wait.
impl From<Limited> for Refusal {
    fn from(limited: Limited) -> Self {
        Self::too_many(limited.wait)
    }
}

/// 401 for invalid credentials, on a socket 403; 403 for a banned user; 503 when they cannot be
/// checked.
impl From<AuthError> for Refusal {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Unavailable(error) => error.into(),
            AuthError::Busy => Self::unavailable("the server is checking other passwords: try again later"),
            AuthError::Banned => {
                Self::forbidden("an operator of this site has banned you").message_key("banned")
            }
            AuthError::Expired => Self::from(AuthError::Invalid { socket: false }),
            AuthError::Invalid { socket } => {
                let refusal = Self::unauthorized("`Authorization`: not valid, or not any more");
                if socket { Self::forbidden(refusal.detail) } else { refusal }
            }
        }
    }
}

/// Returns methods as a text, and as the value of `Allow`.
fn allow(methods: &[Method]) -> (String, HeaderValue) {
    let names = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    let value = HeaderValue::from_str(&names).expect("method names are tokens");
    (names, value)
}

/// Returns a 500, and logs the cause, which the client does not see.
pub(crate) fn failed(cause: &dyn std::error::Error) -> Refusal {
    tracing::error!(error = %Chain(cause), "could not answer");
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the server could not answer")
}

/// The refusal of a request: a status, and one sentence with the reason and the expected value.
///
/// # Examples
/// ```
/// use parlor::{Refusal, StatusCode};
///
/// let refusal = Refusal::bad_request("`title`: expected a text");
/// assert_eq!(refusal.status(), StatusCode::BAD_REQUEST);
/// assert_eq!(refusal.detail(), "`title`: expected a text");
/// ```
#[derive(Debug)]
pub struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) detail: Cow<'static, str>,
    /// The message of the catalogue that pages show instead of the detail.
    pub(crate) message_key: Option<&'static str>,
    /// What replaces names in braces in that message.
    pub(crate) message_values: Vec<(&'static str, String)>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether browsers receive the detail instead of a page, which would cost as much as what is
    /// refused.
    pub(crate) is_brief: bool,
}

impl Refusal {
    /// Creates a refusal with this status and detail.
    pub fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            detail: detail.into(),
            message_key: None,
            message_values: Vec::new(),
            headers: Vec::new(),
            is_brief: false,
        }
    }

    /// Returns the status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the detail.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Creates a 400.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// Creates a 401 with `WWW-Authenticate: Bearer`.
    pub fn unauthorized(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
            .with(hyper::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// Creates a 403.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// Creates a 404.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing at this path").message_key("nothing_here")
    }

    /// Creates a 429 with this `Retry-After`, rounded up to seconds.
    pub fn too_many(wait: Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        let after = HeaderValue::from_str(&seconds.to_string()).unwrap_or(HeaderValue::from_static("1"));
        Self::new(StatusCode::TOO_MANY_REQUESTS, format!("too many: try again in {seconds} s"))
            .with(hyper::header::RETRY_AFTER, after)
            .message_key("too_many_requests")
            .message_value("seconds", seconds.to_string())
    }

    /// Has browsers receive the detail instead of a page.
    #[must_use]
    pub(crate) fn brief(mut self) -> Self {
        self.is_brief = true;
        self
    }

    /// Creates a 503 with a `Retry-After` of one second.
    pub fn unavailable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .with(hyper::header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// Creates a 405 with the allowed methods in `Allow`.
    pub(crate) fn method(allowed: &[Method]) -> Self {
        let (names, value) = allow(allowed);
        Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("`method`: expected {names}")).with(ALLOW, value)
    }

    /// Adds a header.
    #[must_use]
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sets the message of the catalogue that pages show instead of the detail.
    #[must_use]
    pub fn message_key(mut self, key: &'static str) -> Self {
        self.message_key = Some(key);
        self
    }

    /// Sets what replaces `{name}` in the message.
    #[must_use]
    pub fn message_value(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.message_values.push((name, value.into()));
        self
    }
}
