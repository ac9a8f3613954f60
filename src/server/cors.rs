//! Cross-origin resource sharing (Fetch, section 3.2): which pages of other origins read answers.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ALLOW, HeaderMap, HeaderName, HeaderValue, ORIGIN,
    VARY,
};

use crate::http::request::Request;
use crate::http::response::Response;
use crate::server::route::Route;
use crate::wire::origin;

/// The headers that pages may set.
const REQUEST_HEADERS: &str = "authorization, cache-control, content-type, last-event-id";
/// How long a browser keeps the answer to a preflight, in seconds; it has limits of its own.
const MAX_AGE: &str = "7200";

/// What the answer to a request says to the browser of a page of another origin.
pub(crate) struct Sharing {
    /// The origin of the page, if it may read the answer.
    origin: Option<HeaderValue>,
}

impl Sharing {
    /// Returns how the answers of a route are shared; `None` if the route is for pages of its own
    /// origin only. The origins are those whose sockets are admitted.
    pub(crate) fn new(route: &Route, request: &Request) -> Option<Self> {
        let allowed = &request.context().config().network.allowed_origins;
        let origin =
            || request.headers().get(ORIGIN).filter(|_| origin::is_shared(request.headers(), allowed));
        route.is_shared.then(|| Self { origin: origin().cloned() })
    }

    /// Adds the headers to an answer.
    pub(crate) fn apply(self, response: &mut Response) {
        let headers = response.0.headers_mut();
        headers.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = self.origin else { return };
        if let Some(methods) = headers.get(ALLOW).cloned() {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
            add(headers, ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
            add(headers, ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        add(headers, ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    }
}

fn add(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}
