//! Headers: texts, lists and cookies, as clients send them.

use hyper::Method;
use hyper::header::{COOKIE, HeaderMap, HeaderName, HeaderValue, UPGRADE};

use super::within;
use crate::csrf::Csrf;
use crate::headers::{cookie, lists, single, text};

/// Headers, one a line, as `Cookie: a=b`.
pub fn headers(bytes: &[u8]) {
    let headers = read(bytes);
    for name in ["parlor_guest", "csrftoken", "a", ""] {
        let expected = text_of_all(&headers, &COOKIE, ";").into_iter().find_map(|pair| {
            let (known, value) = pair.split_once('=')?;
            (known == name).then(|| value.to_owned())
        });
        let found = within(0, || cookie(&headers, name));
        assert_eq!(found, expected.as_deref(), "the cookie `{name}`");
    }
    let upgrades =
        text_of_all(&headers, &UPGRADE, ",").iter().any(|item| item.eq_ignore_ascii_case("websocket"));
    assert_eq!(lists(&headers, &UPGRADE, "websocket"), upgrades);
    for name in headers.keys() {
        let is_single = headers.get_all(name).iter().count() == 1;
        assert_eq!(single(&headers, name), text(&headers, name).filter(|_| is_single), "{name}");
    }
    let _ = Csrf::check(&Method::POST, &headers);
}

/// The parts of all lines of a header, without the spaces around them.
fn text_of_all(headers: &HeaderMap, name: &HeaderName, between: &str) -> Vec<String> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.collect::<Vec<_>>().join(between).split(between).map(|part| part.trim().to_owned()).collect()
}

/// The headers in these lines, as many of them as hyper lets in.
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
