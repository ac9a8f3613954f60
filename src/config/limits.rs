//! The settings of limits: rates and numbers; 0 is no limit.

use clap::Args;

use crate::config::parsers::limit;

/// The settings of limits.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Limits (0: none)")]
#[group(skip)]
pub struct LimitsConfig {
    /// Messages that a socket may send in a second, and four times as many at once; or a client by
    /// POST
    #[arg(long, value_name = "COUNT", default_value = "50", value_parser = limit)]
    pub messages_per_second: u32,

    /// Bytes that a socket may send in a second, and four times as many at once
    #[arg(long, value_name = "BYTES", default_value = "262144", value_parser = limit)]
    pub bytes_per_second: u32,

    /// Sockets that an address (IPv6: a /64) may begin to open in a second, and ten times as many
    /// at once
    #[arg(long, value_name = "COUNT", default_value = "50", value_parser = limit)]
    pub handshakes_per_second: u32,

    /// Tries to log in, to sign up or to take a nickname, of an address in a minute; for one name,
    /// from wherever, six times as many
    #[arg(long, value_name = "COUNT", default_value = "10", value_parser = limit)]
    pub logins_per_minute: u32,

    /// Messages that an API key may publish in a second
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = limit)]
    pub publishes_per_second: u32,

    /// Sockets that a user may have open on this node
    #[arg(long, value_name = "COUNT", default_value = "50", value_parser = limit)]
    pub sockets_per_user: u32,

    /// Sockets that an address (IPv6: a /64) may have open on this node
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = limit)]
    pub sockets_per_address: u32,
}
