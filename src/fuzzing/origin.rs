//! Origins: patterns of the allow list, and the origins in `Origin`, `Referer` and `Host`.

use hyper::header::{COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, REFERER};

use crate::wire::origin::{OriginPattern, check_request, check_socket};

/// Parses an allow list, separated by commas, an origin and a host, one a line.
pub fn origin(bytes: &[u8]) {
    let mut lines = super::lines(bytes);
    let list = lines.next().unwrap_or_default();
    let allowed: Vec<OriginPattern> = list.split(',').filter_map(pattern).collect();
    let (page, host) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let is_own = Page::read(page).is_some_and(|page| page.is_of(host));
    let may = is_own || allowed.iter().any(|pattern| allows(pattern, page));
    for named in [ORIGIN, REFERER] {
        let Some(headers) = headers([(HOST, host), (named.clone(), page), (COOKIE, "a=b")]) else { return };
        assert!(may || check_request(&headers, false, &allowed).is_err(), "a request from {page} to {host}");
        if named == ORIGIN {
            assert!(
                may || check_socket(&headers, false, &allowed).is_err(),
                "a socket from {page} to {host}"
            );
        }
    }
}

/// A pattern displays as it was written, and allows the origin of that text. IPv6 addresses have no
/// subdomains.
fn pattern(text: &str) -> Option<OriginPattern> {
    let pattern: OriginPattern = text.parse().ok()?;
    let (written, page) = match &pattern {
        OriginPattern::Any => ("*".to_owned(), "null".to_owned()),
        OriginPattern::Host(host) => (host.clone(), format!("https://{host}")),
        OriginPattern::Domain(domain) if domain.starts_with('[') => {
            (format!(".{domain}"), format!("https://{domain}"))
        }
        OriginPattern::Domain(domain) => (format!(".{domain}"), format!("https://a.{domain}")),
        OriginPattern::Exact(origin) => (origin.clone(), origin.clone()),
    };
    assert_eq!(written.parse().as_ref(), Ok(&pattern), "`{text}` is `{written}`");
    let headers = headers([(HOST, "x"), (ORIGIN, &page), (COOKIE, "a=b")])?;
    let answer = check_socket(&headers, false, std::slice::from_ref(&pattern));
    assert!(answer.is_ok(), "`{text}` does not allow {page}");
    Some(pattern)
}

fn headers<const N: usize>(lines: [(HeaderName, &str); N]) -> Option<HeaderMap> {
    let lines = lines.into_iter().map(|(name, value)| Some((name, HeaderValue::from_str(value).ok()?)));
    lines.collect()
}

/// Returns whether a pattern allows this origin.
fn allows(pattern: &OriginPattern, page: &str) -> bool {
    let page = Page::read(page);
    let host = page.as_ref().map(|page| page.host.as_str());
    match pattern {
        OriginPattern::Any => true,
        OriginPattern::Host(allowed) => host == Some(allowed),
        OriginPattern::Domain(domain) => {
            host.is_some_and(|host| host == domain || host.ends_with(&format!(".{domain}")))
        }
        OriginPattern::Exact(origin) => page == Page::read(origin),
    }
}

/// A reference parser: scheme, host and port of a URL.
#[derive(PartialEq)]
struct Page {
    scheme: String,
    host: String,
    port: String,
}

impl Page {
    fn read(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (scheme, rest) = text.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit('@').next().unwrap_or_default();
        // The colons of an IPv6 address are in brackets.
        let end = authority.rfind(']').map_or(0, |bracket| bracket + 1);
        let (host, port) = match authority[end..].find(':') {
            Some(colon) => (&authority[..end + colon], &authority[end + colon + 1..]),
            None => (authority, ""),
        };
        let own = if scheme == "https" { "443" } else { "80" };
        let port = port.trim_start_matches('0');
        let port = if port == own { "" } else { port };
        Some(Self { scheme: scheme.to_owned(), host: host.to_owned(), port: port.to_owned() })
    }

    fn is_of(&self, host: &str) -> bool {
        Self::read(&format!("{}://{host}", self.scheme)).as_ref() == Some(self)
    }
}
