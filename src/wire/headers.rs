//! Reading headers: as text, as a list, or as one that must stand once.

use hyper::Uri;
use hyper::header::{HeaderMap, HeaderName};

/// The text of a header's first line, if it is there and readable.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The text of a header that stands exactly once.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.to_str().ok())?
}

/// Whether a header lists this token, in any case and on any of its lines.
pub(crate) fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// The first value of this name in a query string, decoded.
pub(crate) fn query(uri: &Uri, name: &str) -> Option<String> {
    let query = uri.query().unwrap_or_default();
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Returns whether the first head in these bytes states the body's length in two ways, as a request
/// whose body servers may see differently does (RFC 9112, section 11.2). The HTTP library parses
/// such a head, and leaves one of the two out.
pub(crate) fn has_two_lengths(bytes: &[u8]) -> bool {
    let (mut length, mut coding, mut start) = (false, false, 0);
    for end in memchr::memchr_iter(b'\n', bytes) {
        let line = &bytes[start..end];
        let is = |name: &str| {
            line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
        };
        length |= is("content-length:");
        coding |= is("transfer-encoding:");
        if start > 0 && matches!(line, [] | b"\r") {
            break;
        }
        start = end + 1;
    }
    length && coding
}

#[cfg(test)]
mod tests {
    use super::has_two_lengths;

    #[test]
    fn two_lengths_are_found_in_the_first_head_only() {
        for (head, two) in [
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", true),
            ("POST / HTTP/1.1\ntransfer-encoding:chunked\nX: y\nCONTENT-LENGTH:5\n\n", true),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nContent-Length: 5\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\nX-Transfer-Encoding: chunked\r\n\r\n", false),
            ("", false),
        ] {
            assert_eq!(has_two_lengths(head.as_bytes()), two, "{head:?}");
        }
    }
}
