//! The address of Redis: a URL with a password in it.

use super::within;
use crate::config::redis_address::RedisAddress;

/// Parses a URL.
pub fn redis_address(bytes: &[u8]) {
    let Ok(url) = std::str::from_utf8(bytes) else { return };
    // The result has one entry of some hundred bytes for each host.
    let Ok(address) = within(16 * 1024 + 1024 * url.len(), || RedisAddress::parse(url)) else { return };
    assert!(!address.text().is_empty(), "{url} is nowhere");
    // The text before the last `@` holds credentials, unless it is part of a path or a parameter.
    let url = url.split('?').next().unwrap_or_default();
    if !address.text().contains('/')
        && let Some((login, rest)) = url.rsplit_once('@')
    {
        let password = login.rsplit_once(':').map_or(login, |(_, password)| password);
        let is_secret = password.len() >= 8 && !rest.contains(password);
        assert!(!is_secret || !address.text().contains(password), "{} shows the password", address.text());
    }
}
