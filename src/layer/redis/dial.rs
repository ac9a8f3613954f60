//! Reaching Redis: the current master by its Sentinels, and a connection to it.

use std::io;
use std::time::Duration;

use futures_util::future::select_ok;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, RedisError, RedisResult,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::sleep;

use crate::config::redis_address::RedisAddress;

/// Time in which a Sentinel has to answer.
const SENTINEL_TIMEOUT: Duration = Duration::from_millis(500);
/// Time after which the next address of a name is tried beside those before it (RFC 8305).
const NEXT_ADDRESS_DELAY: Duration = Duration::from_millis(250);

/// Returns the server to connect to: the only one, or the current master.
///
/// # Errors
/// Fails when no Sentinel knows the master.
pub(super) async fn current_server(address: &RedisAddress) -> RedisResult<ConnectionInfo> {
    if address.sentinels.is_empty() {
        return Ok(address.server.clone());
    }
    let mut last = RedisError::from((ErrorKind::Io, "no Sentinel was asked"));
    for sentinel in &address.sentinels {
        match ask_sentinel(address, sentinel).await {
            Ok(server) => return Ok(server),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Returns a connection of the client library, for a question with a deadline.
///
/// # Errors
/// Fails when the server cannot be reached in time.
pub(super) async fn library_connection(
    server: &ConnectionInfo,
    timeout: Duration,
) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(timeout))
        .set_response_timeout(Some(timeout));
    Client::open(server.clone())?.get_multiplexed_async_connection_with_config(&config).await
}

/// Asks one Sentinel with a deadline, which the client library's own Sentinel client does not have:
/// a frozen Sentinel would keep the node from the others.
async fn ask_sentinel(address: &RedisAddress, sentinel: &ConnectionInfo) -> RedisResult<ConnectionInfo> {
    let mut connection = library_connection(sentinel, SENTINEL_TIMEOUT).await?;
    let mut question = Cmd::new();
    question.arg("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&address.name);
    let answer: Option<(String, u16)> = question.query_async(&mut connection).await?;
    let (host, port) = answer.ok_or((ErrorKind::Io, "the Sentinel knows no master of this name"))?;
    Ok(address.server.clone().set_addr(ConnectionAddr::Tcp(host, port)))
}

/// Returns whether another server than the connected one may be the master now. A single server
/// never moves; Sentinels that do not answer change nothing.
pub(super) async fn has_moved(address: &RedisAddress, connected: &str) -> bool {
    !address.sentinels.is_empty()
        && current_server(address).await.is_ok_and(|server| server.addr().to_string() != connected)
}

/// A connection of bytes.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Connects to a server, to the first of its name's addresses that answers.
///
/// # Errors
/// Fails when it cannot be reached.
pub(super) async fn dial(server: &ConnectionInfo) -> io::Result<Box<dyn Io>> {
    Ok(match server.addr() {
        ConnectionAddr::Tcp(host, port) => {
            let addresses = lookup_host((host.as_str(), *port)).await?;
            let attempts = (0..).zip(addresses).map(|(turn, address)| {
                Box::pin(async move {
                    sleep(NEXT_ADDRESS_DELAY * turn).await;
                    TcpStream::connect(address).await
                })
            });
            let attempts: Vec<_> = attempts.collect();
            if attempts.is_empty() {
                return Err(io::Error::other("the name has no address"));
            }
            let (tcp, _) = select_ok(attempts).await?;
            tcp.set_nodelay(true)?;
            Box::new(tcp)
        }
        ConnectionAddr::Unix(path) => Box::new(UnixStream::connect(path).await?),
        _ => return Err(io::Error::other("TLS to Redis is not built in")),
    })
}
