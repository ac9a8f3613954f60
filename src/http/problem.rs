//! A refusal as a problem document (RFC 9457).

use hyper::Uri;
use serde::Serialize;

use crate::http::response::{Refusal, Response};
use crate::http::site::Site;

/// The members of RFC 9457, section 3.1. `type` is `about:blank`: the status is the only type.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

/// Returns whether the path belongs to the API.
pub(crate) fn is_api(site: &Site, uri: &Uri) -> bool {
    site.api_prefixes.iter().any(|prefix| uri.path().starts_with(prefix))
}

/// Creates the response with the problem document of a refusal.
pub(crate) fn response(refusal: &Refusal) -> Response {
    let problem = Problem {
        r#type: "about:blank",
        title: refusal.status.canonical_reason().unwrap_or_default(),
        status: refusal.status.as_u16(),
        detail: &refusal.detail,
    };
    let json = serde_json::to_string(&problem).expect("texts and a number are JSON");
    Response::new(refusal.status, "application/problem+json", json).unstored()
}
