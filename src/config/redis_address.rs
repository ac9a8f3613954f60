//! The address of Redis: one server, a master that Sentinels monitor, or a Cluster.

use std::collections::HashMap;
use std::net::Ipv6Addr;

use percent_encoding::percent_decode_str;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion, RedisConnectionInfo};

use crate::config::redis_tls::RedisTls;

const EXPECTED: &str = "expected a URL as redis://127.0.0.1:6379/0, redis+unix:///path/of/socket?db=0, \
     redis+sentinel://host:port,host:port/name or redis+cluster://host:port,host:port; with TLS, rediss…";
const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// One server, a master that Sentinels monitor, or a Cluster.
#[derive(Clone, Debug)]
pub(crate) struct RedisAddress {
    /// The server; for a master, its database, user and password; of a Cluster, the first seed.
    pub(crate) server: ConnectionInfo,
    pub(crate) sentinels: Vec<ConnectionInfo>,
    /// The name under which the Sentinels know the master.
    pub(crate) name: String,
    /// Some nodes of the Cluster; empty if it is none.
    pub(crate) seeds: Vec<ConnectionInfo>,
    /// The setting that the password comes from, unless that is the URL.
    pub(crate) password_setting: Option<String>,
    /// How TLS is spoken, if it is; the URL alone does not say.
    pub(crate) tls: Option<RedisTls>,
}

impl RedisAddress {
    /// Parses a URL. `rediss` in place of `redis` is TLS.
    ///
    /// - `redis://user:password@host:port/db`;
    /// - `redis+unix:///path/of/socket?db=0&user=x&pass=y`;
    /// - `redis+sentinel://user:password@host:port,host:port/name/db`, with the addresses of
    ///   Sentinels, and the name, user and password of the master; the Sentinels' own are
    ///   `?sentinel_username=x&sentinel_password=y`;
    /// - `redis+cluster://user:password@host:port,host:port`, with some nodes of the Cluster.
    ///
    /// The database may also be `?db=3`, as in redis-py and go-redis; the parameters of Sentinels
    /// are those of go-redis. IPv6 addresses are in brackets.
    ///
    /// # Errors
    /// Returns what was expected, without any part of the URL.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").ok_or(EXPECTED)?;
        let scheme = scheme.to_ascii_lowercase().replace("valkey", "redis");
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        if scheme == "redis+unix" || scheme == "unix" {
            let query = Parameters::parse(query, &["db", "user", "pass"])?;
            let path = format!("unix://{rest}").into_connection_info().map_err(|_| EXPECTED)?;
            let settings = settings(query.get("user"), query.get("pass"), query.database("")?);
            return Ok(Self::new(path.set_redis_settings(settings)));
        }
        let (login, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (user, password) = (decoded(user)?, decoded(password)?);
        let login = |database| settings(Some(&user), Some(&password), database);
        let (kind, is_tls) = match scheme.strip_prefix("rediss") {
            Some(kind) => (kind, true),
            None => (scheme.strip_prefix("redis").ok_or(EXPECTED)?, false),
        };
        match kind {
            "" => {
                let database = Parameters::parse(query, &["db"])?.database(path)?;
                let [server] = <[_; 1]>::try_from(addresses(hosts, REDIS_PORT, is_tls)?).map_err(|_| {
                    "expected one host: several are of redis+sentinel:// or redis+cluster://".to_owned()
                })?;
                Ok(Self::new(info(server, login(database))))
            }
            "+sentinel" => {
                let query = Parameters::parse(query, &["db", "sentinel_username", "sentinel_password"])?;
                let (name, path) = path.split_once('/').unwrap_or((path, ""));
                if name.is_empty() {
                    return Err("expected the name of the master, as redis+sentinel://host:port/name".into());
                }
                let own = settings(query.get("sentinel_username"), query.get("sentinel_password"), 0);
                let addresses = addresses(hosts, SENTINEL_PORT, is_tls)?;
                let server = info(addresses[0].clone(), login(query.database(path)?));
                let sentinels = addresses.into_iter().map(|address| info(address, own.clone()));
                Ok(Self { sentinels: sentinels.collect(), name: decoded(name)?, ..Self::new(server) })
            }
            "+cluster" => {
                if Parameters::parse(query, &["db"])?.database(path)? != 0 {
                    return Err("expected database 0: a Redis Cluster has one database".to_owned());
                }
                let addresses = addresses(hosts, REDIS_PORT, is_tls)?;
                let seeds: Vec<_> = addresses.into_iter().map(|address| info(address, login(0))).collect();
                Ok(Self { seeds: seeds.clone(), ..Self::new(seeds[0].clone()) })
            }
            _ => Err(EXPECTED.to_owned()),
        }
    }

    /// Creates the address of one server.
    fn new(server: ConnectionInfo) -> Self {
        Self {
            server,
            sentinels: vec![],
            name: String::new(),
            seeds: vec![],
            password_setting: None,
            tls: None,
        }
    }

