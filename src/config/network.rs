//! The settings of the network: served hosts, allowed origins, trusted proxies.

use clap::Args;

use crate::config::trusted_proxy::TrustedProxy;
use crate::wire::host::HostPattern;
use crate::wire::origin::OriginPattern;

/// The settings of the network.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Network")]
#[group(skip)]
pub struct NetworkConfig {
    /// Accepted values of Host, separated by commas: a host, .example.com for it and all its
    /// subdomains, or * for any; without it, IP addresses and localhost
    #[arg(long, value_name = "HOSTS", value_delimiter = ',')]
    pub allowed_hosts: Vec<HostPattern>,

    /// Accepted origins besides the node's own host, separated by commas: a host, .example.com for
    /// it and all its subdomains, an origin with its scheme (also of an app, as
    /// capacitor://localhost), or * for any
    #[arg(long, value_name = "ORIGINS", value_delimiter = ',')]
    pub allowed_origins: Vec<OriginPattern>,

    /// Addresses or networks of trusted proxies, separated by commas, or loopback, or
    /// private_ranges; X-Forwarded-For and X-Forwarded-Proto of other peers are ignored
    #[arg(long, value_name = "NETWORKS", value_delimiter = ',')]
    pub trusted_proxies: Vec<TrustedProxy>,
}
