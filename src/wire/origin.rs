//! Cross-origin rules: requests of browsers from the node's own pages and allowed origins.
//!
//! A browser sends cookies along with sockets and simple requests that a foreign page starts
//! (cross-site WebSocket hijacking). It always names the origin, in `Origin`, or in
//! `Sec-Fetch-Site` and `Referer`, so the rule needs no token. Patterns follow Django Channels'
//! `AllowedHostsOriginValidator`, but without a list no foreign origin is trusted.

use std::str::FromStr;

use hyper::Uri;
use hyper::header::{COOKIE, HOST, HeaderMap, HeaderName, ORIGIN, REFERER};

use crate::wire::headers::{single, text};
use crate::wire::host::{is_host, is_sound};

/// Why a cross-origin request is rejected.
#[derive(Debug)]
pub(crate) struct ForeignOrigin(pub(crate) std::borrow::Cow<'static, str>);

/// An entry of the allow list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginPattern {
    /// `*`: every origin.
    Any,
    /// `example.com`: this host, any scheme and port.
    Host(String),
    /// `.example.com`: this host and all its subdomains.
    Domain(String),
    /// `https://example.com:8443`, `capacitor://localhost`: exactly this origin.
    Exact(String),
}

impl FromStr for OriginPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().to_ascii_lowercase();
        match text.as_str() {
            "*" => Ok(Self::Any),
            "null" => {
                Err("`null` is the origin of every file and every sandboxed page, and cannot be allowed; * \
                           allows all origins"
                    .to_owned())
            }
            _ if text.contains('*') => {
                Err("expected .example.com, without scheme, for a host and all its subdomains".to_owned())
            }
            _ if text.contains("://") => match Origin::parse(&text) {
                Some(origin) => Ok(Self::Exact(origin.to_string())),
                None => Err("expected an origin as https://example.com or capacitor://localhost".to_owned()),
            },
            _ => match text.strip_prefix('.') {
                Some(domain) if is_host(domain) => Ok(Self::Domain(domain.to_owned())),
                None if is_host(&text) => Ok(Self::Host(text)),
                _ => Err("expected example.com, .example.com, https://example.com or *".to_owned()),
            },
        }
    }
}

