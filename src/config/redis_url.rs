//! The URL of Redis as it is set, with a password that is set elsewhere.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use redis::RedisResult;

use crate::config::redis_address::RedisAddress;

/// A Redis URL; empty, without Redis, if the variable is empty.
#[derive(Clone, Debug)]
pub struct RedisUrl {
    text: String,
    /// The setting that its password comes from, if that is another one.
    password_setting: Option<String>,
}

impl RedisUrl {
    /// Returns whether there is no Redis.
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Returns the URL with this password, of this setting, instead of its own.
    pub(crate) fn with_password(&self, password: &str, setting: impl Into<String>) -> Self {
        let encoded = utf8_percent_encode(password, NON_ALPHANUMERIC);
        let Some((scheme, rest)) = self.text.split_once("://") else { return self.clone() };
        let text = if scheme.contains("unix") {
            let mark = if rest.contains('?') { '&' } else { '?' };
            format!("{scheme}://{rest}{mark}pass={encoded}")
        } else {
            let (login, hosts) = rest.rsplit_once('@').unwrap_or(("", rest));
            let user = login.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}:{encoded}@{hosts}")
        };
        Self { text, password_setting: Some(setting.into()) }
    }

    /// Returns the address that it is.
    ///
    /// # Errors
    /// Fails when it is none.
    pub(crate) fn address(&self) -> RedisResult<RedisAddress> {
        let address = RedisAddress::parse(&self.text)?;
        Ok(RedisAddress { password_setting: self.password_setting.clone(), ..address })
    }
}

impl From<&str> for RedisUrl {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), password_setting: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_put_into_every_form_of_url() {
        for (url, expected) in [
            ("redis://h:1/2", "redis://:p%40%2F@h:1/2"),
            ("redis://ann:old@h", "redis://ann:p%40%2F@h"),
            ("redis+sentinel://a:1,b:2/m", "redis+sentinel://:p%40%2F@a:1,b:2/m"),
        ] {
            let with = RedisUrl::from(url).with_password("p@/", "A_PASSWORD");
            assert_eq!(with.text, expected);
            let server = with.address().unwrap().server;
            assert_eq!(server.redis_settings().password(), Some("p@/"), "{url}");
        }
        let unix = RedisUrl::from("redis+unix:///run/redis.sock?db=2").with_password("p&/", "A_PASSWORD");
        let settings = unix.address().unwrap().server.redis_settings().clone();
        assert_eq!((settings.password(), settings.db()), (Some("p&/"), 2));
    }
}
