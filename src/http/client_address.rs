//! The address of a client: the peer of its connection, or the address that a trusted proxy
//! reports.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::header::{HeaderMap, HeaderName};
use tracing::warn;

use crate::config::setting::Setting;
use crate::config::trusted_proxy::TrustedProxy;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A client's address, and whether its request came over HTTPS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientAddress {
    pub(crate) address: IpAddr,
    pub(crate) secure: bool,
}

impl ClientAddress {
    /// Returns the client behind a connection from this address with these headers.
    pub(crate) fn from_headers(connected: IpAddr, headers: &HeaderMap, trusted: &[TrustedProxy]) -> Self {
        let connected = connected.to_canonical();
        if !is_trusted(connected, trusted) {
            if is_proxy(connected, headers) {
                warn_once(connected);
            }
            return Self { address: connected, secure: false };
        }
        // Each proxy appends the address of its peer. From the right, the first address that is not
        // a trusted proxy is the client; the addresses left of it are set by the client.
        let mut address = connected;
        for word in words(headers, &FORWARDED_FOR) {
            let Some(next) = address_of(word) else { break };
            address = next;
            if !is_trusted(address, trusted) {
                break;
            }
        }
        let secure =
            words(headers, &FORWARDED_PROTO).next().is_some_and(|word| word.eq_ignore_ascii_case("https"));
        Self { address, secure }
    }
}

/// Returns whether the address is a trusted proxy's.
pub(crate) fn is_trusted(address: IpAddr, trusted: &[TrustedProxy]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|proxy| proxy.contains(address))
}

/// Returns whether a peer seems to be a proxy of this site: it is near, and reports an address.
fn is_proxy(connected: IpAddr, headers: &HeaderMap) -> bool {
    TrustedProxy::PrivateRanges.contains(connected) && headers.contains_key(FORWARDED_FOR)
}

/// Returns the items of a list header, which may have several lines, the last item first.
fn words<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().rev().map(|line| line.to_str().unwrap_or_default());
    lines.flat_map(|line| line.rsplit(',')).map(str::trim)
}

/// Parses `192.0.2.1` or `2001:db8::1`. Some proxies append a port, and enclose IPv6 in brackets.
fn address_of(word: &str) -> Option<IpAddr> {
    let socket = || word.parse().ok().map(|address: std::net::SocketAddr| address.ip());
    let bracketed = || word.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    word.parse().ok().or_else(socket).or_else(bracketed).map(|address: IpAddr| address.to_canonical())
}

/// Warns of a near proxy that is not trusted: its clients count as one address.
fn warn_once(connected: IpAddr) {
    static WARNED: AtomicBool = AtomicBool::new(false);
    if !WARNED.swap(true, Ordering::Relaxed) {
        warn!(
            peer = %connected,
            "a proxy sends X-Forwarded-For and is not trusted, so all its clients count as one address: \
             set {}",
            Setting("--trusted-proxies")
        );
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;
    use crate::limits::network_of;

    fn peer(connected: &str, lines: &[(&'static str, &'static str)]) -> (String, bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let trusted = ["10.0.0.0/8", "127.0.0.1/32", "::1/128"].map(|network| network.parse().unwrap());
        let peer = ClientAddress::from_headers(connected.parse().unwrap(), &headers, &trusted);
        (peer.address.to_string(), peer.secure)
    }

    #[test]
    fn a_forwarded_address_counts_from_a_trusted_proxy_only() {
        const FOR: &str = "x-forwarded-for";
        for (connected, lines, expected) in [
            ("192.0.2.1", &[][..], "192.0.2.1"),
            ("192.0.2.1", &[(FOR, "198.51.100.7")], "192.0.2.1"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("127.0.0.1", &[(FOR, "198.51.100.7")], "198.51.100.7"),
            ("::ffff:127.0.0.1", &[(FOR, "::ffff:198.51.100.7")], "198.51.100.7"),
            ("10.1.1.1", &[(FOR, "6.6.6.6, 198.51.100.7")], "198.51.100.7"),
            ("10.1.1.1", &[(FOR, "6.6.6.6"), (FOR, "198.51.100.7")], "198.51.100.7"),
            ("10.1.1.1", &[(FOR, "6.6.6.6, 198.51.100.7 , 10.2.2.2,127.0.0.1")], "198.51.100.7"),
            ("10.1.1.1", &[(FOR, "10.3.3.3, 10.2.2.2")], "10.3.3.3"),
            ("::1", &[(FOR, "2001:db8::7")], "2001:db8::7"),
            ("::1", &[(FOR, "[2001:db8::7]:4711")], "2001:db8::7"),
            ("::1", &[(FOR, "[2001:db8::7]")], "2001:db8::7"),
            ("10.1.1.1", &[(FOR, "198.51.100.7:80")], "198.51.100.7"),
            ("10.1.1.1", &[(FOR, "6.6.6.6, unknown")], "10.1.1.1"),
            ("10.1.1.1", &[(FOR, "6.6.6.6, nonsense, 10.2.2.2")], "10.2.2.2"),
            ("10.1.1.1", &[(FOR, "")], "10.1.1.1"),
        ] {
            assert_eq!(peer(connected, lines).0, expected, "{connected} with {lines:?}");
        }
    }

    #[test]
    fn a_near_peer_that_reports_an_address_seems_to_be_a_proxy() {
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED_FOR, HeaderValue::from_static("198.51.100.7"));
        for (connected, expected) in [
            ("10.9.9.1", true),
            ("172.18.0.3", true),
            ("192.168.1.2", true),
            ("127.0.0.1", true),
            ("fd00::3", true),
            ("192.0.2.1", false),
            ("2001:db8::1", false),
        ] {
            let connected = connected.parse().unwrap();
            assert_eq!(is_proxy(connected, &headers), expected, "{connected}");
            assert!(!is_proxy(connected, &HeaderMap::new()), "{connected} reports none");
        }
    }

    #[test]
    fn https_is_reported_by_a_trusted_proxy_only() {
        const PROTO: &str = "x-forwarded-proto";
        assert!(peer("127.0.0.1", &[(PROTO, "https")]).1);
        assert!(peer("127.0.0.1", &[(PROTO, "http"), (PROTO, "HTTPS")]).1);
        assert!(!peer("127.0.0.1", &[(PROTO, "https, http")]).1);
        assert!(!peer("192.0.2.1", &[(PROTO, "https")]).1);
        assert!(!peer("127.0.0.1", &[]).1);
    }

    #[test]
    fn ipv6_counts_by_its_network() {
        for (address, expected) in [
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("::1", "::"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(network_of(address.parse().unwrap()).to_string(), expected);
        }
    }
}