    /// Replaces the password of the server, the master or the nodes of the Cluster by this one, of
    /// this setting.
    pub(crate) fn set_password(&mut self, password: &str, setting: String) {
        for info in self.seeds.iter_mut().chain([&mut self.server]) {
            let settings = info.redis_settings().clone().set_password(password);
            *info = info.clone().set_redis_settings(settings);
        }
        self.password_setting = Some(setting);
    }

    /// Replaces the password of the Sentinels by this one.
    pub(crate) fn set_sentinel_password(&mut self, password: &str) {
        for info in &mut self.sentinels {
            let settings = info.redis_settings().clone().set_password(password);
            *info = info.clone().set_redis_settings(settings);
        }
    }

    /// Returns the server at this host and port, with everything else as of this address.
    pub(crate) fn server_at(&self, host: &str, port: u16) -> ConnectionInfo {
        let address = match self.server.addr().clone() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure, tls_params }
            }
            _ => ConnectionAddr::Tcp(host.to_owned(), port),
        };
        self.server.clone().set_addr(address)
    }

    /// Returns whether the URL is one with TLS.
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.server.addr(), ConnectionAddr::TcpTls { .. })
    }

    /// Returns whether it is a Cluster.
    pub(crate) fn is_cluster(&self) -> bool {
        !self.seeds.is_empty()
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
        let hosts = if self.is_cluster() { &self.seeds } else { &self.sentinels };
        let hosts = if hosts.is_empty() { std::slice::from_ref(&self.server) } else { hosts };
        hosts.iter().map(|host| shown(host.addr())).collect::<Vec<_>>().join(", ")
    }
}

/// Returns an address as it is written in a URL.
pub(crate) fn shown(address: &ConnectionAddr) -> String {
    match address {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } if host.contains(':') => {
            format!("[{host}]:{port}")
        }
        other => other.to_string(),
    }
}

/// Parses hosts with ports, separated by commas: at least one.
fn addresses(hosts: &str, default_port: u16, is_tls: bool) -> Result<Vec<ConnectionAddr>, String> {
    let address = |text: &str| {
        let (host, port) = host_and_port(text, default_port)?;
        Ok(if is_tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        })
    };
    hosts.split(',').map(address).collect()
}

fn host_and_port(text: &str, default_port: u16) -> Result<(String, u16), String> {
    const IPV6: &str = "expected an IPv6 address in brackets, as [2001:db8::1]:6379";
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(IPV6)?;
            host.parse::<Ipv6Addr>().map_err(|_| IPV6)?;
            (host, port)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match port {
        "" => default_port,
        port if port.matches(':').count() > 1 => return Err(IPV6.to_owned()),
        port => {
            let port = port.strip_prefix(':').and_then(|port| port.parse().ok()).filter(|port| *port > 0);
            port.ok_or("expected a port from 1 to 65535 after the host")?
        }
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_host) {
        return Err("expected a host name or an address; in a user or password, special characters are \
                    percent-encoded, as %2F for /"
            .to_owned());
    }
    Ok((host.to_owned(), port))
}

/// The parameters behind the `?` of a URL.
struct Parameters(HashMap<String, String>);

impl Parameters {
    fn parse(query: &str, known: &[&str]) -> Result<Self, String> {
        let mut parameters = HashMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            // The name is not shown: it may be part of a password with a `?`.
            if !known.contains(&name.as_ref()) {
                return Err(format!("expected no other parameters after `?` than {}", known.join(", ")));
            }
            if parameters.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err("expected each parameter after `?` once".to_owned());
            }
        }
        Ok(Self(parameters))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns the number of the database, which the path may name as well.
    fn database(&self, path: &str) -> Result<i64, String> {
        let number = |text: &str| text.parse::<u32>().map_err(|_| "expected a number as the database");
        let in_path = Some(path.trim_matches('/')).filter(|path| !path.is_empty()).map(number).transpose()?;
        let in_query = self.get("db").map(number).transpose()?;
        match (in_path, in_query) {
            (Some(path), Some(query)) if path != query => {
                Err("expected one database, in the path or in `db`".to_owned())
            }
            (path, query) => Ok(path.or(query).unwrap_or(0).into()),
        }
    }
}

fn info(address: ConnectionAddr, settings: RedisConnectionInfo) -> ConnectionInfo {
    let info = address.into_connection_info().expect("an address is enough");
    info.set_redis_settings(settings)
}

/// Returns what a connection begins with. RESP3, with which the library passes pushes to a function
/// and reports lost connections.
fn settings(user: Option<&str>, password: Option<&str>, database: i64) -> RedisConnectionInfo {
    let settings = RedisConnectionInfo::default().set_db(database).set_protocol(ProtocolVersion::RESP3);
    let settings = match user.filter(|user| !user.is_empty()) {
        Some(user) => settings.set_username(user),
        None => settings,
    };
    match password.filter(|password| !password.is_empty()) {
        Some(password) => settings.set_password(password),
        None => settings,
    }
}

