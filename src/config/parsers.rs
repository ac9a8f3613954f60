//! The values of settings: how each is read from its text, and what is said of one that is none.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

use crate::config::redis_address::RedisAddress;

/// A Redis URL; empty when the variable is set to nothing, which means no Redis.
#[derive(Clone, Debug)]
pub(crate) struct RedisUrl(String);

impl RedisUrl {
    /// As it was given.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let mut found = text.trim().to_socket_addrs().into_iter().flatten();
    found.next().ok_or_else(|| "expected an address with a port, as 127.0.0.1:8000".to_owned())
}

pub(crate) fn redis_url(text: &str) -> Result<RedisUrl, String> {
    if !text.is_empty() && RedisAddress::parse(text).is_err() {
        return Err("expected a URL as redis://127.0.0.1:6379/0 or redis+sentinel://host:port,host:port/name (TLS to Redis is not built in)".to_owned());
    }
    Ok(RedisUrl(text.to_owned()))
}

pub(crate) fn log_level(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|_| {
        "expected error, warn, info, debug, trace, or a filter as info,parlor::layer=debug".to_owned()
    })
}

pub(crate) fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "expected a number above 0".to_owned())
}

/// A limit; 0 is none.
pub(crate) fn limit(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "expected a number, or 0 for no limit".to_owned())
}

pub(crate) fn days(text: &str) -> Result<u32, String> {
    let days = text.parse().ok().filter(|days| (1..=3650).contains(days));
    days.ok_or_else(|| "expected a number of days from 1 to 3650".to_owned())
}

pub(crate) fn folder(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_dir() { Ok(path) } else { Err("expected a folder that exists".to_owned()) }
}

pub(crate) fn file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.exists() && !path.is_dir() { Ok(path) } else { Err("expected a file that exists".to_owned()) }
}

/// A network, or a single address.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let single = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    single
        .or_else(|_| text.parse::<IpNet>().map(|network| network.trunc()))
        .map_err(|_| "expected an address as 127.0.0.1 or a network as 10.0.0.0/8".to_owned())
}
