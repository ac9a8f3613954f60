//! An entry of the list of trusted proxies.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// An entry of the list of trusted proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedProxy {
    /// A network, or a single address.
    Network(IpNet),
    /// `loopback`, `localhost`: the addresses of this machine.
    Loopback,
    /// `private_ranges`: addresses of this machine and of private networks, as containers have.
    PrivateRanges,
}

impl TrustedProxy {
    /// Returns whether the proxy may have this address.
    pub(crate) fn contains(self, address: IpAddr) -> bool {
        match self {
            Self::Network(network) => network.contains(&address),
            Self::Loopback => address.is_loopback(),
            Self::PrivateRanges => is_private(address),
        }
    }
}

/// Returns whether an address is of this machine or of a private network.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

impl FromStr for TrustedProxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().to_ascii_lowercase();
        let single = || text.parse::<IpAddr>().ok().map(|address| IpNet::from(address.to_canonical()));
        let network = || text.parse::<IpNet>().ok().map(|network| network.trunc());
        match text.as_str() {
            "loopback" | "localhost" => Ok(Self::Loopback),
            "private_ranges" => Ok(Self::PrivateRanges),
            _ => single().or_else(network).map(Self::Network).ok_or_else(|| {
                "expected an address as 127.0.0.1, a network as 10.0.0.0/8, loopback or private_ranges"
                    .to_owned()
            }),
        }
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Loopback => f.write_str("loopback"),
            Self::PrivateRanges => f.write_str("private_ranges"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TrustedProxy;

    fn contains(proxy: &str, address: &str) -> bool {
        proxy.parse::<TrustedProxy>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn words_stand_for_the_ranges_of_proxies() {
        for near in ["10.9.9.1", "172.17.0.1", "192.168.1.1", "169.254.1.1", "fd00::7", "fe80::1"] {
            assert!(contains("private_ranges", near) && !contains("loopback", near), "{near}");
        }
        for own in ["127.0.0.1", "127.1.2.3", "::1"] {
            assert!(contains("private_ranges", own) && contains("localhost", own), "{own}");
        }
        for far in ["192.0.2.1", "172.32.0.1", "2001:db8::1"] {
            assert!(!contains("private_ranges", far) && !contains("loopback", far), "{far}");
        }
        assert!(contains("10.1.0.0/8", "10.2.3.4") && !contains("10.0.0.1", "10.0.0.2"));
        for wrong in ["", "nginx", "10.0.0.0/33", "private", "local host"] {
            assert!(wrong.parse::<TrustedProxy>().is_err(), "{wrong:?}");
        }
    }
}
