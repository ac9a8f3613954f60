//! The address: where Redis is, which may be what the Sentinels say.

use std::io;
use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    ProtocolVersion, RedisError, RedisResult,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

const SCHEME: &str = "redis+sentinel://";
/// How long one Sentinel may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// One server, or a master that Sentinels watch.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// The server; for a master, its database and password.
    server: ConnectionInfo,
    sentinels: Vec<ConnectionInfo>,
    /// The name under which the Sentinels know the master.
    name: String,
}

impl Address {
    /// Reads `redis://host:port/db`, or `redis+sentinel://user:password@host:port,host:port/name/db` with the addresses
    /// of Sentinels and the master's name, user and password.
    ///
    /// # Errors
    /// When the text is neither.
    pub(crate) fn parse(url: &str) -> RedisResult<Self> {
        let Some(rest) = url.strip_prefix(SCHEME) else {
            return Ok(Self {
                server: resp3(url.into_connection_info()?),
                sentinels: vec![],
                name: String::new(),
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
            let host = if host.contains(':') { host.to_owned() } else { format!("{host}:26379") };
            format!("redis://{host}").into_connection_info()
        });
        Ok(Self {
            server: resp3(server),
            sentinels: sentinels.collect::<RedisResult<_>>()?,
            name: name.to_owned(),
        })
    }

    /// What to connect to now.
    ///
    /// # Errors
    /// When no Sentinel knows the master.
    pub(super) async fn server(&self) -> RedisResult<ConnectionInfo> {
        if self.sentinels.is_empty() {
            return Ok(self.server.clone());
        }
        let mut last = RedisError::from((ErrorKind::Io, "no Sentinel was asked"));
        for sentinel in &self.sentinels {
            match self.ask(sentinel).await {
                Ok(server) => return Ok(server),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// redis-rs' own client for Sentinels asks them one after another without a deadline: a frozen one would
    /// keep the node from the others.
    async fn ask(&self, sentinel: &ConnectionInfo) -> RedisResult<ConnectionInfo> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let client = Client::open(sentinel.clone())?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut question = Cmd::new();
        question.arg("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
        let answer: Option<(String, u16)> = question.query_async(&mut connection).await?;
        let (host, port) = answer.ok_or((ErrorKind::Io, "the Sentinel knows no master of this name"))?;
        Ok(self.server.clone().set_addr(ConnectionAddr::Tcp(host, port)))
    }

    /// Whether somebody else may be the master by now than whom we are connected to.
    pub(super) async fn has_moved(&self, connected: &str) -> bool {
        // A single server is where it is; Sentinels that do not answer change nothing.
        !self.sentinels.is_empty()
            && self.server().await.is_ok_and(|server| server.addr().to_string() != connected)
    }

    /// The server or the Sentinels, for people.
    pub(crate) fn text(&self) -> String {
        let addresses: Vec<String> =
            self.sentinels.iter().map(|sentinel| sentinel.addr().to_string()).collect();
        if addresses.is_empty() { self.server.addr().to_string() } else { addresses.join(", ") }
    }
}

/// A connection of bytes.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Connects to a server.
///
/// # Errors
/// When it cannot be reached.
pub(super) async fn dial(server: &ConnectionInfo) -> io::Result<Box<dyn Io>> {
    Ok(match server.addr() {
        ConnectionAddr::Tcp(host, port) => {
            let tcp = TcpStream::connect((host.as_str(), *port)).await?;
            tcp.set_nodelay(true)?;
            Box::new(tcp)
        }
        ConnectionAddr::Unix(path) => Box::new(UnixStream::connect(path).await?),
        _ => return Err(io::Error::other("TLS to Redis is not built in")),
    })
}

/// With RESP3 the library hands pushes to a function, and says when a connection has ended.
fn resp3(info: ConnectionInfo) -> ConnectionInfo {
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    info.set_redis_settings(settings)
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn sentinels_are_named_with_the_master_they_watch() {
        let address = Address::parse("redis+sentinel://:secret@10.0.0.1:7000,10.0.0.2/rooms/3").unwrap();
        assert_eq!(address.text(), "10.0.0.1:7000, 10.0.0.2:26379");
        assert_eq!((address.name.as_str(), address.server.redis_settings().db()), ("rooms", 3));
        for wrong in ["redis+sentinel://", "redis+sentinel://a:1", "redis+sentinel://a:b/name", "http://a"] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }
}
