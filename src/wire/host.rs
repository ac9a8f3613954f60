//! The allow list for `Host`.
//!
//! A foreign page can make its own name resolve to this node (DNS rebinding); the browser then
//! treats the node as the page's own host. As with Django's `ALLOWED_HOSTS`, only configured names
//! are served. Addresses cannot be rebound, and `localhost` always means this machine.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use hyper::http::uri::Authority;

/// An entry of the allow list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// `*`: every host.
    Any,
    /// `example.com`: this host, any port.
    Host(String),
    /// `.example.com`: this host and all its subdomains.
    Domain(String),
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().to_ascii_lowercase();
        let (domain, host) = match text.strip_prefix('.') {
            Some(domain) => (true, domain),
            None => (false, text.as_str()),
        };
        let host = without_dot(host);
        match host {
            "*" if !domain => Ok(Self::Any),
            _ if !is_host(host) => {
                Err("expected example.com, .example.com or *, without scheme and port".to_owned())
            }
            _ if domain => Ok(Self::Domain(host.to_owned())),
            _ => Ok(Self::Host(host.to_owned())),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Host(host) => f.write_str(host),
            Self::Domain(domain) => write!(f, ".{domain}"),
        }
    }
}

impl HostPattern {
    fn allows(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Host(allowed) => allowed == host,
            Self::Domain(domain) => {
                host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
        }
    }
}

/// Returns whether the authority is a host with an optional port, and nothing else (RFC 9110,
/// section 7.2). The library accepts any text after an address's bracket and after the colon.
pub(crate) fn is_sound(authority: &Authority) -> bool {
    let port = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text.is_empty() || text.parse::<u16>().is_ok())
    };
    let host = Some(authority.host()).filter(|host| !host.is_empty());
    let rest = host.and_then(|host| authority.as_str().strip_prefix(host));
    rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix(':').is_some_and(port))
}

/// Returns whether the node serves this host; without a list, IP addresses and localhost.
pub(crate) fn is_allowed(authority: &Authority, allowed: &[HostPattern]) -> bool {
    if !is_sound(authority) {
        return false;
    }
    let host = authority.host().to_ascii_lowercase();
    let host = without_dot(&host);
    if allowed.is_empty() {
        return is_address(host) || host == "localhost" || host.ends_with(".localhost");
    }
    allowed.iter().any(|pattern| pattern.allows(host))
}

/// Returns whether the host is an IP address, with or without a port.
pub(crate) fn is_ip_address(authority: &Authority) -> bool {
    is_sound(authority) && is_address(authority.host())
}

/// Strips the final dot, which marks a fully qualified name, as all are here.
fn without_dot(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

/// Returns whether a text is a host, without a port or anything else.
pub(crate) fn is_host(text: &str) -> bool {
    let parsed = text.parse::<Authority>().ok();
    let has_parts = text.split('.').all(|part| !part.is_empty());
    parsed.is_some_and(|parsed| parsed.host() == text && has_parts && !text.contains(['*', '@']))
}

fn is_address(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<Ipv4Addr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(patterns: &[&str], host: &str) -> bool {
        let patterns: Vec<HostPattern> = patterns.iter().map(|pattern| pattern.parse().unwrap()).collect();
        is_allowed(&host.parse().unwrap(), &patterns)
    }

    #[test]
    fn without_a_list_addresses_and_localhost_are_allowed() {
        for host in ["127.0.0.1", "127.0.0.1:8000", "10.1.2.3", "[::1]:8000", "[fe80::1]", "localhost"] {
            assert!(allowed(&[], host), "{host}");
        }
        for host in ["LOCALHOST:8000", "a.localhost", "localhost."] {
            assert!(allowed(&[], host), "{host}");
        }
        for host in ["example.com", "evillocalhost", "localhost.example.com", "127.0.0.1.example.com"] {
            assert!(!allowed(&[], host), "{host}");
        }
        for host in ["0x7f.1", "2130706433", "127.1", "1.2.3.4.5", "256.1.1.1"] {
            assert!(!allowed(&[], host), "{host} is a name for a resolver, not an address");
        }
    }

    #[test]
    fn a_list_allows_what_is_on_it_only() {
        let list = ["chat.example.com", ".example.org", "[::1]"];
        for host in
            ["chat.example.com", "Chat.Example.Com:8443", "example.org", "a.b.example.org.", "[::1]:1"]
        {
            assert!(allowed(&list, host), "{host}");
        }
        for host in ["example.com", "x.chat.example.com", "evilexample.org", "example.org.evil", "127.0.0.1"]
        {
            assert!(!allowed(&list, host), "{host}");
        }
        assert!(!allowed(&list, "localhost"));
        assert!(allowed(&["*"], "any.example"));
        assert!(allowed(&["example.com."], "example.com") && allowed(&[".example.org."], "a.example.org."));
    }

    #[test]
    fn behind_a_host_stands_a_port_or_nothing() {
        for host in ["a", "a:", "a:80", "[::1]", "[::1]:65535"] {
            assert!(allowed(&["*"], host), "{host}");
        }
        for host in
            ["[::1]0", "[::1]evil.example", "[::1].evil.example:80", "a:b", "a:+80", "a:65536", "u@a", "a@a"]
        {
            assert!(!allowed(&["*"], host) && !allowed(&[], host), "{host}");
        }
    }

    #[test]
    fn an_invalid_host_is_an_invalid_pattern() {
        for text in [
            "",
            ".",
            "..",
            "a..",
            "a..b",
            "*.example.com",
            "https://example.com",
            "example.com:80",
            "a b",
            "u@example.com",
            "x/",
        ] {
            assert!(text.parse::<HostPattern>().is_err(), "{text:?}");
        }
    }
}
