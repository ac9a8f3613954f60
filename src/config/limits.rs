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

    /// Bytes per second of the messages of an address (IPv6: a /64), with bursts of four times as
    /// many; none with --bytes-per-second 0
    #[arg(long, value_name = "BYTES", default_value = "4194304", value_parser = limit)]
    pub(crate) address_bytes_per_second: u32,

    /// Reads of logs per second by an address (IPv6: a /64), with bursts of ten times as many: each
    /// frame `history`, each connection with `since` or `history`, however much it is then sent,
    /// each subscription of Centrifugo's clients to what has a log, each of their requests for a
    /// history or for presence, and each method of Centrifugo's server API that reads; none with
    /// --messages-per-second 0
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = limit)]
    pub(crate) reads_per_second: u32,

    /// Groups in whose logs an address (IPv6: a /64) may have messages; none with
    /// --messages-per-second 0
    #[arg(long = "address-rooms", value_name = "COUNT", default_value = "1000", value_parser = limit)]
    pub(crate) address_logs: u32,

    /// Handshakes per second of an address (IPv6: a /64), with bursts of ten times as many
    #[arg(long, value_name = "COUNT", default_value = "50", value_parser = limit)]
    pub handshakes_per_second: u32,

    /// Requests per second of an address (IPv6: a /64) for pages and other answers by HTTP, with
    /// bursts of ten times as many; ten times as many for files; none with
    /// --handshakes-per-second 0
    #[arg(long, value_name = "COUNT", default_value = "200", value_parser = limit)]
    pub(crate) requests_per_second: u32,

    /// Attempts per minute of an address to log in, sign up or take a nickname; six times as many
    /// for one name from all addresses
    #[arg(long, value_name = "COUNT", default_value = "10", value_parser = limit)]
    pub logins_per_minute: u32,

    /// Messages per second of an API key; ten times as many requests of an address to the API
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = limit)]
    pub publishes_per_second: u32,

    /// Open connections of an address (IPv6: a /64) on this node, but at most half of
    /// --max-connections; none with --sockets-per-address 0
    #[arg(long, value_name = "COUNT", default_value = "4000", value_parser = limit)]
    pub(crate) connections_per_address: u32,

    /// Open sockets of a user on this node
    #[arg(long, value_name = "COUNT", default_value = "50", value_parser = limit)]
    pub sockets_per_user: u32,

    /// Open sockets of an address (IPv6: a /64) on this node
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = limit)]
    pub sockets_per_address: u32,
}

impl LimitsConfig {
    /// Returns the limit of bytes of the messages of an address, per second; 0 is none.
    pub(crate) fn address_bytes_per_second(&self) -> u32 {
        if self.bytes_per_second == 0 { 0 } else { self.address_bytes_per_second }
    }

    /// Returns the limit of reads of logs by an address, per second; 0 is none.
    pub(crate) fn reads_per_second(&self) -> u32 {
        if self.messages_per_second == 0 { 0 } else { self.reads_per_second }
    }

    /// Returns in how many logs an address may have messages; 0 is no limit.
    pub(crate) fn address_logs(&self) -> u32 {
        if self.messages_per_second == 0 { 0 } else { self.address_logs }
    }

    /// Returns the limit of requests of an address, per second; 0 is none.
    pub(crate) fn requests_per_second(&self) -> u32 {
        if self.handshakes_per_second == 0 { 0 } else { self.requests_per_second }
    }

    /// Returns the limit of open connections of an address on a node that serves `max` connections;
    /// 0 is none.
    pub(crate) fn connections_per_address(&self, max: usize) -> u32 {
        let half = u32::try_from(max / 2).unwrap_or(u32::MAX).max(1);
        if self.sockets_per_address == 0 { 0 } else { self.connections_per_address.min(half) }
    }
}