impl OriginPattern {
    fn allows(&self, origin: &Origin) -> bool {
        match self {
            // Also matches opaque origins (`null`), which do not parse.
            Self::Any => true,
            Self::Exact(exact) => origin.to_string() == *exact,
            // An app may take any name.
            Self::Host(_) | Self::Domain(_) if !origin.is_of_site() => false,
            Self::Host(host) => origin.host == *host,
            Self::Domain(domain) => origin
                .host
                .strip_suffix(domain.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
        }
    }
}

/// Scheme, host and port of an origin, in lower case, without the scheme's default port.
struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// Parses an `Origin` header or a URL; `None` for `null` and for what is not an origin. The
    /// pages of apps and of browser extensions have schemes of their own.
    fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let own = match scheme.as_str() {
            "https" => Some(443),
            "http" => Some(80),
            _ if !matches!(uri.path(), "" | "/") || uri.query().is_some() => return None,
            _ => None,
        };
        uri.authority().filter(|authority| is_sound(authority))?;
        let port = uri.port_u16().filter(|port| Some(*port) != own);
        Some(Self { scheme, host: uri.host()?.to_ascii_lowercase(), port })
    }

    /// Returns whether this is the origin of a site, not of an app.
    fn is_of_site(&self) -> bool {
        matches!(self.scheme.as_str(), "http" | "https")
    }

    /// Returns whether this is the origin of a request with this `Host`. A page that came by `http`
    /// may be of any sender, and is foreign to a request over `https`. Other requests may be over
    /// `https`, too: the proxy that terminates TLS may not say so.
    fn is_host(&self, host: &str, is_secure: bool) -> bool {
        self.is_of_site()
            && (!is_secure || self.scheme == "https")
            && Self::parse(&format!("{}://{host}", self.scheme))
                .is_some_and(|own| own.host == self.host && own.port == self.port)
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Checks a WebSocket handshake, over `https` if `is_secure`: the origin must be this host or
/// allowed. A client without `Origin` is not a browser, and passes if it sends no cookies.
///
/// # Errors
/// Returns an error (403) otherwise.
pub(crate) fn check_socket(
    headers: &HeaderMap,
    is_secure: bool,
    allowed: &[OriginPattern],
) -> Result<(), ForeignOrigin> {
    if allowed.contains(&OriginPattern::Any) {
        Ok(())
    } else if headers.contains_key(ORIGIN) {
        check_header(headers, &ORIGIN, is_secure, allowed)
    } else if headers.contains_key(COOKIE) {
        Err(ForeignOrigin("a request with cookies needs an `Origin`".into()))
    } else {
        Ok(())
    }
}

/// Checks a request with side effects: `Sec-Fetch-Site`, else `Origin`, else `Referer` must name
/// the node's own origin or an allowed one. A client that sends none of them is not a browser, and
/// passes.
///
/// # Errors
/// Returns an error (403) otherwise.
pub(crate) fn check_request(
    headers: &HeaderMap,
    is_secure: bool,
    allowed: &[OriginPattern],
) -> Result<(), ForeignOrigin> {
    let site = headers.get("sec-fetch-site").map(hyper::header::HeaderValue::as_bytes);
    match site {
        // `none`: typed into the address bar, or a bookmark.
        Some(b"same-origin" | b"none") => Ok(()),
        _ if allowed.contains(&OriginPattern::Any) => Ok(()),
        Some(_) if origin_of(headers, &ORIGIN).is_some_and(|origin| is_allowed(&origin, allowed)) => Ok(()),
        Some(_) => Err(ForeignOrigin("`Sec-Fetch-Site`: only pages of this host may call".into())),
        None if headers.contains_key(ORIGIN) => check_header(headers, &ORIGIN, is_secure, allowed),
        None if headers.contains_key(REFERER) => check_header(headers, &REFERER, is_secure, allowed),
        None => Ok(()),
    }
}

/// Returns whether the page of an allowed origin has made this request, so that its browser may
/// show it the answer. Pages of the node's own origin need no leave.
pub(crate) fn is_shared(headers: &HeaderMap, allowed: &[OriginPattern]) -> bool {
    if allowed.contains(&OriginPattern::Any) {
        return single(headers, &ORIGIN).is_some();
    }
    origin_of(headers, &ORIGIN).is_some_and(|origin| is_allowed(&origin, allowed))
}

fn check_header(
    headers: &HeaderMap,
    name: &HeaderName,
    is_secure: bool,
    allowed: &[OriginPattern],
) -> Result<(), ForeignOrigin> {
    let Some(origin) = origin_of(headers, name) else {
        return Err(ForeignOrigin(format!("`{name}`: expected one origin").into()));
    };
    if text(headers, &HOST).is_some_and(|host| origin.is_host(host, is_secure))
        || is_allowed(&origin, allowed)
    {
        Ok(())
    } else {
        Err(ForeignOrigin(format!("`{name}`: pages of other hosts may not call").into()))
    }
}

/// Returns the origin in a header that occurs once.
fn origin_of(headers: &HeaderMap, name: &HeaderName) -> Option<Origin> {
    single(headers, name).and_then(Origin::parse)
}

fn is_allowed(origin: &Origin, allowed: &[OriginPattern]) -> bool {
    allowed.iter().any(|pattern| pattern.allows(origin))
}

#[cfg(test)]
mod tests {
    use super::{Origin, OriginPattern};

    /// Origins of pages that apps and browser extensions bring with them.
    const APPS: [&str; 6] = [
        "capacitor://localhost",
        "ionic://localhost",
        "tauri://localhost",
        "chrome-extension://mhjfbmdgcfjbbpaeojofohoefgiehjai",
        "moz-extension://2e6aa4f2-0f2c-4c1e-b6e6-5f1f3f1c2a3b",
        "app://-",
    ];

    #[test]
    fn the_origin_of_an_app_is_allowed_exactly_and_is_never_a_sites_own() {
        for app in APPS {
            let origin = Origin::parse(app).unwrap_or_else(|| panic!("{app}"));
            assert!(app.parse::<OriginPattern>().unwrap().allows(&origin), "{app}");
            assert!(!origin.is_host(&origin.host, false), "{app} at a host of its name");
            let by_host: Result<OriginPattern, _> = origin.host.parse();
            assert!(!by_host.is_ok_and(|pattern| pattern.allows(&origin)), "{app} by its host");
        }
    }

    #[test]
    fn a_host_of_the_list_is_a_host_and_nothing_else() {
        for text in ["example.com", ".example.com", "[::1]", "https://example.com:8443", "*"] {
            assert!(text.parse::<OriginPattern>().is_ok(), "{text}");
        }
        for app in APPS {
            assert!(app.parse::<OriginPattern>().is_ok(), "{app}");
        }
        // No origin has these forms, so such an entry would silently reject every page.
        for text in [
            "example.com:8080",
            ".example.com:80",
            "http:",
            "a?b",
            "a@b",
            "a/b",
            "",
            ".",
            "a..b",
            "*.a",
            "null",
            "https://*.a.example",
            "https://*",
            "app://",
            "app://a/b",
            "file:///a",
        ] {
            assert!(text.parse::<OriginPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_page_has_an_origin_that_is_a_host_and_perhaps_a_port() {
        for page in ["http://a", "https://a:8443/b?c", "http://[::1]:80", "HTTP://A:"] {
            assert!(Origin::parse(page).is_some(), "{page}");
        }
        for page in [
            "null",
            "",
            "a",
            "file:///a",
            "http://[::1].evil.example",
            "http://a:b",
            "http://u@a",
            "http://:",
            "http://",
        ] {
            assert!(Origin::parse(page).is_none(), "{page}");
        }
    }
}
