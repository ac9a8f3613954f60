//! The URL of Redis as it is set, with what is set elsewhere: passwords, and TLS.

use crate::config::redis_address::RedisAddress;
use crate::config::redis_tls::RedisTls;

/// A Redis URL; empty, without Redis, if the variable is empty.
#[derive(Clone, Debug)]
pub struct RedisUrl {
    text: String,
    /// The password that replaces its own, and the setting that it comes from.
    password: Option<(String, String)>,
    /// The password that replaces its own for Sentinels.
    sentinel_password: Option<String>,
    tls: Option<RedisTls>,
}

impl RedisUrl {
    /// Returns whether there is no Redis.
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Returns whether it is one with TLS.
    pub(crate) fn is_tls(&self) -> bool {
        RedisAddress::parse(&self.text).is_ok_and(|address| address.is_tls())
    }

    /// Returns whether it is one of Sentinels.
    pub(crate) fn has_sentinels(&self) -> bool {
        RedisAddress::parse(&self.text).is_ok_and(|address| !address.sentinels.is_empty())
    }

    /// Returns the URL with this password, of this setting, instead of its own.
    pub(crate) fn with_password(self, password: &str, setting: impl Into<String>) -> Self {
        Self { password: Some((password.to_owned(), setting.into())), ..self }
    }

    /// Returns the URL with this password for its Sentinels.
    pub(crate) fn with_sentinel_password(self, password: &str) -> Self {
        Self { sentinel_password: Some(password.to_owned()), ..self }
    }

    /// Returns the URL with TLS of this kind.
    pub(crate) fn with_tls(self, tls: RedisTls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Returns the address that it is.
    ///
    /// # Errors
    /// Returns what was expected when it is none.
    pub(crate) fn address(&self) -> Result<RedisAddress, String> {
        let mut address = RedisAddress::parse(&self.text)?;
        if let Some((password, setting)) = &self.password {
            address.set_password(password, setting.clone());
        }
        if let Some(password) = &self.sentinel_password {
            address.set_sentinel_password(password);
        }
        address.tls = match &self.tls {
            None if address.is_tls() => Some(RedisTls::of_system()),
            tls => tls.clone(),
        };
        Ok(address)
    }
}

impl From<&str> for RedisUrl {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), password: None, sentinel_password: None, tls: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_put_into_every_form_of_url() {
        for (url, user) in [
            ("redis://h:1/2", None),
            ("redis://ann:old@h", Some("ann")),
            ("redis+sentinel://a:1,b:2/m", None),
            ("redis+cluster://ann@a:1,b:2", Some("ann")),
            ("redis+unix:///run/redis.sock?db=2&user=ann", Some("ann")),
        ] {
            let address = RedisUrl::from(url).with_password("p@/", "A_PASSWORD").address().unwrap();
            for info in address.seeds.iter().chain([&address.server]) {
                let settings = info.redis_settings();
                assert_eq!((settings.username(), settings.password()), (user, Some("p@/")), "{url}");
            }
            assert!(address.login_settings().contains("A_PASSWORD"));
        }
    }

    #[test]
    fn sentinels_get_their_own_password() {
        let url = RedisUrl::from("redis+sentinel://:one@a,b/m?sentinel_username=eve");
        let address = url.with_sentinel_password("two").address().unwrap();
        assert_eq!(address.server.redis_settings().password(), Some("one"));
        for sentinel in &address.sentinels {
            let settings = sentinel.redis_settings();
            assert_eq!((settings.username(), settings.password()), (Some("eve"), Some("two")));
        }
    }
}
