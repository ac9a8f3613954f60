//! Reaching Redis: what the Sentinels say, and a connection to it.

use std::io;
use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, RedisError, RedisResult,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

pub(crate) use crate::config::redis_address::RedisAddress;

/// How long one Sentinel may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);

impl RedisAddress {
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
