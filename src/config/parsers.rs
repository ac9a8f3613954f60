//! Parsers for the values of settings, and their error texts.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

use rustls::pki_types::ServerName;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::redis_address::RedisAddress;
use crate::config::redis_url::RedisUrl;

/// The most bytes of a prefix of keys or channels.
const MAX_PREFIX_BYTES: usize = 64;

/// Parses an address with a port. A port alone, as `8000`, `:8000` or `*:8000`, is that port of all
/// addresses of this machine.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    let port = text.strip_prefix('*').unwrap_or(text).strip_prefix(':').unwrap_or(text);
    if let Ok(port) = port.parse::<u16>() {
        // An address of IPv6 stands for both families, on a machine that has them.
        let has_both = TcpListener::bind("[::]:0").is_ok();
        return Ok(if has_both {
            (Ipv6Addr::UNSPECIFIED, port).into()
        } else {
            (Ipv4Addr::UNSPECIFIED, port).into()
        });
    }
    let mut found = text.to_socket_addrs().into_iter().flatten();
    found
        .next()
        .ok_or_else(|| "expected an address with a port, as 127.0.0.1:8000, or a port as :8000".to_owned())
}

pub(crate) fn redis_url(text: &str) -> Result<RedisUrl, String> {
    if !text.is_empty() {
        RedisAddress::parse(text)?;
    }
    Ok(RedisUrl::from(text))
}

/// Parses the name that a certificate must have.
pub(crate) fn server_name(text: &str) -> Result<ServerName<'static>, String> {
    let name = ServerName::try_from(text.to_owned());
    name.map_err(|_| "expected a name as redis.example.com, or an address".to_owned())
}

/// Parses a prefix of keys or channels. Braces would take the place of a group's in Redis Cluster.
pub(crate) fn redis_prefix(text: &str) -> Result<String, String> {
    let is_valid = (1..=MAX_PREFIX_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if is_valid {
        Ok(text.to_owned())
    } else {
        Err("expected 1 to 64 ASCII letters, digits, `_`, `-` and `.`".to_owned())
    }
}

/// Parses a level, or a filter of directives separated by commas. `warning` means `warn`. A word
/// alone must be a level: to the filter it would be a module of that name, and log nothing.
pub(crate) fn log_level(text: &str) -> Result<String, String> {
    let directives: Vec<String> = text.split(',').map(|directive| with_warn(directive.trim())).collect();
    let filter = directives.join(",");
    let is_valid =
        directives.iter().all(|directive| directive.contains(['=', '[', ':']) || is_level(directive));
    if is_valid && EnvFilter::try_new(&filter).is_ok() {
        Ok(filter)
    } else {
        Err("expected error, warn, info, debug, trace, off, or a filter as info,parlor::layer=debug"
            .to_owned())
    }
}

/// Replaces the level `warning` of a directive by `warn`.
fn with_warn(directive: &str) -> String {
    match directive.rsplit_once('=') {
        Some((target, level)) if level.eq_ignore_ascii_case("warning") => format!("{target}=warn"),
        None if directive.eq_ignore_ascii_case("warning") => "warn".to_owned(),
        _ => directive.to_owned(),
    }
}

fn is_level(word: &str) -> bool {
    word.parse::<LevelFilter>().is_ok()
}

/// Parses a switch.
///
/// # Errors
/// Returns what was expected.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("expected 1 or 0, true or false, yes or no, on or off".to_owned()),
    }
}

/// Parses a number above 0.
///
/// # Errors
/// Returns what was expected.
pub fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "expected a number above 0".to_owned())
}

/// Parses a number that may be 0.
pub(crate) fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "expected a number".to_owned())
}

/// Parses a limit; 0 is no limit.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_of_all_addresses() {
        for text in ["8000", ":8000", "*:8000", " :8000 "] {
            let address = address(text).unwrap();
            assert!(address.ip().is_unspecified() && address.port() == 8000, "{text}: {address}");
        }
        for text in ["*", ":", "*8000", ":x", "::8000", ":99999"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