fn decoded(text: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(Into::into).map_err(|_| "expected UTF-8 in user, password and name".to_owned())
}

#[cfg(test)]
mod tests {
    use redis::{ConnectionAddr, ProtocolVersion};

    use super::RedisAddress;

    #[test]
    fn every_kind_of_redis_has_its_url() {
        let login = |user: &'static str, password: &'static str| (Some(user), Some(password));
        for (url, text, database, of_server) in [
            ("redis://h", "h:6379", 0, (None, None)),
            ("redis://ann:p%40%2F@h:1/2", "h:1", 2, login("ann", "p@/")),
            ("redis://default:@10.0.0.1:7?db=3", "10.0.0.1:7", 3, (Some("default"), None)),
            ("rediss://:p@[::1]:7000/2?db=2", "[::1]:7000", 2, (None, Some("p"))),
            ("valkeys://h_1.example.com/", "h_1.example.com:6379", 0, (None, None)),
            ("redis+unix:///run/r.sock?db=2&user=u&pass=p%26", "/run/r.sock", 2, login("u", "p&")),
            ("redis+sentinel://u:p@a:7000,[::2]/m/3", "a:7000, [::2]:26379", 3, login("u", "p")),
            ("redis+sentinel://a,b/m?db=4", "a:26379, b:26379", 4, (None, None)),
            ("rediss+cluster://u:p@a:7000,[::2],c", "a:7000, [::2]:6379, c:6379", 0, login("u", "p")),
            ("redis+cluster://a/0?db=0", "a:6379", 0, (None, None)),
        ] {
            let address = RedisAddress::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!((address.text().as_str(), address.database()), (text, database), "{url}");
            let is_tls = |address: &ConnectionAddr| matches!(address, ConnectionAddr::TcpTls { .. });
            for info in address.seeds.iter().chain([&address.server]) {
                let settings = info.redis_settings();
                assert_eq!((settings.username(), settings.password()), of_server, "{url}");
                assert_eq!(settings.protocol(), ProtocolVersion::RESP3, "{url}");
            }
            for info in address.seeds.iter().chain(&address.sentinels).chain([&address.server]) {
                assert_eq!(is_tls(info.addr()), url.starts_with("rediss") || url.starts_with("valkeys"));
            }
            assert_eq!(address.is_cluster(), url.contains("cluster"), "{url}");
        }
    }

    #[test]
    fn sentinels_have_the_name_of_a_master_and_a_login_of_their_own() {
        let url = "redis+sentinel://u:p@a,b/rooms?sentinel_username=eve&sentinel_password=s%26%40";
        let address = RedisAddress::parse(url).unwrap();
        assert_eq!(address.name, "rooms");
        for sentinel in &address.sentinels {
            let settings = sentinel.redis_settings();
            assert_eq!((settings.username(), settings.password()), (Some("eve"), Some("s&@")));
        }
        let without = RedisAddress::parse("redis+sentinel://u:p@a/rooms").unwrap();
        let settings = without.sentinels[0].redis_settings();
        assert_eq!((settings.username(), settings.password()), (None, None));
    }

    #[test]
    fn a_url_that_would_be_read_in_part_is_rejected_in_words() {
        for (url, word) in [
            ("h:6379", "expected a URL"),
            ("http://a", "expected a URL"),
            ("redis+other://a", "expected a URL"),
            ("redis://", "host"),
            ("redis://a,b", "one host"),
            ("redis://a/x", "database"),
            ("redis://a/-1", "database"),
            ("redis://a/1?db=2", "one database"),
            ("redis://a?db=1&db=1", "once"),
            ("redis://a?password=hunter2", "than db"),
            ("redis://a:b", "port"),
            ("redis://a:0", "port"),
            ("redis://::1", "brackets"),
            ("redis://[::1", "brackets"),
            ("redis://[a]:1", "brackets"),
            ("redis://[::1]1", "port"),
            ("redis://a/#insecure", "database"),
            ("redis://:%ff@a", "UTF-8"),
            ("redis+unix:///a?protocol=2", "than db, user, pass"),
            ("redis+unix://a/b", "expected a URL"),
            ("redis+sentinel://", "name"),
            ("redis+sentinel://a:1", "name"),
            ("redis+sentinel://a:b/name", "port"),
            ("redis+sentinel://a,/name", "host"),
            ("redis+sentinel://a/m?sentinel_user=x", "sentinel_username"),
            ("redis+cluster://a,b/3", "one database"),
            ("redis+cluster://a?sentinel_password=hunter2", "than db"),
        ] {
            let error = RedisAddress::parse(url).expect_err(url);
            assert!(error.contains(word) && !error.contains("hunter2"), "{url}: {error}");
        }
    }
}
