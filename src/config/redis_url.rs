//! The URL of Redis as it is set, with passwords that are set elsewhere.

use crate::config::redis_address::RedisAddress;

/// A Redis URL; empty, without Redis, if the variable is empty.
#[derive(Clone, Debug)]
pub struct RedisUrl {
    text: String,
    /// The password that replaces its own, and the setting that it comes from.
    password: Option<(String, String)>,
}

impl RedisUrl {
    /// Returns whether there is no Redis.
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Returns the URL with this password, of this setting, instead of its own.
    pub(crate) fn with_password(self, password: &str, setting: impl Into<String>) -> Self {
        Self { password: Some((password.to_owned(), setting.into())), ..self }
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
        Ok(address)
    }
}

impl From<&str> for RedisUrl {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), password: None }
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
}
