//! Credentials: what a request brings to identify its client.

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, SEC_WEBSOCKET_PROTOCOL};
use hyper::http::request::Parts;

use crate::auth::secret;
use crate::wire::{cookies, headers};

/// The prefix of a subprotocol that carries a token: browsers cannot set headers on a handshake.
const TOKEN_PROTOCOL: &str = "parlor.token.";

/// Credentials beside cookies.
pub(crate) enum Credentials<'a> {
    Bearer(&'a str),
    Ticket(String),
}

/// The header of an API key, as Centrifugo's libraries send it.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

pub(crate) fn shown(parts: &Parts, socket: bool) -> Option<Credentials<'_>> {
    if parts.headers.contains_key(API_KEY) {
        // Beside `Authorization` it is invalid, as two of those are.
        let text =
            headers::single(&parts.headers, &API_KEY).filter(|_| !parts.headers.contains_key(AUTHORIZATION));
        return Some(Credentials::Bearer(text.unwrap_or_default().trim()));
    }
    if parts.headers.contains_key(AUTHORIZATION) {
        // Any `Authorization` header replaces cookies. Two of them are invalid: a proxy may trust
        // the other one.
        let text = headers::single(&parts.headers, &AUTHORIZATION).unwrap_or_default();
        let (scheme, token) = text.split_once(' ').unwrap_or_default();
        let is_known = ["bearer", "apikey"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        return Some(Credentials::Bearer(if is_known { token.trim() } else { "" }));
    }
    if !socket {
        return None;
    }
    let offers = parts.headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|line| line.to_str().ok());
    let mut offers = offers.flat_map(|line| line.split(','));
    let token = offers.find_map(|offer| offer.trim().strip_prefix(TOKEN_PROTOCOL));
    token.map(Credentials::Bearer).or_else(|| headers::query(&parts.uri, "ticket").map(Credentials::Ticket))
}

/// Returns the secrets of logins in the cookies of this name that have the form of one; mostly one.
pub(crate) fn logins_of<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> + Send {
    cookies::values(headers, name).into_iter().filter(|secret| secret::is_one(secret))
}
