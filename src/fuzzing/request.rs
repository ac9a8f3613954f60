//! The request line and headers, as read before and by handlers.

use hyper::header::{AUTHORIZATION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL};
use hyper::http::request::Parts;
use hyper::{Method, Uri};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{headers, memory_node};
use crate::auth::identity::{Identity, Role};
use crate::http::params::Params;
use crate::http::response::Refusal;
use crate::http::upgrade::Upgrade;
use crate::realtime::start_position::StartPosition;
use crate::server::dispatch::check;
use crate::server::routes::Routes;
use crate::wire::origin;

/// Parses a request's target, then its headers, one a line.
pub fn request(bytes: &[u8]) {
    let (target, rest) = bytes.split_at(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len()));
    let Ok(uri) = Uri::try_from(target) else { return };
    let (mut parts, ()) = hyper::Request::new(()).into_parts();
    (parts.uri, parts.headers) = (uri, headers::read(rest));
    is_checked(&mut parts);
    is_not_authenticated(&parts);
    let request = memory_node::request(parts, "");
    for name in ["since", "history", "name", ""] {
        assert_eq!(
            request.query(name),
            request.parts.uri.query().and_then(|uri| query(uri, name)),
            "`{name}` of the query"
        );
    }
    let history = request.query("history").map(|text| text.parse().is_ok_and(|count: usize| count <= 1000));
    assert_eq!(
        StartPosition::from_request(&request).is_ok(),
        history.unwrap_or(true),
        "`history` of the query"
    );
    assert!(["zh", "en"].contains(&request.language()));
    let _ = (
        request.wants_page(),
        origin::check_request(request.headers(), false, &[]).is_ok(),
        origin::check_socket(request.headers(), false, &[]).is_ok(),
        Routes(&[]).find(request.parts.uri.path()).is_none(),
    );
    request.parts.uri.path().split('/').for_each(is_decoded);
}

/// Checks the requirements of HTTP and WebSocket.
fn is_checked(parts: &mut Parts) {
    if check(parts, &["*".parse().expect("every host")], false).is_ok() {
        let hosts: Vec<_> = parts.headers.get_all(HOST).iter().collect();
        assert!(
            matches!(&hosts[..], [host] if host.as_bytes().iter().all(u8::is_ascii_graphic)),
            "{hosts:?}"
        );
    }
    let method = std::mem::replace(&mut parts.method, Method::GET);
    if Upgrade::check(parts).is_ok() {
        let keys: Vec<_> = parts.headers.get_all(SEC_WEBSOCKET_KEY).iter().collect();
        assert!(matches!(&keys[..], [key] if key.len() == 24), "{keys:?}");
    }
    parts.method = method;
}

/// Rejects invalid credentials. Ignores invalid cookies.
fn is_not_authenticated(parts: &Parts) {
    let offers = parts.headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|line| line.to_str().ok());
    let mut offers = offers.flat_map(|line| line.split(',')).map(str::trim);
    let on_a_socket = offers.any(|offer| offer.starts_with("parlor.token."))
        || parts.uri.query().is_some_and(|uri| query(uri, "ticket").is_some());
    for (socket, refused) in [(false, 401), (true, 403)] {
        let shown = parts.headers.contains_key(AUTHORIZATION) || (socket && on_a_socket);
        let identity = Identity::authenticate(memory_node::node().auth(), parts, false, socket);
        match memory_node::run(identity).map_err(Refusal::from) {
            Ok(identity) => assert!(!shown && identity.role() == Role::Anonymous, "{identity:?}"),
            Err(refusal) => assert!(shown && refusal.status.as_u16() == refused, "{}", refusal.detail),
        }
    }
}

/// A reference parser: the first value of this name.
fn query(query: &str, name: &str) -> Option<String> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(known, _)| decoded(known) == name).map(|(_, value)| decoded(value))
}

/// A path segment decodes to a name, and the encoded name decodes to itself.
fn is_decoded(segment: &str) {
    let decode = |segment: &str| Params::decode(&[("name", segment)]).get("name").map(str::to_owned);
    if let Some(name) = decode(segment) {
        let written = utf8_percent_encode(&name, NON_ALPHANUMERIC).to_string();
        assert_eq!(decode(&written), Some(name));
    }
}
