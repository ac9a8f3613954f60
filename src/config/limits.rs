//! The settings of limits: rates and numbers; 0 is no limit.

use clap::Args;

use crate::config::parsers::limit;

/// The settings of limits.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Limits (0: none)")]
#[group(skip)]
pub struct LimitsConfig {
    /// Messages per second of a socket, or of a client that uses POST, with bursts of four times as
    /// many
    #[arg(long, value_name = "COUNT", default_value = "50", value_parser = limit)]
    pub messages_per_second: u32,

    /// Bytes per second of a socket, with bursts of four times as many
    #[arg(long, value_name = "BYTES", default_value = "262144", value_parser = limit)]
    pub bytes_per_second: u32,

    /// Handshakes per second of an address (IPv6: a /64), with bursts of ten times as many
    #[arg(long, value_name = "COUNT", default_value = "50", value_parser = limit)]
    pub handshakes_per_second: u32,

    /// Attempts per minute of an address to log in, sign up or take a nickname; six times as many
    /// for one name from all addresses
    #[arg(long, value_name = "COUNT", default_value = "10", value_parser = limit)]
    pub logins_per_minute: u32,

    /// Messages per second of an API key
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = limit)]
    pub publishes_per_second: u32,

    /// Open sockets of a user on this node
    #[arg(long, value_name = "COUNT", default_value = "50", value_parser = limit)]
    pub sockets_per_user: u32,

    /// Open sockets of an address (IPv6: a /64) on this node
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = limit)]
    pub sockets_per_address: u32,
}
