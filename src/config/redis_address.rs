//! The address of Redis: one server, or a master monitored by Sentinels.

use redis::{ConnectionInfo, ErrorKind, IntoConnectionInfo, ProtocolVersion, RedisResult};

const SCHEME: &str = "redis+sentinel://";

/// One server, or a master monitored by Sentinels.
#[derive(Clone, Debug)]
pub(crate) struct RedisAddress {
    /// The server; for a master, its database and password.
    pub(crate) server: ConnectionInfo,
    pub(crate) sentinels: Vec<ConnectionInfo>,
    /// The name under which the Sentinels know the master.
    pub(crate) name: String,
    /// The setting that the password comes from, unless that is the URL.
    pub(crate) password_setting: Option<String>,
}

impl RedisAddress {
    /// Parses `redis://host:port/db`, or
    /// `redis+sentinel://user:password@host:port,host:port/name/db` with the addresses of
    /// Sentinels, and the name, user and password of the master.
    ///
    /// # Errors
    /// Fails when the text is neither.
    pub(crate) fn parse(url: &str) -> RedisResult<Self> {
        let Some(rest) = url.strip_prefix(SCHEME) else {
            return Ok(Self {
                server: resp3(url.into_connection_info()?),
                sentinels: vec![],
                name: String::new(),
                password_setting: None,
            });
        };
        let (login, rest) = rest.rsplit_once('@').map_or(("", rest), |(login, rest)| (login, rest));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (name, database) = path.split_once('/').unwrap_or((path, "0"));
        if name.is_empty() {
            return Err((ErrorKind::InvalidClientConfig, "the URL names no master").into());
        }
        let at = if login.is_empty() { "" } else { "@" };
        let server = format!("redis://{login}{at}127.0.0.1/{database}").into_connection_info()?;
        let sentinels = hosts.split(',').map(|host| {
            // The colons of an IPv6 address are in brackets.
            let has_port = host.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
            let host = if has_port { host.to_owned() } else { format!("{host}:26379") };
            format!("redis://{host}").into_connection_info()
        });
        Ok(Self {
            server: resp3(server),
            sentinels: sentinels.collect::<RedisResult<_>>()?,
            name: name.to_owned(),
            password_setting: None,
        })
    }

    /// Returns the number of the database.
    pub(crate) fn database(&self) -> i64 {
        self.server.redis_settings().db()
    }

    /// Returns which settings the user and the password come from.
    pub(crate) fn login_settings(&self) -> String {
        match &self.password_setting {
            Some(setting) => format!("the user in REDIS_URL (--redis-url), and the password in {setting}"),
            None => "user and password in REDIS_URL (--redis-url)".to_owned(),
        }
    }

    /// Returns the addresses without credentials.
    pub(crate) fn text(&self) -> String {
        let addresses: Vec<String> =
            self.sentinels.iter().map(|sentinel| sentinel.addr().to_string()).collect();
        if addresses.is_empty() { self.server.addr().to_string() } else { addresses.join(", ") }
    }
}

/// Selects RESP3, with which the library passes pushes to a function and reports lost connections.
fn resp3(info: ConnectionInfo) -> ConnectionInfo {
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    info.set_redis_settings(settings)
}

#[cfg(test)]
mod tests {
    use super::RedisAddress;

    #[test]
    fn sentinels_are_named_with_the_master_they_watch() {
        let address = RedisAddress::parse("redis+sentinel://:secret@10.0.0.1:7000,10.0.0.2/rooms/3").unwrap();
        assert_eq!(address.text(), "10.0.0.1:7000, 10.0.0.2:26379");
        let ipv6 = RedisAddress::parse("redis+sentinel://[::1],[::2]:7000/m").unwrap();
        assert_eq!(ipv6.text(), "::1:26379, ::2:7000");
        assert_eq!((address.name.as_str(), address.server.redis_settings().db()), ("rooms", 3));
        for wrong in ["redis+sentinel://", "redis+sentinel://a:1", "redis+sentinel://a:b/name", "http://a"] {
            assert!(RedisAddress::parse(wrong).is_err(), "{wrong}");
        }
    }
}
