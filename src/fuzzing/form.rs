//! Bodies of forms, each with a CSRF token.

use std::collections::HashMap;

use hyper::Method;
use hyper::header::{COOKIE, HeaderValue};
use percent_encoding::percent_decode_str;

use super::memory_node;
use crate::http::request::Request;
use crate::server::guards::check_csrf;
use crate::server::route::Endpoint;

const TOKEN: &str = "abcdefghijklmnopqrstuvwxyzABCDEF";

/// Parses a body.
pub fn form(bytes: &[u8]) {
    let Ok(body) = std::str::from_utf8(bytes) else { return };
    let expected = read(body);
    let named = |name: &str| expected.get(name).map_or("", String::as_str);
    assert!(is_accepted(body, Some(TOKEN)), "the token is in the header");
    let form = request(body, Some(TOKEN)).form();
    for name in ["name", "password", "next", "nickname", "csrfmiddlewaretoken", ""] {
        assert_eq!(form.get(name), named(name), "`{name}`");
    }
    let is_ours = named("csrfmiddlewaretoken") == TOKEN;
    assert_eq!(is_accepted(body, None), is_ours, "the token is in the form");
    assert_eq!(is_accepted(body, Some(body)), body == TOKEN, "`{body}` is no token");
}

/// Returns whether the form passes the CSRF check.
fn is_accepted(body: &str, token: Option<&str>) -> bool {
    let endpoint = Endpoint::new(|_| unreachable!("only the guard is called"));
    check_csrf(&endpoint, &request(body, token)).is_ok()
}

fn request(body: &str, token: Option<&str>) -> Request {
    let (mut parts, ()) = hyper::Request::new(()).into_parts();
    parts.method = Method::POST;
    let cookie = HeaderValue::from_str(&format!("csrftoken={TOKEN}")).expect("a cookie");
    parts.headers.insert(COOKIE, cookie);
    if let Some(token) = token {
        let token = HeaderValue::from_str(token).unwrap_or(HeaderValue::from_static("no token"));
        parts.headers.insert("x-csrftoken", token);
    }
    memory_node::request(parts, body)
}

/// A reference parser. The last field of a name wins.
fn read(body: &str) -> HashMap<String, String> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = body.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}
