//! Headers of clients: texts, lists and cookies.

use std::net::IpAddr;

use hyper::header::{COOKIE, HeaderMap, HeaderName, HeaderValue, UPGRADE};

use super::within;
use crate::config::trusted_proxy::TrustedProxy;
use crate::http::client_address::ClientAddress;
use crate::http::csrf::CsrfToken;
use crate::wire::cookies;
use crate::wire::headers::{lists, single, text};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Parses headers, one a line, such as `Cookie: a=b`.
pub fn headers(bytes: &[u8]) {
    let headers = read(bytes);
    for name in ["parlor_guest", "csrftoken", "a", ""] {
        let expected = text_of_all(&headers, &COOKIE, ";").into_iter().find_map(|pair| {
            let (known, value) = pair.split_once('=')?;
            (!name.is_empty() && known.trim() == name).then(|| value.trim().to_owned())
        });
        let found = within(0, || cookies::value(&headers, name));
        assert_eq!(found, expected.as_deref(), "the cookie `{name}`");
    }
    let upgrades =
        text_of_all(&headers, &UPGRADE, ",").iter().any(|item| item.eq_ignore_ascii_case("websocket"));
    assert_eq!(lists(&headers, &UPGRADE, "websocket"), upgrades);
    for name in headers.keys() {
        let is_single = headers.get_all(name).iter().count() == 1;
        assert_eq!(single(&headers, name), text(&headers, name).filter(|_| is_single), "{name}");
    }
    let _ = CsrfToken::check(&headers, "token");
    is_client(&headers);
}

/// What a client puts before the entries of proxies does not change its address.
fn is_client(headers: &HeaderMap) {
    let trusted: Vec<TrustedProxy> =
        ["10.0.0.0/8", "::1/128"].iter().filter_map(|network| network.parse().ok()).collect();
    let [anonymous, proxy, forged] = [[192, 0, 2, 1], [10, 1, 1, 1], [198, 51, 100, 7]].map(IpAddr::from);
    let not_believed = ClientAddress { address: anonymous, secure: false };
    assert_eq!(
        ClientAddress::from_headers(anonymous, headers, &trusted),
        not_believed,
        "no proxy of ours says so"
    );
    let mut more = HeaderMap::new();
    more.insert(FORWARDED_FOR, HeaderValue::from_static("198.51.100.7"));
    for line in headers.get_all(FORWARDED_FOR) {
        more.append(FORWARDED_FOR, line.clone());
    }
    let [client, liar] =
        [headers, &more].map(|headers| ClientAddress::from_headers(proxy, headers, &trusted).address);
    let is_proxy = trusted.iter().any(|proxy| proxy.contains(client));
    assert!(liar == client || (is_proxy && liar == forged), "{liar} is {client}");
}

/// Returns the parts of all lines of a header, trimmed.
fn text_of_all(headers: &HeaderMap, name: &HeaderName, between: &str) -> Vec<String> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.collect::<Vec<_>>().join(between).split(between).map(|part| part.trim().to_owned()).collect()
}

/// Returns the headers in these lines, up to the number that hyper accepts.
pub(super) fn read(bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(100) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&line[..colon]), value) {
            headers.append(name, value);
        }
    }
    headers
}
