//! Hosts: the allow list, and the `Host` of clients.

use std::net::Ipv4Addr;

use hyper::http::uri::Authority;

use crate::wire::host::{HostPattern, is_allowed};

/// Parses an allow list, separated by commas, and a `Host`, one a line.
pub fn host(bytes: &[u8]) {
    let mut lines = super::lines(bytes);
    let list = lines.next().unwrap_or_default();
    let allowed: Vec<HostPattern> = list.split(',').filter_map(pattern).collect();
    let Ok(authority) = lines.next().unwrap_or_default().parse::<Authority>() else { return };
    let Some(host) = host_of(&authority) else {
        assert!(!is_allowed(&authority, &allowed), "{authority} is no host");
        return;
    };
    if allowed.is_empty() {
        let is_local = host == "localhost" || host.ends_with(".localhost");
        let is_address = host.parse::<Ipv4Addr>().is_ok() || host.starts_with('[');
        assert!(is_local || is_address || !is_allowed(&authority, &[]), "{authority} is none of ours");
    } else {
        let expected = allowed.iter().any(|pattern| allows(pattern, &host));
        assert_eq!(is_allowed(&authority, &allowed), expected, "{authority} by {list}");
    }
}

/// A pattern displays as it was written, and allows the host of that text. IPv6 addresses have no
/// subdomains.
fn pattern(text: &str) -> Option<HostPattern> {
    let pattern: HostPattern = text.parse().ok()?;
    let (written, host) = match &pattern {
        HostPattern::Any => ("*".to_owned(), "example.com".to_owned()),
        HostPattern::Host(host) => (host.clone(), host.clone()),
        HostPattern::Domain(domain) if domain.starts_with('[') => (format!(".{domain}"), domain.clone()),
        HostPattern::Domain(domain) => (format!(".{domain}"), format!("a.{domain}")),
    };
    assert_eq!(written.parse().as_ref(), Ok(&pattern), "`{text}` is `{written}`");
    if let Ok(authority) = host.parse() {
        assert!(is_allowed(&authority, std::slice::from_ref(&pattern)), "`{text}` does not allow {host}");
    }
    Some(pattern)
}

fn allows(pattern: &HostPattern, host: &str) -> bool {
    match pattern {
        HostPattern::Any => true,
        HostPattern::Host(allowed) => allowed == host,
        HostPattern::Domain(domain) => host == domain || host.ends_with(&format!(".{domain}")),
    }
}

/// A reference parser: the host without its port and final dot; `None` if anything else is present.
fn host_of(authority: &Authority) -> Option<String> {
    let text = authority.as_str().to_ascii_lowercase();
    let end = if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
    let (host, port) = text.split_at(end);
    let port = port.strip_prefix(':').or((port.is_empty()).then_some("0"))?;
    let is_port = port.is_empty() || (!port.starts_with('+') && port.parse::<u16>().is_ok());
    (is_port && !host.is_empty() && !text.contains('@'))
        .then(|| host.strip_suffix('.').unwrap_or(host).to_owned())
}
