//! The address of Redis: a URL with a password in it.

use super::within;
use crate::config::redis_address::RedisAddress;

/// A URL.
pub fn address(bytes: &[u8]) {
    let Ok(url) = std::str::from_utf8(bytes) else { return };
    // Hosts are in the answer one by one, each of them some hundred bytes.
    let Ok(address) = within(16 * 1024 + 1024 * url.len(), || RedisAddress::parse(url)) else { return };
    assert!(!address.text().is_empty(), "{url} is nowhere");
    // What stands before the last `@` is for Redis alone, if it is no path.
    if !address.text().contains('/')
        && let Some((login, rest)) = url.rsplit_once('@')
    {
        let password = login.rsplit_once(':').map_or(login, |(_, password)| password);
        let is_secret = password.len() >= 8 && !rest.contains(password);
        assert!(!is_secret || !address.text().contains(password), "{} tells the password", address.text());
    }
}
